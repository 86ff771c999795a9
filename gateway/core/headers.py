"""The HTTP headers that a message is read with: media types, and the routing headers of the modern era.

Owns their syntax. What the routing headers must agree with is `core/wire.py`; the marks that ask for `Mcp-Param-*` are
`core/paramheaders.py`; credentials, Host and Origin are the HTTP face's. Names are lower-case, as ASGI gives them.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.core.codes import HEADER_MISMATCH, INVALID_REQUEST
from gateway.core.message import Rejection

__all__ = ["RoutingHeaders", "decode_value", "encode_value", "read_headers", "single"]

_PARAM: Final = b"mcp-param-"
_SINGLE: Final = frozenset({b"content-type", b"mcp-protocol-version", b"mcp-method", b"mcp-name"})
_READ: Final = _SINGLE | {b"accept", b"content-encoding"}
_JSON: Final = b"application/json"
_SENTINEL = re.compile(r"=\?base64\?(.*)\?=")
_VISIBLE = re.compile(rb"[\x20-\x7e]*")
_VISIBLE_TEXT = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingHeaders:
    """The `Mcp-*` headers of one request that say what its body says, as sent; None where absent."""

    version: str | None
    method: str | None
    name: str | None
    params: tuple[tuple[str, str], ...]


def read_headers(headers: Sequence[tuple[bytes, bytes]]) -> RoutingHeaders | Rejection:
    """Read the headers of a POST, or refuse it.

    1. A header that names one thing is given once, in visible ASCII.
    2. The body is JSON in UTF-8: `application/json`, with no parameter but `charset=utf-8`.
    3. The body is not compressed.
    4. The agent takes both JSON and an event stream (as lenient as the official SDK's server, wildcards included).
    """
    found: dict[bytes, bytes] = {}
    accept: list[bytes] = []
    params: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _READ:
            if name == b"accept":
                accept.append(value)
            elif name in found:
                return _mismatch(name, "is given twice")
            else:
                found[name] = value
        elif name.startswith(_PARAM):
            if name in params:
                return _mismatch(name, "is given twice")
            params[name] = value
    return _check_media(found, accept) or _routing(found, params)


def single(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | Rejection | None:
    """Return the only value of a header in visible ASCII, None where it is absent, a Rejection otherwise."""
    values = [value for key, value in headers if key == name]
    if not values:
        return None
    if len(values) > 1:
        return _mismatch(name, "is given twice")
    return values[0].decode("ascii") if _VISIBLE.fullmatch(values[0]) else _mismatch(name, "has characters not allowed")


def _check_media(found: dict[bytes, bytes], accept: list[bytes]) -> Rejection | None:
    if not _is_json(found.get(b"content-type", b"")):
        return Rejection(
            status=415, code=INVALID_REQUEST, message="Content-Type must be application/json (UTF-8, no other charset)"
        )
    if found.get(b"content-encoding", b"identity").lower() != b"identity":
        return Rejection(status=415, code=INVALID_REQUEST, message="Send the body without Content-Encoding")
    if not _accepts_both(b",".join(accept)):
        return Rejection(
            status=406, code=INVALID_REQUEST, message="Accept must name both application/json and text/event-stream"
        )
    return None


def _routing(found: dict[bytes, bytes], params: dict[bytes, bytes]) -> RoutingHeaders | Rejection:
    values: list[str | None] = []
    for name in (b"mcp-protocol-version", b"mcp-method", b"mcp-name"):
        value = found.get(name)
        if value is not None and not _VISIBLE.fullmatch(value):
            return _mismatch(name, "has characters not allowed")
        values.append(None if value is None else value.decode("ascii"))
    for name, value in params.items():
        if not _VISIBLE.fullmatch(name + value):
            return _mismatch(name, "has characters not allowed")
    return RoutingHeaders(
        version=values[0],
        method=values[1],
        name=values[2],
        params=tuple((name.decode("ascii"), value.decode("ascii")) for name, value in params.items()),
    )


def _mismatch(name: bytes, problem: str) -> Rejection:
    shown = name.decode("ascii", "replace")[:64]
    return Rejection(status=400, code=HEADER_MISMATCH, message=f"header {shown} {problem}")


# --- media types ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _is_json(value: bytes) -> bool:
    kind, *parameters = (part.strip().lower() for part in value.split(b";"))
    return kind == _JSON and (not parameters or parameters in ([b"charset=utf-8"], [b'charset="utf-8"']))


@lru_cache(maxsize=64)
def _accepts_both(value: bytes) -> bool:
    kinds = {part.split(b";")[0].strip().lower() for part in value.split(b",")}
    if b"*/*" in kinds:
        return True
    return not kinds.isdisjoint({_JSON, b"application/*"}) and not kinds.isdisjoint({b"text/event-stream", b"text/*"})


# --- the codec of header values (2026-07-28, "Custom Headers") --------------------------------------------------------


def encode_value(value: str) -> str:
    """Return `value` as a header carries it: as it is where that survives, else inside `=?base64?…?=`."""
    if _VISIBLE_TEXT.fullmatch(value) and value == value.strip() and not _SENTINEL.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode('ascii')}?="


def decode_value(value: str) -> str | None:
    """Return what a header value stands for, None where the base64 form is not the one that `encode_value` writes."""
    match = _SENTINEL.fullmatch(value)
    if match is None:
        return value
    payload = match.group(1)
    try:
        decoded = base64.b64decode(payload, validate=True)
        # Trailing bits that mean nothing would give one value several spellings.
        return decoded.decode() if base64.b64encode(decoded).decode("ascii") == payload else None
    except (binascii.Error, UnicodeError):
        return None
