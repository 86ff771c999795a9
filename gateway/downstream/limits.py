"""Bounds on HTTP itself, before there is a request: uvicorn's protocol with deadlines, sizes and one reading.

uvicorn (0.54) has no time-out for headers or bodies, no bound on header bytes or number, and queues pipelined requests
(research/security.md, section 0). This adds:

- header deadline: from the connection, or the first byte of a later request, to the end of the headers;
- body deadline: from there to the end of the body. Neither is extended by bytes that trickle in;
- once an answer fills the buffers, a peer that fetches next to nothing of it in the body's time is cut off;
- header bytes and count; bytes that a chunked body may have beside its content; connections per peer address;
- one reading: origin-form target, one Host, no trailers (uvicorn would add them to the headers), no transfer coding but
  `chunked`, no Upgrade, no CONNECT and TRACE;
- one request at a time: whatever follows a request that is not answered yet is thrown away, and the connection ends
  with that answer. A second request is never run on the word of how the first one was framed.

A refusal before the application has started is answered here and closes. Not here: the size of the body, which the
application counts while it reads (`downstream/http.py`; the peer is paused at 64 KiB unread), Host and Origin.

The parser's callbacks replace uvicorn's instead of adding to them, one task serves a connection's requests one after
the other, and one timer all its deadlines: together a third of what the server part of a call cost.
Built on asyncio, because uvicorn's protocol is an asyncio protocol.
"""

from asyncio import BaseTransport, Future, Task, TimerHandle, Transport
from collections import Counter
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.downstream.answer import DIRECT
from gateway.downstream.cycle import Cycle, Outbox

__all__ = ["protocol_class"]

_LINGER_S: Final = 1.0
"""How long a refused peer may take to fetch its answer; then the connection is cut."""

_TURN_BYTES: Final = 32 * 1024
"""After so many bytes in one piece others have a turn: uvloop reads megabytes in a row while there are more."""
_DISCARDED_BYTES: Final = 64 * 1024
"""So much may follow an unanswered request; above that the connection is cut at once."""

_FETCHED_BYTES: Final = 16 * 1024
"""So much of a waiting answer a peer fetches in the body's time, or it is gone: half a kilobyte a second by default."""

_FRAMING_PER_BYTE: Final = 16
"""Chunk sizes, extensions and line ends per byte of content; one-byte chunks need 5."""


class _Phase(Enum):
    """How far the request at hand has come in."""

    IDLE = auto()
    HEADERS = auto()
    BODY = auto()


_IDLE, _HEADERS, _BODY = _Phase


