"""One REST operation as data, and the line that each request of it walks.

1. The path as sent is the path as matched, else 404: what a proxy in front sees is what is meant.
2. `authenticate` → principal (401, 403, 429, 503), then scope and role (403).
3. A tenant in the path or body that is not the principal's is 403.
4. Query and body against their models (400, 413, 415).
5. The endpoint: one use case, in the words of its dialect.
6. The answer in its envelope; every error by the one table.

FastAPI is taken for what it is good at, the OpenAPI document (`openapi.py`, only when that is asked for). Of its
request handling nothing runs, so that there is one strict reading and one error shape per dialect.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, get_type_hints

import anyio
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.api.authenticate import PRINCIPAL, authenticate, require
from gateway.api.dialect import Dialect, success_body
from gateway.api.errors import (
    JSON,
    MethodNotAllowed,
    PayloadTooLarge,
    UnknownPath,
    UnsupportedMediaType,
    error_answer,
    row_of,
)
from gateway.api.services import Services
from gateway.api.strict import read_json, read_model, read_query
from gateway.core.message import WireLimits
from gateway.core.principal import Principal, Role
from gateway.core.principal import Scope as Permission
from gateway.errors import Forbidden, InvalidRequest, NotFound, RateLimited, StoreError, Unauthenticated
from gateway.services.authentication import require_tenant

__all__ = ["STRANGERS_BODY_BYTES", "Call", "Endpoint", "Operation", "OperationRoute", "PublicCall"]

STRANGERS_BODY_BYTES: Final = 4096
"""Of a request that needs no credential; a login code has fifty characters."""

RECORD_S: Final = 1.0
"""For a refusal to be recorded; it stands either way."""

TENANT: Final = "tenantId"
"""The parameter or member that names a tenant, wherever it is."""

Endpoint = Callable[..., Awaitable[Any]]

_log = logging.getLogger(__name__)


class PublicCall(Request):
    """A request that needs no credential."""

    def __init__(self, scope: Scope, services: Services) -> None:
        super().__init__(scope)
        self.services = services
        self.answer_headers: dict[str, str] = {}


class Call(PublicCall):
    """A request whose principal may make it."""

    def __init__(self, scope: Scope, services: Services, principal: Principal) -> None:
        super().__init__(scope, services)
        self.principal = principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one route is. `endpoint` takes the call, then by name `body`, `query` and the parameters of the path.

    `scope` None asks for a valid credential only; `public` asks for none. `answers` is the model of a success, `unwell`
    that of a 503 which is no error; one with `text` answers plain text. `also` are the errors beyond those that follow
    from the rest. `hidden` operations are not in the OpenAPI document; one with `both_prefixes` is served under `/v1`
    too. A `versioned` one answers with an `ETag`, and takes `If-Match` where it changes something.
    """

    method: str
    path: str
    name: str
    summary: str
    endpoint: Endpoint
    answers: type[BaseModel] | None = None
    unwell: type[BaseModel] | None = None
    status: int = 200
    scope: Permission | None = None
    roles: frozenset[Role] = frozenset()
    public: bool = False
    body_optional: bool = False
    also: tuple[type[Exception], ...] = ()
    hidden: bool = False
    both_prefixes: bool = False
    versioned: bool = False
    text: bool = False
    tag: str = ""

    def model(self, name: str) -> type[BaseModel] | None:
        """Return the model of the endpoint's `body` or `query`, if it takes one."""
        hint = get_type_hints(self.endpoint).get(name)
        return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None

    def errors(self) -> tuple[type[Exception], ...]:
        """Return every error that the operation can answer."""
        found: list[type[Exception]] = [*self.also, Exception]
        if not self.public:
            found += [Unauthenticated, Forbidden, RateLimited, StoreError]
        if self.model("query") is not None:
            found.append(InvalidRequest)
        if self.model("body") is not None:
            found += [InvalidRequest, PayloadTooLarge, UnsupportedMediaType]
        if "{" in self.path:
            found += [NotFound, UnknownPath]
        return tuple(found)


