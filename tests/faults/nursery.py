"""Starts gateways by forking from a process that has their modules loaded and no threads: the command without imports.

    python -m tests.faults.nursery

Reads a line of JSON for each command: `{"arguments": […], "said": FILE, "folder": CWD}` is answered with the pid of an
`intended` with these arguments that says what it has to say into FILE; `{"wait": PID}`, once it has ended, with its
exit code (negative: the signal that ended it).
"""

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path

__all__ = ["ended", "forked", "preload"]


def preload() -> None:
    """Import what commands import late, once for all forks."""
    for name in ("app", "serving", "configuration", "cli.main", "cli.start", "telemetry.logging"):
        importlib.import_module(f"gateway.{name}")
    importlib.import_module("uvloop")


def forked(arguments: list[str], said: Path, folder: Path) -> int:
    """Run the command line in a child of this process, without the parent's clean-up; returns its pid."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.chdir(folder)
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (1, 2):
            os.dup2(handle, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ["NO_COLOR"] = "1"
        os.environ.setdefault("INTENDED_GATEWAY_HOLDS__LEG_S", "0")  # nobody approves anything, unless a test says so
        sys.argv = ["intended", *arguments]
        importlib.import_module("gateway.cli.main").main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        os.write(2, f"ended: {error!r}\n".encode())
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def ended(pid: int) -> int:
    """Wait for its end and return how it ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    preload()
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            print(ended(asked["wait"]), flush=True)
        else:
            print(forked(asked["arguments"], Path(asked["said"]), Path(asked["folder"])), flush=True)


if __name__ == "__main__":
    main()
