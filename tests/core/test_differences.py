"""What differs between two calls, place by place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.differences import MAX_DIFFERENCES, Change, Difference, differences

ADDED, REMOVED, CHANGED = Change.ADDED, Change.REMOVED, Change.CHANGED
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1}, {"a": 2}, [("a", CHANGED, "1", "2")]),
        ({"a": 1}, {"b": 1}, [("b", ADDED, "", "1"), ("a", REMOVED, "1", "")]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3, 4]}}, [("a.b[1]", CHANGED, "2", "3"), ("a.b[2]", ADDED, "", "4")]),
        ([1, {"x": 2}], [1], [("[1]", REMOVED, '{"x": 2}', "")]),
        ({"a": 1}, {"a": True}, [("a", CHANGED, "1", "true")]),
        ({"a": "1"}, {"a": 1}, [("a", CHANGED, '"1"', "1")]),
        ({"a": []}, {"a": {}}, [("a", CHANGED, "[]", "{}")]),
        ({"a": {"x": 1}}, {"a": {}}, [("a.x", REMOVED, "1", "")]),
        ({"a": {}}, {"a": {"x": 1}}, [("a.x", ADDED, "", "1")]),
        ({}, {"\u202e": "\u200b"}, [("\\u202e", ADDED, "", '"\\u200b"')]),
        ({"a": 1}, {"a": 1}, []),
    ],
)
def test_each_place_that_differs_is_told(before: Any, after: Any, told: list[tuple[str, Change, str, str]]) -> None:
    """With both values, made visible."""
    found = [(one.path, one.change, one.before, one.after) for one in differences(before, after)]
    assert found == told


@given(VALUES, VALUES)
def test_there_is_a_difference_exactly_where_the_values_differ(before: Any, after: Any) -> None:
    """A missed one would be an approval of something else."""
    assert differences(before, before) == ()
    assert bool(differences(before, after)) == (repr(_sorted(before)) != repr(_sorted(after)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(one)) for key, one in value.items()), "object"
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def test_there_are_so_many_and_no_more() -> None:
    """The page must stay readable."""
    found = differences({}, {f"k{n:03}": n for n in range(MAX_DIFFERENCES * 2)})
    assert len(found) == MAX_DIFFERENCES
    assert found[0] == Difference(path="k000", change=ADDED, after="0")
