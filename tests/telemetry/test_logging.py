"""The operator's log: JSON where nobody watches, and quiet libraries."""

import io
import json
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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Holder:
    """What a library may hand over: its words are its own."""

    def __repr__(self) -> str:
        return "hunter22"


def told(*, wanted: str = "auto", stream: io.StringIO | None = None, **more: object) -> list[str]:
    """Return the lines of one warning with a name in it that a stranger chose."""
    stream = stream or io.StringIO()
    configure_logging(stream, wanted=wanted, **more)  # type: ignore[arg-type]
    logging.getLogger("gateway.x").warning("tool %s", 'a"\n12:00:00 [error] forged\x1b[2J\u2028\x9b31m')
    return stream.getvalue().removesuffix("\n").split("\n")


@pytest.mark.parametrize(("wanted", "stream"), [("auto", io.StringIO), ("json", Terminal)])
def test_json_is_one_line_of_ascii_with_what_a_shipper_needs(wanted: str, stream: type[io.StringIO]) -> None:
    """A line that a stranger's text could end would be an entry of theirs."""
    (line,) = told(wanted=wanted, stream=stream())
    assert line.isascii()
    entry = json.loads(line)
    assert (entry["level"], entry["logger"]) == ("warning", "gateway.x")
    assert entry["timestamp"].endswith("Z")
    assert entry["event"].startswith('tool a"\n12:00:00 [error] forged')


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_text_for_people_forges_no_line_and_moves_no_cursor(stream: type[io.StringIO]) -> None:
    """What goes on is set in, and escapes are shown."""
    first, *rest = told(wanted="text", stream=stream())
    assert "tool a" in first
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b[2J" not in "".join(rest)
    assert "\x9b" not in "".join(rest)


@pytest.mark.parametrize("wanted", ["json", "text"])
def test_a_secret_in_a_library_s_words_is_removed(wanted: str) -> None:
    """Whoever wrote the line may not have thought of it."""
    stream = io.StringIO()
    configure_logging(stream, wanted=wanted)  # type: ignore[arg-type]
    logging.getLogger("some.library").error(
        "GET https://user:hunter22@x.example/ failed",
        extra={"password": "hunter22", "given": Holder(), "status": 503, "on": "x.example", "again": "pwd=hunter22"},
    )
    assert "failed" in stream.getvalue()
    assert "503" in stream.getvalue()
    assert "x.example" in stream.getvalue()
    assert "hunter22" not in stream.getvalue()


@pytest.mark.parametrize("wanted", ["json", "text"])
def test_an_exception_is_told_by_its_type_and_places(wanted: str) -> None:
    """Its words may hold an argument."""
    stream = io.StringIO()
    configure_logging(stream, wanted=wanted)  # type: ignore[arg-type]
    try:
        raise ValueError("the words of a call")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    assert "the words" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "test_an_exception_is_told_by_its_type_and_places" in stream.getvalue()


def test_an_error_without_an_exception_is_a_line_too() -> None:
    """`exc_info=True` outside of any."""
    stream = io.StringIO()
    configure_logging(stream)
    logging.getLogger("gateway").error("x", exc_info=(None, None, None))
    assert "fault" not in json.loads(stream.getvalue())


def test_the_level_is_that_of_the_gateway_s_own_lines() -> None:
    """Libraries stay as they are."""
    stream = io.StringIO()
    configure_logging(stream, level="error")
    logging.getLogger("gateway.x").warning("unheard")
    logging.getLogger("library").warning("heard")
    configure_logging(stream, level="debug")
    logging.getLogger("gateway.x").debug("heard too")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["heard", "heard too"]


def test_a_line_names_the_trace_that_its_task_belongs_to() -> None:
    """And has no empty member where there is none."""
    (line,) = told(trace_id=lambda: "4bf9")
    assert json.loads(line)["trace"] == "4bf9"
    (line,) = told(trace_id=lambda: "")
    assert "trace" not in json.loads(line)
