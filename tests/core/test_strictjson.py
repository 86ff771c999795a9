"""One reading of JSON, or none."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.guard import guard
from gateway.core.message import WireLimits
from gateway.core.strictjson import MAX_SAFE_INTEGER, Unreadable, read_answer, read_call

LIMITS = WireLimits(body_bytes=1 << 20, depth=6, keys=40, id_chars=64)


def call(data: bytes, depth: int = 32, keys: int = 1000) -> Any:
    return read_call(data, depth=depth, keys=keys)


NOT_JSON = {
    "nothing": b"",
    "half": b'{"a":',
    "two documents": b"{}{}",
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "minus Infinity": b'{"a":-Infinity}',
    "a comment": b'{"a":1 /* one */}',
    "single quotes": b"{'a':1}",
    "a trailing comma": b'{"a":1,}',
    "a leading zero": b'{"a":01}',
    "a plus sign": b'{"a":+1}',
    "hexadecimal": b'{"a":0x10}',
    "a raw line end": b'{"a":"\n"}',
    "a raw NUL": b'{"a":"\x00"}',
    "a NUL behind": b"{}\x00",
    "a vertical tab before": b"\x0b{}",
    "a no-break space before": "\u00a0{}".encode(),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a":1}'.encode("utf-16-le"),
    "UTF-32": '{"a":1}'.encode("utf-32-be"),
    "UTF-7": b"+AHsAfQ-",
    "Latin-1": '{"a":"é"}'.encode("latin-1"),
    "an overlong slash": b'{"a":"\xc0\xaf"}',
    "surrogates in bytes": b'{"a":"\xed\xa0\x80"}',
    "gzip": b"\x1f\x8b\x08\x00",
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize("read", [call, lambda data: read_answer(data, depth=32)], ids=["call", "answer"])
def test_what_is_no_json_in_utf8_is_refused(read: Any, data: bytes) -> None:
    """The standard library alone would sniff UTF-16 and take NaN."""
    with pytest.raises(Unreadable) as refused:
        read(data)
    assert not refused.value.is_json


REFUSED_EVERYWHERE = {
    "a key twice": b'{"a":1,"a":1}',
    "a key twice, once escaped": b'{"a":1,"\\u0061":2}',
    "a key twice, deep": b'{"x":[{"y":{"a":1,"b":2,"a":3}}]}',
    "1e999": b'{"a":1e999}',
    "-1e999": b'{"a":-1e999}',
    "a number of 400 digits and a point": b'{"a":' + b"9" * 400 + b".0}",
    "an integer of 5000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "a high surrogate alone": b'{"a":"\\ud800"}',
    "a low surrogate alone": b'{"a":"\\uDC00"}',
    "surrogates the wrong way round": b'{"a":"\\udc00\\ud800"}',
    "a high surrogate before a pair": b'{"a":"\\ud800\\ud83d\\ude00"}',
    "a surrogate in a key": b'{"\\udfff":1}',
    "a surrogate behind a backslash": b'{"a":"\\\\\\ud800"}',
    "33 levels": b"[" * 33 + b"]" * 33,
    "33 levels of both kinds": b'{"a":[' * 17 + b"]}" * 17,
}


@pytest.mark.parametrize("data", REFUSED_EVERYWHERE.values(), ids=REFUSED_EVERYWHERE)
@pytest.mark.parametrize("read", [call, lambda data: read_answer(data, depth=32)], ids=["call", "answer"])
def test_json_with_two_readings_is_refused(read: Any, data: bytes) -> None:
    """Parsers differ on every one of these (research/building-blocks.md 4)."""
    with pytest.raises(Unreadable) as refused:
        read(data)
    assert refused.value.is_json
    assert str(refused.value) == refused.value.problem


REFUSED_OF_AGENTS = {
    "2^53": b'{"a":9007199254740992}',
    "-2^53": b'{"a":-9007199254740992}',
    "a long integer": b'{"a":' + b"9" * 400 + b"}",
    "NUL": b'{"a":"x\\u0000y"}',
    "NUL in a key": b'{"name\\u0000":1}',
    "NUL behind a backslash": b'{"a":"\\\\\\u0000"}',
    "keys but for case": b'{"a":{"amount":5,"Amount":500}}',
    "keys but for a long s": '{"s":1,"\u017f":2}'.encode(),
    "keys but for a Kelvin sign": '{"k":1,"\u212a":2}'.encode(),
    "too many items": b"[" + b"1," * 1000 + b"1]",
    "too many keys": b"{" + b",".join(b'"%d":1' % key for key in range(1001)) + b"}",
    "too many empty arrays": b"[" + b"[]," * 600 + b"[]]",
}


@pytest.mark.parametrize("data", REFUSED_OF_AGENTS.values(), ids=REFUSED_OF_AGENTS)
def test_what_agents_send_is_read_more_strictly(data: bytes) -> None:
    """Policy must see what every upstream language sees; answers have no policy on their arguments."""
    with pytest.raises(Unreadable) as refused:
        call(data)
    assert refused.value.is_json
    assert read_answer(data, depth=32) == json.loads(data)


def test_a_bomb_of_a_million_levels_is_refused_before_parsing() -> None:
    """The interpreter's parser would end in a RecursionError."""
    for bomb in (b"[" * 1_000_000, b'{"a":' * 1_000_000, b"[" * 500_000 + b"]" * 500_000, b"]" * 1_000_000 + b"[" * 40):
        for read in (lambda data: call(data, keys=10**9), lambda data: read_answer(data, depth=32)):
            with pytest.raises(Unreadable):
                read(bomb)


