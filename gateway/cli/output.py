"""How commands speak: data on stdout, talk on stderr, tables for people, JSON for programs.

Everything printed may hold names that an upstream or an agent chose, so control characters are made visible first: a
tool called `\\x1b[2J` must not clear an auditor's screen. Under `NO_COLOR` no escape sequence is written at all.
"""

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import typer

from gateway.errors import ConfigurationError, GatewayError, Problem, StoreRefused

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["Format", "FormatOption", "data", "event", "explain", "problems", "say", "table", "typed", "visible", "warn"]

INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that act on a terminal or hide: controls, formats (bidi, zero width), separators, surrogates."""

COLUMN_GAP: Final = 2
"""Behind a column of a table, as rich pads it; it keeps that of the last column, too, in what it takes for room."""

INDENT: Final = "    "
"""Before what follows the first line of a row that is too long for one."""

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

    _console(sys.stderr).print(Text(visible(text), style=style), soft_wrap=True)


def warn(title: str, text: str) -> None:
    """Write a warning that nobody can miss: boxed on a terminal, marked in a log."""
    if not sys.stderr.isatty():
        print(visible(f"WARNING: {title}: {' '.join(text.split())}"), file=sys.stderr)
        return
    from rich.panel import Panel
    from rich.text import Text

    shown = Panel(Text(visible(text)), title=Text(visible(title)), border_style="bold yellow", expand=False)
    _console(sys.stderr).print(shown)


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
    _draw(columns, [[_TIME.sub(r"\1 \2", _one_line(cell)) for cell in row] for row in rows])


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Draw a table; where the terminal is too narrow to show each word whole, a few lines for each row instead.

    Columns in which nothing stands give way first.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    console = _console(sys.stdout)
    every = range(len(columns))
    wide = [max(cell_len(cell) for cell in (columns[place], *(row[place] for row in rows))) for place in every]
    kept = list(every)
    if _across(wide) > console.width:
        kept = [place for place in every if place == 0 or any(row[place] for row in rows)]
    # An id is there to be typed, hence whole; of anything else the words are.
    least = [
        wide[place]
        if columns[place] == "ID"
        else max(cell_len(word) for row in (columns, *rows) for word in row[place].split() or [""])
        for place in kept
    ]
    if any(columns) and _across(least) > console.width:
        for row in rows:
            for line in _lines(columns, row, console.width):
                console.print(line, soft_wrap=True)
        return
    drawn = Table(box=None, header_style="bold", pad_edge=False, show_header=any(columns))
    for place, width in zip(kept, least, strict=True):
        whole = columns[place] == "ID"
        drawn.add_column(columns[place], no_wrap=whole, min_width=width if any(columns) or whole else None)
    for row in rows:
        drawn.add_row(*(Text(row[place]) for place in kept))
    console.print(drawn)


def _across(widths: Sequence[int]) -> int:
    """Return how wide a table of such columns is."""
    return sum(widths) + COLUMN_GAP * len(widths)


def _lines(columns: Sequence[str], row: Sequence[str], width: int) -> Iterator["Text"]:
    """Yield one row as its first cell and, set in, each other that says something behind its column's name."""
    from rich.text import Text

    yield Text(row[0], style="bold")
    line = Text()
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if not cell:
            continue
        piece = f"{column.lower()} {cell}"
        if line and line.cell_len + 2 + Text(piece).cell_len > width:
            yield line
            line = Text()
        line.append(f"{'  ' if line else INDENT}{piece}")
    if line:
        yield line


def _one_line(cell: object) -> str:
    """Return a cell that cannot begin a line of its own, which would read as another row."""
    return visible(str(cell)).replace("\n", " ")


def _console(stream: TextIO) -> "Console":
    """Return a console on a stream as it is now; made at each use, because tests and pipes replace the streams.

    Under `NO_COLOR` rich alone would leave out colours and keep what is bold.
    """
    from rich.console import Console

    return Console(file=stream, highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")
