"""A request's body and query, read in one strict way, then held against a model.

Owns media type, size, the JSON itself (`core/strictjson.py`, the decoder of the MCP front: duplicates, NaN, NUL, huge
numbers and deep nesting are refused) and the words in which a failed field is told. Their meaning is the models'.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect

from gateway.api.errors import PayloadTooLarge, UnsupportedMediaType
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.message import WireLimits
from gateway.core.strictjson import Unreadable, read_call
from gateway.errors import FieldProblem, InvalidRequest

__all__ = ["read_json", "read_model", "read_query"]

MAX_PARAMETERS: Final = 64
"""Parameters of a query; the longest list of filters has seven."""

_TYPE: Final = b"content-type"
_CODING: Final = b"content-encoding"
_LENGTH: Final = b"content-length"

_WRONG_TYPE: Final = {
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "extra_forbidden": "is not known here",
}
"""What pydantic says in Python's words, by its name for the error."""

Model = TypeVar("Model", bound=BaseModel)
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def read_json(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, limits: WireLimits, *, optional: bool
) -> JsonObject | None:
    """Return the body's object; None where there is no body and there need not be one.

    Raises:
        UnsupportedMediaType: there is a body that is not sent as JSON.
        PayloadTooLarge: it is longer than the bound; the rest is not read.
        InvalidRequest: it is not JSON as the gateway takes it, or no object.
        ClientDisconnect: the caller left before it was whole.
    """
    found = {name: value for name, value in headers if name in (_TYPE, _CODING, _LENGTH)}
    body = await _read(found.get(_LENGTH, b""), receive, limits.body_bytes)
    if not body and optional:
        return None
    if not _is_json(found.get(_TYPE, b"")) or found.get(_CODING, b"identity").strip().lower() != b"identity":
        raise UnsupportedMediaType
    try:
        value = read_call(body, depth=limits.depth, keys=limits.keys)
    except Unreadable as error:
        raise InvalidRequest(FieldProblem(path=(), message=error.problem)) from None
    if type(value) is not dict:
        raise InvalidRequest(FieldProblem(path=(), message="must be a JSON object"))
    return value


def read_model(model: type[Model], value: JsonObject) -> Model:
    """Return the value as the model has it. Raises InvalidRequest with every field that fails."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(*_problems(model, error.errors(include_url=False, include_input=False))) from None


def read_query(model: type[Model], query: bytes) -> Model:
    """Return a query as the model has it; parameters that it does not name are passed over. Raises InvalidRequest."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        msg = f"the query cannot be read, or has more than {MAX_PARAMETERS} parameters"
        raise InvalidRequest(FieldProblem(path=(), message=msg)) from None
    value: dict[str, JsonValue] = {}
    for name, text in pairs:
        if name in value:
            raise InvalidRequest(FieldProblem(path=(name[:64],), message="is given more than once"))
        value[name] = text
    return read_model(model, value)


async def _read(declared: bytes, receive: Receive, bound: int) -> bytes:
    """Return the whole body. Raises PayloadTooLarge as soon as that is known."""
    body = bytearray()
    more = not declared.isdigit() or int(declared[:20]) <= bound
    if not more:
        raise PayloadTooLarge(bound)
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > bound:
            raise PayloadTooLarge(bound)
        more = message.get("more_body", False)
    return bytes(body)


def _is_json(header: bytes) -> bool:
    """Return True for `application/json`, alone or with its charset (RFC 8259 has no other than UTF-8)."""
    media, *parameters = (part.strip() for part in header.decode("latin-1").lower().split(";"))
    return media == "application/json" and all(one in ("", "charset=utf-8", 'charset="utf-8"') for one in parameters)


def _problems(model: type[BaseModel], errors: Sequence[ErrorDetails]) -> list[FieldProblem]:
    """Return each failed field once, in the model's order; an alternative of a field is no field of its own."""
    titles = {field.alias or name: field.title for name, field in model.model_fields.items()}
    found: dict[tuple[str | int, ...], FieldProblem] = {}
    for error in errors:
        path = tuple(part for part in error["loc"] if not str(part).startswith("<"))
        title = titles.get(str(path[0])) if len(path) == 1 else None
        message = f"{title or 'This field'} is required" if _is_absent(error, title) else _sentence(error)
        found.setdefault(path, FieldProblem(path=path, message=message))
    return list(found.values())


def _is_absent(error: ErrorDetails, title: str | None) -> bool:
    """Return True for a field that is needed and is not there, or an empty text."""
    return error["type"] == "missing" or (error["type"] == "string_too_short" and title is not None)


def _sentence(error: ErrorDetails) -> str:
    """Return what is wrong in JSON's words; else as pydantic says it, our own messages without its prefix."""
    return _WRONG_TYPE.get(error["type"]) or error["msg"].removeprefix("Value error, ")
