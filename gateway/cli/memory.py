"""How the C library hands out memory in a long-running process.

Jobs that need a MiB now and then (the index of records, the records of trust) run in whichever worker thread is idle,
or in a new one. glibc gives threads arenas of their own, by chance and by turns, and an arena keeps what was freed in
it: with as few as two of them memory grows by a job's worth when a job lands, after minutes or hours, in the other one.
"""

import ctypes
import sys

__all__ = ["share_arena"]

M_ARENA_MAX = -8
"""The parameter's number in glibc's malloc.h."""

ARENAS = 1
"""Threads hold the interpreter's lock while they ask for memory, and what SQLite asks for without it is rare and small:
a call costs no more than with several arenas."""


def share_arena() -> bool:
    """Let all threads share one arena, and return whether that was possible: with glibc, before there are threads."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(M_ARENA_MAX, ARENAS) == 1
