"""One handshake-era session over Streamable HTTP: initialise, requests, the GET stream, resumption, the end.

Owns the order of opening (research/protocol.md 1.5): nothing else is sent before the upstream's GET stream was answered
or two seconds have passed, because an upstream may ask the agent on that stream and would lose its question.

The GET stream is read by a task of the session's own, from `open` to `aclose`. It is an asyncio task because these two
are called from different tasks and no nursery spans both.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import anyio

from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.errors import SessionLost, UpstreamBroken, UpstreamError, UpstreamTimeout
from gateway.ports import Outbound, Relay
from gateway.upstream.asking import Asking
from gateway.upstream.connection import Connection
from gateway.upstream.exchange import Exchange, param_headers, session_headers
from gateway.upstream.messages import (
    CANCELLED,
    Shape,
    encode_notification,
    encode_request,
    params_of,
    with_progress_token,
)
from gateway.upstream.probing import agreed_version
from gateway.upstream.reading import Take, read_reply, refusal
from gateway.upstream.streams import follow, listen

__all__ = ["HttpSession"]

STREAM_WAIT_S: Final = 2.0
"""How long `open` waits for the GET stream to be answered (research/protocol.md 1.5)."""
CONTROL_S: Final = 10.0
"""For a message without an answer: a notification, or our answer to a question of the upstream."""
CLOSE_S: Final = 2.0
"""For telling the upstream that a request or the session has ended; the caller waits meanwhile."""


class HttpSession:
    """`ports.UpstreamSession` over HTTP. `ended` is told once the session is closed."""

    def __init__(
        self,
        upstream_id: str,
        exchange: Exchange,
        ids: Iterator[int],
        relay: Relay,
        ended: Callable[["HttpSession"], None],
    ) -> None:
        self._label = f"upstream {upstream_id}"
        self._exchange = exchange
        self._ids = ids
        self._relay = relay
        self._ended = ended
        self._asking = Asking(upstream_id, self._control)
        self._initialized: JsonObject = {}
        self._version = ""
        self._session_id = ""
        self._headers = b""
        self._tokens: dict[int, JsonValue] = {}
        self._lost = False
        self._closed = False
        self._answered = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    @property
    def initialized(self) -> JsonObject:
        """The upstream's whole `initialize` result."""
        return self._initialized

    # --- opening and closing ---

    async def open(self, version: str, params: JsonObject, *, timeout_s: float, listen: bool) -> None:
        """Initialise, confirm, and (with `listen`) open the GET stream. Raises UpstreamError."""
        offer = Outbound(
            method="initialize", params={**params, "protocolVersion": version}, version="", timeout_s=timeout_s
        )
        answer = await self._request(offer, self._relay)
        self._version = agreed_version(answer, self._label)
        self._initialized = answer["result"]
        self._headers = session_headers(self._version, self._session_id)
        await self.notify("notifications/initialized", {})
        if listen:
            self._listener = asyncio.create_task(self._listen())
            with anyio.move_on_after(STREAM_WAIT_S):
                await self._answered.wait()

    async def aclose(self) -> None:
        """Stop listening and end the session upstream."""
        if self._closed:
            return
        self._closed = True
        with anyio.move_on_after(CLOSE_S, shield=True):
            if self._listener is not None:
                self._listener.cancel()
                await asyncio.gather(self._listener, return_exceptions=True)
            await self._asking.aclose()
            if self._session_id and not self._lost:
                await self._delete()
        self._ended(self)

    async def _delete(self) -> None:
        try:
            await self._exchange.delete(session_headers(self._version, self._session_id), CLOSE_S)
        except UpstreamError:
            return  # it has no session to end, or will end it by itself

    # --- messages ---

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """Send one request, return its answer; see the port."""
        self._check_open()
        return await self._request(outbound, relay)

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send one notification; progress on nothing that was asked, and cancellations by foreign ids, end here."""
        self._check_open()
        if method == CANCELLED:
            return  # ids are per hop; `request` itself tells the upstream, by ours
        restored = self._asking.restore(method, params)
        if restored is not None:
            await self._control(encode_notification(method, restored))

    def _check_open(self) -> None:
        if self._closed or self._lost:
            raise SessionLost(f"{self._label}: the session has ended; initialise again", may_have_run=False)

    async def _control(self, body: bytes) -> None:
        head = await self._exchange.control(body, self._headers, CONTROL_S)
        if not 200 <= head.status < 300:
            error = refusal(head, self._label, session=bool(self._session_id))
            self._lost = self._lost or isinstance(error, SessionLost)
            raise error

    async def _request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        request_id = next(self._ids)
        params, token = with_progress_token(outbound.params, request_id)
        body = encode_request(request_id, outbound.method, params)
        headers = self._headers + param_headers(outbound.headers) if outbound.headers else self._headers
        deadline = self._exchange.deadline(outbound.timeout_s)
        connection = await self._exchange.connection(deadline)
        if token is not None:
            self._tokens[request_id] = token
        try:
            await self._exchange.post(connection, body, headers, deadline, stream=False)
            if not self._version:
                self._take_session_id(connection)
            return await self._answer(connection, request_id, relay, deadline)
        except BaseException as error:
            connection.abort()
            self._asking.drop(relay)
            self._lost = self._lost or isinstance(error, SessionLost)
            if self._version and isinstance(error, (asyncio.CancelledError, UpstreamTimeout)):
                await self._tell_cancelled(request_id)
            raise
        finally:
            self._tokens.pop(request_id, None)

    def _take_session_id(self, connection: Connection) -> None:
        session_id = connection.head.session_id
        if not (session_id.isascii() and session_id.isprintable() and " " not in session_id):
            msg = f"{self._label} sent a session id that is not visible ASCII"
            raise UpstreamBroken(msg, may_have_run=True)
        self._session_id = session_id

    async def _tell_cancelled(self, request_id: int) -> None:
        """A disconnect is no cancellation in this era; the upstream is told, in bounded time."""
        with anyio.move_on_after(CLOSE_S, shield=True):
            try:
                await self._control(encode_notification(CANCELLED, {"requestId": request_id}))
            except UpstreamError:
                return  # it could not be told; whoever waited has given up in any case

    # --- streams ---

    async def _answer(self, connection: Connection, request_id: int, relay: Relay, deadline: float) -> JsonObject:
        if connection.sse is None:
            answer = await read_reply(connection, request_id, self._label, session=bool(self._session_id))
            connection.done()
            return answer
        take = self._take_for(relay)
        return await follow(
            self._exchange, connection, self._headers_from, request_id, self._label, take, relay.paused, deadline
        )

    async def _listen(self) -> None:
        take = self._take_for(self._relay)
        try:
            await listen(self._exchange, self._headers_from, self._label, take, self._answered.set)
        finally:
            self._answered.set()

    def _headers_from(self, last_event_id: str) -> bytes:
        return session_headers(self._version, self._session_id, last_event_id)

    def _take_for(self, relay: Relay) -> Take:
        async def take(shape: Shape, message: JsonObject) -> None:
            if shape is Shape.REQUEST:
                await self._asking.take(message, relay)
            elif message["method"] == CANCELLED:
                self._asking.cancel(message.get("params", {}).get("requestId"))
            else:
                params = params_of(message, self._tokens)
                if params is not None:
                    await relay.notification(message["method"], params)

        return take
