"""One POSTed message, one reading: every bad input of the check-list, with its exact status and code."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request

from gateway.core.call import Era
from gateway.core.envelope import encode_message
from gateway.core.versions import KNOWN_VERSIONS, MODERN_VERSIONS
from gateway.core.wire import CAPABILITIES_KEY, VERSION_KEY, Inbound, Kind, Rejection, WireLimits, classify

LIMITS = WireLimits(body_bytes=2000, depth=8, keys=100, id_chars=64)
Headers = list[tuple[bytes, bytes]]

MEDIA: Headers = [
    (b"host", b"localhost"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/event-stream"),
]
MODERN: Headers = [
    *MEDIA,
    (b"mcp-protocol-version", b"2026-07-28"),
    (b"mcp-method", b"tools/call"),
    (b"mcp-name", b"pay"),
]
META = {VERSION_KEY: "2026-07-28", CAPABILITIES_KEY: {}}
CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "pay", "arguments": {"amount": 5}, "_meta": META},
}
OLD: dict[str, Any] = {**CALL, "params": {"name": "pay", "arguments": {"amount": 5}}}


def changed(headers: Headers, **values: bytes | None) -> Headers:
    """Return the headers with some replaced, added, or (None) left out."""
    wanted = {name.replace("_", "-").encode(): value for name, value in values.items()}
    kept = [(name, value) for name, value in headers if name not in wanted]
    return kept + [(name, value) for name, value in wanted.items() if value is not None]


def params(**members: Any) -> dict[str, Any]:
    return {**CALL, "params": {**CALL["params"], **members}}


def send(body: Any, headers: Headers = MODERN, limits: WireLimits = LIMITS) -> Inbound | Rejection:
    return classify(body if isinstance(body, bytes) else json.dumps(body).encode(), headers, limits)


TEXT = json.dumps(CALL).encode()

BAD: dict[str, tuple[Any, Headers, int, int]] = {
    # 1 headers
    "text/plain": (CALL, changed(MODERN, content_type=b"text/plain"), 415, -32600),
    "a form": (CALL, changed(MODERN, content_type=b"application/x-www-form-urlencoded"), 415, -32600),
    "json5": (CALL, changed(MODERN, content_type=b"application/json5"), 415, -32600),
    "no media type": (CALL, changed(MODERN, content_type=None), 415, -32600),
    "two media types": (CALL, [*MODERN, (b"content-type", b"text/plain")], 400, -32020),
    "charset utf-16": (CALL, changed(MODERN, content_type=b"application/json; charset=utf-16"), 415, -32600),
    "gzip": (b"\x1f\x8b\x08", changed(MODERN, content_encoding=b"gzip"), 415, -32600),
    "no accept": (CALL, changed(MODERN, accept=None), 406, -32600),
    "accept html": (CALL, changed(MODERN, accept=b"text/html"), 406, -32600),
    # 2 size
    "a long body": (TEXT + b" " * 2000, MODERN, 413, -32600),
    # 3 JSON
    "nothing": (b"", MODERN, 400, -32700),
    "half": (TEXT[:-1], MODERN, 400, -32700),
    "two documents": (TEXT + TEXT, MODERN, 400, -32700),
    "a byte order mark": (b"\xef\xbb\xbf" + TEXT, MODERN, 400, -32700),
    "a vertical tab before": (b"\x0b" + TEXT, MODERN, 400, -32700),
    "UTF-16": (TEXT.decode().encode("utf-16"), MODERN, 400, -32700),
    "Latin-1": (b'{"a":"\xe9"}', MODERN, 400, -32700),
    "NaN": (TEXT.replace(b"5", b"NaN"), MODERN, 400, -32700),
    "Infinity": (TEXT.replace(b": 5", b": Infinity"), MODERN, 400, -32700),
    "a comment": (TEXT + b"// x", MODERN, 400, -32700),
    "1e999": (TEXT.replace(b": 5", b": 1e999"), MODERN, 400, -32600),
    "2^53": (params(arguments={"amount": 2**53}), MODERN, 400, -32600),
    "1000 digits": (TEXT.replace(b": 5", b": " + b"5" * 1000), MODERN, 400, -32600),
    "a lone surrogate": (params(arguments={"a": "\ud800"}), MODERN, 400, -32600),
    "NUL": (params(arguments={"a": "\x00"}), MODERN, 400, -32600),
    "NUL in a key": (params(arguments={"a\x00": 1}), MODERN, 400, -32600),
    "a key twice in the envelope": (TEXT[:-1] + b',"method":"tools/list"}', MODERN, 400, -32600),
    "a key twice in params": (TEXT.replace(b'"name"', b'"name":"x","name"'), MODERN, 400, -32600),
    "a key twice in arguments": (TEXT.replace(b'"amount"', b'"amount":1,"amount"'), MODERN, 400, -32600),
    "a key twice, once escaped": (TEXT.replace(b'"amount"', b'"amoun\\u0074":1,"amount"'), MODERN, 400, -32600),
    "arguments but for case": (params(arguments={"amount": 5, "Amount": 500}), MODERN, 400, -32600),
    "depth": (params(arguments={"a": [[[[[[[]]]]]]]}), MODERN, 400, -32600),
    "keys": (params(arguments={"a": list(range(100))}), MODERN, 400, -32600),
    # 4 the envelope
    "a batch of one": ([CALL], MODERN, 400, -32600),
    "a batch": ([CALL, CALL], MODERN, 400, -32600),
    "an empty batch": ([], MODERN, 400, -32600),
    "a text": ("tools/call", MODERN, 400, -32600),
    "jsonrpc 1.0": ({**CALL, "jsonrpc": "1.0"}, MODERN, 400, -32600),
    "id null": ({**CALL, "id": None}, MODERN, 400, -32600),
    "id true": ({**CALL, "id": True}, MODERN, 400, -32600),
    "id 1.5": ({**CALL, "id": 1.5}, MODERN, 400, -32600),
    "id 1.0": ({**CALL, "id": 1.0}, MODERN, 400, -32600),
    "a long id": ({**CALL, "id": "x" * 65}, MODERN, 400, -32600),
    "an unknown member": ({**CALL, "meta": {}}, MODERN, 400, -32600),
    "Method": ({"jsonrpc": "2.0", "id": 1, "Method": "tools/call"}, MODERN, 400, -32600),
    "Name beside name": (params(Name="other"), MODERN, 400, -32600),
    "Arguments": (params(Arguments={}), MODERN, 400, -32600),
    "params a list": ({**CALL, "params": []}, MODERN, 400, -32600),
    "params null": ({**CALL, "params": None}, MODERN, 400, -32600),
    "method a number": ({**CALL, "method": 1}, MODERN, 400, -32600),
    "a call without id": ({key: CALL[key] for key in ("jsonrpc", "method", "params")}, MODERN, 400, -32600),
    "a handshake call without id": ({key: OLD[key] for key in ("jsonrpc", "method", "params")}, MEDIA, 400, -32600),
    # 6 modern
    "an answer": ({"jsonrpc": "2.0", "id": 1, "result": {}}, MODERN, 400, -32600),
    "no meta": (OLD, MODERN, 400, -32602),
    "no capabilities": (params(_meta={VERSION_KEY: "2026-07-28"}), MODERN, 400, -32602),
    "capabilities null": (params(_meta=META | {CAPABILITIES_KEY: None}), MODERN, 400, -32602),
    "no version in the body": (params(_meta={CAPABILITIES_KEY: {}}), MODERN, 400, -32602),
    "no version header": (CALL, changed(MODERN, mcp_protocol_version=None), 400, -32020),
    "an older version header": (CALL, changed(MODERN, mcp_protocol_version=b"2025-11-25"), 400, -32020),
    "an unknown version header": (CALL, changed(MODERN, mcp_protocol_version=b"2099-01-01"), 400, -32020),
    "two version headers": (CALL, [*MODERN, (b"mcp-protocol-version", b"2026-07-28")], 400, -32020),
    "a version that is no text": (params(_meta=META | {VERSION_KEY: 20260728}), MODERN, 400, -32020),
    "a version null": (params(_meta=META | {VERSION_KEY: None}), MODERN, 400, -32020),
    "no method header": (CALL, changed(MODERN, mcp_method=None), 400, -32020),
    "another method header": (CALL, changed(MODERN, mcp_method=b"tools/list"), 400, -32020),
    "a method header in other case": (CALL, changed(MODERN, mcp_method=b"Tools/call"), 400, -32020),
    "a method header in base64": (CALL, changed(MODERN, mcp_method=b"=?base64?dG9vbHMvY2FsbA==?="), 400, -32020),
    "two method headers": (CALL, [*MODERN, (b"mcp-method", b"tools/call")], 400, -32020),
    "no name header": (CALL, changed(MODERN, mcp_name=None), 400, -32020),
    "another name header": (CALL, changed(MODERN, mcp_name=b"read"), 400, -32020),
    "base64 of another name": (CALL, changed(MODERN, mcp_name=b"=?base64?cmVhZA==?="), 400, -32020),
    "base64 in another spelling": (CALL, changed(MODERN, mcp_name=b"=?base64?cGF5=?="), 400, -32020),
    "two name headers": (CALL, [*MODERN, (b"mcp-name", b"pay")], 400, -32020),
    "a name header of raw UTF-8": (CALL, changed(MODERN, mcp_name="é".encode()), 400, -32020),
    "a name that is no text": (params(name=5), changed(MODERN, mcp_name=b"5"), 400, -32020),
    "two parameter headers": (CALL, [*MODERN, *[(b"mcp-param-a", b"1")] * 2], 400, -32020),
    "an unknown version": (
        params(_meta=META | {VERSION_KEY: "2099-01-01"}),
        changed(MODERN, mcp_protocol_version=b"2099-01-01"),
        400,
        -32022,
    ),
    "a handshake version in the body": (
        params(_meta=META | {VERSION_KEY: "2025-11-25"}),
        changed(MODERN, mcp_protocol_version=b"2025-11-25"),
        400,
        -32022,
    ),
    "a notification of an unknown version": (
        {"jsonrpc": "2.0", "method": "notifications/x"},
        changed(MEDIA, mcp_protocol_version=b"2099-01-01"),
        400,
        -32022,
    ),
    "a notification with a wrong method header": (
        {"jsonrpc": "2.0", "method": "notifications/x"},
        changed(MEDIA, mcp_protocol_version=b"2026-07-28", mcp_method=b"notifications/y"),
        400,
        -32020,
    ),
    "a modern notification without version header": (
        {"jsonrpc": "2.0", "method": "notifications/x", "params": {"_meta": META}},
        MEDIA,
        400,
        -32020,
    ),
    # 6 handshake
    "a handshake call of an unknown version": (OLD, changed(MEDIA, mcp_protocol_version=b"1999-01-01"), 400, -32022),
    "a handshake call with another method header": (OLD, changed(MEDIA, mcp_method=b"tools/list"), 400, -32020),
    "a handshake call with another name header": (OLD, changed(MEDIA, mcp_name=b"read"), 400, -32020),
}


@pytest.mark.parametrize(("body", "headers", "status", "code"), BAD.values(), ids=BAD)
def test_a_message_with_more_than_one_reading_is_refused(body: Any, headers: Headers, status: int, code: int) -> None:
    """Each of these got past some gateway (research/security.md, section 2)."""
    answer = send(body, headers)
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.code) == (status, code)
    assert answer.message
    assert "5" * 100 not in answer.message


@pytest.mark.parametrize("taskmethod", ["tasks/get", "tasks/update", "tasks/cancel"])
def test_the_header_of_a_task_names_the_task(taskmethod: str) -> None:
    """An intermediary routes on it."""
    body = {**CALL, "method": taskmethod, "params": {"taskId": "t1", "_meta": META}}
    headers = changed(MODERN, mcp_method=taskmethod.encode(), mcp_name=b"t1")
    assert isinstance(send(body, headers), Inbound)
    answer = send(body, changed(headers, mcp_name=b"t2"))
    assert isinstance(answer, Rejection)
    assert answer.code == -32020


def test_a_modern_call_is_read() -> None:
    """Everything that later steps rest on, from body and headers."""
    assert send(CALL, [*MODERN, (b"mcp-param-b", b"1"), (b"mcp-param-a", b"2")]) == Inbound(
        kind=Kind.REQUEST,
        era=Era.MODERN,
        version="2026-07-28",
        id=1,
        method="tools/call",
        params=CALL["params"],
        param_headers=(("mcp-param-b", "1"), ("mcp-param-a", "2")),
    )


@pytest.mark.parametrize("name", ["é", " pay", "=?base64?x?=", "日本", "a\u200bb"])
def test_a_name_that_no_header_carries_is_compared_decoded(name: str) -> None:
    """Byte for byte, with no normalising."""
    sentinel = b"=?base64?" + base64.b64encode(name.encode()) + b"?="
    answer = send(params(name=name), changed(MODERN, mcp_name=sentinel))
    assert isinstance(answer, Inbound)
    assert answer.params["name"] == name


def test_a_modern_request_without_a_name_of_its_own_needs_no_name_header() -> None:
    """Only some methods have one; a call that lacks its name is refused for that (`-32602`), not for the header."""
    listing = {**CALL, "method": "tools/list", "params": {"_meta": META}}
    nameless = {**CALL, "params": {"_meta": META}}
    assert isinstance(send(listing, changed(MODERN, mcp_method=b"tools/list", mcp_name=None)), Inbound)
    assert isinstance(send(nameless, changed(MODERN, mcp_name=None)), Inbound)


@pytest.mark.parametrize("version", [None, b"2024-11-05", b"2025-03-26", b"2025-06-18", b"2025-11-25"])
def test_a_handshake_call_is_read(version: bytes | None) -> None:
    """The header is absent before 2025-06-18; parameter headers mean nothing in this era."""
    headers = changed(MEDIA, mcp_protocol_version=version, mcp_param_a=b"1")
    assert send(OLD, headers) == Inbound(
        kind=Kind.REQUEST,
        era=Era.HANDSHAKE,
        version=(version or b"").decode(),
        id=1,
        method="tools/call",
        params=OLD["params"],
    )


def test_routing_headers_of_a_handshake_call_may_agree() -> None:
    """A client may send them in both eras."""
    answer = send(OLD, changed(MEDIA, mcp_method=b"tools/call", mcp_name=b"pay"))
    assert isinstance(answer, Inbound)
    assert answer.era is Era.HANDSHAKE


def test_initialize_is_a_handshake_message_whatever_version_it_offers() -> None:
    """It is negotiated, not refused."""
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2026-07-28"}}
    answer = send(body, MEDIA)
    assert isinstance(answer, Inbound)
    assert (answer.era, answer.version) == (Era.HANDSHAKE, "")


def test_an_answer_of_a_handshake_agent_is_read() -> None:
    """It belongs to a request that was relayed to it."""
    answer = send({"jsonrpc": "2.0", "id": "e1", "result": {"action": "accept"}}, MEDIA)
    assert answer == Inbound(
        kind=Kind.RESPONSE,
        era=Era.HANDSHAKE,
        version="",
        id="e1",
        method="",
        params={},
        message={"result": {"action": "accept"}},
    )


@pytest.mark.parametrize("meta", [{}, {"params": {}}, {"params": {"_meta": {VERSION_KEY: "2026-07-28"}}}])
def test_a_modern_notification_needs_no_more_than_the_version_header(meta: dict[str, Any]) -> None:
    """It is accepted and dropped, as the official SDK does."""
    answer = send(
        {"jsonrpc": "2.0", "method": "notifications/cancelled", **meta},
        changed(MEDIA, mcp_protocol_version=b"2026-07-28"),
    )
    assert isinstance(answer, Inbound)
    assert (answer.kind, answer.era, answer.id) == (Kind.NOTIFICATION, Era.MODERN, None)


def test_a_refusal_names_the_id_and_era_where_they_are_known() -> None:
    """The agent waits under that id, and the answer's form depends on the era."""
    modern = send(CALL, changed(MODERN, mcp_method=None))
    handshake = send(OLD, changed(MEDIA, mcp_method=b"x"))
    unread = send(TEXT[:-1])
    assert [(answer.id, answer.era) for answer in (modern, handshake, unread) if isinstance(answer, Rejection)] == [
        (1, Era.MODERN),
        (1, Era.HANDSHAKE),
        (None, None),
    ]


