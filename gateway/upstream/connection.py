"""One HTTP/1.1 connection to an upstream: one exchange at a time, parsed by httptools, bounded in every direction.

asyncio and not anyio: a `Protocol` hands over bytes in the very callback in which they arrive, with no task and no
stream object between, which is most of why an exchange costs a third of what it costs in a general client
(research/performance.md).

Owns bytes, bounds, the deadline and whether the connection may be used again. Knows nothing of JSON-RPC.
"""

import asyncio
import select
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Final, cast

import httptools

from gateway.errors import UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.sse import EventTooLarge, SseEvent, SseParser

__all__ = ["Connection", "ConnectionLimits", "Head", "Outbox"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""All header lines of one answer; twice what agents may send us. Also what may come between two pieces of a body
(chunk extensions, trailers), so that nothing grows unseen."""
MAX_INTERIM: Final = 8
"""Interim answers (1xx) before the real one."""
HIGH_WATER: Final = 1024 * 1024
"""Unread event bytes at which reading from the socket pauses until half of them are taken."""
EVENT_COST: Final = 256
"""What an unread event is charged beside its data: one without any costs memory too."""
TURN_BYTES: Final = 8 * 1024
"""So many bytes are parsed in one turn of the event loop; the rest waits for the next ones, and reading with it.
Without that, one that sends as fast as it can holds up everybody else's calls: uvloop reads megabytes in a row while
there are more, and the smallest lines and chunks cost some 0.2 µs a byte."""
LINGER_S: Final = 1.0
"""How long a stream may take to end after its answer was read, for the connection to be kept."""
QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""Acknowledge at once while more is expected. Servers that hold small packets back until then (Nagle's algorithm;
asyncio servers on a socket made by hand are among them) cost 40 ms a call otherwise. It does not stick; Linux only."""
EVENT_STREAM: Final = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """`answer_bytes` bounds a whole body and one event, `stream_bytes` all bytes of one event stream."""

    answer_bytes: int
    stream_bytes: float = inf


@dataclass(slots=True)
class Head:
    """What of an answer's head is used. Every other header, `WWW-Authenticate` included, ends here."""

    status: int = 0
    media_type: str = ""
    encoding: str = ""
    session_id: str = ""
    length: int | None = None
    chunked: bool = False


class Outbox:
    """The requests of one turn of the event loop, of all connections to one upstream, written together at its end.

    A write wakes the other side up, and that costs more than the write, each time it has gone to sleep again.
    """

    def __init__(self) -> None:
        self._waiting: list[Connection] = []

    def put(self, connection: "Connection") -> None:
        """Let the connection write in the next turn."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(connection)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.write()


class Connection(asyncio.Protocol):
    """`label` begins error texts. The pool is told when there is a connection, when it is idle, when it is gone."""

    def __init__(self, label: str, made: "Told", idle: "Told", lost: "Told", outbox: Outbox | None = None) -> None:
        self._label = label
        self._made = made
        self._idle = idle
        self._lost = lost
        self._outbox = outbox or Outbox()
        self._unsent = b""
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = inf
        self._events: deque[SseEvent] = deque()
        self._limits = ConnectionLimits(answer_bytes=0)
        self._idle_since = 0.0
        self.head = Head()
        self.sse: SseParser | None = None
        self.cut = False
        """True once the other side closed the connection in the middle of an exchange."""
        self._reset()
        self._busy = False

    def _reset(self) -> None:
        self._busy = True
        self._head_done = False
        self._complete = False
        self._keep = False
        self._surplus = False
        self._heard = False
        self._read = False
        self.cut = False
        self._paused = False
        self._failure: UpstreamError | None = None
        self._parts: list[bytes] = []
        self._received = 0
        self._since_body = 0
        self._interim = 0
        self._events.clear()
        self._queued = 0
        self.head = Head()
        self.sse = None

    # --- what the pool asks ---

    @property
    def fresh(self) -> bool:
        """True while nothing has come on the idle connection, not even its end: asks the kernel, not only the loop."""
        if self._transport is None or self._transport.is_closing() or self._busy or self._rest:
            return False
        return self._poll is None or not self._poll.poll(0)

    @property
    def idle_s(self) -> float:
        """How long it has been idle."""
        return self._loop.time() - self._idle_since

    def abort(self) -> None:
        """Close at once, without a word to the other side."""
        self._deadline = inf
        if self._transport is not None:
            self._transport.abort()

    def done(self) -> None:
        """End an exchange whose answer was read: keep the connection where that is safe, else close it.

        An exchange without its answer is ended by `abort`.
        """
        if self._failure is not None or self._surplus or self._events:
            self.abort()
        elif not self._complete:
            # The answer was read; the end of its stream is on its way. Waiting for it here would delay the answer.
            self._read = True
            self._deadline = self._loop.time() + LINGER_S
            self._arm()
            self._resume()
        elif self._keep:
            self._become_idle()
        else:
            self.abort()

    def _become_idle(self) -> None:
        self._deadline = inf
        self._resume()
        self._busy = False
        self._idle_since = self._loop.time()
        self._idle(self)

    # --- one exchange ---

    async def send(self, request: bytes, deadline: float, limits: ConnectionLimits) -> Head:
        """Write the request, return the answer's head. Raises UpstreamError."""
        transport = self._transport
        if transport is None or transport.is_closing():
            msg = f"{self._label} closed the connection before the request was written"
            raise UpstreamUnreachable(msg, may_have_run=False)
        self._reset()
        self._limits = limits
        self._deadline = deadline
        self._arm()
        self._unsent = request
        self._outbox.put(self)
        while not self._head_done and self._failure is None:
            await self._wait()
        if not self._head_done and self._failure is not None:
            raise self._failure
        return self.head

    def write(self) -> None:
        """Write the request that waits in the outbox, unless its exchange has ended."""
        if self._transport is None or self._transport.is_closing():
            return  # what was not written stays unsent: its loss is known not to have run
        request, self._unsent = self._unsent, b""
        if request:
            self._transport.write(request)

    async def body(self) -> bytes:
        """Return the whole body. Raises UpstreamError."""
        while not self._complete and self._failure is None:
            await self._wait()
        if self._failure is not None:
            raise self._failure
        if self._surplus:
            raise self._broken("sent more than one answer to one request")
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def event(self) -> SseEvent | None:
        """Return the next event of the stream, None at its end. Raises UpstreamError once the events are read."""
        while not self._events:
            if self._failure is not None:
                raise self._failure
            if self._complete:
                return None
            await self._wait()
        event = self._events.popleft()
        self._queued -= len(event.data) + EVENT_COST
        if self._paused and self._queued <= HIGH_WATER // 2:
            self._resume()
        return event

    @property
    def events_waiting(self) -> bool:
        """True where further events have already been received."""
        return bool(self._events)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, failure: UpstreamError) -> None:
        if self._failure is None and not self._complete:
            self._failure = failure
            self._parts.clear()
            self._wake()
        self.abort()

    def _broken(self, what: str) -> UpstreamBroken:
        return UpstreamBroken(f"{self._label} {what}", may_have_run=True)

    def _arm(self) -> None:
        """One timer per connection, moved only when a deadline comes sooner: most exchanges end long before theirs."""
        if self._deadline == inf:
            return
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() < self._deadline:
            self._arm()
        elif self._read:
            self.abort()
        else:
            self._expire()

    def _expire(self) -> None:
        what = "the whole answer" if self._head_done else "an answer"
        self._fail(UpstreamTimeout(f"{self._label} did not give {what} within the time allowed", may_have_run=True))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._next_turn)  # what was received before comes before what is read next

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; small messages must not wait for each other (TCP_NODELAY)."""
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # else a stream never learns of a dead peer
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        self._made(self)

    def data_received(self, data: bytes) -> None:
        """Parse at once, in bounds."""
        if not self._busy or self._unsent:
            self.abort()  # nobody has asked yet: such bytes would be read as the next call's answer
            return
        if len(data) > TURN_BYTES:
            data, self._rest = data[:TURN_BYTES], data[TURN_BYTES:]
        self._heard = True
        self._since_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # An error of our own callbacks comes wrapped; they have set the failure already.
            failure = self._broken("sent something that is not HTTP/1.1")
            failure.__cause__ = error
            self._fail(failure)
            return
        if self._transport is None:
            return
        if len(data) == TURN_BYTES:
            self._transport.pause_reading()
            self._loop.call_soon(self._next_turn)
        if self._complete:
            return
        if QUICKACK is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        if self._since_body > MAX_HEAD_BYTES:
            self._fail(self._broken(f"sent more than {MAX_HEAD_BYTES} bytes of headers or chunk overhead"))

    def _next_turn(self) -> None:
        """Go on with what is left of the last piece, then with reading; not while nobody takes the events."""
        if self._paused or self._transport is None or self._transport.is_closing():
            return
        if self._rest:
            rest, self._rest = self._rest, b""
            self.data_received(rest)
            if len(rest) < TURN_BYTES:
                self._next_turn()
        else:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits why, and the pool that a place is free."""
        self._stop_timer()
        self._transport = None
        while self._rest and self._busy and not self._read and self._failure is None:
            # With TLS the end may come together with what waits for its turn: then there are no more turns.
            rest, self._rest = self._rest, b""
            self.data_received(rest)
        if self._busy and not self._complete and self._failure is None:
            if self._head_done and exc is None and self.head.length is None and not self.head.chunked:
                self._complete = True  # such a body lasts until the end of the connection (RFC 9112, 6.3)
            elif self._unsent:
                text = f"{self._label} closed the connection before the request was written"
                self._failure = UpstreamUnreachable(text, may_have_run=False)
            elif self._heard:
                self.cut = True
                self._failure = self._broken("closed the connection in the middle of its answer")
            else:
                self._failure = self._broken("closed the connection without an answer")
            self._wake()
        self._lost(self)

    # --- httptools ---

    def on_message_begin(self) -> None:
        """Notice a second answer to one request."""
        if self._complete:
            self._surplus = True
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the few headers that are used."""
        if self._complete:
            return
        key = name.lower()
        if key == b"content-type":
            self.head.media_type = _media_type(value)
        elif key == b"content-length":
            self.head.length = int(value) if value.isdigit() else None
        elif key == b"transfer-encoding":
            self.head.chunked = True
        elif key == b"content-encoding":
            self.head.encoding = value.strip().lower().decode("latin-1")
        elif key == b"mcp-session-id":
            self.head.session_id = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Decide how the body is read."""
        if self._complete:
            return
        head = self.head
        head.status = self._parser.get_status_code()
        if head.status < 200:
            self.head = Head()
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self._fail(self._broken("sent interim answers without end"))
            return
        self._head_done = True
        if head.encoding not in ("", "identity"):
            self._fail(self._broken("sent a compressed answer, though it was asked not to"))
        elif head.media_type == EVENT_STREAM and head.status == 200:
            self.sse = SseParser(self._limits.answer_bytes)
        elif head.length is not None and head.length > self._limits.answer_bytes:
            self._fail(self._too_large())
        self._wake()

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._since_body = 0
        if self._complete or self._failure is not None:
            return
        self._received += len(data)
        if self.sse is not None:
            self._take_events(self.sse, data)
            return
        if self._received > self._limits.answer_bytes:
            self._fail(self._too_large())
            return
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """End the exchange; an interim answer ends nothing."""
        if self._complete or not self._head_done:
            return
        self._complete = True
        self._surplus = bool(self._rest)
        self._keep = self._parser.should_keep_alive()
        self._wake()
        if self._read:
            self.done()

    def _take_events(self, sse: SseParser, data: bytes) -> None:
        try:
            events = sse.feed(data)
        except EventTooLarge:
            self._fail(self._too_large())
            return
        if self._received > self._limits.stream_bytes:
            self._fail(self._broken(f"sent more than {self._limits.stream_bytes:g} bytes in one stream"))
            return
        if events and self._read:
            self.abort()  # more after the answer: nothing that anybody waits for
            return
        self._events.extend(events)
        self._queued += sum(len(event.data) for event in events) + EVENT_COST * len(events)
        if self._queued > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if events:
            self._wake()

    def _too_large(self) -> UpstreamBroken:
        return self._broken(f"sent an answer or event larger than {self._limits.answer_bytes} bytes")


@lru_cache(maxsize=64)
def _media_type(content_type: bytes) -> str:
    return content_type.split(b";", 1)[0].strip().lower().decode("latin-1")


Told = Callable[[Connection], None]
