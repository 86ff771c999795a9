"""Canonical JSON is RFC 8785, whichever of the two encoders made it."""

import json
import struct
import sys
from enum import StrEnum
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audit.canonical import canonical, digest
from gateway.core.jsonvalue import JsonValue
from gateway.errors import CanonicalError

VECTORS = Path(__file__).parents[2] / "golden" / "rfc8785"
NUMBERS = json.loads((VECTORS / "numbers.json").read_bytes())

SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | SAFE | TEXT | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize("name", sorted(path.name for path in (VECTORS / "input").iterdir()))
def test_the_vectors_of_the_rfc_come_out_byte_for_byte(name: str) -> None:
    """RFC 8785, 3.2: any upstream and any stranger must rebuild the same bytes."""
    assert canonical(json.loads((VECTORS / "input" / name).read_bytes())) == (VECTORS / "output" / name).read_bytes()


@pytest.mark.parametrize("bits", NUMBERS)
def test_numbers_are_written_as_appendix_b_says(bits: str) -> None:
    """RFC 8785, appendix B: the table where encoders differ."""
    number = struct.unpack(">d", bytes.fromhex(bits))[0]
    if NUMBERS[bits] is None:
        with pytest.raises(CanonicalError, match="not finite"):
            canonical({"n": number})
    else:
        assert canonical({"n": number}) == b'{"n":' + NUMBERS[bits].encode() + b"}"


@given(VALUES)
def test_every_value_has_the_bytes_of_the_reference_encoder(value: JsonValue) -> None:
    """Ours: the fast way is only taken where it cannot be told from the slow one."""
    assert canonical(value) == rfc8785.dumps(value)


def test_every_character_is_escaped_as_the_reference_encoder_does() -> None:
    """RFC 8785, 3.2.2.2: tool names and arguments may hold any character."""
    every = "".join(chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000)
    assert canonical([every]) == rfc8785.dumps([every])


def test_keys_are_ordered_by_utf16_and_not_by_code_point() -> None:
    """RFC 8785, 3.2.3: an astral key sorts before U+E000 to U+FFFF, the other way round than its code point."""
    assert canonical({"\uffff": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\uffff":1}'.encode()
    assert canonical([{"\uffff": 1, "\U0001f600": 2}]) == '[{"\U0001f600":2,"\uffff":1}]'.encode()


@pytest.mark.parametrize(
    ("value", "bytes_"),
    [
        ([1.0, [2.0]], b"[1,[2]]"),
        ({"b": {"a": -0.0}}, b'{"b":{"a":0}}'),
        (1e16, b"10000000000000000"),
        ("é", '"é"'.encode()),
        ({"a": ["é", {"b": None}]}, '{"a":["é",{"b":null}]}'.encode()),
        (("a", True), b'["a",true]'),
        ([], b"[]"),
        ({}, b"{}"),
        (2**53 - 1, b"9007199254740991"),
    ],
)
def test_what_the_fast_encoder_would_write_otherwise_is_written_right(value: JsonValue, bytes_: bytes) -> None:
    """RFC 8785, 3.2.2: each of these takes another branch of the choice."""
    assert canonical(value) == bytes_


class Word(StrEnum):
    ONE = "one"


def test_an_enumerated_string_is_its_value() -> None:
    """Ours: entries hold words of closed lists; they are strings in the chain."""
    assert canonical({"w": Word.ONE}) == b'{"w":"one"}'


@pytest.mark.parametrize(
    "value",
    [
        {"n": 2**53},
        {"n": -(2**53)},
        float("nan"),
        [float("inf")],
        {"s": "\ud800"},
        {"\ud800": 1},
        {1: "one"},
        {"s": {"secret-value"}},
        b"secret-value",
    ],
)
def test_what_has_no_canonical_form_is_refused_and_not_quoted(value: JsonValue) -> None:
    """RFC 8785, 3.1: I-JSON only; the error must not carry an argument into a log."""
    with pytest.raises(CanonicalError) as caught:
        canonical(value)
    assert "secret-value" not in str(caught.value)
    assert str(2**53) not in str(caught.value)


def test_bottomless_nesting_is_refused_and_not_a_crash() -> None:
    """Ours: depth is bounded at the edge, but nothing in here may rely on it."""
    value: JsonValue = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(CanonicalError, match="too deep"):
        canonical(value)


def test_nesting_at_the_end_of_the_callers_stack_is_refused_and_not_a_crash() -> None:
    """Ours: what the fast encoder still follows may be too deep for the check of its output."""
    value: JsonValue = []
    for _ in range(200):
        value = [value]

    def at_depth(left: int) -> bytes:
        return canonical(value) if left == 0 else at_depth(left - 1)

    def deeper_and_deeper() -> None:
        for depth in range(0, sys.getrecursionlimit(), 50):
            at_depth(depth)

    with pytest.raises(CanonicalError, match="too deep"):
        deeper_and_deeper()


def test_the_digest_is_sha256_of_the_canonical_bytes() -> None:
    """Design, section 4: the argument digest can be rebuilt by any upstream; value from another implementation."""
    assert digest({"b": 1, "a": "é"}) == "aa58fba8483623bed37c1b02edfccbdd9a53123837c20bfa4cb4049993a2872e"
