"""The JSON-RPC envelope: one parsed body → kind, id, method and params; and an answer → the bytes of its envelope.

Spelling is exact and members are known, so that no reader can find a second message in the first. What a method means
is `core/methods.py`, which version it is in `core/wire.py`.
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from gateway.core.codes import INVALID_REQUEST
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.message import Kind, Rejection

__all__ = ["Envelope", "encode_error", "encode_message", "encode_result", "read_envelope"]

_CALL_MEMBERS: Final = frozenset({"jsonrpc", "id", "method", "params"})
_ANSWER_MEMBERS: Final = frozenset({"jsonrpc", "id", "result", "error"})

_METHOD_CHARS: Final = 256
"""Longer than any method of the protocol or an extension; bounds what errors and metrics may carry."""

_SPELLINGS: Final[Mapping[str, str]] = {
    member.casefold(): member
    for member in (
        # what the gateway or an upstream reads of params, in either era
        *("_meta", "name", "arguments", "uri", "cursor", "ref", "argument", "context", "level", "task", "taskId"),
        *("requestState", "inputResponses", "notifications", "protocolVersion", "capabilities", "clientInfo"),
        *("requestId", "reason", "progressToken", "progress", "total", "message"),
        # and of params._meta
        "io.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/clientCapabilities",
        "io.modelcontextprotocol/clientInfo",
        "io.modelcontextprotocol/logLevel",
        "io.modelcontextprotocol/related-task",
    )
}
"""A language that matches keys without case would read `Name` as `name`, and we would not."""

_SPELT: Final = frozenset(_SPELLINGS.values())


_REQUEST: Final = Kind.REQUEST


class Envelope(NamedTuple):
    """A sound envelope. `answer` holds `result` or `error` of a response, and is empty otherwise."""

    kind: Kind
    id: str | int | None
    method: str
    params: JsonObject
    answer: JsonObject


def read_envelope(body: JsonValue, *, id_chars: int) -> Envelope | Rejection:
    """Read one message; a batch is refused in every revision, also one of a single element (design, section 4)."""
    if not isinstance(body, dict):
        return _refused("the body must be one JSON-RPC object; batches are not taken", None)
    if body.get("jsonrpc") != "2.0":
        return _refused('`jsonrpc` must be "2.0"', None)
    identifier = body.get("id")
    if "id" in body and (problem := _id_problem(identifier, id_chars)):
        return _refused(problem, None)
    if "method" in body:
        return _read_call(body, identifier)
    return _read_answer(body, identifier)


def _read_call(body: JsonObject, identifier: str | int | None) -> Envelope | Rejection:
    if not body.keys() <= _CALL_MEMBERS:
        return _refused("a request has no members but `jsonrpc`, `id`, `method` and `params`", identifier)
    method = body["method"]
    if not isinstance(method, str) or not 0 < len(method) <= _METHOD_CHARS:
        return _refused("`method` must be a text that is not empty", identifier)
    params = body.get("params", _NOTHING)
    if params is _NOTHING:
        params = {}
    elif not isinstance(params, dict):
        return _refused("`params` must be an object, or absent", identifier)
    elif problem := _misspelt(params):
        return _refused(problem, identifier)
    if "id" in body:
        return Envelope(kind=_REQUEST, id=identifier, method=method, params=params, answer={})
    if not method.startswith("notifications/"):
        return _refused("this method needs an `id`: only notifications go without", None)
    return Envelope(kind=Kind.NOTIFICATION, id=None, method=method, params=params, answer={})


def _read_answer(body: JsonObject, identifier: str | int | None) -> Envelope | Rejection:
    if not body.keys() <= _ANSWER_MEMBERS or ("result" in body) == ("error" in body) or "id" not in body:
        return _refused("neither a request (`method`) nor an answer (`id` and one of `result`, `error`)", identifier)
    answer: JsonObject = {member: body[member] for member in ("result", "error") if member in body}
    problem = _answer_problem(answer)
    if problem:
        return _refused(problem, identifier)
    return Envelope(kind=Kind.RESPONSE, id=identifier, method="", params={}, answer=answer)


def _answer_problem(answer: JsonObject) -> str:
    if "result" in answer:
        return "" if isinstance(answer["result"], dict) else "`result` must be an object"
    error = answer["error"]
    if not isinstance(error, dict) or type(error.get("code")) is not int or not isinstance(error.get("message"), str):
        return "`error` must be an object with an integer `code` and a text `message`"
    return ""


def _id_problem(identifier: JsonValue, id_chars: int) -> str:
    if type(identifier) is int:  # bool is a subclass of int
        return ""
    if not isinstance(identifier, str):
        return "`id` must be a text or an integer"
    return "" if len(identifier) <= id_chars else f"`id` must have at most {id_chars} characters"


def _misspelt(params: JsonObject) -> str:
    if problem := _look_alike(params, "params"):
        return problem
    meta = params.get("_meta", _NOTHING)
    if meta is _NOTHING:
        return ""
    return (
        _look_alike(meta, "params._meta") if isinstance(meta, dict) else "`params._meta` must be an object, or absent"
    )


def _look_alike(members: JsonObject, place: str) -> str:
    if members.keys() <= _SPELT:  # nearly always
        return ""
    for key in members:
        meant = _SPELLINGS.get(key.casefold(), key)
        if meant != key:
            return f"`{place}` has a member that differs from `{meant}` only in case"
    return ""


def _refused(message: str, identifier: str | int | None) -> Rejection:
    return Rejection(status=400, code=INVALID_REQUEST, message=message, id=identifier)


_NOTHING: Final = object()


# --- and back ---------------------------------------------------------------------------------------------------------


def encode_result(identifier: str | int | None, message: JsonObject) -> bytes:
    """Return a `Reply.message` (`result` or `error`) as one JSON-RPC message."""
    return encode_message({"jsonrpc": "2.0", "id": identifier, **message})


def encode_error(identifier: str | int | None, rejection: Rejection) -> bytes:
    """Return a rejection as a JSON-RPC error; `id` is null where the message's own could not be read."""
    error: JsonObject = {"code": rejection.code, "message": rejection.message}
    if rejection.data is not None:
        error["data"] = rejection.data
    return encode_message({"jsonrpc": "2.0", "id": identifier, "error": error})


def encode_message(message: JsonObject) -> bytes:
    """Serialise a whole message once. What `core/strictjson.py` has read can always be written.

    orjson writes integers up to 2^64-1; larger ones, which an upstream may send, are left to the slower writer, which
    escapes what is not ASCII and so has a form for every text.
    """
    try:
        return orjson.dumps(message)
    except orjson.JSONEncodeError:
        return json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
