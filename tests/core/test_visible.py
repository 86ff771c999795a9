"""Nothing hides in what a human is shown, and nothing is cut silently."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audit.canonical import digest
from gateway.core.visible import MAX_NODES, MAX_SEARCHED, MAX_TEXT, MAX_WARNINGS, compact, pretty, quoted, visible
from gateway.core.visible import warnings as found_in

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("char", "written"),
    [
        ("\u202e", "\\u202e"),
        ("\u200b", "\\u200b"),
        ("\u00a0", "\\u00a0"),
        ("\ufeff", "\\ufeff"),
        ("\u2028", "\\u2028"),
        ("\x1b", "\\u001b"),
        ("\x7f", "\\u007f"),
        ("\x00", "\\u0000"),
        ("\n", "\\n"),
        ("\t", "\\t"),
        ("\u3164", "\\u3164"),
        ("\u2800", "\\u2800"),
        ("\ufe0f", "\\ufe0f"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\U000e0101", "\\udb40\\udd01"),
        ("\ue000", "\\ue000"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_character_that_acts_or_hides_is_written_out(char: str, written: str) -> None:
    """Bidi controls, zero width, tags, blanks that are no space, controls, what is no character."""
    assert visible(f"a{char}b") == f"a{written}b"


def test_what_looks_like_an_escape_is_one() -> None:
    """A text that holds the six characters of an escape must not read as the character."""
    assert visible("\\u202e") == "\\\\u202e"
    assert visible("\\u202e\u202e") == "\\\\u202e\\u202e"


def test_ordinary_text_stays_as_it_is() -> None:
    """In any script."""
    for text in ("plain text", "Grüße, 東京 – Москва €", "", "🙂"):
        assert visible(text) == text


@given(VALUES)
def test_what_is_not_cut_is_json_that_means_the_same(value: Any) -> None:
    """The approver reads the very value that is sent."""
    assert json.loads(pretty(value)) == value
    assert all(char == "\n" or char.isprintable() for char in pretty(value))


@given(TEXTS)
def test_a_text_of_one_line_is_json_that_means_the_same(text: str) -> None:
    """Also within a sentence."""
    assert json.loads(quoted(text)) == text


def test_a_value_is_indented() -> None:
    """People read it."""
    assert pretty({"a": [1, {"b": True}], "c": {}, "d": []}) == (
        '{\n  "a": [\n    1,\n    {\n      "b": true\n    }\n  ],\n  "c": {},\n  "d": []\n}'
    )
    assert compact({"a": [1, "x"]}) == '{"a": [1, "x"]}'


def test_a_long_text_is_cut_with_its_length_and_digest() -> None:
    """What is not shown can still be compared."""
    long = "x" * MAX_TEXT + "DROP"
    assert quoted("x" * MAX_TEXT).endswith('x"')
    shown = quoted(long)
    assert "DROP" not in shown
    assert shown.endswith(f'"… (cut: {len(long)} characters in all, SHA-256 {sha256(long.encode()).hexdigest()})')
    assert f"SHA-256 {sha256(long.encode()).hexdigest()}" in compact(long)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(list(range(MAX_NODES + 50)), "items"), ({f"k{n}": n for n in range(MAX_NODES + 50)}, "members")],
)
def test_a_large_value_is_cut_with_its_size_and_digest(value: Any, kind: str) -> None:
    """And never silently."""
    shown = pretty(value)
    assert f"… (cut: {MAX_NODES + 50} {kind} in all, SHA-256 {digest(value)})" in shown
    assert len(shown.splitlines()) < MAX_NODES + 10
    assert compact(value).endswith(f"… (cut: SHA-256 {digest(value)})")


def test_a_value_without_a_canonical_form_is_cut_all_the_same() -> None:
    """The wire lets none in; a page that fails for it would hide the approval."""
    assert compact([2**60] * 50).endswith("… (cut: no canonical form)")


def test_a_deep_value_is_cut() -> None:
    """Its depth must not end the process that shows it."""
    value: Any = 1
    for _ in range(100):
        value = [value]
    assert "… (cut: 1 items in all" in pretty(value)


def test_hidden_characters_are_warned_of_with_their_place_and_name() -> None:
    """Also in the names of arguments."""
    value = {
        "to": "a\u202eb",
        "list": [{"we\u200bird": 1}],
        "ok": "line\nline\tend\r\n",
        "many": "\x01\x02\x03\x04\x05",
    }
    assert found_in(value) == (
        "to: 1 hidden or unusual characters (U+202E RIGHT-TO-LEFT OVERRIDE)",
        "the name list[0].we\\u200bird: 1 hidden or unusual characters (U+200B ZERO WIDTH SPACE)",
        "many: 5 hidden or unusual characters (U+0001 control, U+0002 control, U+0003 control, U+0004 control, …)",
    )
    assert found_in("\u200b") == ("the value: 1 hidden or unusual characters (U+200B ZERO WIDTH SPACE)",)


def test_letters_that_look_alike_are_warned_of_where_one_word_mixes_them() -> None:
    """`pаypal` with a Cyrillic a is another payee; a text in two languages is not."""
    (warning,) = found_in({"to": "p\u0430ypal.com"})
    assert warning == 'to: the word "p\u0430ypal" mixes letters that look alike (Cyrillic and Latin)'
    assert found_in({"to": "Hello Москва Grüße 東京Tower µm naïve"}) == ()


def test_warnings_are_bounded() -> None:
    """A page of them warns of nothing."""
    found = found_in({f"k{n}": "\u200b" for n in range(MAX_WARNINGS + 5)})
    assert (len(found), found[-1]) == (MAX_WARNINGS + 1, "… and 5 more warnings.")


def test_what_was_not_looked_through_is_said() -> None:
    """Silence would read as harmless."""
    found = found_in({"a": "x" * (MAX_SEARCHED + 1), "b": "\u200b"})
    assert found == (f"Only the first {MAX_SEARCHED} characters were looked through for hidden ones.",)
