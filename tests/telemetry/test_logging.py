"""The operator's log: JSON where nobody watches, and quiet libraries."""

import io
import logging
from collections.abc import Iterator

import pytest

from gateway.telemetry.logging import configure_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give the loggers back as they were."""
    loggers = [logging.getLogger(name) for name in ("", "gateway", "uvicorn", "uvicorn.error", "uvicorn.access")]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:], logger.propagate = handlers, propagate


def test_a_name_of_several_lines_stays_one_entry() -> None:
    """A tool's name must not forge a line of the log."""
    stream = io.StringIO()
    configure_logging(stream)
    logging.getLogger("gateway.x").info("a\n{}")
    assert len(stream.getvalue().splitlines()) == 1


def test_libraries_are_quiet_but_for_what_goes_wrong() -> None:
    """After the start nothing is said until a call arrives; whatever a library had set up before is undone."""
    stream, other = io.StringIO(), io.StringIO()
    own = logging.getLogger("uvicorn")
    own.handlers[:], own.propagate = [logging.StreamHandler(other)], False
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    configure_logging(stream)
    logging.getLogger("httpx").info("request")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert stream.getvalue() == ""
    logging.getLogger("uvicorn.error").error("broken")
    logging.getLogger("watchfiles").warning("gone")
    assert len(stream.getvalue().splitlines()) == 2
    assert other.getvalue() == ""
