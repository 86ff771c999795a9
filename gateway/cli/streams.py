"""The process's own output: what happens where it cannot be written, or not in these characters.

Owns the ends that are nobody's fault: a reader that has gone, a stream that was closed, a full disk, a locale that has
no such signs. What is printed is the commands' business.
"""

import codecs
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.cli.exits import Exit

__all__ = ["streams"]

PLAIN: Final = "gateway-plain"
"""The name of what replaces characters that an encoding has not."""

_LOST: Final = frozenset({errno.EPIPE, errno.ENOSPC})
"""What goes wrong with an output; files of the gateway's own are the store's business, which says so itself."""

_SIGNS: Final = {"│": "|", "└": "+", "─": "-", "→": "->", "·": "-", "…": "...", "–": "-"} | {
    block: "#" if height > 2 else "." for height, block in enumerate("▁▂▃▄▅▆▇█")
}
"""What is drawn or written by commands themselves, for a terminal that has nothing but ASCII."""


@contextmanager
def streams() -> Iterator[None]:
    """Have output that can be written to while the context is open, and end with a status where it cannot be."""
    codecs.register_error(PLAIN, _plain)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started it: `>&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process runs
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=PLAIN)
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in _LOST:
            raise
        _unwritten(error)
    finally:
        _flush()


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Return what is written instead: a sign that looks alike, else the character's escape; nothing is left out."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    told = (_SIGNS.get(char) or char.encode("ascii", "backslashreplace").decode() for char in text)
    return "".join(told), error.end


def _flush() -> None:
    """Write what is left, so that it does not fail after the end, where nobody can say why."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _unwritten(error)


def _unwritten(error: OSError) -> None:
    """End: silently where nobody reads any more, else with a sentence."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        sys.exit(Exit.UNREAD)
    print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
    sys.exit(Exit.UNEXPECTED)
