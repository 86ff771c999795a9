"""One row of the table of the clients' methods, and what several rows share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PAGE = {"total": 1, "page": 1, "pageSize": 20}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method: its arguments, the request that it makes, an answer, and what is looked at in its result."""

    method: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    sends: str
    body: Any = None
    answer: Any
    status: int = 200
    found: Callable[[Any], Any]
    expected: Any


def ops(value: Any) -> dict[str, Any]:
    """Return an answer of Ops with this value."""
    return {"data": value}
