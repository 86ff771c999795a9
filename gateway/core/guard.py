"""The bounds of a message on a value that is already built: what comes from the command line, or from our own code.

The same rules as `core/strictjson.py` has for bytes, with a place in the answer. Never says a value: only where it is,
and keys are cut, since they may be arguments' own.
"""

from typing import Any, Final

from gateway.core.jsonvalue import JsonValue
from gateway.core.message import WireLimits
from gateway.core.strictjson import MAX_SAFE_INTEGER

__all__ = ["guard"]

_KEY_CHARS: Final = 64
"""So much of a key is shown in a place."""


def guard(value: JsonValue, limits: WireLimits) -> str:
    """Return an empty string, or what is wrong first and where (RFC 6901 pointer, long keys cut)."""
    count = 0
    stack: list[tuple[JsonValue, str, int]] = [(value, "", 1)]
    while stack:
        node, place, depth = stack.pop()
        if isinstance(node, dict | list):
            if depth > limits.depth:
                return f"{_at(place)}: nested deeper than {limits.depth} levels"
            count += max(1, len(node))
            if count > limits.keys:
                return f"{_at(place)}: more than {limits.keys} keys and items"
            if isinstance(node, dict) and (problem := _keys(node)):
                return f"{_at(place)}: {problem}"
            stack.extend(reversed(_children(node, place, depth + 1)))
        elif problem := _scalar(node):
            return f"{_at(place)}: {problem}"
    return ""


def _children(node: dict[str, JsonValue] | list[JsonValue], place: str, depth: int) -> list[tuple[JsonValue, str, int]]:
    if isinstance(node, list):
        return [(item, f"{place}/{index}", depth) for index, item in enumerate(node)]
    return [(item, f"{place}/{_shown(key)}", depth) for key, item in node.items()]


def _keys(node: dict[Any, JsonValue]) -> str:
    for key in node:
        if not isinstance(key, str):
            return f"a key is {type(key).__name__}, not a text"
        if problem := _text(key):
            return f"a key has {problem}"
    if len({key.casefold() for key in node}) != len(node):
        return "two keys differ only in case"
    return ""


def _scalar(node: JsonValue) -> str:
    if node is None or isinstance(node, bool):
        return ""
    if isinstance(node, str):
        return _text(node)
    if isinstance(node, int):
        return "" if -MAX_SAFE_INTEGER <= node <= MAX_SAFE_INTEGER else "an integer beyond 2^53-1"
    if isinstance(node, float):
        return "" if node - node == 0.0 else "a number that is not finite"
    return f"{type(node).__name__} is no JSON value"


def _text(text: str) -> str:
    if "\x00" in text:
        return "NUL (\\u0000) in a text"
    # A str holds whole characters, so every surrogate in it is a lone one.
    if any("\ud800" <= char <= "\udfff" for char in text):
        return "a lone surrogate (\\ud800 to \\udfff) in a text"
    return ""


def _shown(key: str) -> str:
    """Return the key as a pointer's step: escaped by RFC 6901, printable, cut."""
    cut = key if len(key) <= _KEY_CHARS else key[:_KEY_CHARS] + "…"
    return "".join(char if char.isprintable() else "?" for char in cut).replace("~", "~0").replace("/", "~1")


def _at(place: str) -> str:
    return place or "the whole value"
