"""`/openapi.json` and `/docs`: the document, and a page that shows it.

Both need no credential and tell what the published documents tell. The page works offline: its script and style are in
the package, and its content security policy lets nothing else in. It renders text only, never HTML from the document.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import anyio
import anyio.to_thread
import orjson
from starlette.responses import Response

from gateway.api.errors import JSON
from gateway.api.openapi import openapi
from gateway.api.operation import Endpoint, Operation, OperationRoute, PublicCall

__all__ = ["CSP", "Pages"]

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

_HEADERS: Final = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

_FILES: Final = {
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/docs/docs.css": ("docs.css", "text/css; charset=utf-8"),
}


class Pages:
    """The page and the document. The document is made once, when first asked for, off the event loop."""

    def __init__(self) -> None:
        self._routes: Sequence[OperationRoute] = ()
        self._document = b""
        self._making = anyio.Lock()

    def describe(self, routes: Sequence[OperationRoute]) -> None:
        """Say whose document it is."""
        self._routes = routes

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations; they are no part of the document."""
        document = _hidden("/openapi.json", "openapi", self._show_document)
        return (document, *(_hidden(path, name, _page(name, kind)) for path, (name, kind) in _FILES.items()))

    async def _show_document(self, call: PublicCall) -> Response:
        """The OpenAPI document."""
        async with self._making:
            if not self._document:
                self._document = await anyio.to_thread.run_sync(_made, self._routes)
        return Response(self._document, media_type=JSON)


def _made(routes: Sequence[OperationRoute]) -> bytes:
    return orjson.dumps(openapi(routes))


def _page(name: str, kind: str) -> Endpoint:
    content = files("gateway.api").joinpath("static", name).read_bytes()

    async def show(call: PublicCall) -> Response:
        """A file of the page."""
        return Response(content, headers={**_HEADERS, "content-type": kind})

    return show


def _hidden(path: str, name: str, endpoint: Endpoint) -> Operation:
    return Operation(method="GET", path=path, name=name, summary=name, endpoint=endpoint, public=True, hidden=True)
