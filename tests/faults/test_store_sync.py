"""What is acknowledged has reached the disk: seen from outside, in the system calls of a process that appends.

Needs strace (Debian package `strace`).
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNT = 20
CALL = re.compile(r"^(?:\d+ +)?(?P<name>\w+)\((?P<handle>\d+)<(?P<path>[^>]*)>(?P<rest>.*)$")
RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")


def events(trace: str) -> list[str]:
    """Return the finished calls in order: `write` and `sync` of the log, and what the process said."""
    found: list[str] = []
    unfinished: dict[str, str] = {}
    for line in trace.splitlines():
        resumed = RESUMED.match(line)
        if resumed:
            line = unfinished.pop(resumed["pid"], "").replace(" <unfinished ...>", "") + resumed["rest"]
        elif "<unfinished ...>" in line:
            unfinished[line.split(" ", 1)[0]] = line
            continue
        call = CALL.match(line)
        if call is None:
            continue
        if call["name"] == "write" and call["handle"] == "1":
            found.append(call["rest"].split('"')[1].removesuffix("\\n"))
        elif call["path"].endswith("audit.db-wal"):
            found.append("sync" if call["name"] in ("fdatasync", "fsync") and call["rest"].endswith("= 0") else "write")
    return found


def test_an_append_returns_only_after_the_log_was_synced(tmp_path: Path) -> None:
    """Issue, "What it must show": strace shows the sync before the call leaves; here, before append returns."""
    trace = tmp_path / "trace"
    watch = ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=write,pwrite64,fsync,fdatasync"]
    command = [*watch, sys.executable, "-m", "tests.faults.appender", str(tmp_path / "store"), str(COUNT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen = events(trace.read_text("utf-8", "replace"))
    start = seen.index("open")
    for number in range(1, COUNT + 1):
        end = seen.index(f"durable {number}")
        between = seen[start + 1 : end]
        assert "write" in between, f"append {number} wrote nothing"
        assert between[-1] == "sync", f"append {number} returned after {between}"
        start = end
