"""The kinds of fields that both dialects have: texts, times, pages, and the base of every model.

Owns their bounds and how they are read from a query. Requests of the published documents pass unknown members over, as
their clients send whatever they like; types are never bent (`"5"` is no number, `1` no text).
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.core.audit.body import timestamp

__all__ = [
    "IDEMPOTENT",
    "MAX_NAME_CHARS",
    "MAX_TEXT_CHARS",
    "Answer",
    "Asked",
    "IdempotencyKey",
    "Managed",
    "Moment",
    "PageQuery",
    "Query",
    "WholeNumber",
    "Word",
    "example",
    "paged",
]

MAX_NAME_CHARS: Final = 256
"""Of what names one thing: an actor, a system, a type."""
MAX_TEXT_CHARS: Final = 4096
"""Of a description, justification, rationale or error."""
MAX_PAGE: Final = 1_000_000

_DIGITS = re.compile(r"[0-9]{1,15}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Asked(BaseModel):
    """A request's body."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=False)


class Managed(Asked):
    """The body of a management request, which no published client sends: a misspelt member is refused."""

    model_config = ConfigDict(extra="forbid")


class Query(BaseModel):
    """The parameters of a query."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=False)


class Answer(BaseModel):
    """What is answered. It describes; answers are made as plain objects, and the tests hold both together."""

    model_config = ConfigDict(extra="forbid")


def example(value: dict[str, Any]) -> ConfigDict:
    """Return the `model_config` of a model with this example."""
    return ConfigDict(json_schema_extra={"examples": [value]})


# --- in queries -------------------------------------------------------------------------------------------------------


def _number(text: Any) -> Any:
    """Read a number of a query. It has digits only: what Python would take besides (`1_0`, ` 1`) is no number."""
    return int(text) if isinstance(text, str) and _DIGITS.fullmatch(text) else text


def _word(text: str) -> str:
    if _CONTROL.search(text):
        msg = "must not hold control characters"
        raise ValueError(msg)
    return text


WholeNumber = Annotated[int, BeforeValidator(_number)]
"""A whole number in a query."""

Word = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(_word)]
"""A name in a query."""


def _moment(text: str) -> str:
    """Return a time as entries have it. Between two milliseconds counts as the later: bounds keep their meaning."""
    if _TIME.fullmatch(text) is None:
        msg = "must be a time as in RFC 3339 (2026-01-31T12:00:00Z) or a date (2026-01-31)"
        raise ValueError(msg)
    try:
        return timestamp(_ceiling(text))
    except (ValueError, OverflowError):
        msg = "is no time that exists"
        raise ValueError(msg) from None


def _ceiling(text: str) -> datetime:
    moment = datetime.fromisoformat(text.upper().replace(" ", "T", 1))
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    return moment + timedelta(microseconds=-moment.microsecond % 1000)


Moment = Annotated[
    str,
    AfterValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-01-31T12:00:00Z", "2026-01-31"]}),
]
"""A point in time in a query: RFC 3339, without offset UTC, or a date, which is its first moment in UTC."""


IdempotencyKey = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]

IDEMPOTENT: Final = "The same key with the same body is one intent, for 24 hours; with another body it is refused."


# --- pages ------------------------------------------------------------------------------------------------------------


class PageQuery(Query):
    """Which page of a list."""

    page: WholeNumber = Field(default=1, ge=1, le=MAX_PAGE, description="From 1.")
    pageSize: WholeNumber = Field(default=20, ge=1, le=100, description="Items on a page.")


def paged(items: Iterable[Any], *, total: int, query: PageQuery) -> dict[str, Any]:
    """Return one page as both dialects show lists."""
    return {"items": list(items), "total": total, "page": query.page, "pageSize": query.pageSize}
