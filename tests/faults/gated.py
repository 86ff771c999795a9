"""The gateway as users run it, a process, and the journal behind it; for tests that treat both badly."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.ledger import Ledger

__all__ = [
    "NO_HOLDS",
    "PROCESS_S",
    "ROOT",
    "Failed",
    "Forked",
    "Gate",
    "JournalProcess",
    "Nursery",
    "environment",
    "journal",
    "ledger",
    "nursery",
    "polled",
    "run_arguments",
]

ROOT = Path(__file__).parents[2]
NO_HOLDS = {"INTENDED_GATEWAY_HOLDS__LEG_S": "0"}
"""Nobody approves anything here: an escalated call is to be told so at once."""

PROCESS_S = 30.0
"""For a process to start or end on a busy machine."""


class Failed(Exception):
    """A process did not do what it was started for; the text holds what it said."""


def polled(condition: Callable[[], Any], within_s: float, why: Callable[[], str] = str) -> Any:
    """Ask `condition` until it gives something true, at most `within_s`; another process sets no event here."""
    until = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > until:
            raise Failed(why())
        time.sleep(0.005)
    return found


def environment() -> dict[str, str]:
    """Return an environment for the gateway without anybody's settings, in which no call waits for a human."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("INTENDED_")}
    return {**mine, **NO_HOLDS, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


def run_arguments(folder: Path, *upstreams: str, data: Path | None = None) -> list[str]:
    """Return the arguments of `intended` for a gateway whose folders lie in `folder`."""
    places = ["--data", str(data or folder / "data"), "--state", str(folder / "state")]
    return ["run", *upstreams, "--port", "0", *places]


@dataclass
class Gate:
    """A running gateway: `pid`, its `url`, and the file of what it has said."""

    pid: int
    said: Path
    url: str = ""

    def wait_ready(self, within_s: float = PROCESS_S) -> None:
        """Wait until it announces its address and is ready."""
        self.url = polled(self._address, within_s, lambda: f"no address announced: {self.talk()}")
        polled(lambda: self.get("/readyz") == 200, within_s, lambda: f"never ready: {self.talk()}")

    def _address(self) -> str:
        found = re.search(r"agent URL\s+(http\S+)/mcp\b.*\n(?:.*\n)*.*audit tail", self.talk())
        if found is None and not self.alive():
            raise Failed(f"it has ended: {self.talk()}")
        return found[1] if found else ""

    def talk(self) -> str:
        return self.said.read_text("utf-8", "replace")

    def get(self, path: str) -> int:
        """Return the status of a probe, 0 where nothing answers."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def settled_descriptors(self) -> int:
        """Return how many descriptors are open once that has stopped to change."""
        last = [0] * 5
        until = time.monotonic() + PROCESS_S
        while len(set(last)) > 1 or last[0] == 0:
            if time.monotonic() > until:
                raise Failed(f"descriptors never settle: {last}")
            last = [*last[1:], self.descriptors()]
            time.sleep(0.05)
        return last[0]

    def cpu_s(self) -> float:
        """Return the processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self) -> bool:
        """Return whether it still runs; a zombie does not."""
        with contextlib.suppress(FileNotFoundError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        return False


class Nursery:
    """`nursery.py` as a process: gateways without the second that their imports take."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, **asked: Any) -> int:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(asked) + "\n")
        stdin.flush()
        return int(stdout.readline())

    def command(self, folder: Path, *arguments: str) -> "Forked":
        """Run a command of `intended` in `folder`."""
        said = folder / f"said-{time.monotonic_ns()}"
        said.write_bytes(b"")
        return Forked(self.ask(arguments=arguments, said=str(said), folder=str(folder)), said, nursery=self)

    @contextlib.contextmanager
    def gate(self, folder: Path, *upstreams: str, data: Path | None = None) -> "Iterator[Forked]":
        """Run a gateway in front of `upstreams` until the block ends."""
        running = self.command(folder, *run_arguments(folder, *upstreams, data=data))
        try:
            yield running
        finally:
            running.end(signal.SIGKILL)


@dataclass
class Forked(Gate):
    """A command that the nursery runs."""

    nursery: Nursery = field(kw_only=True)
    _status: int | None = None

    def wait(self) -> int:
        """Wait for its end, which must come within `PROCESS_S`, and return its exit code."""
        if self._status is None:
            polled(lambda: not self.alive(), PROCESS_S, lambda: f"does not end: {self.talk()}")
            self._status = self.nursery.ask(wait=self.pid)
        return self._status

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal, if it has not ended, and return its exit code."""
        if self._status is None:
            os.kill(self.pid, number)
        return self.wait()


@contextlib.contextmanager
def nursery() -> Iterator[Nursery]:
    """Run a nursery until the block ends."""
    command = [sys.executable, "-m", "tests.faults.nursery"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Nursery(process)


@dataclass
class JournalProcess:
    """The journaling upstream; `executed` reads what it has written down."""

    url: str
    file: Path
    _read: int = 0

    def executed(self) -> list[dict[str, Any]]:
        """Return the calls that were executed since the last time, after all that were on their way have been."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://").removesuffix("/mcp"), timeout=60)
        try:
            for _ in range(3):  # what was in other sockets before the first is served by the last
                connection.request("GET", "/")
                connection.getresponse().read()
        except ConnectionRefusedError:
            pass  # it has ended: nothing is on its way
        finally:
            connection.close()
        text = self.file.read_bytes()[self._read :]
        self._read += len(text)
        return [json.loads(line) for line in text.splitlines()]


@contextlib.contextmanager
def journal(folder: Path, store: Path | None = None) -> Iterator[JournalProcess]:
    """Run the journaling upstream; with `store` it looks there for the ALLOW of each call it executes."""
    file = folder / "journal"
    watch = [] if store is None else ["--store", str(store)]
    command = [sys.executable, "-m", "tests.faults.journal", str(file), *watch]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield JournalProcess(process.stdout.readline().strip(), file)
        finally:
            process.kill()


def ledger(folder: Path, data: Path | None = None) -> Ledger:
    """Return a reader of the store of the gateway in `folder`."""
    return Ledger((data or folder / "data") / "audit.db")
