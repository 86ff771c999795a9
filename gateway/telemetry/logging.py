"""The operator's log: what goes wrong. People's lines on a terminal, JSON lines elsewhere, or as the operator says.

Owns how lines look. Never holds an argument, a result or a credential: whoever writes a line names what it may say.
What libraries say is nobody's promise, so that every line is looked through for what has the shape of a secret, an
exception is told by its type and places and never in its words, and no text of a stranger can begin a line of its own.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog

from gateway.core.redact import REMOVED, redact, redact_line

__all__ = ["LogFormat", "configure_logging", "is_coloured", "is_text"]

OURS = "gateway"
"""The logger whose level is set. Libraries are heard from WARNING on; uvicorn, which warns of clients, from ERROR."""

CONTINUED = "\n    "
"""Before what follows in the same entry, so that no line of it looks like the first of one."""

OF_A_LINE = frozenset({"event", "level", "logger", "timestamp", "fault", "places"})
"""What every line may have; anything else was added by whoever wrote it."""

LogFormat = Literal["auto", "json", "text"]

Event = structlog.typing.EventDict


def is_text(stream: TextIO, wanted: LogFormat) -> bool:
    """Return whether lines for people go there: as wanted, else where it is a terminal."""
    return stream.isatty() if wanted == "auto" else wanted == "text"


def is_coloured(stream: TextIO) -> bool:
    """Return whether lines for people are coloured there: on a terminal, unless `NO_COLOR` says no."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def configure_logging(
    stream: TextIO | None = None,
    *,
    wanted: LogFormat = "auto",
    level: str = "info",
    trace_id: Callable[[], str] | None = None,
) -> None:
    """Send this process's log to `stream` (stderr), and keep libraries quiet.

    `trace_id` tells the trace that the running task belongs to, empty where there is none.
    """
    target = stream if stream is not None else sys.stderr
    text = is_text(target, wanted)
    renderer = (
        structlog.dev.ConsoleRenderer(pad_event_to=0, sort_keys=False, colors=is_coloured(target))
        if text
        else structlog.processors.JSONRenderer()
    )
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso"),
        _placed,
        _looked_through(one_line=not text),
    ]
    if trace_id is not None:
        before.append(_traced(trace_id))
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # Whoever used uvicorn before, in this process, may have left its own handlers here.
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)


def _traced(trace_id: Callable[[], str]) -> structlog.typing.Processor:
    def processor(_logger: Any, _method: str, event: Event) -> Event:
        found = trace_id()
        if found:
            event["trace"] = found
        return event

    return processor


def _placed(_logger: Any, _method: str, event: Event) -> Event:
    """Tell an exception by its type and the places in the code: its words may hold anything."""
    raised = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if isinstance(raised, tuple) and raised[0] is not None:
        event["fault"] = raised[0].__name__
        event["places"] = _places(raised[2])
    return event


def _places(found: TracebackType | None) -> str:
    return " < ".join(f"{one.name} {one.filename}:{one.lineno}" for one in reversed(traceback.extract_tb(found)))


def _looked_through(*, one_line: bool) -> structlog.typing.Processor:
    """Return what removes secrets from every text, and everything that could move a cursor or begin a line.

    JSON escapes what ends lines; on a terminal what follows the first line of an entry is set in.
    """

    def processor(_logger: Any, _method: str, event: Event) -> Event:
        for name, value in event.items():
            if isinstance(value, str) and (name in OF_A_LINE or redact({name: value}).get(name) != REMOVED):
                lines = map(redact_line, value.splitlines())
                event[name] = "\n".join(lines) if one_line else CONTINUED.join(map(_printable, lines))
            elif not isinstance(value, bool | int | float | None) and not name.startswith("_"):
                event[name] = REMOVED  # under a telling name, or something whose words are unknown
        return event

    return processor


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
