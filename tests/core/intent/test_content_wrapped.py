"""What an encoding hides is found, and what only looks encoded is left alone."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.intent.content_wrapped import LONGEST, fold, unwrapped
from tests.core.intent.test_content_paths import grows_linearly


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("L2V0Yy9zaGFkb3c=", "/etc/shadow"),
        ("L2V0Yy9zaGFkb3c", "/etc/shadow"),
        (base64.urlsafe_b64encode(b"rm -rf /?>~~~").decode(), "rm -rf /?>~~~"),
        ("2f6574632f736861646f77", "/etc/shadow"),
        ("0x64726f70207461626c65", "drop table"),
        ("\\u002fetc\\u002fshadow", "/etc/shadow"),
        ("\\x2fetc\\057shadow", "/etc/shadow"),
        ("\\ud800x", "x"),
        ("&#47;etc&#x2f;shadow", "/etc/shadow"),
    ],
)
def test_the_text_inside_is_found(text: str, inside: str) -> None:
    """A lenient upstream undoes these by itself, or is asked to by the argument beside."""
    assert unwrapped(text) == inside


@pytest.mark.parametrize(
    "text",
    [
        *("", "plain", "a b c d e f g h", "readability", "5e8ff9bf55ba3508199d22e984129be6", "a & b; c", "C:\\new"),
        *("abcde====", "abcde", "aaaaaaaaa", base64.b64encode(bytes(range(128))).decode()),
        *(base64.b64encode(b"words").decode() * 2, base64.b64encode(b"/ " * LONGEST).decode()),
    ],
)
def test_what_is_not_encoded_has_nothing_inside(text: str) -> None:
    """Ids, digests and words of the right letters are ordinary arguments."""
    assert unwrapped(text) == ""


@given(st.text(max_size=200))
def test_any_text_can_be_asked(text: str) -> None:
    """Arguments are whatever an agent sends."""
    assert isinstance(unwrapped(text), str)


@pytest.mark.parametrize("piece", ["\\u0041", "&amp;", "\\", "&;", "2f", "L2V0"])
def test_taking_an_encoding_away_is_linear(piece: str) -> None:
    """An agent chooses the text; a slow search would hold everybody up."""
    assert grows_linearly(unwrapped, piece)


@pytest.mark.parametrize(
    ("text", "folded"),
    [("ABC", "abc"), ("a%2Fb", "a/b"), ("%252525", "%"), ("100% sure", "100% sure"), ("%c0%ae", "."), ("％41", "a")],
)
def test_folding_reads_as_a_lenient_reader_does(text: str, folded: str) -> None:
    """Each hop may decode once more."""
    assert fold(text) == folded
