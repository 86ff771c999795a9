"""Memory: what threads needed once is not kept by each of them."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from gateway.cli import memory

HUNGRY = """
import ctypes, threading
from gateway.cli.memory import share_arenas
SHARED and share_arenas()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
barrier = threading.Barrier(8)
def job():
    barrier.wait()
    library.malloc(100)
    barrier.wait()
for thread in [threading.Thread(target=job) for _ in range(8)]:
    thread.start()
print(open("/proc/self/maps").read().count("---p 00000000 00:00 0"))
"""
"""Eight threads ask for memory at once; each arena of glibc reserves a region that nobody may touch yet."""


def regions(*, shared: bool) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", HUNGRY.replace("SHARED", str(shared))], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


def test_threads_share_two_arenas() -> None:
    """Each would keep a job's worth of memory for good."""
    assert regions(shared=True) < regions(shared=False)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """musl and others have no such knob, and do not need one."""
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace())
    assert not memory.share_arenas()


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no library under no name on Windows."""
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert not memory.share_arenas()
