"""Between reading a call and sending it the log was synced: seen from outside, in the system calls of the gateway.

Needs strace (Debian package `strace`). One agent, one call at a time, so that the order says something.
"""

import re
import signal
import subprocess
import sys
from pathlib import Path

import anyio

from tests.faults.agent import Agent
from tests.faults.gated import PROCESS_S, Gate, environment, journal, ledger, run_arguments

CALLS = 50
WATCHED = "trace=read,recvfrom,recvmsg,readv,write,writev,sendto,sendmsg,fsync,fdatasync"
CALL = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\(\d+<(?P<path>.*?)>[,)](?P<rest>.*)$")
RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)$")
MARK = re.compile(r"seen-(\d+)-(ALLOW|DENY)")


def events(trace: str) -> list[tuple[str, str]]:
    """Return in order what matters: (`read`, call), (`sync`, ``) when it has returned, (`write`, call) as it begins."""
    found: list[tuple[str, str]] = []
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        resumed = RESUMED.match(line)
        if resumed is not None:
            line = begun.pop(resumed["pid"], "") + resumed["rest"]
        elif line.endswith("<unfinished ...>"):
            line = line.removesuffix("<unfinished ...>").rstrip()
            begun[line.split(" ", 1)[0]] = line
            if not line.split(" ", 1)[1].lstrip().startswith(("write", "send")):
                continue
        call = CALL.match(line)
        if call is None:
            continue
        mark = MARK.search(call["rest"])
        if call["name"] in ("fsync", "fdatasync"):
            if call["path"].endswith("audit.db-wal") and line.endswith("= 0"):
                found.append(("sync", ""))
        elif mark is not None and call["path"].startswith(("TCP", "socket")):
            found.append(("read" if call["name"].startswith(("read", "recv")) else "write", mark[0]))
    return found


def wanted(number: int) -> str:
    return "DENY" if number % 10 == 9 else "ALLOW"


async def calls(url: str) -> None:
    async with Agent(url, "modern") as agent, Agent(url, "handshake") as other:
        for number in range(CALLS):
            answer = await (agent, other)[number % 2].effect(wanted(number), f"seen-{number}-{wanted(number)}")
            assert answer.effect == wanted(number)


def test_the_log_is_synced_between_reading_a_call_and_sending_it(tmp_path: Path) -> None:
    """Issue, "What it must show"; security, section 4 "power cut": 100 % of calls. A denied one is never written."""
    trace, said = tmp_path / "trace", tmp_path / "said"
    with journal(tmp_path) as upstream, said.open("wb") as file:
        strace = ["strace", "-f", "-yy", "-s", "4096", "-o", str(trace), "-e", WATCHED]
        command = [*strace, sys.executable, "-m", "gateway", *run_arguments(tmp_path, upstream.url)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment())
        try:
            gate = Gate(process.pid, said)
            gate.wait_ready()
            anyio.run(calls, gate.url)
        finally:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            subprocess.run(["kill", f"-{signal.SIGTERM.value}", *children], check=True)
            assert process.wait(PROCESS_S) == 0
    seen = events(trace.read_text("utf-8", "replace"))
    for number in range(CALLS):
        read = seen.index(("read", call := f"seen-{number}-{wanted(number)}"))
        if wanted(number) == "DENY":
            assert ("write", call) not in seen
        else:
            assert ("sync", "") in seen[read : seen.index(("write", call))], f"call {number} left before the sync"
    assert ledger(tmp_path).read_on()
