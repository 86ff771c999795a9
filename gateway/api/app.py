"""The REST application: the operations of both dialects by path and method, and a plain 404 for the rest.

Owns which path has which operation: a table made of tuples, nothing registers itself. Clients look for OAuth documents
and registration where there are none; HTML or a redirect there would read as "found" (research/ecosystem.md 1.2), so
whatever is unknown is a 404 in JSON, in the shape of its path's dialect.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from gateway.api import docs, metrics, ops, probes, ref
from gateway.api.dialect import dialect_of
from gateway.api.errors import UnknownPath, error_answer
from gateway.api.operation import Operation, OperationRoute
from gateway.api.services import Services
from gateway.core.message import WireLimits

__all__ = ["RestApp", "placed", "rest_app"]

V1: Final = "/v1"


class RestApp(Router):
    """The routes. A path that is written in full goes straight to its operation, without a walk through all of them."""

    def __init__(self, routes: Sequence[OperationRoute]) -> None:
        super().__init__(routes=routes, redirect_slashes=False, default=_unknown)
        self._exact: dict[str, dict[str, OperationRoute]] = {}
        for route in routes:
            if "{" not in route.path:
                self._exact.setdefault(route.path, {})[route.operation.method] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        routes = self._exact.get(scope["path"])
        if routes is None:
            await super().__call__(scope, receive, send)
            return
        route = routes.get(scope["method"]) or next(iter(routes.values()))  # any of them knows what the path takes
        await route.handle({**scope, "path_params": {}}, receive, send)


def rest_app(services: Services, limits: WireLimits) -> RestApp:
    """Return the ASGI app of everything that is not MCP."""
    operations = (*ref.OPERATIONS, *ops.OPERATIONS, *probes.operations(services.clock), *metrics.OPERATIONS)
    pages = docs.Pages()
    routes = [
        OperationRoute(
            operation,
            path=path,
            name=name,
            dialect=dialect_of(path),
            allowed=allowed,
            services=services,
            limits=limits,
        )
        for operation, path, name, allowed in placed((*operations, *pages.operations()))
    ]
    app = RestApp(routes)
    pages.describe(routes)
    return app


def placed(operations: Iterable[Operation]) -> Iterator[tuple[Operation, str, str, tuple[str, ...]]]:
    """Yield each operation with a path, the name of its operation there, and all methods that the path takes."""
    places = [
        (operation, prefix + operation.path, operation.name + ("_v1" if prefix else ""))
        for operation in operations
        for prefix in (("", V1) if operation.both_prefixes else ("",))
    ]
    for operation, path, name in places:
        yield operation, path, name, tuple(sorted({one.method for one, other, _ in places if other == path}))


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request for a path that nothing has."""
    await error_answer(dialect_of(scope["path"]), UnknownPath())(scope, receive, send)
