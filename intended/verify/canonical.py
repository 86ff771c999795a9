"""Canonical JSON (RFC 8785) and its digest, and JSON that has one reading; with the standard library only.

A server rebuilds with it the digest that the gateway signed. It shares no code with the gateway, so that the two check
each other.
"""

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any, Final, NoReturn

__all__ = ["canonical", "digest", "strict"]

_SAFE_INTEGER: Final = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 form of a JSON value. Raises ValueError where it has none."""
    parts: list[str] = []
    try:
        _write(value, parts)
    except RecursionError:
        raise ValueError("nesting is too deep") from None
    return "".join(parts).encode()


def digest(value: Any) -> str:
    """Return the hex SHA-256 of `canonical(value)`. Raises ValueError."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _write(value: Any, parts: list[str]) -> None:
    if value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, str):
        parts.append(json.dumps(value, ensure_ascii=False))
    elif isinstance(value, int):
        if abs(value) > _SAFE_INTEGER:
            raise ValueError("an integer is beyond 2^53 - 1")
        parts.append(str(value))
    elif isinstance(value, float):
        parts.append(_number(value))
    elif isinstance(value, list):
        _write_all(value, parts, "[]", lambda item: _write(item, parts))
    elif isinstance(value, dict) and all(isinstance(name, str) for name in value):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        _write_all(names, parts, "{}", lambda name: _write_member(name, value[name], parts))
    else:
        raise ValueError("a value is no JSON")


def _write_all(items: list[Any], parts: list[str], brackets: str, write: Callable[[Any], None]) -> None:
    parts.append(brackets[0])
    for place, item in enumerate(items):
        if place:
            parts.append(",")
        write(item)
    parts.append(brackets[1])


def _write_member(name: str, value: Any, parts: list[str]) -> None:
    parts.append(json.dumps(name, ensure_ascii=False) + ":")
    _write(value, parts)


def _number(value: float) -> str:
    """Return a number as ECMAScript writes it (RFC 8785, 3.2.2.3), from Python's shortest digits."""
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


def strict(raw: bytes) -> Any:
    """Read JSON that has one reading: UTF-8, no name twice, no NaN. Raises ValueError."""
    try:
        return json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nesting is too deep") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