class _Refused(Exception):
    """An answer on its way out of the parser's callbacks."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def protocol_class(
    *,
    header_bytes: int,
    header_count: int,
    header_timeout_s: float,
    body_timeout_s: float,
    connections_per_address: int,
) -> type[HttpToolsProtocol]:
    """Return the class for `uvicorn.Config(http=…)`. Connections are counted per returned class."""
    return cast(
        "type[HttpToolsProtocol]",
        type(
            "LimitedProtocol",
            (_LimitedProtocol,),
            {
                "header_bytes": header_bytes,
                "header_count": header_count,
                "header_timeout_s": header_timeout_s,
                "body_timeout_s": body_timeout_s,
                "connections_per_address": connections_per_address,
                "open_by_address": Counter(),
            },
        ),
    )


class _LimitedProtocol(HttpToolsProtocol):
    header_bytes: int
    header_count: int
    header_timeout_s: float
    body_timeout_s: float
    connections_per_address: int
    open_by_address: Counter[str]
    outbox: Outbox | None = None
    """Of all connections of the class; made with the first of them."""
    cycle: Cycle

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase = _IDLE
        self._address: str | None = None
        self._refusal: _Refused | None = None
        self._deadline: float | None = None
        self._resting = False
        self._timer: TimerHandle | None = None
        self._stalled: TimerHandle | None = None
        self._attendant: Task[None] | None = None
        self._next: Future[Cycle | None] | None = None
        self._heard = False
        self._deaf = False
        self._room = 0
        self._head_bytes = 0
        self._body_bytes = 0
        self._content_bytes = 0
        self._framing_bytes = 0
        self._discarded_bytes = 0

    # --- the connection -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        """Count the connection, or refuse it."""
        super().connection_made(cast("Transport", transport))
        self._address = self.client[0] if self.client else ""
        self.open_by_address[self._address] += 1
        if self.open_by_address[self._address] > self.connections_per_address:
            self._answer(503, "Too many connections from this address.")
            return
        self._deadline = self.loop.time() + self.header_timeout_s
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and its timer."""
        if self._address is not None:
            self.open_by_address[self._address] -= 1
            if not self.open_by_address[self._address]:
                del self.open_by_address[self._address]
            self._address = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_stalling()
        self._deadline = None
        super().connection_lost(exc)
        if self._next is not None and not self._next.done():
            self._next.set_result(None)

    def eof_received(self) -> None:
        """The transport closes with the peer's end: an answer that is on its way goes out before."""
        self._shared_outbox().flush()

    def shutdown(self) -> None:
        """Close if idle, else after the answer; one that is on its way goes out before."""
        self._shared_outbox().flush()
        super().shutdown()

    def _shared_outbox(self) -> Outbox:
        kind = type(self)
        if kind.outbox is None:
            kind.outbox = Outbox(self.loop)
        return kind.outbox

    def pause_writing(self) -> None:
        """The peer reads slower than we write: see that it goes on reading."""
        super().pause_writing()
        self._stop_stalling()
        self._watch_stall()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._stop_stalling()
        super().resume_writing()

    def _watch_stall(self, before: int | None = None) -> None:
        """Cut a peer that fetched next to nothing of what was waiting for it."""
        waiting = self.transport.get_write_buffer_size()
        if before is not None and waiting > before - _FETCHED_BYTES:
            self.transport.abort()
            return
        self._stalled = self.loop.call_later(self.body_timeout_s, self._watch_stall, waiting)

    def _stop_stalling(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser within bounds; refuse, or stop listening, at the first thing that is not one request."""
        if self._deaf or self.transport.is_closing():
            self._discard(len(data))
            return
        self._heard = True
        if self._resting:
            self._resting = False
            self._deadline = None
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            refusal = self._refusal or _Refused(400, "Invalid HTTP request.")
            self._refuse(refusal.status, str(refusal))
        else:
            self._watch()
            if len(data) >= _TURN_BYTES and not self.flow.read_paused and not self.transport.is_closing():
                self.transport.pause_reading()
                self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        """Others have had their turn; where the application has enough for now, it says itself when to go on."""
        if not self.flow.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        """Give the parser no more than it may need for headers until it has them."""
        while data and not self.transport.is_closing():
            if self._in_body():
                # Behind the rest of a body that was answered early the next request may follow, headers first.
                size = self.header_bytes if self.cycle.response_complete else len(data)
                piece, data = data[:size], data[size:]
                before = self._content_bytes
                self.parser.feed_data(piece)
                self._count_framing(len(piece) - (self._content_bytes - before))
                continue
            piece, data = data[: self.header_bytes - self._head_bytes], data[self.header_bytes - self._head_bytes :]
            self._head_bytes += len(piece)
            self.parser.feed_data(piece)
            if not self._in_body() and self._head_bytes >= self.header_bytes:
                self._stop(431, "Request header fields too large.")

    def _count_framing(self, count: int) -> None:
        self._framing_bytes += count
        if self._framing_bytes > self.header_bytes + _FRAMING_PER_BYTE * self._body_bytes:
            self._stop(400, "Chunked body with too much beside its content.")

    def _discard(self, count: int) -> None:
        self._discarded_bytes += count
        if self._discarded_bytes > _DISCARDED_BYTES:
            self.transport.abort()

    # --- the parser's callbacks ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request, if none is waiting for its answer."""
        if self._in_flight():
            self._stop(400, "A request before the answer to the one before it.")
        self._phase = _HEADERS
        self._room = self.header_count
        if self._deadline is None:
            self._deadline = self.loop.time() + self.header_timeout_s
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; what comes behind a body is a trailer, and no header."""
        headers = self.headers
        if len(headers) >= self._room:
            self._no_room()
        headers.append((name.lower(), value))

    def _no_room(self) -> None:
        """Refuse a header: it is one too many, or comes behind the body."""
        if self._phase is not _HEADERS:
            self._stop(400, "Trailers are not supported.")
        self._stop(431, "Too many request header fields.")

    def on_headers_complete(self) -> None:
        """Start the application, if the head has one reading."""
        self._room = 0
        method, version = self.parser.get_method(), self.parser.get_http_version()
        names = [name for name, _ in self.headers]
        problem = self._head_problem(method, version, names)
        if problem:
            self._stop(405 if problem == _BAD_METHOD else 400, problem)
        waits = b"expect" in names and _expects_continue(self.headers)
        scope = self._scope(method, version)
        cycle = self.cycle = Cycle(
            scope,
            self.transport,
            self.flow,
            self._shared_outbox(),
            self.server_state.default_headers,
            self.on_response_complete,
            expect_100_continue=waits,
            # A body that waits for our 100 may never come after another answer: what came next would be read as it.
            keep_alive=version != "1.0" and not waits and self.parser.should_keep_alive(),
        )
        scope["extensions"] = {DIRECT: cycle}
        self._begin(cycle)
        self._phase = _BODY
        self._deadline = self.loop.time() + self.body_timeout_s
        self._head_bytes = self._body_bytes = self._framing_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Count and pass on."""
        self._body_bytes += len(body)
        self._content_bytes += len(body)
        if not self.cycle.response_complete and self.cycle.feed(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """The request is in: from here on time is the application's."""
        self._phase = _IDLE
        self._deadline = None
        if not self.cycle.response_complete:
            self.cycle.end()

    def _scope(self, method: bytes, version: str) -> dict[str, Any]:
        path, raw_path, query = _target(self.url)
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "headers": self.headers,
            "state": {},
            "method": method.decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
        }

    def _head_problem(self, method: bytes, version: str, names: list[bytes]) -> str:
        if method in (b"CONNECT", b"TRACE"):
            return _BAD_METHOD
        if not self.url.startswith(b"/") or self.url.startswith(b"//") or b"#" in self.url:
            return "The request target must be a path."
        if self.parser.should_upgrade():
            return "Upgrade is not supported."
        if names.count(b"host") != 1:
            return "Exactly one Host header is needed."
        if b"transfer-encoding" in names:
            codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
            if codings != [b"chunked"] or b"content-length" in names or version == "1.0":
                return "Transfer-Encoding must be `chunked` alone, and without Content-Length."
        return ""

    def _stop(self, status: int, message: str) -> None:
        """Leave the parser: its callbacks may only raise. `_refusal` carries the answer past its wrapping."""
        self._refusal = _Refused(status, message)
        raise httptools.HttpParserError(message)

    # --- the application ----------------------------------------------------------------------------------------------

    def _begin(self, cycle: Cycle) -> None:
        """Give the request to the connection's task. It gets one of its own where that one has not ended the last."""
        if self._next is not None and not self._next.done() and self._attendant is not None:
            self.tasks.add(self._attendant)
            self._next.set_result(cycle)
            return
        self._attendant = task = self.loop.create_task(self._attend(cycle))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _attend(self, first: Cycle) -> None:
        """Run the application for one request after the other.

        `tasks` are what uvicorn waits for and cancels when it stops: this one while it has a request.
        """
        task = self._attendant
        cycle: Cycle | None = first
        while task is not None and cycle is not None:
            await cycle.run_asgi(self.app)
            cycle.scope.pop("extensions")  # which holds the cycle: there must be nothing for the garbage collector
            self.tasks.discard(task)
            if self._attendant is not task or task.cancelling() or self.transport.is_closing():
                return
            self._next = self.loop.create_future()
            cycle = await self._next

    def on_response_complete(self) -> None:
        """Read on, and wait for the next request as long as an idle connection may be kept."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._phase is _IDLE:
            self._resting = True
            self._deadline = self.loop.time() + self.timeout_keep_alive
            self._arm()

    # --- refusing -----------------------------------------------------------------------------------------------------

    def _in_flight(self) -> bool:
        cycle: Cycle | None = self.cycle  # uvicorn declares it as never None, and begins with None
        return cycle is not None and not cycle.response_complete

    def _in_body(self) -> bool:
        return self._phase is _BODY

    def _refuse(self, status: int, message: str) -> None:
        if self._in_body():
            self._refuse_body(status, message)
        elif self._in_flight():
            # The request before is whole and being answered: that answer is the last thing on this connection.
            self._deaf = True
            self.cycle.keep_alive = False
        else:
            self._answer(status, message)

    def _refuse_body(self, status: int, message: str) -> None:
        """Take the request away from the application, which learns of it as of a peer that hung up."""
        started = self.cycle.response_started
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if started:
            self.transport.abort()  # its answer is under way or done: there is no room for another
        else:
            self._answer(status, message)

    def _answer(self, status: int, message: str) -> None:
        """Write the whole answer and close; the peer has a moment to read it."""
        self._shared_outbox().flush()
        body = message.encode("ascii")
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()
        self._deaf = True
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(_LINGER_S, self.transport.abort)

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """See that a deadline which is still ahead has a timer. A request that came whole never sets one."""
        if self._deadline is None and not self._in_flight() and not self.transport.is_closing():
            # Only line ends so far: uvicorn has stopped its keep-alive timer for them.
            self._deadline = self.loop.time() + self.header_timeout_s
        self._arm()

    def _arm(self) -> None:
        """One timer per connection, moved only when the deadline comes sooner than it."""
        if self._deadline is None:
            return
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None or self.transport.is_closing():
            return
        if self.loop.time() < self._deadline:
            self._arm()
        elif self._resting:
            self.transport.close()
        elif not self._heard:
            self.transport.abort()  # nothing was asked, so nothing is answered
        else:
            self._refuse(408, "The request did not arrive in time.")


_BAD_METHOD: Final = "This method is not supported."

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


def _expects_continue(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


@lru_cache(maxsize=256)
def _target(url: bytes) -> tuple[str, bytes, bytes]:
    """Return path, path as sent, and query of a request target. Agents ask for the same one again and again."""
    parsed = httptools.parse_url(url)
    raw_path: bytes = parsed.path
    path = raw_path.decode("ascii")
    return (unquote(path) if "%" in path else path), raw_path, parsed.query or b""