def test_an_unsupported_version_is_told_what_is_supported() -> None:
    """Clients choose again from that list."""
    body, headers, *_ = BAD["an unknown version"]
    answer = send(body, headers)
    assert isinstance(answer, Rejection)
    assert answer.data == {"supported": list(MODERN_VERSIONS), "requested": "2099-01-01"}


@pytest.mark.parametrize("name", ["so.intended/authority", "So.Intended/Authority"])
@pytest.mark.parametrize("headers", [MODERN, MEDIA])
def test_an_agent_cannot_bring_an_authority_token_of_its_own(headers: Headers, name: str) -> None:
    """Whatever passes from here on has none; only the gateway puts one in."""
    meta = {name: "forged", "com.acme/a": 1}
    inbound = send(params(_meta={**META, **meta}) if headers is MODERN else params(_meta=meta), headers)
    assert isinstance(inbound, Inbound)
    assert inbound.params["_meta"] == ({**META, "com.acme/a": 1} if headers is MODERN else {"com.acme/a": 1})


def test_escapes_are_read_before_anything_is_compared() -> None:
    """`tools\\/call` is tools/call to every JSON reader."""
    answer = send(TEXT.replace(b"tools/call", b"\\u0074ools\\/call"))
    assert isinstance(answer, Inbound)
    assert answer.method == "tools/call"


