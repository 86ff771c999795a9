"""The OpenAPI document: made from the operations and their models, completed by what FastAPI cannot know.

Owns the description, the security schemes, and that no answer is promised which is never given. The committed copy is
`docs/openapi.json`; a house test holds both together. FastAPI is loaded when the document is made: that would be two
fifths of the gateway's start.
"""

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

from pydantic import BaseModel, create_model

from gateway import __version__
from gateway.api.dialect import Dialect
from gateway.api.error_models import error_responses, error_schemas
from gateway.api.operation import TENANT, Endpoint, Operation, OperationRoute

if TYPE_CHECKING:
    from fastapi.routing import APIRoute

__all__ = ["ABOUT", "TITLE", "enveloped", "openapi"]

TITLE: Final = "Intended authority service"

ABOUT: Final = (
    "Two dialects over one core: the Intended API reference (bare objects, `{error, message, statusCode}`; every path"
    " with and without `/v1`) and the IntendedOps API guide (`{data}`, `{error: {code, message, details}}`; under"
    " `/v1`). A decision, an agent, an approval or an audit entry made through one is seen through the other and by"
    " MCP. Bodies are JSON in UTF-8; a key given twice, NaN, NUL, and integers beyond 2^53-1 are refused. Times are"
    " RFC 3339 in UTC with milliseconds."
)

SECURITY: Final = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "portal": {
        "type": "apiKey",
        "in": "header",
        "name": "x-portal-session-id",
        "description": "A portal session. Exactly one credential per request.",
    },
}

PARAMETERS: Final = {
    "tenantHeader": {
        "name": "x-tenant-id",
        "in": "header",
        "required": False,
        "description": "The credential's own tenant, which is meant where it is left out; any other is `FORBIDDEN`.",
        "schema": {"type": "string"},
    },
    "ifMatch": {
        "name": "if-match",
        "in": "header",
        "required": False,
        "description": "The version that is replaced, as `ETag` told it; or it stands in the body.",
        "schema": {"type": "string", "examples": ['"3"']},
    },
    "tenantInPath": {
        "name": "tenantId",
        "in": "path",
        "required": True,
        "description": "The credential's own tenant; any other is `FORBIDDEN`.",
        "schema": {"type": "string"},
    },
}

_NEVER: Final = "422"
"""FastAPI's own status for what is invalid; here that is 400."""


def openapi(routes: Iterable[object]) -> dict[str, Any]:
    """Return the document of the operations among the routes."""
    from fastapi import FastAPI

    shown = [one for one in routes if isinstance(one, OperationRoute) and not one.operation.hidden]
    app = FastAPI(title=TITLE, version=__version__, description=ABOUT, routes=list(map(_described, shown)))
    document = app.openapi()
    components = document["components"]
    for item in document["paths"].values():
        for operation in item.values():
            operation["responses"].pop(_NEVER, None)
            # In order of the status: FastAPI has the success first, whichever it is.
            operation["responses"] = dict(sorted(operation["responses"].items()))
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["schemas"] = dict(sorted({**components["schemas"], **error_schemas()}.items()))
    components["securitySchemes"] = SECURITY
    components["parameters"] = PARAMETERS
    return document


def _described(route: OperationRoute) -> "APIRoute":
    """Return the route as FastAPI describes it."""
    from fastapi.responses import JSONResponse, PlainTextResponse
    from fastapi.routing import APIRoute

    operation = route.operation
    return APIRoute(
        route.path,
        _stand_in(operation.endpoint),
        methods={operation.method},
        name=route.name,
        operation_id=route.name,
        summary=operation.summary,
        description=inspect.cleandoc(operation.endpoint.__doc__ or ""),
        tags=[operation.tag] if operation.tag else [],
        status_code=operation.status,
        response_model=enveloped(operation, route.dialect),
        response_class=PlainTextResponse if operation.text else JSONResponse,
        response_description="As asked.",
        responses=_responses(operation, route.dialect),
        openapi_extra=_extra(operation),
    )


def _stand_in(endpoint: Endpoint) -> Endpoint:
    """Return a function with the endpoint's parameters, its `query` marked as FastAPI wants it."""
    from fastapi import Query

    hints = get_type_hints(endpoint)
    if (model := hints.get("query")) is not None:
        hints["query"] = Annotated[model, Query()]
    signature = inspect.signature(endpoint)

    async def stand_in(*args: object, **named: object) -> None:
        """Never called."""

    parameters = [one.replace(annotation=hints[one.name]) for one in signature.parameters.values()]
    vars(stand_in)["__signature__"] = signature.replace(parameters=parameters, return_annotation=None)
    return stand_in


def enveloped(operation: Operation, dialect: Dialect) -> type[BaseModel] | None:
    """Return the model of a success with its envelope around it."""
    model = operation.answers
    if model is None or dialect is Dialect.REF:
        return model
    return create_model(f"{model.__name__}Data", __doc__=f"{model.__name__} in `data`.", data=(model, ...))


def _responses(operation: Operation, dialect: Dialect) -> dict[int | str, dict[str, Any]]:
    responses = error_responses(dialect, operation.errors())
    if operation.versioned:
        text = "The version, as `If-Match` takes it."
        responses[operation.status] = {"headers": {"ETag": {"description": text, "schema": {"type": "string"}}}}
    if operation.unwell is not None:
        responses[503] = {"model": operation.unwell, "description": "Not well."}
    return responses


def _extra(operation: Operation) -> dict[str, Any]:
    """Return what FastAPI cannot see: who may call it, and whether the body may be empty."""
    extra: dict[str, Any] = {"security": [] if operation.public else [{"apiKey": []}, {"bearer": []}, {"portal": []}]}
    if f"{{{TENANT}}}" in operation.path:
        extra["parameters"] = [{"$ref": "#/components/parameters/tenantInPath"}]
    if not operation.public:
        extra.setdefault("parameters", []).append({"$ref": "#/components/parameters/tenantHeader"})
        extra["x-intended-scope"] = str(operation.scope or "")
        if operation.roles:
            extra["x-intended-roles"] = sorted(operation.roles)
    if operation.versioned and operation.method != "GET":
        extra["parameters"].append({"$ref": "#/components/parameters/ifMatch"})
    if operation.body_optional:
        extra["requestBody"] = {"required": False}
    return extra
