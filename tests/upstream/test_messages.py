"""JSON-RPC on the upstream hop: what is written, and which tokens change."""

import json
from typing import Any

import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamBroken, UpstreamUnreachable
from gateway.upstream.messages import (
    AskedTokens,
    answer_of,
    encode_notification,
    encode_reply,
    encode_request,
    params_of,
    with_progress_token,
)


def test_a_request_is_written_with_its_params_as_they_are() -> None:
    """Order, floats and unknown members are the agent's; the envelope is ours."""
    params: JsonObject = {"b": 1.0, "a": None, "_meta": {"x/y": []}}
    assert encode_request(7, "tools/call", params) == (
        b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"b":1.0,"a":null,"_meta":{"x/y":[]}}}'
    )
    assert encode_notification("n", {}) == b'{"jsonrpc":"2.0","method":"n"}'
    assert json.loads(encode_notification("n", {"a": 1}))["params"] == {"a": 1}


def test_an_id_of_the_upstream_comes_back_exactly() -> None:
    """It may be an integer of any size."""
    assert json.loads(encode_reply(10**30, {"result": {}})) == {"jsonrpc": "2.0", "id": 10**30, "result": {}}
    assert json.loads(encode_reply('"\n', {"error": {"code": 1}}))["id"] == '"\n'


@pytest.mark.parametrize("value", ["\ud800", 10**30, object()])
def test_what_cannot_be_written_is_not_sent(value: Any) -> None:
    """And the caller may be told that nothing ran."""
    with pytest.raises(UpstreamUnreachable) as caught:
        encode_request(1, "tools/call", {"x": value})
    assert not caught.value.may_have_run


@pytest.mark.parametrize("answered", [2, True, "1", 1.0, None])
def test_only_our_own_id_is_our_answer(answered: Any) -> None:
    """True and 1.0 equal 1 in Python, and are no answer to request 1."""
    with pytest.raises(UpstreamBroken):
        answer_of({"id": answered, "result": {}}, 1, "upstream x")


def test_a_progress_token_is_replaced_in_a_copy() -> None:
    """The agent's params were digested and recorded."""
    params: JsonObject = {"a": 1, "_meta": {"progressToken": "t", "v": 2}}
    assert with_progress_token(params, 9) == ({"a": 1, "_meta": {"progressToken": 9, "v": 2}}, "t")
    assert params == {"a": 1, "_meta": {"progressToken": "t", "v": 2}}
    for without in ({}, {"_meta": {}}, {"_meta": 3}):
        assert with_progress_token(without, 9) == (without, None)


@pytest.mark.parametrize("token", [10, "9", True, None, [9]])
def test_progress_on_nothing_in_flight_is_dropped(token: Any) -> None:
    """Only the token that we gave out leads to an agent."""
    message = {"method": "notifications/progress", "params": {"progressToken": token}}
    assert params_of(message, {9: "t", 1: "u"}) is None


def test_tokens_of_upstreams_are_unique_for_the_agent_and_forgotten_after_the_answer() -> None:
    """Two upstreams may both use the token 1."""
    first, second = AskedTokens("a"), AskedTokens("b")
    params: JsonObject = {"_meta": {"progressToken": 1}}
    shown, token = first.hide(params)
    assert shown["_meta"]["progressToken"] == token != second.hide(params)[1]
    progress: JsonObject = {"progressToken": token, "progress": 1}
    assert first.restore("notifications/progress", progress) == {"progressToken": 1, "progress": 1}
    assert second.restore("notifications/progress", progress) is None
    assert first.restore("notifications/other", progress) is progress
    first.forget(token)
    assert first.restore("notifications/progress", progress) is None
    assert first.hide({}) == ({}, "")
