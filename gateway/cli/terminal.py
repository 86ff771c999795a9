"""A terminal as a screen of lines and a source of keys, given back as it was found, whatever happens.

Owns the escape sequences and the terminal's modes. What is on the screen is the caller's, and must hold nothing that
acts on a terminal (`output.visible`).
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import anyio

from gateway.errors import Unavailable

__all__ = ["Terminal", "keys_of", "terminal"]

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""Another screen than the shell's, no cursor, and long lines are cut instead of wrapped."""
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_NAMED: Final = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x1b": "escape",
}
READ_BYTES: Final = 1024


def keys_of(typed: bytes) -> list[str]:
    """Return the keys of what one read brought: names for those that have one, characters for the rest."""
    if typed in _NAMED:
        return [_NAMED[typed]]
    if typed.startswith(b"\x1b"):
        return []  # a key that means nothing here
    found: list[str] = []
    for char in typed.decode("utf-8", "ignore"):
        name = _NAMED.get(char.encode())
        if name or char.isprintable():
            found.append(name or char)
    return found


class Terminal:
    """One open terminal."""

    def __init__(self, source: int, screen: int) -> None:
        self._source = source
        self._screen = screen

    def size(self) -> tuple[int, int]:
        """Return columns and lines."""
        size = os.get_terminal_size(self._screen)
        return size.columns, size.lines

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, from the top; what does not fit is left out."""
        columns, height = self.size()
        shown = "\r\n".join(f"{line[:columns]}\x1b[K" for line in lines[:height])
        self._write(f"\x1b[H{shown}\x1b[J")

    async def keys(self, seconds: float) -> list[str] | None:
        """Return what is typed next, nothing where nobody types for so long, None where the terminal is gone."""
        with anyio.move_on_after(max(seconds, 0)):
            await anyio.wait_readable(self._source)
            try:
                typed = os.read(self._source, READ_BYTES)
            except OSError:
                return None
            return keys_of(typed) if typed else None
        return []

    def _write(self, text: str) -> None:
        left = text.encode("utf-8", "replace")
        while left:
            left = left[os.write(self._screen, left) :]


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Take the terminal of this process while the context is open.

    Raises:
        Unavailable: there is none.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Unavailable("this needs a terminal; `intended approvals list` and `show` do not")
    # Only here: systems without terminals of this kind have no such module, and every other command works there.
    import termios
    import tty

    source, screen = sys.stdin.fileno(), sys.stdout.fileno()
    before = termios.tcgetattr(source)
    found = Terminal(source, screen)
    try:
        tty.setcbreak(source)
        modes = termios.tcgetattr(source)
        modes[6][termios.VSUSP] = b"\x00"  # stopped in the middle, it would leave the shell with this screen
        termios.tcsetattr(source, termios.TCSADRAIN, modes)
        found._write(_ENTER)
        yield found
    finally:
        try:
            found._write(_LEAVE)
        finally:
            termios.tcsetattr(source, termios.TCSAFLUSH, before)
