"""The terminal of `intended approvals watch`: a real process on a pseudo-terminal, and what it leaves behind."""

import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.cli.terminal import keys_of, terminal
from gateway.errors import Unavailable
from tests.api.live import TENANT, Service, live
from tests.cli.test_run import PROCESS_S, ROOT

LEFT = "\x1b[?1049l"


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"\x1b[A", ["up"]),
        (b"\x1bOB", ["down"]),
        (b"\r", ["enter"]),
        (b"\x7f", ["backspace"]),
        (b"\x1b", ["escape"]),
        (b"\x1b[5~", []),
        (b"a", ["a"]),
        ("né\n".encode(), ["n", "é", "enter"]),
        (b"\xff\x00\x01", []),
    ],
)
def test_what_is_typed_is_read_as_keys(typed: bytes, keys: list[str]) -> None:
    """What means nothing here is nothing."""
    assert keys_of(typed) == keys


def test_without_a_terminal_it_says_what_to_use_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe has no keys."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(Unavailable, match="intended approvals list"), terminal():
        pytest.fail("there is no terminal")


class Screen:
    """The master side of a pseudo-terminal with the command on the other side."""

    def __init__(self, folder: Path) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 120))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        places = ["--tenant", TENANT, "--data", str(folder / "data"), "--state", str(folder / "state")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "approvals", "watch", *places],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
            start_new_session=True,
        )
        self.seen = ""

    def wait_for(self, text: str) -> None:
        """Read until the text has come since the last key."""
        until = time.monotonic() + PROCESS_S
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(until - time.monotonic(), 0))
            assert ready, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self.master, 65536).decode("utf-8", "replace")

    def press(self, keys: bytes) -> None:
        self.seen = ""
        os.write(self.master, keys)

    def ended(self) -> int:
        """Wait for the end and return the status; the terminal must be as it was."""
        self.wait_for(LEFT)
        status = self.process.wait(PROCESS_S)
        assert termios.tcgetattr(self.slave) == self.before
        return status


@contextmanager
def screen(folder: Path) -> Iterator[tuple[Screen, Service]]:
    with live(folder, policy="default") as service:
        found = Screen(folder)
        try:
            yield found, service
        finally:
            found.process.kill()
            found.process.wait(PROCESS_S)
            os.close(found.master)
            os.close(found.slave)


def state(service: Service) -> Any:
    url = f"{service.url}/v1/approvals/{service.ids['approvals']}"
    return requests.get(url, headers=service.headers, timeout=PROCESS_S).json()["data"]


def test_an_approval_is_read_and_answered_on_a_terminal(tmp_path: Path) -> None:
    """Over the admin socket of a running gateway, live, and the terminal is given back."""
    with screen(tmp_path) as (found, service):
        found.wait_for(service.ids["approvals"])
        found.press(b"\r")
        found.wait_for("Agent billing-agent wants to")
        found.press(b"a")
        found.wait_for("Approve this once?")
        found.press(b"n")
        found.wait_for("escape back")
        assert state(service)["status"] == "pending"
        found.press(b"d")
        found.wait_for("Reason (recorded)")
        found.press(b"not today")
        found.wait_for("not today_")
        found.press(b"\r")
        found.wait_for("is rejected.")
        assert (state(service)["status"], state(service)["resolution"]) == ("rejected", "not today")
        found.press(b"q")
        assert found.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_terminal_is_given_back_when_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    """Else the shell after it shows nothing that is typed."""
    with screen(tmp_path) as (found, service):
        found.wait_for(service.ids["approvals"])
        found.seen = ""
        found.process.send_signal(number)
        assert found.ended() == 0
        assert state(service)["status"] == "pending"
