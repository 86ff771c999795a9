"""The verifier's own RFC 8785: byte for byte what the gateway signs the digest of."""

import json
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.audit import canonical as gateway
from gateway.errors import CanonicalError
from intended.verify.canonical import canonical, digest, strict

VECTORS = Path(__file__).parents[2] / "golden" / "rfc8785"
NUMBERS = json.loads((VECTORS / "numbers.json").read_bytes())
TEXT = st.text(max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | TEXT | st.floats(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize("name", sorted(path.name for path in (VECTORS / "input").iterdir()))
def test_the_vectors_of_the_rfc_come_out_byte_for_byte(name: str) -> None:
    """RFC 8785, 3.2."""
    assert canonical(json.loads((VECTORS / "input" / name).read_bytes())) == (VECTORS / "output" / name).read_bytes()


@pytest.mark.parametrize("bits", NUMBERS)
def test_numbers_are_written_as_appendix_b_says(bits: str) -> None:
    """RFC 8785, appendix B."""
    number = struct.unpack(">d", bytes.fromhex(bits))[0]
    if NUMBERS[bits] is None:
        with pytest.raises(ValueError, match="not finite"):
            canonical(number)
    else:
        assert canonical(number) == NUMBERS[bits].encode()


@settings(max_examples=400)
@given(VALUES)
def test_every_value_has_the_gateway_s_bytes_or_none_in_both(value: object) -> None:
    """A difference would be a call that the gateway allowed and the server refuses, or worse."""
    try:
        wanted = gateway.canonical(value)
    except CanonicalError:
        with pytest.raises(ValueError):  # noqa: PT011 - any text will do
            canonical(value)
    else:
        assert canonical(value) == wanted
        assert digest(value) == gateway.digest(value)


@settings(max_examples=400)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_has_the_gateway_s_digits(number: float) -> None:
    """All the exponents, all the lengths."""
    assert canonical(number) == gateway.canonical(number)


def test_every_character_is_escaped_alike() -> None:
    """Tool arguments may hold any character."""
    every = "".join(chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000)
    assert canonical({every: every}) == gateway.canonical({every: every})


@pytest.mark.parametrize("value", [(1,), {1: 2}, b"x", object(), {"a": {None: 1}}, 2**53, "\ud800", {"\udfff": 1}])
def test_what_is_no_json_has_no_form(value: object) -> None:
    """It has no digest that two sides could agree on."""
    with pytest.raises(ValueError):  # noqa: PT011 - any text will do
        canonical(value)


def test_nesting_without_end_has_no_form() -> None:
    """The interpreter's limit is a ValueError here like any other."""
    deep: object = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="too deep"):
        canonical(deep)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b"[NaN]",
        b"[-Infinity]",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
    ],
)
def test_json_with_two_readings_is_refused(raw: bytes) -> None:
    """What was checked would not be what is acted on."""
    with pytest.raises(ValueError):  # noqa: PT011 - any text will do
        strict(raw)


def test_plain_json_is_read() -> None:
    """Names that differ are two names."""
    assert strict(b'{"a":1,"A":[2.5,null]}') == {"a": 1, "A": [2.5, None]}
