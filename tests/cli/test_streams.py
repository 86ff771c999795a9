"""The command's own output where it cannot be written: no traceback, and a status that says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROCESS_S = 60.0
"""For a command on a busy machine."""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def shell(line: str, folder: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which `$I` is the command."""
    return subprocess.run(
        ["bash", "-c", f"I='{sys.executable} -m gateway'; {line}"],
        capture_output=True,
        cwd=folder,
        env=environment(**more),
        timeout=PROCESS_S,
    )


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("command", ["schema config", "version", "config show -o json"])
def test_a_reader_that_has_gone_is_no_fault(tmp_path: Path, command: str, buffered: str) -> None:
    """`| head -1`: little output fails at the end only, much of it in the middle."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *command.split()],
            stdout=write,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment(PYTHONUNBUFFERED=buffered),
            timeout=PROCESS_S,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_closed_output_is_written_to_nobody(tmp_path: Path) -> None:
    """`>&-`."""
    done = shell("$I version >&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("command", ["schema config", "version"])
def test_a_full_disk_is_a_sentence(tmp_path: Path, command: str, buffered: str) -> None:
    """And not status 0."""
    done = shell(f"$I {command} > /dev/full", tmp_path, PYTHONUNBUFFERED=buffered)
    assert (done.returncode, done.stderr) == (1, b"error: the output cannot be written: No space left on device\n")


def test_a_locale_without_the_signs_gets_others(tmp_path: Path) -> None:
    """A plot is drawn of what there is; what has no likeness is written out."""
    program = (
        "from gateway.cli.streams import streams\nwith streams():\n    print('│▁▄█ → … ü \\u202e \\N{GRINNING FACE}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        cwd=tmp_path,
        env=environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0"),
        timeout=PROCESS_S,
    )
    assert done.stdout == b"|.## -> ... \\xfc \\u202e \\U0001f600\n"
