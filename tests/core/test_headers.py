"""The headers that a message is read with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import decode_header_value, encode_header_value

from gateway.core.headers import RoutingHeaders, decode_value, encode_value, read_headers, single
from gateway.core.message import Rejection

GOOD = {b"host": b"x", b"content-type": b"application/json", b"accept": b"application/json, text/event-stream"}


def read(*more: tuple[bytes, bytes], **changed: bytes) -> RoutingHeaders | Rejection:
    headers = GOOD | {name.replace("_", "-").encode(): value for name, value in changed.items()}
    return read_headers([*((name, value) for name, value in headers.items() if value != b"-"), *more])


def refusal(answer: RoutingHeaders | Rejection) -> tuple[int, int]:
    assert isinstance(answer, Rejection)
    return answer.status, answer.code


@pytest.mark.parametrize(
    "value",
    [b"", b"-", b"text/plain", b"application/json5", b"application/jsonp", b"application/x-www-form-urlencoded",
     b"application/json; charset=utf-16", b"application/json; charset=utf-7", b"application/json; charset=utf-8; a=b",
     b"application/json, text/plain", b"application/vnd.api+json", b"application/json;", b"\xff"],
)  # fmt: skip
def test_a_body_that_is_not_plain_json_is_415(value: bytes) -> None:
    """The SDK's server takes any media type that begins right."""
    assert refusal(read(content_type=value)) == (415, -32600)


@pytest.mark.parametrize(
    "value",
    [b"application/json", b"Application/JSON", b"application/json; charset=utf-8", b'application/json;charset="UTF-8"'],
)
def test_json_may_name_the_only_charset_that_it_has(value: bytes) -> None:
    """Several HTTP libraries add it."""
    assert isinstance(read(content_type=value), RoutingHeaders)


@pytest.mark.parametrize("value", [b"gzip", b"br", b"deflate", b"identity, gzip", b"", b"x"])
def test_a_compressed_body_is_415(value: bytes) -> None:
    """A bomb must not be unpacked to find out that it is one."""
    assert refusal(read(content_encoding=value)) == (415, -32600)


def test_identity_is_no_compression() -> None:
    """It says that nothing was done."""
    assert isinstance(read(content_encoding=b"Identity"), RoutingHeaders)


@pytest.mark.parametrize(
    "value", [b"-", b"", b"application/json", b"text/event-stream", b"text/html", b"application/*, image/*"]
)
def test_an_agent_that_takes_only_one_form_is_406(value: bytes) -> None:
    """Whether an answer is streamed is known only after it has begun."""
    assert refusal(read(accept=value)) == (406, -32600)


@pytest.mark.parametrize(
    "value",
    [b"*/*", b"application/*, text/*", b"text/event-stream;q=0.5, APPLICATION/JSON;q=1", b"text/html, */*;q=0.1"],
)
def test_accept_is_read_as_the_official_sdk_reads_it(value: bytes) -> None:
    """Clients that work with the SDK's server work here."""
    assert isinstance(read(accept=value), RoutingHeaders)


def test_accept_may_come_in_several_lines() -> None:
    """RFC 9110, 5.3: a list."""
    assert isinstance(read((b"accept", b"text/event-stream"), accept=b"application/json"), RoutingHeaders)


@pytest.mark.parametrize(
    "name",
    [b"content-type", b"content-encoding", b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-param-region"],
)
def test_a_header_that_names_one_thing_is_given_once(name: bytes) -> None:
    """First-copy and last-copy readers would disagree, also where both copies are equal."""
    value = GOOD.get(name, b"identity")
    both = [*((key, text) for key, text in GOOD.items() if key != name), (name, value), (name, value)]
    answer = read_headers(both)
    assert refusal(answer) == (400, -32020)
    assert name.decode() in str(answer)


@pytest.mark.parametrize("name", [b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-param-x"])
@pytest.mark.parametrize("value", [b"caf\xe9", b"a\tb", b"a\x00b", b"a\x7f", "日".encode()])
def test_routing_headers_are_visible_ascii(name: bytes, value: bytes) -> None:
    """Anything else travels as base64; raw bytes are read differently from hop to hop."""
    assert refusal(read((name, value))) == (400, -32020)


def test_a_parameter_header_with_an_odd_name_is_refused() -> None:
    """It would be forwarded under that name."""
    assert refusal(read((b"mcp-param-\xff", b"x"))) == (400, -32020)


def test_routing_headers_are_read_as_sent() -> None:
    """They are compared with the body, and parameter headers are passed on unchanged."""
    answer = read(
        (b"mcp-param-b", b"1"), (b"mcp-param-a", b"=?base64?w6k=?="),
        mcp_protocol_version=b"2026-07-28", mcp_method=b"tools/call", mcp_name=b"x y",
    )  # fmt: skip
    assert answer == RoutingHeaders(
        version="2026-07-28",
        method="tools/call",
        name="x y",
        params=(("mcp-param-b", "1"), ("mcp-param-a", "=?base64?w6k=?=")),
    )
    assert read() == RoutingHeaders(version=None, method=None, name=None, params=())


def test_a_single_header_is_absent_read_or_refused() -> None:
    """Session ids and event ids follow the same rule."""
    headers = [(b"a", b"1"), (b"b", b"2"), (b"b", b"2"), (b"c", b"\xff")]
    assert single(headers, b"x") is None
    assert single(headers, b"a") == "1"
    for name in (b"b", b"c"):
        answer = single(headers, name)
        assert isinstance(answer, Rejection)
        assert (answer.status, answer.code) == (400, -32020)


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_every_text_survives_the_codec_as_the_official_sdk_writes_it(value: str) -> None:
    """Both ends of a hop must read the same name."""
    encoded = encode_value(value)
    assert encoded == encode_header_value(value)
    assert encoded.isascii()
    assert decode_value(encoded) == value


@given(st.text(alphabet="=?base64?ABC+/ =é", max_size=30) | st.binary().map(lambda raw: f"=?base64?{raw.hex()}?="))
def test_decoding_agrees_with_the_official_sdk(value: str) -> None:
    """One spelling per value: what the encoder would not write is nothing."""
    assert decode_value(value) == decode_header_value(value)


@pytest.mark.parametrize(
    "value", ["=?base64?YQ?=", "=?base64?YR==?=", "=?base64?Y Q=?=", "=?base64?/w==?=", "=?base64?é?="]
)
def test_base64_in_another_spelling_is_nothing(value: str) -> None:
    """Missing padding, trailing bits, spaces, bytes that are no UTF-8."""
    assert decode_value(value) is None
