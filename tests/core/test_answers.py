"""What upstreams send, and what of it may go on."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.answers import check_result, in_era, read_message, without_lists
from gateway.core.call import Era
from gateway.core.envelope import encode_message
from gateway.core.jsonvalue import JsonObject

UNTOUCHED = (
    '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"vendor/x","text":"é😀\u2028","n":null}],"f":1.0,"e":-0.0,'
    '"big":18446744073709551616123,"max":18446744073709551615,"_meta":{"Key":1,"key":2},"nul":"\\u0000"}}'
)


def test_content_passes_untouched() -> None:
    """What is allowed passes unchanged: unknown members, nulls, floats, integers of any size."""
    message = read_message(UNTOUCHED.encode())
    assert isinstance(message, dict)
    assert json.loads(encode_message(message), parse_float=str) == json.loads(UNTOUCHED, parse_float=str)
    assert repr(json.loads(encode_message(message))) == repr(json.loads(UNTOUCHED))


READ: list[dict[str, Any]] = [
    {"id": 1, "result": {}},
    {"id": "x", "result": {"a": 1}, "vendor": 1},
    {"id": None, "error": {"code": -32700, "message": "?"}},
    {"error": {"code": -32700, "message": "?", "data": None}},
    {"method": "notifications/progress", "params": {}},
    {"method": "notifications/x"},
    {"id": 7, "method": "ping"},
]


@pytest.mark.parametrize("members", READ)
def test_every_kind_of_message_is_read(members: dict[str, Any]) -> None:
    """Answers, requests and notifications come on one stream."""
    message = {"jsonrpc": "2.0", **members}
    assert read_message(json.dumps(message).encode()) == message


OK = {"jsonrpc": "2.0", "id": 1}
BAD: list[Any] = [
    [], [OK | {"result": {}}], None, "x", {}, {"id": 1, "result": {}}, OK | {"jsonrpc": 2.0, "result": {}}, OK,
    OK | {"result": {}, "error": {"code": 1, "message": "x"}}, OK | {"result": {}, "method": "x"},
    OK | {"result": None}, OK | {"result": []}, {"jsonrpc": "2.0", "result": {}}, OK | {"id": None, "result": {}},
    OK | {"id": 1.0, "result": {}}, OK | {"id": True, "result": {}}, OK | {"id": [], "result": {}},
    OK | {"error": "x"}, OK | {"error": {"code": "1", "message": "x"}}, OK | {"error": {"code": True, "message": "x"}},
    OK | {"error": {"code": 1}}, OK | {"id": 1.5, "error": {"code": 1, "message": "x"}}, OK | {"method": 1},
    OK | {"id": None, "method": "x"}, OK | {"id": 1.0, "method": "x"}, OK | {"method": "x", "params": []},
    OK | {"method": "x", "params": None},
]  # fmt: skip


@pytest.mark.parametrize("message", BAD, ids=json.dumps)
def test_what_is_not_exactly_one_message_is_a_problem(message: Any) -> None:
    """The call that waits for it ends with a clear error; nothing else is harmed."""
    problem = read_message(json.dumps(message).encode())
    assert isinstance(problem, str)
    assert problem


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b"{", b'{"jsonrpc":"2.0","id":1,"result":{},"result":{"tools":[]}}', b"\xef\xbb\xbf{}",
     b'{"jsonrpc":"2.0","id":1,"result":{"tools":[],"tools":[1]}}', b'{"jsonrpc":"2.0","id":1,"id":2,"result":{}}',
     b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","name":"b"}]}}', b'{"a":NaN}', b"\xff\xfe{\x00}\x00",
     b'{"jsonrpc":"2.0","id":1,"result":{"a":"\\ud800"}}', b"[" * 200 + b"]" * 200],
)  # fmt: skip
def test_bytes_with_two_readings_are_a_problem(data: bytes) -> None:
    """A list that two readers read differently would get around the filter."""
    problem = read_message(data)
    assert isinstance(problem, str)
    assert problem


def test_depth_is_the_callers_choice() -> None:
    """Long answers are bounded where they are written again."""
    data = b'{"jsonrpc":"2.0","id":1,"result":{"a":[[[]]]}}'
    assert isinstance(read_message(data, 5), dict)
    assert isinstance(read_message(data, 4), str)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    """One bad reply must not be everyone's."""
    assert isinstance(read_message(data), dict | str)


# --- results ----------------------------------------------------------------------------------------------------------

ASK = {"a": {"method": "elicitation/create", "params": {"message": "?"}}}
MANY = {str(number): ASK["a"] for number in range(65)}
"""Each would be a decision with its entries."""
CAN = {"elicitation": {}, "sampling": {}, "roots": {}}