TAKEN = {
    "brackets in texts": b'{"a":"' + b"[{" * 100 + b'","b":["}]"]}',
    "brackets behind escaped quotes": b'{"a":"\\"' + b"[" * 100 + b'\\\\","b":"\\\\\\"[[["}',
    "commas in texts": b'{"a":"' + b"," * 5000 + b'"}',
    "a surrogate pair": b'{"a":"\\ud83d\\ude00"}',
    "an escaped backslash before ud800": b'{"a":"\\\\ud800"}',
    "an escaped backslash before u0000": b'{"a":"\\\\u0000"}',
    "the largest integers": b"[9007199254740991,-9007199254740991]",
    "floats": b"[1.0,-0.0,1e5,0.1,1E-7,1e20]",
    "32 levels": b"[" * 32 + b"]" * 32,
    "characters of all planes": '{"é":"日本 😀 \u200b"}'.encode(),
    "scalars": b" null ",
    "white space": b' \t\r\n{ "a" : [ ] }\n',
}


@pytest.mark.parametrize("data", TAKEN.values(), ids=TAKEN)
def test_what_has_one_reading_is_read_as_the_standard_library_does(data: bytes) -> None:
    """Being strict must not mean being wrong."""
    expected = json.loads(data)
    for value in (call(data), read_answer(data, depth=32)):
        assert repr(value) == repr(expected)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.text(st.characters(codec=None) | st.sampled_from('\x00\ud800\\"[]{},'), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.sampled_from(["a", "A", "b", "ß", "ss", "\x00", "c,[\\"]), inner)
    ),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(JSON, st.booleans())
def test_bytes_and_built_values_are_bounded_by_the_same_rules(value: Any, ascii_only: bool) -> None:
    """`guard` walks what `read_call` checks without walking: neither may take what the other refuses."""
    try:
        data = json.dumps(value, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        data = json.dumps(value).encode()
    try:
        read = call(data, depth=LIMITS.depth, keys=LIMITS.keys)
    except Unreadable:
        assert guard(value, LIMITS) != ""
    else:
        assert guard(value, LIMITS) == ""
        assert read == value


@given(st.text(alphabet="[{", max_size=12), st.integers(1, 12))
def test_the_depth_of_a_text_is_counted_exactly(opening: str, depth: int) -> None:
    """Counting one too few would let through what the policy engine crashes on, one too many refuse what is right."""
    nested = 0
    for bracket in opening:
        nested = [nested] if bracket == "[" else {"a": nested, "b": []}
    levels = len(opening) + ("{" in opening[:1])
    data = json.dumps(nested).encode()
    if levels <= depth:
        assert call(data, depth=depth) == nested
    else:
        with pytest.raises(Unreadable):
            call(data, depth=depth)


@given(st.binary(max_size=200) | st.text(alphabet='{}[],:"\\u0adD8 1e.-', max_size=60).map(str.encode))
def test_arbitrary_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    """An exception of any other kind would be a way to stop the gateway."""
    for read in (call, lambda data: read_answer(data, depth=32)):
        try:
            value = read(data)
        except Unreadable:
            continue
        assert json.dumps(value) == json.dumps(json.loads(data))


@given(st.integers())
def test_every_integer_of_an_answer_stays_exact(number: int) -> None:
    """orjson would turn 2^64 into a float."""
    assert read_answer(b"[%d]" % number, depth=2) == [number]


@given(st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER), st.floats(allow_nan=False, allow_infinity=False))
def test_every_safe_number_of_a_call_stays_exact(integer: int, real: float) -> None:
    """What is evaluated is what is forwarded."""
    assert call(json.dumps([integer, real]).encode()) == [integer, real]
    assert math.copysign(1, call(b"[-0.0]")[0]) == -1
