"""Canonical JSON: RFC 8785 (JCS) bytes of a value, and their SHA-256.

Owns the choice between two encoders. orjson's sorted output is RFC 8785 exactly where a value holds no float, every
key is ASCII (so that code point and UTF-16 order agree, 3.2.3) and integers are within 2^53 - 1; `_exact` proves that
for the value at hand, and everything else goes to `rfc8785`, which is about 50 times slower. The verifier has an
encoder of its own (`verify.py`) and uses nothing from here.
"""

import hashlib

import orjson
import rfc8785

from gateway.core.jsonvalue import JsonValue
from gateway.errors import CanonicalError

__all__ = ["canonical", "digest"]

_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
"""Whatever is no plain JSON value makes orjson refuse, and so takes the slow way, which says why."""
_SCALARS = frozenset({str, int, bool, type(None)})
_CONTAINERS = frozenset({dict, list})
_PLAIN = _SCALARS | _CONTAINERS


def canonical(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`.

    Raises:
        CanonicalError: the value has none: an integer beyond 2^53 - 1, NaN or infinity, a lone surrogate, a key that
            is no string, a type that JSON has not, or nesting beyond what the interpreter can follow.
    """
    try:
        encoded = orjson.dumps(value, option=_OPTIONS)
    except TypeError:  # JSONEncodeError: no plain JSON, or deeper than orjson goes
        return _by_the_book(value)
    try:
        if _exact(value, ascii_keys=encoded.isascii()):
            return encoded
    except RecursionError as error:
        raise CanonicalError("nesting is too deep") from error
    return _by_the_book(value)


def digest(value: JsonValue) -> str:
    """Return the lower-case hex SHA-256 of `canonical(value)`. Raises CanonicalError."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _exact(value: JsonValue, *, ascii_keys: bool) -> bool:
    """Return True where orjson's output is RFC 8785 byte for byte; `ascii_keys` says that this is known of the keys."""
    kind = type(value)
    if kind is dict:
        if not ascii_keys and not all(map(str.isascii, value)):
            return False
        items = value.values()
    elif kind is list:
        items = value
    else:
        return kind in _SCALARS
    kinds = set(map(type, items))
    if kinds <= _SCALARS:
        return True
    if not kinds <= _PLAIN:
        return False
    return all(_exact(item, ascii_keys=ascii_keys) for item in items if type(item) in _CONTAINERS)


def _by_the_book(value: JsonValue) -> bytes:
    """Return what the reference encoder makes of `value`. Raises CanonicalError."""
    try:
        return rfc8785.dumps(value)
    except RecursionError as error:
        raise CanonicalError("nesting is too deep") from error
    except ValueError as error:
        # Its own errors are ValueErrors, and so is the UnicodeEncodeError of a lone surrogate in a key. The text of
        # either may quote the value, so it stays in the cause.
        raise CanonicalError(_problem(error)) from error


def _problem(error: ValueError) -> str:
    """Say what is wrong without quoting the value."""
    match error:
        case rfc8785.IntegerDomainError():
            return "an integer is beyond 2^53 - 1"
        case rfc8785.FloatDomainError():
            return "a number is not finite"
        case _:
            return "a key or value is no JSON: a lone surrogate, a key that is no string, or a foreign type"