def test_every_bound_is_a_setting() -> None:
    """Operators raise them for large bodies."""
    body = params(arguments={"a": [[[[[[[0] * 200]]]]]], "t": "x" * 3000})
    wide = replace(LIMITS, body_bytes=10_000, depth=12, keys=1000)
    assert isinstance(send(body), Rejection)
    assert isinstance(send(body, limits=wide), Inbound)
    assert isinstance(send({**CALL, "id": "x" * 65}, limits=replace(LIMITS, id_chars=65)), Inbound)


# --- properties -------------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=6), VALUES, max_size=4),
    st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    st.booleans(),
)
def test_what_is_accepted_is_read_the_same_again(arguments: Any, identifier: Any, ascii_only: bool) -> None:
    """What is evaluated is what is forwarded: writing and reading it changes nothing."""
    body = {**params(arguments=arguments), "id": identifier}
    first = classify(json.dumps(body, ensure_ascii=ascii_only).encode(errors="replace"), MODERN, LIMITS)
    if isinstance(first, Inbound):
        written = {"jsonrpc": "2.0", "id": first.id, "method": first.method, "params": first.params}
        second = classify(encode_message(written), MODERN, LIMITS)
        assert second == first
        assert repr(second) == repr(first)


FRAGMENTS = st.sampled_from(
    [*'{}[],:" \\', '"jsonrpc":"2.0"', '"id":1', '"method":"tools/call"', '"params":{}', '"_meta":', "null", "1e999"]
)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=100) | st.lists(FRAGMENTS, max_size=20).map(lambda parts: "".join(parts).encode()),
    st.lists(
        st.tuples(
            st.sampled_from([name for name, _ in MODERN] + [b"mcp-param-x", b"content-encoding"]),
            st.sampled_from([value for _, value in MODERN]) | st.binary(max_size=8),
        ),
        max_size=5,
    ),
)
def test_nothing_that_a_stranger_sends_raises(body: bytes, headers: Headers) -> None:
    """An exception would be the stranger's way to an answer that nobody thought of."""
    for sent in (headers, MEDIA, MODERN):
        answer = classify(body, sent, LIMITS)
        if isinstance(answer, Rejection):
            assert 400 <= answer.status < 500
            assert encode_message({"message": answer.message, "data": answer.data})


