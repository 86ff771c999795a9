"""The JSON-RPC envelope, in and out."""

import json
from typing import Any

import pytest

from gateway.core.envelope import Envelope, encode_error, encode_result, read_envelope
from gateway.core.message import Kind, Rejection

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}}
ERROR = {"code": -1, "message": "no"}

REFUSED: dict[str, Any] = {
    "a batch": [CALL],
    "an empty batch": [],
    "a batch of two": [CALL, CALL],
    "a text": "x",
    "null": None,
    "a number": 1,
    "an empty object": {},
    "no version": {key: CALL[key] for key in ("id", "method", "params")},
    "another version": CALL | {"jsonrpc": "1.0"},
    "a version as number": CALL | {"jsonrpc": 2.0},
    "id null": CALL | {"id": None},
    "id true": CALL | {"id": True},
    "id float": CALL | {"id": 1.0},
    "id object": CALL | {"id": {}},
    "id list": CALL | {"id": [1]},
    "a long id": CALL | {"id": "x" * 65},
    "an unknown member": CALL | {"extra": 1},
    "an empty member": CALL | {"": 1},
    "Method beside method": CALL | {"Method": "tools/list"},
    "JSONRPC beside jsonrpc": CALL | {"JSONRPC": "2.0"},
    "Id": {"jsonrpc": "2.0", "Id": 1, "method": "tools/call"},
    "only Method": {"jsonrpc": "2.0", "id": 1, "Method": "tools/call"},
    "method with NUL in its key": {"jsonrpc": "2.0", "id": 1, "method\x00": "tools/call"},
    "method and result": CALL | {"result": {}},
    "method null": CALL | {"method": None},
    "method object": CALL | {"method": {}},
    "method empty": CALL | {"method": ""},
    "method long": CALL | {"method": "x" * 257},
    "params list": CALL | {"params": []},
    "params null": CALL | {"params": None},
    "params text": CALL | {"params": "x"},
    "Name": CALL | {"params": {"Name": "x"}},
    "ARGUMENTS": CALL | {"params": {"name": "x", "ARGUMENTS": {}}},
    "long s": CALL | {"params": {"name": "x", "argument\u017f": {}}},
    "_META": CALL | {"params": {"name": "x", "_META": {}}},
    "_meta null": CALL | {"params": {"_meta": None}},
    "_meta list": CALL | {"params": {"_meta": []}},
    "a version key in other case": CALL | {"params": {"_meta": {"io.modelcontextprotocol/ProtocolVersion": "x"}}},
    "PROGRESSTOKEN": CALL | {"params": {"_meta": {"PROGRESSTOKEN": 1}}},
    "a call without id": {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "x"}},
    "an unknown method without id": {"jsonrpc": "2.0", "method": "Notifications/initialized"},
    "result without id": {"jsonrpc": "2.0", "result": {}},
    "result and error": {"jsonrpc": "2.0", "id": 1, "result": {}, "error": ERROR},
    "result null": {"jsonrpc": "2.0", "id": 1, "result": None},
    "result list": {"jsonrpc": "2.0", "id": 1, "result": []},
    "error text": {"jsonrpc": "2.0", "id": 1, "error": "no"},
    "error without code": {"jsonrpc": "2.0", "id": 1, "error": {"message": "no"}},
    "error with code true": {"jsonrpc": "2.0", "id": 1, "error": {"code": True, "message": "no"}},
    "error without message": {"jsonrpc": "2.0", "id": 1, "error": {"code": 1}},
    "error with id null": {"jsonrpc": "2.0", "id": None, "error": ERROR},
    "an answer with more": {"jsonrpc": "2.0", "id": 1, "result": {}, "params": {}},
    "neither": {"jsonrpc": "2.0", "id": 1},
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_is_not_exactly_one_message_is_refused(body: Any) -> None:
    """A second message hidden in the first would be read by somebody."""
    answer = read_envelope(body, id_chars=64)
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.code) == (400, -32600)


def test_a_refusal_answers_to_the_id_where_that_is_sound() -> None:
    """The agent waits for it."""
    for body in (CALL | {"params": []}, CALL | {"extra": 1}, {"jsonrpc": "2.0", "id": 1}):
        answer = read_envelope(body, id_chars=64)
        assert isinstance(answer, Rejection)
        assert answer.id == 1


@pytest.mark.parametrize("identifier", [0, -1, 2**53 - 1, "", "a", "x" * 64])
def test_a_request_is_read(identifier: str | int) -> None:
    """Any text and integer is an id; the params are the very object that came."""
    params = {"name": "x", "vendor": 1, "_meta": {"progressToken": 1, "com.acme/Key": 2}}
    envelope = read_envelope(CALL | {"id": identifier, "params": params}, id_chars=64)
    assert envelope == Envelope(kind=Kind.REQUEST, id=identifier, method="tools/call", params=params, answer={})
    assert isinstance(envelope, Envelope)
    assert envelope.params is params


def test_a_notification_is_read() -> None:
    """It has no id, and may have no params."""
    body = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert read_envelope(body, id_chars=64) == Envelope(
        kind=Kind.NOTIFICATION, id=None, method="notifications/initialized", params={}, answer={}
    )


@pytest.mark.parametrize("answer", [{"result": {"a": None}}, {"error": {**ERROR, "data": [1]}}])
def test_an_answer_is_read_whole(answer: dict[str, Any]) -> None:
    """Unknown members of a result pass untouched."""
    assert read_envelope({"jsonrpc": "2.0", "id": "x", **answer}, id_chars=64) == Envelope(
        kind=Kind.RESPONSE, id="x", method="", params={}, answer=answer
    )


def test_results_and_errors_get_their_envelope() -> None:
    """Services answer without one."""
    assert encode_result(1, {"result": {"é": 1.0}}) == '{"jsonrpc":"2.0","id":1,"result":{"é":1.0}}'.encode()
    assert encode_result("x", {"error": ERROR}) == b'{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":"no"}}'
    rejection = Rejection(status=400, code=-32700, message="no", data={"supported": []})
    assert encode_error(None, rejection) == (
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no","data":{"supported":[]}}}'
    )
    assert b"data" not in encode_error(1, Rejection(status=400, code=-32700, message="no"))


@pytest.mark.parametrize("number", [2**64 - 1, 2**64, -(2**63) - 1, 10**400])
def test_integers_of_any_size_are_written_exactly(number: int) -> None:
    """An upstream may answer with them, and orjson stops at 64 bits."""
    assert json.loads(encode_result(1, {"result": {"n": number}}))["result"] == {"n": number}


def test_every_text_can_be_written() -> None:
    """An error message that quotes an upstream must not become an exception."""
    assert json.loads(encode_result(1, {"result": {"t": "\ud800é"}}))["result"] == {"t": "\ud800é"}
