"""Memory: what threads needed once is not kept by each of them."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from gateway.cli import memory

HUNGRY = """
import ctypes, threading
from gateway.cli.memory import share_arena
SHARED and share_arena()
library = ctypes.CDLL(None)
library.malloc.restype = library.fdopen.restype = ctypes.c_void_p
barrier = threading.Barrier(8)
def job():
    barrier.wait()
    library.malloc(100)
    barrier.wait()
threads = [threading.Thread(target=job) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
out = ctypes.c_void_p(library.fdopen(1, b"w"))
library.malloc_info(0, out)
library.fflush(out)
"""
"""Eight threads ask for memory at once; then glibc says what it has, arena by arena."""


def arenas(*, shared: bool) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", HUNGRY.replace("SHARED", str(shared))], capture_output=True, text=True, check=True
    )
    return ran.stdout.count("<heap nr=")


def test_threads_share_one_arena() -> None:
    """Each would keep a job's worth of memory for good, and which one a job lands in is chance."""
    assert arenas(shared=True) == 1
    assert arenas(shared=False) > 1


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """musl and others have no such knob, and do not need one."""
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace())
    assert not memory.share_arena()


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no library under no name on Windows."""
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert not memory.share_arena()
