"""Values of the hot path."""

import pytest

from gateway.core.value import value


@value
class Point:
    """A value for this test."""

    x: int
    y: int = 0


def test_a_value_is_made_by_keyword_compared_by_fields_and_has_no_other() -> None:
    """As a frozen dataclass, but for the cost."""
    assert Point(x=1) == Point(x=1, y=0)
    assert Point(x=1) != Point(x=2)
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Point(x=1).z = 3  # type: ignore[attr-defined]


def test_a_value_is_no_key() -> None:
    """What could change at run time must not be hashed."""
    with pytest.raises(TypeError):
        hash(Point(x=1))
