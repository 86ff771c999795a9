"""Server-sent events: their bytes, and the bounded log from which an agent resumes a broken stream.

Owns numbering, bounds and who listens. Knows no HTTP and no session; whom a log belongs to is `session.py`.
An event id is `{token}_{number}`: the token is a secret of one stream of one session, numbers count from 1, and 0 is
the place before the first event.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import anyio

from gateway.core.jsonvalue import JsonObject
from gateway.core.wire import encode_message
from gateway.downstream.answer import Answer
from gateway.ports import Clock

__all__ = ["PING", "EventLog", "EventStream", "event", "notification", "priming", "request"]

PING: Final = b": ping\n\n"
"""A comment: parsers drop it, proxies see traffic."""

_OTHER_LINE_ENDS: Final = tuple(
    (character.encode(), f"\\u{ord(character):04x}".encode("ascii")) for character in "\u0085\u2028\u2029"
)


def event(data: bytes, event_id: str = "") -> bytes:
    """Return one event. JSON text has no line break outside of escapes, so one `data` line holds it.

    Clients that split lines as their language does, and not as the standard says, know three more line ends; an
    upstream's text must not become an event of its own there. Inside of a string an escape is the same character.
    """
    if not data.isascii():
        for character, escape in _OTHER_LINE_ENDS:
            data = data.replace(character, escape)
    head = b"id: " + event_id.encode("ascii") + b"\n" if event_id else b""
    return head + b"event: message\ndata: " + data + b"\n\n"


def priming(event_id: str, retry_ms: int) -> bytes:
    """Return the empty first event that gives an agent a place to resume from (2025-11-25)."""
    return f"id: {event_id}\nretry: {retry_ms}\ndata: \n\n".encode("ascii")


def notification(method: str, params: JsonObject) -> bytes:
    """Return a notification for the agent. Empty params are left out: some methods have none."""
    message: JsonObject = {"jsonrpc": "2.0", "method": method}
    return encode_message({**message, "params": params} if params else message)


def request(identifier: str, method: str, params: JsonObject) -> bytes:
    """Return a request for the agent."""
    message: JsonObject = {"jsonrpc": "2.0", "id": identifier, "method": method}
    return encode_message({**message, "params": params} if params else message)


@dataclass(frozen=True, slots=True)
class _Event:
    stream: "EventStream"
    number: int
    frame: bytes
    at: float


class EventStream:
    """One stream of a session: its events in order, and the one answer that they are being sent on."""

    __slots__ = ("_changed", "_log", "delivered", "events", "finished", "last", "listener", "token")

    def __init__(self, log: "EventLog", token: str) -> None:
        self.token = token
        self.last = 0
        self.delivered = 0
        """The last event that was sent to somebody."""
        self.events: deque[_Event] = deque()
        self.finished = False
        self.listener: Answer | None = None
        self._log = log
        self._changed = anyio.Event()

    def place(self, number: int) -> str:
        """Return the event id that stands for `number`."""
        return f"{self.token}_{number}"

    def append(self, data: bytes, *, last: bool = False, otherwise: bytes = b"") -> bytes:
        """Number and keep one message; return its frame.

        `otherwise` is kept in its place where it is larger than the whole log and nobody is there to take it now.
        """
        if otherwise and self.listener is None and len(data) > self._log.limit_bytes:
            data = otherwise
        self.last += 1
        self.finished = self.finished or last
        frame = event(data, self.place(self.last))
        self._log.keep(self, self.last, frame)
        self.wake()
        return frame

    def after(self, number: int) -> list[tuple[int, bytes]]:
        """Return the kept events after `number`, oldest first, with their numbers."""
        return [(kept.number, kept.frame) for kept in self.events if kept.number > number]

    async def attach(self, answer: Answer) -> None:
        """Make `answer` the one listener; ends the answer that was it before."""
        before, self.listener = self.listener, answer
        self.wake()
        if before is not None and before is not answer:
            await before.end()

    def detach(self, answer: Answer) -> None:
        """Stop sending on `answer`, if it is the listener."""
        if self.listener is answer:
            self.listener = None
            self.wake()

    def close(self) -> None:
        """End the stream without a last message."""
        self.finished = True
        self.wake()

    def wake(self) -> None:
        """Tell whoever waits in `changed`."""
        waited, self._changed = self._changed, anyio.Event()
        waited.set()

    async def changed(self) -> None:
        """Return after the next change of events or listener."""
        await self._changed.wait()


class EventLog:
    """The events of one session, of all its streams together, bounded in bytes and seconds; the oldest go first."""

    def __init__(self, *, limit_bytes: int, keep_s: float, clock: Clock) -> None:
        self.limit_bytes = limit_bytes
        self._keep_s = keep_s
        self._clock = clock
        self._streams: dict[str, EventStream] = {}
        self._events: deque[_Event] = deque()
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of all kept events."""
        return self._bytes

    def open(self, token: str) -> EventStream:
        """Begin a stream."""
        stream = self._streams[token] = EventStream(self, token)
        return stream

    def find(self, event_id: str) -> tuple[EventStream, int] | None:
        """Return the stream and number that an event id names, None where it names none of this session."""
        self.trim()
        token, _, number = event_id.rpartition("_")
        stream = self._streams.get(token)
        if stream is None or not number.isascii() or not number.isdigit() or len(number) > len(str(stream.last)):
            return None
        return (stream, int(number)) if int(number) <= stream.last else None

    def keep(self, stream: EventStream, number: int, frame: bytes) -> None:
        """Keep one event, and drop what is too old or too much. The newest stays while somebody takes it."""
        kept = _Event(stream, number, frame, self._clock.monotonic())
        stream.events.append(kept)
        self._events.append(kept)
        self._bytes += len(frame)
        self.trim()

    def trim(self) -> None:
        """Drop what is too old or too much."""
        oldest = self._clock.monotonic() - self._keep_s
        while self._events and (self._events[0].at < oldest or self._overfull()):
            dropped = self._events.popleft()
            self._bytes -= len(dropped.frame)
            dropped.stream.events.popleft()
            if dropped.stream.finished and not dropped.stream.events:
                self._streams.pop(dropped.stream.token, None)

    def _overfull(self) -> bool:
        return self._bytes > self.limit_bytes and (len(self._events) > 1 or self._events[0].stream.listener is None)

    def close(self) -> None:
        """End every stream and forget every event."""
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()
        self._events.clear()
        self._bytes = 0
