"""An MCP server behind Streamable HTTP, in both eras: what it speaks, stateless requests, and its sessions.

Owns the upstream's life: what was found out about it, its open sessions, its connections. The handshake era's session
is `session.py`, the exchange itself `exchange.py`.
"""

import ssl
from collections.abc import Coroutine, Mapping
from itertools import count
from typing import Any, Final

import anyio

from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.versions import HANDSHAKE_VERSIONS
from gateway.errors import UpstreamBroken, UpstreamError, UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from gateway.ports import Outbound, Relay, UpstreamSession, UpstreamSupport
from gateway.ports.silence import SilentRelay
from gateway.upstream.exchange import Exchange, modern_headers, param_headers
from gateway.upstream.messages import Shape, encode_request, params_of, with_progress_token
from gateway.upstream.probing import Probe, discover, handshake_versions, initialize_params, modern_versions
from gateway.upstream.reading import Take, read_reply, read_stream
from gateway.upstream.session import HttpSession

__all__ = ["HttpUpstream"]

LISTEN: Final = "subscriptions/listen"
DISCOVER_S: Final = 10.0
"""For `server/discover`: some servers of the handshake era leave what they do not know unanswered."""
CLOSE_S: Final = 5.0
"""For ending all sessions of an upstream; what is not done by then is cut."""


NOT_MODERN: Final = UpstreamSupport(handshake=(), modern=())


class HttpUpstream:
    """`ports.Upstream` over Streamable HTTP. Must be made and used in one event loop.

    `headers` go out with every request and hold this upstream's own credential. `tls` replaces the system's trust.
    Raises ConfigurationError where the URL or a header cannot be used.
    """

    def __init__(
        self,
        id: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        connect_timeout_s: float = 5.0,
        open_timeout_s: float = 30.0,
        max_answer_bytes: int = 64 * 1024 * 1024,
        max_connections: int = 100,
        max_streams: int = 1000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._id = id
        self._label = f"upstream {id}"
        self._exchange = Exchange(
            self._label,
            url,
            headers or {},
            connect_timeout_s=connect_timeout_s,
            max_answer_bytes=max_answer_bytes,
            max_connections=max_connections,
            max_streams=max_streams,
            tls=tls,
        )
        self._open_timeout_s = open_timeout_s
        self._ids = count(1)
        self._sessions: set[HttpSession] = set()
        self._probe = Probe(self._find_support)
        self._modern_probe = Probe(self._find_modern)
        self._closed = False

    @property
    def id(self) -> str:
        """Its name in the configuration."""
        return self._id

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """Modern era: send one stateless request, return its answer.

        `subscriptions/listen` ends by its result, by the deadline (which may be `math.inf`), by cancelling, or as
        UpstreamBroken with the end of the stream. Its notifications carry the `subscriptionId` of this hop.
        """
        request_id = next(self._ids)
        params, token = with_progress_token(outbound.params, request_id)
        body = encode_request(request_id, outbound.method, params)
        headers = modern_headers(outbound.method, params, outbound.version)
        if outbound.headers:
            headers += param_headers(outbound.headers)
        deadline = self._exchange.deadline(outbound.timeout_s)
        stream = outbound.method == LISTEN
        connection = await self._exchange.connection(deadline, stream=stream)
        try:
            await self._exchange.post(connection, body, headers, deadline, stream=stream)
            if connection.sse is None:
                answer = await read_reply(connection, request_id, self._label, session=False)
            else:
                take = self._take(relay, {} if token is None else {request_id: token})
                found = await read_stream(connection, request_id, self._label, take, deadline)
                if found is None:
                    raise UpstreamBroken(f"{self._label} ended its stream without an answer", may_have_run=True)
                answer = found
        except BaseException:
            # Also where the caller gives up: closing the stream is how a request is cancelled in this era.
            connection.abort()
            raise
        connection.done()
        return answer

    async def connect(self, *, version: str, params: JsonObject, relay: Relay) -> UpstreamSession:
        """Open a session, its GET stream answered or two seconds waited for. Raises UpstreamError."""
        return await self._open(version, params, relay, listen=True)

    def support(self, *, refresh: bool = False, handshake: bool = True) -> Coroutine[Any, Any, UpstreamSupport]:
        """Return what it speaks; asked once however many want to know. A failure is not kept. Raises UpstreamError."""
        probe = self._probe if handshake else self._modern_probe
        return probe.support(refresh=refresh)

    async def aclose(self) -> None:
        """End every session and close every connection."""
        self._closed = True
        with anyio.move_on_after(CLOSE_S, shield=True):
            async with anyio.create_task_group() as group:
                for session in tuple(self._sessions):
                    group.start_soon(session.aclose)
        self._exchange.close()

    # --- inside ---

    async def _open(self, version: str, params: JsonObject, relay: Relay, *, listen: bool) -> HttpSession:
        if self._closed:
            raise UpstreamUnreachable(f"{self._label} is closed", may_have_run=False)
        session = HttpSession(self._id, self._exchange, self._ids, relay, self._sessions.discard)
        self._sessions.add(session)
        try:
            await session.open(version, params, timeout_s=self._open_timeout_s, listen=listen)
        except BaseException:
            await session.aclose()
            raise
        return session

    def _take(self, relay: Relay, tokens: Mapping[int, JsonValue]) -> Take:
        async def take(shape: Shape, message: JsonObject) -> None:
            if shape is Shape.REQUEST:
                msg = f"{self._label} sent a request of its own, which has no place in the modern era"
                raise UpstreamBroken(msg, may_have_run=True)
            params = params_of(message, tokens)
            if params is not None:
                await relay.notification(message["method"], params)

        return take

    async def _find_support(self) -> UpstreamSupport:
        known = await self._modern_probe.support(refresh=True)
        modern, discovered = known.modern, known.discovered
        try:
            session = await self._open(HANDSHAKE_VERSIONS[-1], initialize_params(), SilentRelay(), listen=False)
        except UpstreamError:
            if not modern:
                raise
            return UpstreamSupport(handshake=(), modern=modern, discovered=discovered)
        agreed = session.initialized["protocolVersion"]
        await session.aclose()
        return UpstreamSupport(handshake=handshake_versions(agreed), modern=modern, discovered=discovered)

    async def _find_modern(self) -> UpstreamSupport:
        """Ask `server/discover`. A server of the handshake era may answer anything at all, or nothing."""
        try:
            answer = await self.request(discover(min(self._open_timeout_s, DISCOVER_S)), SilentRelay())
        except UpstreamUnreachable:
            raise
        except UpstreamRefused as error:
            if error.status in (401, 403):
                raise
            return UpstreamSupport(handshake=(), modern=(), refused=error.status)
        except (UpstreamBroken, UpstreamTimeout):
            return NOT_MODERN
        modern = modern_versions(answer)
        return UpstreamSupport(handshake=(), modern=modern, discovered=answer.get("result", {}) if modern else {})
