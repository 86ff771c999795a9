"""Server-sent events from bytes that may be cut anywhere (WHATWG HTML, section 9.2.6), bounded.

Owns the line and field rules and nothing of MCP. An event is yielded even when its data is empty, because its id
still moves the place to resume from; whoever reads decides what such an event means.
"""

import re
from dataclasses import dataclass

__all__ = ["EventTooLarge", "SseEvent", "SseParser"]

CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
BOM = b"\xef\xbb\xbf"
MAX_RETRY_MS = 3_600_000
"""A longer `retry:` is cut to an hour: the number comes from a stranger and ends up in a timer."""
MAX_ID_BYTES = 1024
"""A longer event id is ignored; it would come back as a request header, and servers refuse long ones."""
LINE_COST = 16
"""What one data line is charged beside its bytes: an empty line costs memory too."""


class EventTooLarge(Exception):
    """One event, or one line of it, exceeds the bound."""


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event. `name` is empty for the default type `message`."""

    name: str
    data: bytes


class SseParser:
    """Feed it bytes as they come; it returns the events that these bytes completed."""

    __slots__ = (
        "_at_start",
        "_data",
        "_id",
        "_line",
        "_line_size",
        "_max",
        "_name",
        "_size",
        "_skip_lf",
        "last_id",
        "retry_ms",
    )

    def __init__(self, max_event_bytes: int) -> None:
        self.last_id = ""
        """The id of the last complete event that had one; empty before."""
        self.retry_ms: int | None = None
        self._max = max_event_bytes
        self._at_start = True
        self._skip_lf = False
        self._line: list[bytes] = []
        self._line_size = 0
        self._name = ""
        self._id: str | None = None
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take the next bytes. Raises EventTooLarge."""
        events: list[SseEvent] = []
        if not data:
            return events
        if self._skip_lf:
            # The line ended with CR at the end of the last piece; an LF now is the second half of that line end.
            self._skip_lf = False
            if data[0] == 0x0A:
                data = data[1:]
        for piece in data.splitlines(keepends=True):
            if piece[-1] not in b"\r\n":
                self._keep(piece)
                break
            line = piece.rstrip(b"\r\n")
            if self._line:
                self._keep(line)
                line = b"".join(self._line)
                self._line.clear()
                self._line_size = 0
            self._take(line, events)
        self._skip_lf = data.endswith(b"\r")
        return events

    def _keep(self, piece: bytes) -> None:
        self._line_size += len(piece)
        if self._size + self._line_size > self._max:
            raise self._too_large()
        self._line.append(piece)

    def _take(self, line: bytes, events: list[SseEvent]) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(BOM)
        if not line:
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value) + LINE_COST
            if self._size > self._max:
                raise self._too_large()
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"id":
            self._take_id(value)
        elif field == b"retry" and value.isdigit() and len(value) <= 10:
            self.retry_ms = min(int(value), MAX_RETRY_MS)

    def _too_large(self) -> EventTooLarge:
        # Let go at once: a connection and its parser refer to each other and wait for the garbage collector.
        self._line.clear()
        self._data.clear()
        return EventTooLarge()

    def _take_id(self, value: bytes) -> None:
        # The standard refuses only NUL; control characters are refused as well, for the id becomes a header's value.
        if len(value) <= MAX_ID_BYTES and CONTROL.search(value) is None:
            self._id = value.decode("utf-8", "replace")

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._id is not None:
            self.last_id, self._id = self._id, None
        if self._data:
            name = "" if self._name == "message" else self._name
            events.append(SseEvent(name, b"\n".join(self._data)))
            self._data.clear()
            self._size = 0
        self._name = ""
