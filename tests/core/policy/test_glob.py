"""Globs decide which rules apply: one that matches too much or too little is a hole."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.policy.glob import Globs, is_literal, matches


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("read_file", "read_file", True),
        ("read_file", "read_files", False),
        ("read_*", "read_", True),
        ("read_*", "Read_x", False),
        ("*", "", True),
        ("?", "", False),
        ("?", "é", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*_file", "write_file", True),
        ("*a*b*", "xxaxxbxx", True),
        ("*a*b*", "xxbxxaxx", False),
        ("a*a", "a", False),
        ("a*b?d*e", "axxbcdyye", True),
        ("*??*", "x", False),
        ("[a-z]", "a", False),
        ("[a-z]", "[a-z]", True),
        ("a.c", "abc", False),
        ("**", "anything", True),
        ("x*?y*z", "x1yz", True),
        ("x*?y*z", "xyz", False),
        ("a*bc", "a", False),
        ("a*bc", "abd", False),
    ],
)
def test_a_glob_matches_the_whole_name_and_only_star_and_question_mark_are_special(
    pattern: str, text: str, expected: bool
) -> None:
    """An operator reads a glob one way (design, section 4)."""
    assert matches(pattern, text) is expected


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
def test_globs_agree_with_the_standard_library_where_it_has_no_classes(pattern: str, text: str) -> None:
    """A second implementation is the oracle."""
    assert matches(pattern, text) is fnmatch.fnmatchcase(text, pattern)


def test_a_hostile_glob_stays_cheap() -> None:
    """A name comes from an upstream, a URI from an agent; neither may stop the gateway."""
    started = time.process_time()
    assert not matches("*a" * 200 + "b", "a" * 8000)
    assert not matches("*?a" * 100 + "b", "a" * 8000)
    assert time.process_time() - started < 0.5


def test_several_globs_are_an_or() -> None:
    """Items of a list are OR (design, section 4)."""
    globs = Globs.of(["read_file", "list_*"])
    assert globs.match("read_file")
    assert globs.match("list_all")
    assert not globs.match("write_file")
    assert is_literal("read_file")
    assert not is_literal("rea?")
