"""Every number that can be set has a lower and an upper bound: a mistyped one is refused, and not tried out."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.services.keygrants import MAX_PER_MINUTE
from gateway.settings import LimitSettings, RateSettings, Settings, UpstreamSettings

LOWER, UPPER = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}


def numbers(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every number of a JSON schema, with its place."""
    if isinstance(schema, list):
        for at, one in enumerate(schema):
            yield from numbers(one, f"{place}[{at}]")
    elif isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield place, schema
        for name, one in schema.items():
            if name not in ("default", "enum", "examples"):
                yield from numbers(one, f"{place}.{name}")


def test_every_number_is_bounded_on_both_sides() -> None:
    """Without an upper one a slip of a zero takes the machine's memory, or its attention, months later."""
    found = dict(numbers(Settings.model_json_schema()))
    assert len(found) > 40
    assert {place for place, one in found.items() if not (LOWER & one.keys() and UPPER & one.keys())} == set()


def test_a_number_without_bounds_is_found() -> None:
    """The test above looks where numbers are."""
    schema = {"$defs": {"A": {"properties": {"n": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]}}}}}
    assert [place for place, one in numbers(schema) if not UPPER & one.keys()] == [".$defs.A.properties.n.anyOf[0]"]


@pytest.mark.parametrize(
    ("section", "given"),
    [
        (UpstreamSettings, {"url": "http://127.0.0.1/mcp", "max_answer_bytes": 1024**3 + 1}),
        (LimitSettings, {"event_buffer_bytes": 256 * 1024**2 + 1}),
        (LimitSettings, {"event_buffer_s": 86_401}),
        (RateSettings, {"default": MAX_PER_MINUTE + 1}),
        (RateSettings, {"free": MAX_PER_MINUTE + 1}),
        (RateSettings, {"pro": MAX_PER_MINUTE + 1}),
        (RateSettings, {"business": MAX_PER_MINUTE + 1}),
    ],
)
def test_a_number_above_its_bound_is_refused_with_the_bound(section: Any, given: dict[str, Any]) -> None:
    """Whoever reads it knows what to write."""
    with pytest.raises(ValidationError, match="less than or equal to"):
        section(**given)


def test_a_plan_may_have_what_a_key_of_its_own_number_may() -> None:
    """Two bounds for one thing would be one too many."""
    assert RateSettings(business=MAX_PER_MINUTE).business == MAX_PER_MINUTE
