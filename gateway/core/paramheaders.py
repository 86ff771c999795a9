"""`x-mcp-header`: tool arguments that a modern client repeats as `Mcp-Param-*` headers (2026-07-28, "Custom Headers").

Owns which marks of a tool's input schema are valid, and whether headers say what the arguments say. Fails closed: an
upstream, or something in front of it, may route on a header that policy never saw. The official SDK's helpers have the
same rules but skip the check where a schema is unusable; a test compares the two where both answer.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.core.call import HeaderMark
from gateway.core.codes import HEADER_MISMATCH
from gateway.core.headers import decode_value
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.message import Rejection

__all__ = ["check_param_headers", "header_marks", "invalid_x_mcp_header"]

_MARK: Final = "x-mcp-header"
_PREFIX: Final = "mcp-param-"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DECIMAL = re.compile(r"(-?[0-9]+)(?:\.0+)?")
_INTEGER_CHARS: Final = 320
"""More than the digits of the largest double; bounds the work of reading a header."""
_TYPES: Final = ("string", "integer", "boolean")
"""`number` is forbidden: its text differs between languages."""

_ONE: Final = frozenset(
    {
        *("items", "contains", "unevaluatedItems", "additionalProperties", "propertyNames", "unevaluatedProperties"),
        *("not", "if", "then", "else", "contentSchema"),
    }
)
_LIST: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAP: Final = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})
"""The keywords of JSON Schema 2020-12 that hold schemas, by the shape of their value. What holds data is left out."""


def invalid_x_mcp_header(tool_definition: JsonObject) -> str:
    """Return an empty string, or why the tool must be dropped from lists (a client over HTTP MUST drop it)."""
    marks = header_marks(tool_definition.get("inputSchema"))
    return marks if isinstance(marks, str) else ""


def check_param_headers(
    param_headers: Sequence[tuple[str, str]], marks: tuple[HeaderMark, ...] | str, arguments: JsonObject
) -> Rejection | None:
    """Compare the `Mcp-Param-*` headers of a modern `tools/call` with the pinned tool's marks and the arguments.

    Each marked argument is in body and header with one value, or in neither (null counts as absent). Headers without
    a mark are nobody's and pass.
    """
    if isinstance(marks, str):
        return _mismatch("the tool's header marks are invalid, so no header can be checked")
    sent: dict[str, str] = {}
    for name, value in param_headers:
        if name.lower() in sent:
            return _mismatch(f"header {name} is given twice")
        sent[name.lower()] = value
    for mark in marks:
        if not _agrees(mark, sent.get(_PREFIX + mark.header), _at(arguments, mark.path)):
            return _mismatch(f"the Mcp-Param-{mark.header} header is missing or differs from the body")
    return None


def _agrees(mark: HeaderMark, sent: str | None, value: JsonValue) -> bool:
    if value is None:
        return sent is None
    text = _text(value)
    if text is None or sent is None:
        # An object or list has no header form, so that a client sends none.
        return text is None and sent is None
    decoded = decode_value(sent)
    if decoded is None:
        return False
    whole = _DECIMAL.fullmatch(decoded) if mark.integer and isinstance(value, int | float) else None
    if whole is None or isinstance(value, bool):
        return decoded == text
    # 42, 42.0 and a body's 42.0 are one integer.
    return len(whole[1]) <= _INTEGER_CHARS and int(whole[1]) == value


def _text(value: JsonValue) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _at(arguments: JsonObject, path: tuple[str, ...]) -> JsonValue:
    node: JsonValue = arguments
    for key in path:
        if not isinstance(node, Mapping):
            return None
        node = node.get(key)
    return node


def _mismatch(message: str) -> Rejection:
    return Rejection(status=400, code=HEADER_MISMATCH, message=message)


# --- the marks of a schema --------------------------------------------------------------------------------------------


def header_marks(schema: JsonValue) -> tuple[HeaderMark, ...] | str:
    """Return the marks of an input schema, or why one of them is invalid. Walks the whole schema: once per pin."""
    found: dict[str, HeaderMark] = {}
    for path, node in _positions(schema):
        if _MARK not in node:
            continue
        if not path:
            return f"{_MARK} at a place that is not a plain property of the arguments"
        problem = _mark_problem(node)
        if problem:
            return f"property {'.'.join(path)}: {problem}"
        header = node[_MARK].lower()
        if header in found:
            return f"property {'.'.join(path)}: {_MARK} is that of property {'.'.join(found[header].path)}"
        found[header] = HeaderMark(path=path, header=header, integer=node["type"] == "integer")
    return tuple(found.values())


def _mark_problem(node: JsonObject) -> str:
    header = node[_MARK]
    if not isinstance(header, str) or not _TOKEN.fullmatch(header):
        return f"{_MARK} must be a token (RFC 9110, 5.6.2)"
    return "" if node.get("type") in _TYPES else f"{_MARK} is only for the types string, integer and boolean"


def _positions(root: JsonValue) -> Iterator[tuple[tuple[str, ...] | None, JsonObject]]:
    """Yield each schema and its chain of property names, None once it was reached in any other way.

    Follows no `$ref` and no data, so that it ends on every finite value.
    """
    stack: list[tuple[tuple[str, ...] | None, JsonValue]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if not isinstance(node, dict):
            continue
        yield path, node
        for keyword, value in node.items():
            stack.extend(_below(path, keyword, value))


def _below(
    path: tuple[str, ...] | None, keyword: str, value: JsonValue
) -> list[tuple[tuple[str, ...] | None, JsonValue]]:
    if keyword == "properties" and isinstance(value, dict):
        return [(None if path is None else (*path, name), sub) for name, sub in value.items()]
    if keyword in _ONE:
        return [(None, value)]
    if keyword in _LIST and isinstance(value, list):
        return [(None, sub) for sub in value]
    if keyword in _MAP and isinstance(value, dict):
        return [(None, sub) for sub in value.values()]
    return []
