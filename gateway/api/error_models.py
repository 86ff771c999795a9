"""What an error answer looks like in the OpenAPI document, and which errors a route can answer.

Owns the schema of both shapes and the derivation from a route's needs; the codes are `errors.py`'s table.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, Field

from gateway.api.dialect import Dialect, error_body
from gateway.api.errors import JSON, TABLE

__all__ = ["OpsError", "RefError", "error_responses", "error_schemas"]

REFERENCE: Final = "#/components/schemas/{model}"


class RefError(BaseModel):
    """An error in the shape of the Intended API reference."""

    error: Literal[tuple(sorted({row.ref[1] for row in TABLE}))] = Field(  # type: ignore[valid-type]
        description="Machine-readable code."
    )
    message: str = Field(description="What is wrong, for people.")
    statusCode: int = Field(description="The HTTP status again.")


class FailedField(BaseModel):
    """A field of the body or query that cannot be used."""

    path: list[str | int] = Field(description="Leads to the field from the body's root.")
    message: str


class OpsFault(BaseModel):
    """What is wrong."""

    code: Literal[tuple(sorted({row.ops[1] for row in TABLE}))] = Field(  # type: ignore[valid-type]
        description="Machine-readable code."
    )
    message: str = Field(description="What is wrong, for people.")
    details: list[FailedField] = Field(default=[], description="Each failed field, where fields failed.")


class OpsError(BaseModel):
    """An error in the shape of the IntendedOps API guide."""

    error: OpsFault


def error_responses(dialect: Dialect, errors: Iterable[type[Exception]]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that can answer these errors: schema, codes and an example per status."""
    schema = {"$ref": REFERENCE.format(model=(OpsError if dialect is Dialect.OPS else RefError).__name__)}
    wanted = set(errors)
    codes: dict[int, list[str]] = {}
    for status, code in (row.of(dialect) for row in TABLE if row.error in wanted):
        if code not in codes.setdefault(status, []):
            codes[status].append(code)
    return {
        status: {
            "description": " or ".join(f"`{code}`" for code in found),
            "content": {JSON: {"schema": schema, "example": _example(dialect, status, found[0])}},
            **_headers(status),
        }
        for status, found in sorted(codes.items())
    }


def error_schemas() -> dict[str, Any]:
    """Return the schemas that the responses refer to. FastAPI is not given the models: it would make each for each
    of some hundred responses anew, which would be half of the gateway's start.
    """
    found: dict[str, Any] = {}
    for model in (RefError, OpsError):
        schema = model.model_json_schema(ref_template=REFERENCE)
        found |= {**schema.pop("$defs", {}), model.__name__: schema}
    return found


def _example(dialect: Dialect, status: int, code: str) -> object:
    message = {401: "Unknown API key.", 429: "Too many requests"}.get(status, "…")
    return orjson.loads(error_body(dialect, status=status, code=code, message=message))


def _headers(status: int) -> Mapping[str, Any]:
    if status not in (429, 503):
        return {}
    text = "Whole seconds after which the request may be repeated."
    return {"headers": {"Retry-After": {"description": text, "schema": {"type": "integer"}}}}
