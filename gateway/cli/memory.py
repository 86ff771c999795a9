"""How the C library hands out memory in a long-running process.

Jobs that need some MiB now and then (the index of records, the records of trust) run in whichever worker thread is
idle. glibc gives each thread an arena of its own and keeps what was freed there: memory then grows by a job's worth
whenever one lands in a thread that had none before.
"""

import ctypes
import sys

__all__ = ["share_arenas"]

M_ARENA_MAX = -8
"""The parameter's number in glibc's malloc.h."""

ARENAS = 2
"""One for the event loop, one for everybody else: threads hold the interpreter's lock while they ask for memory."""


def share_arenas() -> bool:
    """Let all threads share few arenas, and return whether that was possible: with glibc, before there are threads."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(M_ARENA_MAX, ARENAS) == 1
