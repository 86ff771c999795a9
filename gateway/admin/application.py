"""The REST application as its operator sees it: every request is the operator's, in the tenant that it names.

Owns who is asking and for which tenant; what can be asked is the application's. Nobody gets here but through the admin
socket, or in the very process that holds the store.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

import orjson

from gateway.core.credentials import is_tenant_id
from gateway.core.principal import DEFAULT_TENANT
from gateway.services.operator import OPERATOR_KEY, operator

__all__ = ["App", "OperatorApp", "refusing"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TENANT: Final = b"x-tenant-id"


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
