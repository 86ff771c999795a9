"""One table from errors to answers, for both dialects; and the errors that only HTTP knows.

Owns status, code and headers of every error answer. The text of a `RequestError` is told word for word; of any other
error nothing is told but what it means for the caller, since its text may hold anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from gateway.api.dialect import Dialect, error_body
from gateway.errors import (
    AgentNotFound,
    AlreadyResolved,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    RequestError,
    SigningError,
    StateConflict,
    StoreError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

__all__ = [
    "JSON",
    "TABLE",
    "MethodNotAllowed",
    "PayloadTooLarge",
    "Row",
    "UnknownPath",
    "UnsupportedMediaType",
    "error_answer",
    "row_of",
]

JSON: Final = "application/json"

RETRY_S: Final = 1
"""After a 503, in seconds: a store that comes back does so within moments."""


class UnknownPath(RequestError):
    """There is nothing at this path."""

    def __init__(self) -> None:
        super().__init__("There is nothing at this path.")


class MethodNotAllowed(RequestError):
    """The path does not take this method. `allowed` are those that it takes."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"This path takes {', '.join(allowed)}.")
        self.allowed = allowed


class PayloadTooLarge(RequestError):
    """The body is longer than the gateway reads."""

    def __init__(self, bound: int) -> None:
        super().__init__(f"The body is longer than {bound} bytes.")


class UnsupportedMediaType(RequestError):
    """The body is not sent as JSON."""

    def __init__(self) -> None:
        super().__init__("The body must be JSON in UTF-8, sent as `Content-Type: application/json`, uncompressed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How one kind of error is answered: (status, code) in each dialect.

    `says` is what is told instead of the error's own text; None tells that text.
    """

    error: type[Exception]
    ref: tuple[int, str]
    ops: tuple[int, str]
    says: str | None = None

    def of(self, dialect: Dialect) -> tuple[int, str]:
        """Return status and code in a dialect."""
        return self.ops if dialect is Dialect.OPS else self.ref


def _same(error: type[Exception], status: int, code: str, says: str | None = None) -> Row:
    return Row(error=error, ref=(status, code), ops=(status, code), says=says)


TABLE: Final[tuple[Row, ...]] = (
    _same(Unauthenticated, 401, "UNAUTHORIZED"),
    _same(Forbidden, 403, "FORBIDDEN"),
    Row(error=AgentNotFound, ref=(404, "NOT_FOUND"), ops=(404, "AGENT_NOT_FOUND")),
    _same(NotFound, 404, "NOT_FOUND"),
    _same(UnknownPath, 404, "NOT_FOUND"),
    _same(MethodNotAllowed, 405, "METHOD_NOT_ALLOWED"),
    _same(PayloadTooLarge, 413, "PAYLOAD_TOO_LARGE"),
    # No conflict: that one goes away when it is tried again, and this one does not.
    _same(TooLarge, 413, "PAYLOAD_TOO_LARGE"),
    _same(UnsupportedMediaType, 415, "UNSUPPORTED_MEDIA_TYPE"),
    Row(error=InvalidRequest, ref=(400, "INVALID_INTENT"), ops=(400, "VALIDATION_ERROR")),
    Row(error=AlreadyResolved, ref=(409, "CONFLICT"), ops=(400, "ALREADY_RESOLVED")),
    Row(error=StateConflict, ref=(409, "CONFLICT"), ops=(400, "VALIDATION_ERROR")),
    _same(RateLimited, 429, "RATE_LIMITED"),
    _same(Unavailable, 503, "SERVICE_UNAVAILABLE"),
    # A transaction that is given up at its end may have become durable: nothing was allowed, but nothing is certain.
    _same(
        StoreError,
        503,
        "SERVICE_UNAVAILABLE",
        "The audit store does not answer. Nothing is allowed by this; before you repeat a change, look whether it was"
        " made.",
    ),
    _same(SigningError, 503, "SERVICE_UNAVAILABLE", "Tokens cannot be signed at the moment. Try again."),
    _same(Exception, 500, "INTERNAL_ERROR", "The gateway failed. Nothing more is known."),
)
"""The first row whose error the answer's is an instance of; so a narrower one stands before a wider one."""


def row_of(error: Exception) -> Row:
    """Return the row of an error."""
    return next(row for row in TABLE if isinstance(error, row.error))


def error_answer(dialect: Dialect, error: Exception) -> Response:
    """Return the whole answer to a request that failed with `error`."""
    row = row_of(error)
    status, code = row.of(dialect)
    message = str(error) if row.says is None else row.says
    body = error_body(dialect, status=status, code=code, message=message, details=_details(error))
    return Response(body, status_code=status, headers=_headers(error, status), media_type=JSON)


def _details(error: Exception) -> list[dict[str, object]]:
    """Return the failed fields, as the guide lists them."""
    if isinstance(error, InvalidRequest):
        return [{"path": list(one.path), "message": one.message} for one in error.problems]
    if isinstance(error, StateConflict) and error.field:
        return [{"path": [error.field], "message": str(error)}]
    return []


def _headers(error: Exception, status: int) -> Mapping[str, str]:
    if isinstance(error, RateLimited):
        return {"retry-after": str(error.retry_after_s)}
    if isinstance(error, MethodNotAllowed):
        return {"allow": ", ".join(error.allowed)}
    if isinstance(error, PayloadTooLarge):
        return {"connection": "close"}  # the rest of the body is not read
    if status == 401:
        return {"www-authenticate": "Bearer"}
    told = error.retry_after_s if isinstance(error, StoreError) else 0
    return {"retry-after": str(told or RETRY_S)} if status == 503 else {}
