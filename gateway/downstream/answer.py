"""One HTTP answer: a plain body, or an event stream that ends with the last message.

Owns the order of ASGI messages and the knowledge whether anybody is still there. Knows no JSON-RPC and no session.
ASGI is an asyncio protocol in every server that we run under; `gone` uses nothing but `receive` itself.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from enum import Enum
from typing import Any, Final, Protocol

import anyio

__all__ = ["DIRECT", "Answer", "Direct", "Message", "Receive", "Send"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

_JSON: Final = (b"content-type", b"application/json")
_STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
"""The last one keeps nginx from holding events back."""


DIRECT: Final = "so.intended/direct"
"""Where a scope's `extensions` have what our own server offers beside `receive` and `send`: a `Direct`."""


class Direct(Protocol):
    """The short way for small messages (`cycle.py`). What it does not take goes by ASGI."""

    def gone(self) -> bool:
        """Return whether nobody is there any more."""
        ...

    def whole_body(self) -> bytes | None:
        """Return the request's body, once, if all of it is there."""
        ...

    def answer(self, status: int, body: bytes) -> bool:
        """Send the whole answer, as JSON; False where that must be done by `send`."""
        ...


class _Phase(Enum):
    NEW = 0
    STREAM = 1
    DONE = 2


_NEW, _STREAM, _DONE = _Phase


class Answer:
    """The answer to one HTTP request. Every method may be called after the agent has left; it then does nothing."""

    __slots__ = ("_direct", "_gone", "_lock", "_phase", "_receive", "_send", "_watched")

    def __init__(self, receive: Receive, send: Send, direct: Direct | None = None) -> None:
        self._receive = receive
        self._send = send
        self._direct = direct
        self._phase = _NEW
        self._gone = False
        self._watched = False
        self._lock: anyio.Lock | None = None

    @property
    def streaming(self) -> bool:
        """Whether an event stream is open."""
        return self._phase is _STREAM

    @property
    def complete(self) -> bool:
        """Whether the last byte has been sent."""
        return self._phase is _DONE

    def gone(self) -> bool:
        """Return whether the agent has closed its connection. To be asked only after the body was read."""
        if not self._gone and not self._watched:
            self._gone = _disconnected(self._receive) if self._direct is None else self._direct.gone()
        return self._gone

    async def watch(self) -> None:
        """Return once the agent has left (or the answer is complete)."""
        self._watched = True
        try:
            while not self._gone:
                if (await self._receive())["type"] == "http.disconnect":
                    self._gone = True
        finally:
            self._watched = False

    async def plain(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Send the whole answer as JSON, or an empty body."""
        if self._phase is not _NEW:
            return
        self._phase = _DONE
        if self._direct is not None and body and not headers and self._direct.answer(status, body):
            return
        length = (b"content-length", b"%d" % len(body))
        lines = [_JSON, length, *headers] if body else [length, *headers]
        await self._pass({"type": "http.response.start", "status": status, "headers": lines})
        await self._pass({"type": "http.response.body", "body": body})

    async def open(self, first: bytes = b"") -> None:
        """Begin an event stream, unless something was sent already; nothing overtakes the frame `first`."""
        if self._phase is not _NEW:
            return
        self._phase = _STREAM
        self._lock = anyio.Lock(fast_acquire=True)
        async with self._lock:
            await self._pass({"type": "http.response.start", "status": 200, "headers": list(_STREAM_HEADERS)})
            if first:
                await self._pass({"type": "http.response.body", "body": first, "more_body": True})

    async def write(self, frame: bytes, *, last: bool = False) -> None:
        """Send a frame of the event stream; waits while the agent reads slowly."""
        if self._lock is None:
            return
        async with self._lock:
            # Looked at under the lock: whoever held it may have ended the stream.
            if self._phase is not _STREAM:
                return
            if last:
                self._phase = _DONE
            await self._pass({"type": "http.response.body", "body": frame, "more_body": not last})

    async def end(self) -> None:
        """End the event stream, if one is open."""
        await self.write(b"", last=True)

    async def _pass(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:
            # ASGI 2.4: a send after the agent has left. Nobody is there to tell.
            self._gone = True


def _disconnected(receive: Receive) -> bool:
    """Ask `receive` for a message that is already there, without waiting and without a task.

    The awaitable is started and closed again at its first wait, which leaves nothing behind: a few microseconds,
    against the tens that a task per call would cost. The request's body has been read, so all that can be there is
    the disconnect.
    """
    step = receive().__await__()
    try:
        next(step)
    except StopIteration as done:
        return bool(done.value["type"] == "http.disconnect")
    step.close()
    return False
