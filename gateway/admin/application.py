"""The REST application as its operator sees it: every request is the operator's, in the tenant that it names.

Owns who is asking and for which tenant; what can be asked is the application's. Nobody gets here but through the admin
socket, or in the very process that holds the store.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

import orjson

from gateway.core.credentials import is_tenant_id
from gateway.core.principal import DEFAULT_TENANT
from gateway.services.operator import OPERATOR_KEY, operator

__all__ = ["App", "MetricsApp", "OperatorApp", "refusing"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TENANT: Final = b"x-tenant-id"

_PORT: Final = re.compile(r":[0-9]{1,5}$")

MONITORED: Final = frozenset({"/metrics", "/health", "/livez", "/readyz"})
"""What the port for metrics answers."""
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class OperatorApp:
    """Calls the application with the operator as principal; `x-tenant-id` names the tenant [default: `default`]."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        tenant = _tenant(scope["headers"])
        if not is_tenant_id(tenant):
            message = "`x-tenant-id` must be one tenant id: letters, digits, `_` and `-`, at most 63."
            await refusing(400, "INVALID_INTENT", message)(scope, receive, send)
            return
        await self._app({**scope, OPERATOR_KEY: operator(tenant)}, receive, send)


class MetricsApp:
    """The metrics of all tenants and the probes, read only, for a port that this machine alone reaches.

    A page in a browser of this machine reaches it too, under a name of its own that leads here: another `Host` is
    refused.
    """

    def __init__(self, app: App) -> None:
        self._app = OperatorApp(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or _PORT.sub("", hosts[0].lower()) not in _LOCAL:
            message = "Ask for 127.0.0.1 or localhost."
            await refusing(421, "MISDIRECTED_REQUEST", message)(scope, receive, send)
        elif scope["path"] not in MONITORED or scope["method"] not in ("GET", "HEAD"):
            message = "Here are /metrics, /health, /livez and /readyz, to be read."
            await refusing(404, "NOT_FOUND", message)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def refusing(status: int, code: str, message: str) -> App:
    """Return an application that refuses every request, in Ref's error shape, without reading it."""
    body = orjson.dumps({"error": code, "message": message, "statusCode": status})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return refuse


def _tenant(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the tenant named; what is named twice is joined, which no tenant id is."""
    named = [value.decode("latin-1") for name, value in headers if name == _TENANT]
    return ", ".join(named) if named else DEFAULT_TENANT
