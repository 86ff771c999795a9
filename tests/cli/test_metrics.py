"""`intended metrics`: the running gateway's numbers at the command line."""

from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from gateway.admin import address
from gateway.errors import Unavailable
from tests.cli.desk import Asked, command, desk

TEXT = """\
# HELP intended_ready 1: traffic should come.
# TYPE intended_ready gauge
intended_ready 1.0
# HELP intended_check_ok 1: that check holds.
# TYPE intended_check_ok gauge
intended_check_ok{check="a\x1b[2Jb"} 1.0
"""


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether a gateway runs there; empty: it does."""
    stopped: list[bool] = []
    monkeypatch.setattr(address, "is_answered", lambda folder: not stopped)
    return stopped


def test_where_no_gateway_runs_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: list[bool]
) -> None:
    """One that is opened in order to be asked would say that it is ready, and that nothing ever happened."""
    running.append(True)
    with desk(monkeypatch, PlainTextResponse(TEXT)) as asked:
        done = command(tmp_path, "metrics")
    assert isinstance(done.exception, Unavailable)
    assert "no gateway runs on" in str(done.exception)
    assert asked.asked == []


def test_all_of_them_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Prometheus reads them; what would act on a terminal is written out."""
    with desk(monkeypatch, PlainTextResponse(TEXT)) as asked:
        done = command(tmp_path, "metrics")
    assert (done.exit_code, done.stdout) == (0, TEXT.replace("\x1b", "\\u001b"))
    assert asked.asked == [Asked(method="GET", path="/metrics")]


def test_a_beginning_chooses_among_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their help and type."""
    with desk(monkeypatch, PlainTextResponse(TEXT), PlainTextResponse(TEXT)):
        done = command(tmp_path, "metrics", "intended_ready")
        nothing = command(tmp_path, "metrics", "x")
    assert done.stdout.splitlines() == TEXT.splitlines()[:3]
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no metric's name begins with x" in nothing.stderr


def test_a_gateway_that_cannot_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an empty page."""
    with desk(monkeypatch, PlainTextResponse("broken", status_code=503)):
        done = command(tmp_path, "metrics")
    assert (done.exit_code != 0, done.stdout) == (True, "")
