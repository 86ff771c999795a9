"""How a request came, noted before the front takes it: composed around the front only where tracing is on.

Owns what HTTP says that a span wants to know. Refuses nothing and changes nothing.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from gateway.core.tracing import TraceContext, read_context
from gateway.services.tracing import ARRIVAL, Arrival

__all__ = ["noting_arrival"]

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

MAX_SESSION_CHARS: Final = 128
"""Of a session id that an agent names; ours are shorter, and any other is refused."""


def noting_arrival(front: App) -> App:
    """Return the front with its requests' arrivals noted for their spans."""

    def noting(scope: Scope, receive: Any, send: Any) -> Awaitable[None]:
        ARRIVAL.set(_arrival(scope))
        return front(scope, receive, send)

    return noting


def _arrival(scope: Scope) -> Arrival:
    headers = dict(scope["headers"])
    told: dict[str, str | int | float | bool] = {"network.transport": "tcp", "network.protocol.name": "http"}
    session = _text(headers, b"mcp-session-id")
    if session:
        told["mcp.session.id"] = session[:MAX_SESSION_CHARS]
    server = scope.get("server")
    if server is not None and server[1] is not None:
        told["server.address"], told["server.port"] = server
    return Arrival(link=_link(headers), attributes=told)


def _link(headers: dict[bytes, bytes]) -> TraceContext | None:
    return read_context(_text(headers, b"traceparent"), _text(headers, b"tracestate"))


def _text(headers: dict[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")
