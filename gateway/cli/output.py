"""How commands speak: data on stdout, talk on stderr, tables for people, JSON for programs.

Everything printed may hold names that an upstream or an agent chose, so control characters are made visible first: a
tool called `\\x1b[2J` must not clear an auditor's screen. `NO_COLOR` is honoured by rich.
"""

import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.errors import ConfigurationError, GatewayError, Problem, StoreRefused

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Format", "FormatOption", "data", "event", "explain", "problems", "say", "table", "typed", "visible", "warn"]

INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that act on a terminal or hide: controls, formats (bidi, zero width), separators, surrogates."""


_TIME = re.compile(r"\b([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}):[0-9]{2}\.[0-9]{3}(?=Z)")


class Format(StrEnum):
    """How a command writes its data."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


FormatOption = Annotated[
    Format, typer.Option("--output", "-o", help="table for people, json or jsonl for programs.", show_default=True)
]


def visible(text: str) -> str:
    """Return `text` with every character that would act on a terminal, or hide, written out."""
    return "".join(
        char if char == "\n" or unicodedata.category(char) not in INVISIBLE else f"\\u{ord(char):04x}" for char in text
    )


def typed() -> str:
    """Return what to type for `intended`: the name, or the path it was started by where the name would not be found.

    That is so in a virtual environment that nobody activated, as after the README's first command.
    """
    started = sys.argv[0]
    return started if Path(started).name == "intended" and shutil.which("intended") is None else "intended"


def say(text: str = "", *, style: str = "") -> None:
    """Write one piece of talk to stderr."""
    if not sys.stderr.isatty():
        print(visible(text), file=sys.stderr)
        return
    from rich.text import Text

    _talk().print(Text(visible(text), style=style), soft_wrap=True)


def warn(title: str, text: str) -> None:
    """Write a warning that nobody can miss: boxed on a terminal, marked in a log."""
    if not sys.stderr.isatty():
        print(visible(f"WARNING: {title}: {' '.join(text.split())}"), file=sys.stderr)
        return
    from rich.panel import Panel
    from rich.text import Text

    _talk().print(Panel(Text(visible(text)), title=Text(visible(title)), border_style="bold yellow", expand=False))


def event(name: str, *, level: str = "info", **facts: Any) -> None:
    """Write one piece of talk to stderr as a line of the log in JSON, for a stream that is nothing else."""
    from gateway.core.audit.body import timestamp
    from gateway.telemetry.clock import SystemClock

    line = {"event": name, "level": level, "logger": "gateway.cli", "timestamp": timestamp(SystemClock().now())}
    print(json.dumps(line | facts, ensure_ascii=True, default=str), file=sys.stderr, flush=True)


def problems(found: Sequence[Problem]) -> None:
    """Write each problem with its place and its remedy to stderr."""
    for problem in found:
        say(str(problem))


def explain(error: GatewayError) -> None:
    """Write a deliberate error to stderr: what, where, what to do."""
    if isinstance(error, ConfigurationError):
        problems(error.problems)
        return
    say(f"error: {error}", style="bold red")
    if isinstance(error, StoreRefused):
        say(f"  fix: {error.remedy}")
    for note in getattr(error, "__notes__", ()):
        say(f"  {note}")


def data(value: Any, form: Format = Format.JSON) -> None:
    """Write data for programs to stdout: one document, or for `jsonl` one line per item."""
    if form is Format.JSONL and isinstance(value, list):
        for item in value:
            print(json.dumps(item, ensure_ascii=True, default=str))
        return
    print(json.dumps(value, indent=None if form is Format.JSONL else 2, ensure_ascii=True, default=str))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to stdout: drawn on a terminal, with times to the minute; tabs between plain columns otherwise."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(_one_line(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    lines = [[Text(_TIME.sub(r"\1 \2", _one_line(cell))) for cell in row] for row in rows]
    drawn = Table(box=None, header_style="bold", pad_edge=False, show_header=any(columns))
    for place, column in enumerate(columns):
        # An id is there to be typed, hence whole however narrow the terminal is.
        whole = max((line[place].cell_len for line in lines), default=0) if column == "ID" else None
        drawn.add_column(column, no_wrap=column == "ID", min_width=whole)
    for line in lines:
        drawn.add_row(*line)
    Console(highlight=False).print(drawn)


def _one_line(cell: object) -> str:
    """Return a cell that cannot begin a line of its own, which would read as another row."""
    return visible(str(cell)).replace("\n", " ")


def _talk() -> "Console":
    """Return a console on the present stderr; made at each use, because tests and pipes replace the stream."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False)
