"""What upstreams send → one reading; and whether a result may be handed on.

Tolerant of content, since what is allowed passes unchanged: unknown members, explicit nulls, floats as floats, integers
of any size. Strict on the envelope and on what could be read in two ways (`core/strictjson.py`). Works on one message;
framing (HTTP, SSE, lines) is the adapters'.
"""

from typing import Final

from gateway.core.call import Era
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.methods import EMBEDDED_METHODS, INPUT_REQUIRED_METHODS
from gateway.core.strictjson import Unreadable, read_answer

__all__ = ["ANSWER_DEPTH", "CAPABILITY_OF", "check_result", "in_era", "read_message", "without_lists"]

ANSWER_DEPTH: Final = 128
"""Nesting of an upstream's message: output schemas nest deeper than arguments do; orjson writes up to 254 levels."""

INPUT_REQUESTS: Final = 64
"""What one answer may ask of the agent: each is a decision with its entries. As many as a session may have open."""

CAPABILITY_OF: Final = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""The three requests that an upstream may make, and what an agent must have declared to get them."""


_HANDSHAKE: Final = Era.HANDSHAKE


def read_message(data: bytes, max_depth: int = ANSWER_DEPTH) -> JsonObject | str:
    """Return one JSON-RPC message of an upstream, or what is wrong with it."""
    try:
        value = read_answer(data, depth=max_depth)
    except Unreadable as unreadable:
        return unreadable.problem
    return _envelope_problem(value) or value


def _envelope_problem(value: JsonValue) -> str:
    if not isinstance(value, dict):
        return "not a JSON-RPC object"
    if value.get("jsonrpc") != "2.0":
        return '`jsonrpc` is not "2.0"'
    kinds = [member for member in ("result", "error", "method") if member in value]
    if len(kinds) != 1:
        return "not exactly one of `result`, `error` and `method`"
    return _call_problem(value) if kinds == ["method"] else _answer_problem(value)


def _call_problem(value: JsonObject) -> str:
    if not isinstance(value["method"], str):
        return "`method` is not a text"
    if "id" in value and type(value["id"]) not in (int, str):
        return "`id` is not a text or an integer"
    return "" if isinstance(value.get("params", {}), dict) else "`params` is not an object"


def _answer_problem(value: JsonObject) -> str:
    # `id: null` is right in an error about a message that could not be read.
    if type(value.get("id")) not in (int, str) and not ("error" in value and value.get("id") is None):
        return "`id` is not a text or an integer"
    if "result" in value:
        return "" if isinstance(value["result"], dict) else "`result` is not an object"
    error = value["error"]
    if not isinstance(error, dict) or type(error.get("code")) is not int or not isinstance(error.get("message"), str):
        return "`error` is not an object with an integer `code` and a text `message`"
    return ""


def check_result(method: str, era: Era, result: JsonObject, capabilities: JsonObject | None = None) -> str:
    """Return an empty string, or why this result of an upstream must not reach the agent.

    `capabilities` are those that the agent declared in this request (modern era): an upstream may ask for no more.
    Clients differ on results of an unknown kind (some show an empty success), so that none gets through.
    """
    kind = result.get("resultType")
    if era is _HANDSHAKE:
        return "" if kind is None or kind == "complete" else "a `resultType` in the handshake era"
    if kind == "complete":
        return ""
    if kind != "input_required":
        return "a missing or unknown `resultType`"
    if method not in INPUT_REQUIRED_METHODS:
        return f"`input_required` is no answer to {method}"
    return _input_problem(result, capabilities or {})


def in_era(message: JsonObject, era: Era) -> JsonObject | None:
    """Return an answer that was given in either era as this one has it; None where it would not be understood."""
    result = message.get("result")
    if result is None:
        return message
    if era is Era.MODERN:
        return {"result": {"resultType": "complete", **result}}
    if result.get("resultType", "complete") != "complete":
        return None
    return {"result": {name: value for name, value in result.items() if name != "resultType"}}


def without_lists(members: JsonObject) -> JsonObject:
    """Return a filtered list's result, or news of one, without what could be a second list beside the filtered one.

    `Tools` is `tools` to readers that match keys without case. No member that the protocol has here is an object or a
    list but the filtered one, which the caller puts in, and `_meta`.
    """
    return {name: value for name, value in members.items() if name == "_meta" or not isinstance(value, dict | list)}


def _input_problem(result: JsonObject, capabilities: JsonObject) -> str:
    requests = result.get("inputRequests", {})
    if not isinstance(requests, dict):
        return "`inputRequests` is not an object"
    if len(requests) > INPUT_REQUESTS:
        return f"more than {INPUT_REQUESTS} input requests"
    if not isinstance(result.get("requestState", ""), str):
        return "`requestState` is not a text"
    if "inputRequests" not in result and "requestState" not in result:
        return "`input_required` without `inputRequests` and `requestState`"
    for request in requests.values():
        if not isinstance(request, dict) or not isinstance(request.get("params", {}), dict):
            return "an input request is not an object with `method` and `params`"
        method = request.get("method")
        if not isinstance(method, str) or method not in EMBEDDED_METHODS:
            return "an input request of an unknown method"
        if CAPABILITY_OF[method] not in capabilities:
            return f"an input request ({method}) that the agent did not declare"
    return ""
