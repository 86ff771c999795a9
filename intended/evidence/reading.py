"""A bundle as bytes and as values: JSON that has one reading, the form that a bundle has, and its canonical bytes.

A bundle holds texts, whole numbers, booleans, lists and objects with ASCII names. Of these, JSON with sorted names is
RFC 8785 already; anything else is refused, so that nothing can be read in two ways.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

__all__ = ["MAX_BYTES", "canonical", "form_problem", "read"]

MAX_BYTES: Final = 64 * 1024 * 1024
_LARGEST: Final = 2**53 - 1

_TEXTS: Final = [str]
_ENTRY: Final = {"seq": int, "hash": str, "content": str, "salt": str, "body": str, "proof": _TEXTS}
_RULE: Final = {"id": str, "policySet": str, "effect": str, "digest": str}
_SHAPE: Final = {
    "format": str,
    "tenant": str,
    "intentId": str,
    "made": str,
    "gateway": {"issuer": str, "version": str},
    "status": str,
    "complete": bool,
    "decision": {
        "seq": int,
        "effect": str,
        "reason": str,
        "risk": int,
        "policySet": str,
        "policyDigest": str,
        "rules": [_RULE],
    },
    "entryCount": int,
    "entries": [_ENTRY],
    "cited": [_ENTRY],
    "checkpoint": {
        "format": str,
        "tenant": str,
        "treeSize": int,
        "root": str,
        "headHash": str,
        "time": str,
        "signature": str,
    },
    "recomputed": [{"seq": int, "result": str, "from": str, "problem": str, "differences": _TEXTS}],
    "secret": str,
    "key": {"kty": str, "use": str, "alg": str, "n": str, "e": str, "kid": str},
    "hmac": str,
    "signature": str,
}
"""Every member that a bundle has, and no other: what is not here is covered by no check."""


def read(raw: bytes) -> Any:
    """Read JSON that has one reading: UTF-8, no name twice, whole numbers only. Raises ValueError."""
    if len(raw) > MAX_BYTES:
        raise ValueError("it is too large")
    try:
        return json.loads(
            raw.decode("utf-8"), object_pairs_hook=_once, parse_float=_no_number, parse_constant=_no_number
        )
    except RecursionError:
        raise ValueError("its nesting is too deep") from None


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the RFC 8785 form of a value that has the form of a bundle, or of a part of one. Raises ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def form_problem(value: Any, shape: Any = _SHAPE, place: str = "the bundle") -> str:
    """Return an empty string, or where and how a value is no bundle."""
    if isinstance(shape, dict):
        return _object_problem(value, shape, place)
    if isinstance(shape, list):
        if type(value) is not list:
            return f"{place} is no list"
        found = (form_problem(one, shape[0], f"{place}[{number}]") for number, one in enumerate(value))
        return next(filter(None, found), "")
    if type(value) is not shape or (shape is int and not 0 <= value <= _LARGEST):
        return f"{place} is not of its type"
    return ""


def _object_problem(value: Any, shape: dict[str, Any], place: str) -> str:
    if type(value) is not dict:
        return f"{place} is no object"
    missing, foreign = shape.keys() - value.keys(), value.keys() - shape.keys()
    if missing or foreign:
        return f"{place} {'lacks ' + min(missing) if missing else 'has a foreign member'}"
    found = (form_problem(value[name], below, f"{place}, {name}") for name, below in shape.items())
    return next(filter(None, found), "")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError("it holds a number that is not whole")
