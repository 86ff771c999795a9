"""JSON bytes → one value, where every reader would read the same one (research/building-blocks.md 4).

Refused always: what is not UTF-8 or not RFC 8259 JSON, NaN and Infinity, a key given twice in one object, numbers that
no double holds, lone surrogates, nesting above the bound. Refused besides in what agents send (`read_call`): integers
beyond 2^53-1, NUL, keys of one object that are equal but for case (some languages match keys without it), and more
keys and items than allowed.

Bounds are checked on the bytes, before anything is built from them. That and the parser's own hooks leave nothing to
walk: the same rules on a value that is already built are `core/guard.py`, and a property test holds the two together.
The standard library's parser is the only one here that can refuse duplicates; orjson and msgspec read the last one,
and orjson turns integers from 2^64 into floats. It costs 4 to 7 µs where orjson costs 1.
"""

import re
from json import JSONDecodeError, JSONDecoder
from typing import Final

from gateway.core.jsonvalue import JsonValue

__all__ = ["MAX_SAFE_INTEGER", "Unreadable", "read_answer", "read_call"]

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""The largest integer that a double holds exactly; a JavaScript upstream would round what lies beyond (RFC 7493)."""

_SAFE_CHARS: Final = len(str(-MAX_SAFE_INTEGER))
_INTEGER_CHARS: Final = 4300
"""What the interpreter converts at most: the work grows with the square of the length."""

_SURROGATE_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_DUBIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_WHITE_SPACE: Final = " \t\r\n"
_NOT_STRUCTURE: Final = bytes(code for code in range(256) if chr(code) not in "[]{},")


class Unreadable(ValueError):
    """Why bytes are refused. `is_json` tells JSON that is not taken from what is no JSON at all."""

    def __init__(self, problem: str, *, is_json: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.is_json = is_json


def read_call(data: bytes, *, depth: int, keys: int) -> JsonValue:
    """Read what an agent sent. Raises Unreadable."""
    _check_structure(data, depth=depth, keys=keys)
    text, value = _decode(data, _CALL)
    if "\\u" in text:
        _check_escapes(text, nul=False)
    return value


def read_answer(data: bytes, *, depth: int) -> JsonValue:
    """Read what an upstream sent: content passes as it is, integers of any size exact. Raises Unreadable."""
    _check_structure(data, depth=depth, keys=None)
    text, value = _decode(data, _ANSWER)
    if "\\u" in text:
        _check_escapes(text, nul=True)
    return value


# --- before parsing ---------------------------------------------------------------------------------------------------


def _check_structure(data: bytes, *, depth: int, keys: int | None) -> None:
    """Bound nesting and size. Exact for JSON, harmless for what is none (the parser refuses that).

    An object or array holds one more item than commas, so commas and containers together count keys and items, with
    an empty container counting as one.
    """
    containers = data.count(b"{") + data.count(b"[")
    if containers <= depth and (keys is None or containers + data.count(b",") <= keys):
        return
    structure = _structure(data)
    if keys is not None and structure.count(b",") + structure.count(b"{") + structure.count(b"[") > keys:
        msg = f"more than {keys} keys and items"
        raise Unreadable(msg, is_json=True)
    brackets = structure.translate(_ONE_KIND, b",")
    for _ in range(depth):
        brackets = brackets.replace(b"[]", b"")  # takes exactly the innermost level away
        if not brackets:
            return
    msg = f"nested deeper than {depth} levels, or brackets that do not match"
    raise Unreadable(msg, is_json=True)


def _structure(data: bytes) -> bytes:
    """Return brackets and commas in order, without those inside of strings."""
    if b"\\" in data:
        # Pairs of backslashes first: one that is then left before a quote escapes it.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.split(b'"')[::2]).translate(None, _NOT_STRUCTURE)


_fold = str.casefold

# --- parsing ----------------------------------------------------------------------------------------------------------


def _decode(data: bytes, decoder: JSONDecoder) -> tuple[str, JsonValue]:
    try:
        text = data.decode().strip(_WHITE_SPACE)  # explicit UTF-8: json.loads would sniff UTF-16 and UTF-32
        value, end = decoder.raw_decode(text)
    except UnicodeDecodeError:
        msg = "not UTF-8"
        raise Unreadable(msg, is_json=False) from None
    except JSONDecodeError as error:
        msg = f"not JSON at character {error.pos}"
        raise Unreadable(msg, is_json=False) from None
    if end != len(text):
        msg = f"more than one JSON document (from character {end})"
        raise Unreadable(msg, is_json=False)
    return text, value


def _check_escapes(text: str, *, nul: bool) -> None:
    """Refuse escapes that stand for no character, or for NUL. A valid text has them nowhere but in strings.

    Half of a surrogate pair is no character, and most programs fail on writing it; NUL ends a text in some languages.
    """
    if _DUBIOUS.search(text) is None:
        return
    rest = text.replace("\\\\", "  ")  # an escaped backslash begins no other escape
    if not nul and "\\u0000" in rest:
        msg = "NUL (\\u0000) in a text"
        raise Unreadable(msg, is_json=True)
    if _SURROGATE.search(_SURROGATE_PAIR.sub(" ", rest)):
        msg = "a lone surrogate (\\ud800 to \\udfff) in a text"
        raise Unreadable(msg, is_json=True)


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = dict(pairs)
    if len(value) != len(pairs):
        msg = "a key is given twice in one object"
        raise Unreadable(msg, is_json=True)
    return value


def _folded_object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = dict(pairs)
    if len(pairs) > 1 and len({*map(_fold, value)}) != len(pairs):
        same = len(value) != len(pairs)
        msg = "a key is given twice in one object" if same else "two keys of one object differ only in case"
        raise Unreadable(msg, is_json=True)
    return value


def _safe_integer(literal: str) -> int:
    if len(literal) <= _SAFE_CHARS and -MAX_SAFE_INTEGER <= (value := int(literal)) <= MAX_SAFE_INTEGER:
        return value
    msg = "an integer beyond 2^53-1"
    raise Unreadable(msg, is_json=True)


def _any_integer(literal: str) -> int:
    if len(literal) > _INTEGER_CHARS:
        msg = f"an integer of more than {_INTEGER_CHARS} digits"
        raise Unreadable(msg, is_json=True)
    return int(literal)


def _finite(literal: str) -> float:
    value = float(literal)
    if value - value == 0.0:  # neither infinite nor NaN
        return value
    msg = "a number too large for a double"
    raise Unreadable(msg, is_json=True)


def _constant(name: str) -> JsonValue:
    msg = f"{name} is not JSON"
    raise Unreadable(msg, is_json=False)


_CALL: Final = JSONDecoder(
    object_pairs_hook=_folded_object, parse_int=_safe_integer, parse_float=_finite, parse_constant=_constant
)
_ANSWER: Final = JSONDecoder(
    object_pairs_hook=_object, parse_int=_any_integer, parse_float=_finite, parse_constant=_constant
)
