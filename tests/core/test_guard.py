"""The bounds of a message on built values."""

from typing import Any

import pytest

from gateway.core.guard import guard
from gateway.core.message import WireLimits

LIMITS = WireLimits(body_bytes=1024, depth=4, keys=10, id_chars=16)

PROBLEMS: dict[str, tuple[Any, str]] = {
    "NUL": ({"a": ["x", "y\x00"]}, "/a/1: NUL (\\u0000) in a text"),
    "NUL in a key": ({"a": {"b\x00": 1}}, "/a: a key has NUL (\\u0000) in a text"),
    "a surrogate": ({"a": "\ud800"}, "/a: a lone surrogate (\\ud800 to \\udfff) in a text"),
    "an integer": ({"a": 2**53}, "/a: an integer beyond 2^53-1"),
    "an integer below": ({"a": -(2**53)}, "/a: an integer beyond 2^53-1"),
    "infinity": ({"a": float("inf")}, "/a: a number that is not finite"),
    "NaN": ([float("nan")], "/0: a number that is not finite"),
    "keys but for case": ({"args": {"A": 1, "a": 2}}, "/args: two keys differ only in case"),
    "depth": ([[[[[1]]]]], "/0/0/0/0: nested deeper than 4 levels"),
    "size": ([0] * 11, "the whole value: more than 10 keys and items"),
    "size in all": ([[0] * 4, [], [0] * 4], "/2: more than 10 keys and items"),
    "a key that is none": ({1: 2}, "the whole value: a key is int, not a text"),
    "no JSON": ({"a": {1, 2}}, "/a: set is no JSON value"),
    "a place with slashes": ({"a/b~c": 2**53}, "/a~1b~0c: an integer beyond 2^53-1"),
    "a place with controls": ({"a\nb": 2**53}, "/a?b: an integer beyond 2^53-1"),
    "a long place": ({"k" * 100: 2**53}, "/" + "k" * 64 + "…: an integer beyond 2^53-1"),
    "the first of several": ({"a": 2**53, "b": "\x00"}, "/a: an integer beyond 2^53-1"),
}


@pytest.mark.parametrize(("value", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_named_with_its_place_and_without_its_value(value: Any, problem: str) -> None:
    """A person must find it, and a log must not repeat what may be secret."""
    assert guard(value, LIMITS) == problem


def test_a_sound_value_has_no_problem() -> None:
    """Everything that JSON has, at its bounds."""
    value = {"a": [None, True, "é😀", -(2**53 - 1)], "b": [[{}]], "c": 1.5}
    assert guard(value, LIMITS) == ""