ALLOWED: list[tuple[str, Era, dict[str, Any]]] = [
    ("tools/call", Era.HANDSHAKE, {}),
    ("tools/call", Era.HANDSHAKE, {"resultType": "complete"}),
    ("tools/call", Era.MODERN, {"resultType": "complete", "x": 1}),
    ("tools/list", Era.MODERN, {"resultType": "complete"}),
    ("tools/call", Era.MODERN, {"resultType": "input_required", "requestState": "s"}),
    ("prompts/get", Era.MODERN, {"resultType": "input_required", "inputRequests": ASK}),
    ("resources/read", Era.MODERN, {"resultType": "input_required", "inputRequests": {"r": {"method": "roots/list"}}}),
    ("tools/call", Era.MODERN, {"resultType": "input_required", "inputRequests": dict(list(MANY.items())[:64])}),
]

WITHHELD: list[tuple[str, Era, dict[str, Any]]] = [
    ("tools/call", Era.HANDSHAKE, {"resultType": "input_required", "requestState": "s"}),
    ("tools/call", Era.HANDSHAKE, {"resultType": "task"}),
    ("tools/call", Era.MODERN, {}),
    ("tools/call", Era.MODERN, {"resultType": None}),
    ("tools/call", Era.MODERN, {"resultType": "task", "task": {}}),
    ("tools/call", Era.MODERN, {"resultType": "Complete"}),
    ("tools/call", Era.MODERN, {"resultType": ["complete"]}),
    ("tools/list", Era.MODERN, {"resultType": "input_required", "requestState": "s"}),
    ("tools/call", Era.MODERN, {"resultType": "input_required"}),
    ("tools/call", Era.MODERN, {"resultType": "input_required", "requestState": 1}),
    ("tools/call", Era.MODERN, {"resultType": "input_required", "inputRequests": [ASK]}),
    ("tools/call", Era.MODERN, {"resultType": "input_required", "inputRequests": {"a": "x"}}),
    ("tools/call", Era.MODERN, {"resultType": "input_required", "inputRequests": MANY}),
    ("tools/call", Era.MODERN, {"resultType": "input_required", "inputRequests": {"a": {"method": "tools/call"}}}),
    ("tools/call", Era.MODERN, {"resultType": "input_required", "inputRequests": {"a": {"method": ["roots/list"]}}}),
    (
        "tools/call",
        Era.MODERN,
        {"resultType": "input_required", "inputRequests": {"a": {"method": "roots/list", "params": []}}},
    ),
]


@pytest.mark.parametrize(("method", "era", "result"), ALLOWED)
def test_a_result_that_clients_agree_on_goes_on(method: str, era: Era, result: dict[str, Any]) -> None:
    """Everything inside of it is the upstream's own."""
    assert check_result(method, era, result, CAN) == ""


@pytest.mark.parametrize(("method", "era", "result"), WITHHELD)
def test_a_result_of_an_unknown_kind_is_withheld(method: str, era: Era, result: dict[str, Any]) -> None:
    """Some clients show it as an empty success (protocol research, 1.2)."""
    assert check_result(method, era, result, CAN) != ""


@pytest.mark.parametrize("capabilities", [None, {}, {"roots": {}}])
def test_an_upstream_asks_for_no_more_than_the_agent_declared(capabilities: dict[str, Any] | None) -> None:
    """The specification forbids it, and the agent could not answer."""
    result = {"resultType": "input_required", "inputRequests": ASK}
    assert check_result("tools/call", Era.MODERN, result, capabilities) != ""


def test_a_list_has_no_second_one_beside_it():
    """What was filtered under one spelling must not be read under another."""
    page = {
        "tools": [1],
        "TOOLS": [1],
        "result": {"tools": [1]},
        "nextCursor": "n",
        "ttlMs": 5,
        "x": None,
        "_meta": {"a": [1]},
    }
    assert without_lists(page) == {"nextCursor": "n", "ttlMs": 5, "x": None, "_meta": {"a": [1]}}


@pytest.mark.parametrize(
    ("message", "era", "told"),
    [
        ({"result": {"content": []}}, Era.MODERN, {"result": {"content": [], "resultType": "complete"}}),
        ({"result": {"resultType": "input_required"}}, Era.MODERN, {"result": {"resultType": "input_required"}}),
        ({"result": {"content": [], "resultType": "complete"}}, Era.HANDSHAKE, {"result": {"content": []}}),
        ({"result": {"content": []}}, Era.HANDSHAKE, {"result": {"content": []}}),
        ({"result": {"resultType": "input_required"}}, Era.HANDSHAKE, None),
        ({"error": {"code": 1, "message": "no"}}, Era.HANDSHAKE, {"error": {"code": 1, "message": "no"}}),
    ],
)
def test_an_answer_that_is_told_later_is_told_in_the_era_that_asks(
    message: JsonObject, era: Era, told: JsonObject | None
) -> None:
    """A client that has timed out may come back in the other era."""
    assert in_era(message, era) == told
