"""The operator's log: what goes wrong. People's lines on a terminal, JSON lines elsewhere.

Owns how lines look. Never holds an argument, a result or a credential: whoever writes a line names what it may say.
"""

import logging
import sys
from typing import TextIO

import structlog

__all__ = ["configure_logging"]

OURS = "gateway"
"""The logger whose INFO is shown. Libraries are heard from WARNING on; uvicorn, which warns of clients, from ERROR."""


def configure_logging(stream: TextIO | None = None) -> None:
    """Send this process's log to `stream` (stderr), and keep libraries quiet."""
    target = stream if stream is not None else sys.stderr
    terminal = target.isatty()
    renderer = (
        structlog.dev.ConsoleRenderer(pad_event_to=0, sort_keys=False)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
    ]
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
    logging.getLogger(OURS).setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # Whoever used uvicorn before, in this process, may have left its own handlers here.
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
