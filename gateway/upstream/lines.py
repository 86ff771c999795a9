"""Newline-delimited messages from bytes that may be cut anywhere, bounded. Owns framing and nothing of JSON."""

from dataclasses import dataclass
from typing import Final

__all__ = ["LineParser", "TooLong"]

KEPT_BYTES: Final = 1024
"""What is kept of either end of a line that is too long, to find out whose answer it was."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line over the bound, read to its end and forgotten but for its two ends."""

    start: bytes
    end: bytes


class LineParser:
    """Feed it bytes as they come; it returns the lines that these bytes completed, without their ends."""

    __slots__ = ("_end", "_max", "_parts", "_size", "_start", "_too_long")

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._too_long = False
        self._start = b""
        self._end = b""

    def feed(self, data: bytes) -> "list[bytes | TooLong]":
        """Take the next bytes. Empty lines are left out."""
        *ended, rest = data.split(b"\n")
        lines: list[bytes | TooLong] = []
        for piece in ended:
            self._add(piece)
            line = self._take()
            if isinstance(line, TooLong) or line.strip():
                lines.append(line)
        self._add(rest)
        return lines

    def _add(self, piece: bytes) -> None:
        if not piece:
            return
        self._size += len(piece)
        if self._too_long:
            self._end = (self._end + piece[-KEPT_BYTES:])[-KEPT_BYTES:]
            return
        self._parts.append(piece)
        if self._size > self._max:
            self._too_long = True
            whole = b"".join(self._parts)
            self._start, self._end = whole[:KEPT_BYTES], whole[-KEPT_BYTES:]
            self._parts.clear()

    def _take(self) -> bytes | TooLong:
        line: bytes | TooLong = TooLong(self._start, self._end) if self._too_long else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._too_long = False
        return line
