"""One request and its answer inside of our server: uvicorn's cycle, and a short way past ASGI for small messages.

Most requests have come whole before the application runs, and most answers are one piece of JSON. The application may
take the first and give the second by plain calls (`answer.Direct`, offered in the scope's extensions): no events, no
dicts and one system call for head and body, where ASGI makes two. Whatever that way does not fit goes by ASGI.
Answers that are made in one turn of the event loop are written together at its end (`Outbox`).

Owns no bound; those are `limits.py`. Built on asyncio, because uvicorn's cycle is.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

__all__ = ["Cycle", "Outbox"]

_JSON_HEAD: Final = b"%b%bcontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
_CLOSE: Final = b"connection: close\r\n"


class Outbox:
    """The answers of one turn of the event loop, of all connections.

    A write wakes the peer up, and that costs more than the write: some 20 µs, each time it has gone to sleep again.
    Whoever writes to one of these connections by another way, or closes it, must `flush` first.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[asyncio.Transport, bytes, bytes]] = []

    def put(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        """Write both in the next turn at the latest."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append((transport, head, body))

    def flush(self) -> None:
        """Write now."""
        waiting, self._waiting = self._waiting, []
        for transport, head, body in waiting:
            if not transport.is_closing():
                transport.writelines((head, body))


class Cycle(RequestResponseCycle):
    """`answer.Direct` beside uvicorn's `receive` and `send`.

    What uvicorn sets on each object is set on the class where it is the same for all: one cycle is made per request.
    """

    logger = logging.getLogger("uvicorn.error")
    access_log = False
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    _taken = False
    _default_head: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")
    """uvicorn's default headers (the date), as they were last written: it makes a new list once a second."""

    def __init__(
        self,
        scope: Any,
        transport: asyncio.Transport,
        flow: FlowControl,
        outbox: Outbox,
        default_headers: list[tuple[bytes, bytes]],
        on_response: Callable[[], None],
        *,
        expect_100_continue: bool,
        keep_alive: bool,
    ) -> None:
        self.scope = scope
        self.transport = transport
        self.flow = flow
        self.outbox = outbox
        self.default_headers = default_headers
        self.on_response = on_response
        self.waiting_for_100_continue = expect_100_continue
        self.keep_alive = keep_alive
        self.body: bytes | bytearray = b""  # type: ignore[assignment] # one piece is kept as it came

    @cached_property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        """What `receive` waits for; made only where somebody waits."""
        event = asyncio.Event()
        if not self._taken and (self.body or not self.more_body):
            event.set()
        return event

    # --- from the connection ------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> int:
        """Take a piece of the body; return how much is waiting to be read."""
        if not self.body:
            self.body = data
        elif isinstance(self.body, bytes):
            self.body = bytearray(self.body) + data
        else:
            self.body += data
        self._wake()
        return len(self.body)

    def end(self) -> None:
        """The body is whole."""
        self.more_body = False
        self._wake()

    def _wake(self) -> None:
        event = self.__dict__.get("message_event")
        if event is not None:
            event.set()

    # --- answer.Direct ------------------------------------------------------------------------------------------------

    def gone(self) -> bool:
        """Return whether nobody is there any more to be answered."""
        return self.disconnected or self.response_complete

    def whole_body(self) -> bytes | None:
        """Return the body, once, if all of it is there; None where it must be received."""
        if self.more_body or self._taken or self.waiting_for_100_continue or self.disconnected:
            return None
        self._taken = True
        self.flow.resume_reading()
        body, self.body = bytes(self.body), b""
        return body

    def answer(self, status: int, body: bytes) -> bool:
        """Write the whole answer; False where it must be sent: the head was, or the peer reads too slowly."""
        if self.response_started or self.disconnected or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        close = b"" if self.keep_alive else _CLOSE
        head = _JSON_HEAD % (STATUS_LINE[status], self._defaults(), len(body), close)
        self.outbox.put(self.transport, head, body)
        self._wake()
        if not self.keep_alive:
            self.outbox.flush()
            self.transport.close()
        self.on_response()
        return True

    def _defaults(self) -> bytes:
        headers, written = Cycle._default_head
        if headers is not self.default_headers:
            written = b"".join(b"%b: %b\r\n" % header for header in self.default_headers)
            Cycle._default_head = (self.default_headers, written)
        return written