METAS = st.fixed_dictionaries(
    {},
    optional={
        VERSION_KEY: st.sampled_from(["2026-07-28", "2025-11-25", "2099-01-01", 1, None]),
        CAPABILITIES_KEY: st.just({}),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    METAS,
    st.sampled_from(["tools/call", "prompts/get", "resources/read", "tools/list", "x/y"]),
    st.sampled_from([{}, {"name": "pay"}, {"uri": "test://x"}, {"name": "é"}]),
    st.fixed_dictionaries(
        {"mcp_protocol_version": st.sampled_from([b"2026-07-28", b"2099-01-01"])},
        optional={
            "mcp_method": st.sampled_from([b"tools/call", b"prompts/get", b"resources/read", b"tools/list", b"x/y"]),
            "mcp_name": st.sampled_from([b"pay", b"test://x", b"=?base64?w6k=?=", b"=?base64?cGF5?="]),
        },
    ),
)
def test_modern_requests_are_judged_as_by_the_official_sdk(
    meta: dict[str, Any], method: str, members: dict[str, Any], sent: dict[str, bytes]
) -> None:
    """Its client and the conformance suite expect these codes in this order."""
    body = {**CALL, "method": method, "params": {**members, "_meta": meta}}
    ours = send(body, changed(MEDIA, **sent))
    headers = {name.replace("_", "-"): value.decode() for name, value in sent.items()}
    theirs = classify_inbound_request(body, headers=headers)
    if isinstance(theirs, InboundLadderRejection):
        assert isinstance(ours, Rejection)
        unknown = VERSION_KEY not in meta and headers["mcp-protocol-version"] not in KNOWN_VERSIONS
        assert ours.code == (-32022 if unknown else theirs.code)
    else:
        assert isinstance(ours, Inbound)
        assert ours.version == theirs.protocol_version
