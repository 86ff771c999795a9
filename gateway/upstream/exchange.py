"""HTTP exchanges with one upstream: its address, the headers of this hop, and which pool a request may use.

Owns what goes into a request's head. Only the headers configured for this upstream, those of the protocol, and the
agent's `Mcp-Param-*` go out: there is no way in for the agent's own credential or cookies.

Calls, streams and control messages have a pool each. A call may wait for the agent's answer to a question of the
upstream; if that answer had to wait for a connection that calls hold, neither would ever end.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from gateway.core.headers import encode_value
from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import NAME_MEMBER
from gateway.core.tokens import AUTHORITY_HEADER
from gateway.errors import ConfigurationError, Problem, UpstreamUnreachable
from gateway.upstream.connection import Connection, ConnectionLimits, Head, Outbox
from gateway.upstream.pool import Address, Pool

__all__ = ["Exchange", "modern_headers", "param_headers", "session_headers"]

CONTROL_CONNECTIONS: Final = 8
"""For notifications, answers to the upstream's questions and the end of sessions: short exchanges all of them."""
STREAM_TOTAL: Final = 16
"""All bytes of one request's stream, in answers of the largest size. A stream's memory is bounded by back-pressure;
this bounds the work that an endless one can cause."""
MIN_STREAM_TOTAL: Final = 1024 * 1024

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
FORBIDDEN_IN_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
OWN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect"}
    | {"keep-alive", "last-event-id", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    | {AUTHORITY_HEADER.lower()}
)
"""What the exchange writes itself. Set by an operator, these would break its framing."""


class Exchange:
    """Sends requests to one URL. `tls` replaces the system's trust, for an authority of one's own."""

    def __init__(
        self,
        label: str,
        url: str,
        headers: Mapping[str, str],
        *,
        connect_timeout_s: float,
        max_answer_bytes: int,
        max_connections: int,
        max_streams: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = _checked_url(label, url)
        context = tls or ssl.create_default_context() if parts.scheme == "https" else None
        host = str(parts.hostname)
        address = Address(host=host, port=parts.port or (443 if context else 80), tls=context)
        self._line = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1\r\n".encode("ascii")
        self._common = _common_headers(label, parts, headers)
        self._post_head = (
            b"POST %bAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n%b"
            % (self._line, self._common)
        )
        outbox = Outbox()

        def pool(size: int) -> Pool:
            return Pool(label, address, size=size, connect_timeout_s=connect_timeout_s, outbox=outbox)

        self._calls, self._streams, self._control = pool(max_connections), pool(max_streams), pool(CONTROL_CONNECTIONS)
        self._call_limits = ConnectionLimits(
            answer_bytes=max_answer_bytes, stream_bytes=max(max_answer_bytes * STREAM_TOTAL, MIN_STREAM_TOTAL)
        )
        self._stream_limits = ConnectionLimits(answer_bytes=max_answer_bytes)

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The one loop that this is used in, asked for once: in Python 3.11 each asking is a system call (getpid)."""
        return asyncio.get_running_loop()

    def deadline(self, timeout_s: float) -> float:
        """Return the event loop's time so many seconds from now."""
        return self._loop.time() + timeout_s

    def connection(self, deadline: float, *, stream: bool = False) -> Awaitable[Connection]:
        """Return a connection for one call, or for a stream of any length. Raises UpstreamError: nothing was sent.

        Whoever takes it ends it, by `done` once the answer was read, by `abort` otherwise.
        """
        return (self._streams if stream else self._calls).acquire(deadline)

    def post(
        self, connection: Connection, body: bytes, headers: bytes, deadline: float, *, stream: bool
    ) -> Awaitable[Head]:
        """Send a request and wait for its answer's head. Raises UpstreamError."""
        limits = self._stream_limits if stream else self._call_limits
        return connection.send(self._post(body, headers), deadline, limits)

    async def stream(self, headers: bytes, deadline: float) -> Connection:
        """GET a stream; return the connection, the answer's head read. Raises UpstreamError."""
        head = b"GET %bAccept: text/event-stream\r\n%b%b\r\n" % (self._line, self._common, headers)
        return await self._send(self._streams, head, deadline, self._stream_limits)

    async def control(self, body: bytes, headers: bytes, timeout_s: float) -> Head:
        """POST a message that has no answer, return the head of what comes. Raises UpstreamError."""
        return await self._head(self._post(body, headers), timeout_s)

    async def delete(self, headers: bytes, timeout_s: float) -> Head:
        """Send DELETE, return the head of what comes. Raises UpstreamError."""
        return await self._head(b"DELETE %b%b%b\r\n" % (self._line, self._common, headers), timeout_s)

    def close(self) -> None:
        """Close every connection at once."""
        for pool in (self._calls, self._streams, self._control):
            pool.close()

    def _post(self, body: bytes, headers: bytes) -> bytes:
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._post_head, headers, len(body), body)

    async def _head(self, request: bytes, timeout_s: float) -> Head:
        deadline = self.deadline(timeout_s)
        connection = await self._send(self._control, request, deadline, self._call_limits)
        try:
            if connection.sse is None:
                await connection.body()
        except BaseException:
            connection.abort()
            raise
        head = connection.head
        connection.done()
        return head

    async def _send(self, pool: Pool, request: bytes, deadline: float, limits: ConnectionLimits) -> Connection:
        connection = await pool.acquire(deadline)
        try:
            await connection.send(request, deadline, limits)
        except BaseException:
            connection.abort()
            raise
        return connection


