"""The two dialects of the REST API: which paths speak which, and the two shapes of an answer.

Owns the table of paths and the envelopes (contract, section 1). What is in an envelope is `ref/` and `ops/`; which
error has which code is `errors.py`.
"""

import re
from enum import Enum
from typing import Any, Final

import orjson

from gateway.core.jsonvalue import JsonObject

__all__ = ["Dialect", "dialect_of", "error_body", "success_body"]


class Dialect(Enum):
    """Who wrote the document that a path is from."""

    REF = "Intended API reference"
    OPS = "IntendedOps API guide"


_OPS: Final = re.compile(
    r"/v1/(?:stats|audit|audit/verify|(?:agents|budgets|intents|approvals|leases)(?:/.*)?)", re.DOTALL
)


def dialect_of(path: str) -> Dialect:
    """Return the dialect of a path. Whatever is not named as Ops' speaks Ref, unknown paths too."""
    return Dialect.OPS if _OPS.fullmatch(path) else Dialect.REF


def success_body(dialect: Dialect, value: Any) -> bytes:
    """Return an answer's body: the bare object (Ref), or in `data` (Ops)."""
    return orjson.dumps({"data": value} if dialect is Dialect.OPS else value)


def error_body(dialect: Dialect, *, status: int, code: str, message: str, details: object = None) -> bytes:
    """Return an error's body. `details` are told in Ops' shape only, and only where there are any."""
    if dialect is Dialect.REF:
        return orjson.dumps({"error": code, "message": message, "statusCode": status})
    error: JsonObject = {"code": code, "message": message}
    if details:
        error["details"] = details
    return orjson.dumps({"error": error})