class OperationRoute(Route):
    """One operation at one path. `allowed` are the methods that the path takes by all of its operations."""

    def __init__(
        self,
        operation: Operation,
        *,
        path: str,
        name: str,
        dialect: Dialect,
        allowed: tuple[str, ...],
        services: Services,
        limits: WireLimits,
    ) -> None:
        super().__init__(path, operation.endpoint, methods=[operation.method], name=name)
        self.methods = {operation.method}  # HEAD is answered where it is allowed, by the table of `allowed`
        self.operation = operation
        self.dialect = dialect
        self._allowed = (*allowed, "HEAD") if operation.public and operation.method == "GET" else allowed
        self._services = services
        bound = min(STRANGERS_BODY_BYTES, limits.body_bytes) if operation.public else limits.body_bytes
        self._limits = replace(limits, body_bytes=bound)
        self._body = operation.model("body")
        self._query = operation.model("query")
        self._has_tenant = f"{{{TENANT}}}" in path

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; of whatever happens on the way."""
        response: Response
        try:
            response = await self._answer(scope, receive)
            if scope["method"] == "HEAD":
                response.body = b""  # its length stays in the headers
        except ClientDisconnect:
            return
        except Exception as fault:  # noqa: BLE001 - the one place of this face; the table answers
            response = await self._refuse(scope, fault)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        if b"%" in scope.get("raw_path", b""):
            raise UnknownPath
        if scope["method"] not in self._allowed:
            raise MethodNotAllowed(self._allowed)
        call = self._admit(scope)
        arguments: dict[str, Any] = dict(scope["path_params"])
        if self._query is not None:
            arguments["query"] = read_query(self._query, scope["query_string"])
        if self._body is not None:
            arguments["body"] = await self._read(call, receive, self._body)
        arguments.pop(TENANT, None)
        answer = await self.operation.endpoint(call, **arguments)
        if isinstance(answer, Response):
            return answer
        headers = call.answer_headers if self.operation.public else {**_PRIVATE, **call.answer_headers}
        body = success_body(self.dialect, answer)
        return Response(body, status_code=self.operation.status, headers=headers, media_type=JSON)

    def _admit(self, scope: Scope) -> PublicCall:
        """Return the call of who may make it."""
        operation = self.operation
        if operation.public:
            return PublicCall(scope, self._services)
        principal = authenticate(scope, self._services.authentication)
        require(principal, operation.scope, operation.roles)
        if self._has_tenant:
            require_tenant(principal, scope["path_params"][TENANT])
        return Call(scope, self._services, principal)

    async def _read(self, call: PublicCall, receive: Receive, model: type[BaseModel]) -> BaseModel:
        value = await read_json(call.scope["headers"], receive, self._limits, optional=self.operation.body_optional)
        if value is None:
            value = {}
        if isinstance(call, Call) and isinstance(value.get(TENANT), str):
            require_tenant(call.principal, value[TENANT])
        return read_model(model, value)

    async def _refuse(self, scope: Scope, fault: Exception) -> Response:
        """Return the answer to a request that failed; record a refusal, log what nobody foresaw."""
        row = row_of(fault)
        if row.error is Exception:
            # The message of an unforeseen error may hold anything, so it is not logged.
            places = "".join(traceback.format_tb(fault.__traceback__))
            _log.error("unforeseen fault in the REST API: %s\n%s", type(fault).__name__, places)
        status, code = row.of(self.dialect)
        if status in _RECORDED and not (isinstance(fault, RateLimited) and fault.repeated):
            client = scope.get("client")
            # Only who is known and may not do something, or does too much (the first time in a minute), has an entry
            # of its own; the rest is told in summary.
            principal = scope.get(PRINCIPAL) if status in _OWN else None
            with anyio.move_on_after(RECORD_S):
                await self._services.refusals.note(principal, client[0] if client else "", code=code, status=status)
        return error_answer(self.dialect, fault)


_PRIVATE: Final = {"cache-control": "no-store"}
"""Tokens, keys and sessions are told in answers."""
_RECORDED: Final = frozenset({400, 401, 403, 413, 415, 429})
_OWN: Final = frozenset({403, 429})
"""Refusals that are recorded as the principal's, where it is known who asks."""