# --- headers ----------------------------------------------------------------------------------------------------------


def modern_headers(method: str, params: JsonObject, version: str) -> bytes:
    """Return the routing headers of a stateless request, made from its body (2026-07-28, transports)."""
    name = params.get(NAME_MEMBER[method]) if method in NAME_MEMBER else None
    return _routing_headers(method, name if isinstance(name, str) else None, version)


@lru_cache(maxsize=512)
def _routing_headers(method: str, name: str | None, version: str) -> bytes:
    """Return the lines; the same tools are called again and again."""
    line = "" if name is None else f"Mcp-Name: {encode_value(name)}\r\n"
    shown = encode_value(method)
    return f"MCP-Protocol-Version: {encode_value(version)}\r\nMcp-Method: {shown}\r\n{line}".encode("ascii")


def session_headers(version: str, session_id: str, last_event_id: str = "") -> bytes:
    """Return the headers of a request in a handshake session; what is empty is left out."""
    lines = [f"MCP-Protocol-Version: {version}"] if version else []
    if session_id:
        lines.append(f"Mcp-Session-Id: {session_id}")
    if last_event_id:
        lines.append(f"Last-Event-ID: {last_event_id}")
    return "".join(f"{line}\r\n" for line in lines).encode()


def param_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the call's own headers unchanged: the agent's `Mcp-Param-*`, and the gateway's authority token.

    Raises UpstreamUnreachable for any other.
    """
    lines = []
    for name, value in headers:
        passed = name == AUTHORITY_HEADER or name.lower().startswith("mcp-param-")
        if not passed or TOKEN.fullmatch(name) is None or _unsafe(value):
            msg = (
                "a header that must not be passed on was given (Mcp-Param-*, one line, was expected); nothing was sent"
            )
            raise UpstreamUnreachable(msg, may_have_run=False)
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


def _unsafe(value: str) -> bool:
    return FORBIDDEN_IN_VALUE.search(value) is not None


# --- configuration ----------------------------------------------------------------------------------------------------


def _checked_url(label: str, url: str) -> SplitResult:
    problem = _url_problem(url)
    if problem:
        remedy = "write http://HOST[:PORT]/PATH or https://…, and put a credential into `headers`"
        raise ConfigurationError(Problem(source=label, field="url", message=problem, remedy=remedy))
    return urlsplit(url)


def _url_problem(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "is not an http or https URL with a host"
    if parts.username is not None or parts.password is not None:
        return "holds a credential"
    if parts.fragment:
        return "has a fragment (#…)"
    if not url.isascii() or re.search(r"[\x00-\x20\x7f]", url):
        return "holds spaces, control characters or letters beyond ASCII"
    return ""


def _common_headers(label: str, parts: SplitResult, headers: Mapping[str, str]) -> bytes:
    lines = {"host": f"Host: {parts.netloc}", "accept-encoding": "Accept-Encoding: identity"}
    lines["user-agent"] = "User-Agent: intended-mcp-gateway"
    for name, value in headers.items():
        key = name.lower()
        bad_name = TOKEN.fullmatch(name) is None or key in OWN_HEADERS or key.startswith("mcp-")
        if bad_name or _unsafe(value) or value != value.strip():
            message = f"header {name!r} cannot be sent" if bad_name else f"the value of header {name!r} cannot be sent"
            remedy = "use a plain header name that MCP does not use itself, and a value on one line"
            raise ConfigurationError(Problem(source=label, field="headers", message=message, remedy=remedy))
        lines[key] = f"{name}: {value}"
    return "".join(f"{line}\r\n" for line in lines.values()).encode("latin-1")
