"""The OpenAPI document: made from the operations and their models, completed by what FastAPI cannot know.

Owns the description, the security schemes, and that no answer is promised which is never given. The committed copy is
`docs/openapi.json`; a house test holds both together.
"""

from typing import Any, Final

from fastapi import FastAPI

from gateway.api.error_models import error_schemas

__all__ = ["ABOUT", "TITLE", "openapi"]

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


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the document of the application's operations."""
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
