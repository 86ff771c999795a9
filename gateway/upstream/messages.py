"""JSON-RPC on the upstream hop: requests to bytes, bytes to one checked message, and the tokens that change per hop.

Owns the envelope of both directions. `params` and `result` pass as they are. What a method means is not known here.
"""

import json
from collections.abc import Mapping
from enum import Enum, auto
from itertools import count
from typing import Final

import orjson

from gateway.core import answers
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.errors import UpstreamBroken, UpstreamUnreachable

__all__ = [
    "CANCELLED",
    "INTERNAL_ERROR",
    "PROGRESS",
    "AskedTokens",
    "Shape",
    "answer_of",
    "encode_notification",
    "encode_reply",
    "encode_request",
    "params_of",
    "read_message",
    "shape_of",
    "with_progress_token",
]

CANCELLED: Final = "notifications/cancelled"
PROGRESS: Final = "notifications/progress"
INTERNAL_ERROR: Final = -32603


class Shape(Enum):
    """The three shapes of a JSON-RPC message."""

    REQUEST = auto()
    NOTIFICATION = auto()
    RESPONSE = auto()


_RESPONSE: Final = Shape.RESPONSE


# --- towards the upstream ---------------------------------------------------------------------------------------------


def encode_request(request_id: int, method: str, params: JsonObject) -> bytes:
    """Serialise a request, its params exactly once. Raises UpstreamUnreachable: nothing was sent."""
    return b'{"jsonrpc":"2.0","id":%d,"method":%b,"params":%b}' % (request_id, _dump(method), _dump(params))


def encode_notification(method: str, params: JsonObject) -> bytes:
    """Serialise a notification; empty params are left out. Raises UpstreamUnreachable: nothing was sent."""
    if not params:
        return b'{"jsonrpc":"2.0","method":%b}' % _dump(method)
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (_dump(method), _dump(params))


def encode_reply(request_id: JsonValue, message: JsonObject) -> bytes:
    """Serialise our answer to an upstream's request. Raises UpstreamUnreachable: nothing was sent."""
    # The id is the upstream's own and may be an integer of any size, which orjson does not write.
    name = "error" if "error" in message else "result"
    body = _dump(message.get(name, {}))
    return b'{"jsonrpc":"2.0","id":%b,"%b":%b}' % (json.dumps(request_id).encode(), name.encode(), body)


def _dump(value: JsonValue) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        # The wire guard lets nothing through that cannot be written; this is the belt to its braces.
        msg = "the message cannot be written as JSON (a lone surrogate, or an integer beyond 64 bits); it was not sent"
        raise UpstreamUnreachable(msg, may_have_run=False) from error


def with_progress_token(params: JsonObject, token: int) -> tuple[JsonObject, JsonValue]:
    """Return params with our token in place of the agent's, and the agent's; (params, None) where there is none.

    A copy is made of what changes: the agent's value was digested and recorded, and stays as it is.
    """
    meta = params.get("_meta")
    if not isinstance(meta, dict) or "progressToken" not in meta:
        return params, None
    return {**params, "_meta": {**meta, "progressToken": token}}, meta["progressToken"]


# --- from the upstream ------------------------------------------------------------------------------------------------


def read_message(data: bytes, label: str) -> JsonObject:
    """Read one message in the one strict way (`core/answers.py`). Raises UpstreamBroken."""
    message = answers.read_message(data)
    if isinstance(message, str):
        raise UpstreamBroken(f"{label} sent a message that is refused: {message}", may_have_run=True)
    return message


def shape_of(message: JsonObject) -> Shape:
    """Tell a request, a notification and a response apart, of a message that was read."""
    if "method" not in message:
        return _RESPONSE
    return Shape.REQUEST if "id" in message else Shape.NOTIFICATION


def answer_of(message: JsonObject, request_id: int, label: str) -> JsonObject:
    """Return `{"result": …}` or `{"error": …}` of the response to our request. Raises UpstreamBroken."""
    answered = message.get("id")
    # `type` and not `isinstance`: true equals 1 in Python.
    if type(answered) is not int or answered != request_id:
        problem = "has no id" if answered is None else "names another request's id"
        raise UpstreamBroken(f"{label} sent a response that {problem}", may_have_run=True)
    return {"result": message["result"]} if "result" in message else {"error": message["error"]}


def params_of(message: JsonObject, tokens: Mapping[int, JsonValue]) -> JsonObject | None:
    """Return a notification's params for the agent; None for progress on a request that is not in flight.

    `tokens` maps our progress tokens of the requests in flight to the agent's.
    """
    params: JsonObject = message.get("params", {})
    if message["method"] != PROGRESS:
        return params
    token = params.get("progressToken")
    if type(token) is not int or token not in tokens:
        return None
    return {**params, "progressToken": tokens[token]}


class AskedTokens:
    """Progress tokens of what an upstream asks of the agent, made unique over all upstreams and mapped back.

    Two upstreams may both send the token 1 to one agent; the agent must see two different ones.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = count(1)
        self._theirs: dict[str, JsonValue] = {}

    def hide(self, params: JsonObject) -> tuple[JsonObject, str]:
        """Return a request's params with a token of ours, and that token; (params, "") where there is none."""
        meta = params.get("_meta")
        if not isinstance(meta, dict) or "progressToken" not in meta:
            return params, ""
        token = f"{self._prefix}/{next(self._numbers)}"
        self._theirs[token] = meta["progressToken"]
        return {**params, "_meta": {**meta, "progressToken": token}}, token

    def forget(self, token: str) -> None:
        """End a token's life: the request was answered."""
        self._theirs.pop(token, None)

    def restore(self, method: str, params: JsonObject) -> JsonObject | None:
        """Return the agent's notification for the upstream; None for progress on nothing that it asked."""
        if method != PROGRESS:
            return params
        token = params.get("progressToken")
        if not isinstance(token, str) or token not in self._theirs:
            return None
        return {**params, "progressToken": self._theirs[token]}
