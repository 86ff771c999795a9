"""A bundle has one reading, one form, and one canonical form."""

import json

import pytest
import rfc8785

from intended.evidence import reading
from intended.evidence.reading import canonical, form_problem, read
from tests.simulate.evidence import Made


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"a":1,"a":1}', "twice"),
        (b'{"a":1.0}', "not whole"),
        (b'{"a":1e3}', "not whole"),
        (b'{"a":NaN}', "not whole"),
        (b"[" * 100_000, "nesting"),
        (b"\xff", "utf-8"),
        (b"", "Expecting value"),
        (b"{} x", "Extra data"),
    ],
)
def test_what_could_be_read_in_two_ways_is_not_read(raw: bytes, why: str) -> None:
    """Two readers must not see two bundles under one signature."""
    with pytest.raises(ValueError, match=why):
        read(raw)


def test_what_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checker's memory is not the sender's."""
    monkeypatch.setattr(reading, "MAX_BYTES", 4)
    with pytest.raises(ValueError, match="too large"):
        read(b'{"a":1}')


@pytest.mark.parametrize("text", ["plain", 'q"u\\o\b\f\n\r\t', "\x00\x1f\x7f", "ä€😀", "\u2028"])
def test_the_canonical_form_is_that_of_the_standard(text: str) -> None:
    """The verifier's own encoder against the reference one (RFC 8785)."""
    value = {"b": [text, True, None, 7], "a": {"z": text, "A": 0}}
    assert canonical(value) == rfc8785.dumps(value)


def test_what_cannot_be_written_has_no_canonical_form() -> None:
    """A lone surrogate is no text."""
    with pytest.raises(ValueError, match="surrogate"):
        canonical({"a": "\ud800"})


def test_a_bundle_has_the_form_of_one_in_every_place(made: Made) -> None:
    """A member that is missing, foreign or of another type is found, and named."""
    document = made.document()
    assert form_problem(document) == ""
    for value, place in (
        ([], "the bundle is no object"),
        ({**document, "extra": 1}, "foreign"),
        ({name: one for name, one in document.items() if name != "hmac"}, "lacks hmac"),
        ({**document, "entryCount": True}, "the bundle, entryCount is not of its type"),
        ({**document, "entryCount": -1}, "entryCount"),
        ({**document, "entries": {}}, "the bundle, entries is no list"),
        ({**document, "entries": [{}]}, "the bundle, entries[0] lacks body"),
        ({**document, "complete": 1}, "complete"),
        ({**document, "checkpoint": {**document["checkpoint"], "treeSize": 2**53}}, "treeSize"),
    ):
        assert place in form_problem(value), place
    assert read(json.dumps(document).encode()) == document
