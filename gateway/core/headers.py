"""The HTTP headers that a message is read with: media types, and the routing headers of the modern era.

Owns their syntax. What the routing headers must agree with is `core/wire.py`; the marks that ask for `Mcp-Param-*` are
`core/paramheaders.py`; credentials, Host and Origin are the HTTP face's. Names are lower-case, as ASGI gives them.
"""

import base64
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.core.codes import HEADER_MISMATCH, INVALID_REQUEST
from gateway.core.message import Rejection

__all__ = ["RoutingHeaders", "decode_value", "encode_value", "read_headers", "single"]

_PARAM: Final = b"mcp-param-"
_ROUTING: Final = (b"mcp-protocol-version", b"mcp-method", b"mcp-name")
_READ: Final = frozenset({*_ROUTING, b"content-type", b"content-encoding", b"accept"})
_JSON: Final = b"application/json"
_SENTINEL = re.compile(r"=\?base64\?(.*)\?=")
_KNOWN_BYTES: Final = 128
"""Longer values are not remembered: agents choose them."""


class RoutingHeaders(NamedTuple):
    """The `Mcp-*` headers of one request that say what its body says, as sent; None where absent."""

    version: str | None
    method: str | None
    name: str | None
    params: tuple[tuple[str, str], ...]


def read_headers(headers: Sequence[tuple[bytes, bytes]]) -> RoutingHeaders | Rejection:
    """Read the headers of a POST, or refuse it.

    1. A header that names one thing is given once.
    2. The body is JSON in UTF-8: `application/json`, with no parameter but `charset=utf-8`; it is not compressed; the
       agent takes both JSON and an event stream (as lenient as the official SDK's server, wildcards included).
    3. The routing headers are visible ASCII.
    """
    found: dict[bytes, bytes] = {}
    params: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _READ:
            if name not in found:
                found[name] = value
            elif name == b"accept":
                found[name] += b"," + value  # a list may be given in several lines (RFC 9110, 5.3)
            else:
                return _mismatch(name, "is given twice")
        elif name[:10] == _PARAM:
            if name in params:
                return _mismatch(name, "is given twice")
            params[name] = value
    get = found.get
    problem = _media_problem(get(b"content-type", b""), get(b"content-encoding", b"identity"), get(b"accept", b""))
    if problem is not None:
        return Rejection(status=problem[0], code=INVALID_REQUEST, message=problem[1])
    return _routing(found, params)


def single(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | Rejection | None:
    """Return the only value of a header in visible ASCII, None where it is absent, a Rejection otherwise."""
    values = [value for key, value in headers if key == name]
    if not values:
        return None
    if len(values) > 1:
        return _mismatch(name, "is given twice")
    text = _visible(values[0])
    return _mismatch(name, _NOT_VISIBLE) if text is None else text


def _routing(found: dict[bytes, bytes], params: dict[bytes, bytes]) -> RoutingHeaders | Rejection:
    texts: list[str | None] = []
    for name in _ROUTING:
        raw = found.get(name)
        text = None if raw is None else _known(raw) if len(raw) <= _KNOWN_BYTES else _visible(raw)
        if text is None and raw is not None:
            return _mismatch(name, _NOT_VISIBLE)
        texts.append(text)
    version, method, own_name = texts
    sent: list[tuple[str, str]] = []
    for name, raw in params.items():
        key, text = _visible(name), _visible(raw)
        if key is None or text is None:
            return _mismatch(name, _NOT_VISIBLE)
        sent.append((key, text))
    return RoutingHeaders(version, method, own_name, tuple(sent))


@lru_cache(maxsize=512)
def _known(value: bytes) -> str | None:
    """As `_visible`: versions, methods and the names of tools come again and again."""
    return _visible(value)


def _visible(value: bytes) -> str | None:
    """Return visible ASCII (spaces inside included) as text, None for anything else.

    White space around a value is no part of it (RFC 9110, 5.5); the parser leaves it at the end.
    """
    text = value.strip(b" \t").decode("latin-1")
    return text if text.isascii() and text.isprintable() else None


def _mismatch(name: bytes, problem: str) -> Rejection:
    shown = name.decode("ascii", "replace")[:64]
    return Rejection(status=400, code=HEADER_MISMATCH, message=f"header {shown} {problem}")


_NOT_VISIBLE: Final = "has characters other than visible ASCII"


# --- media types ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _media_problem(content_type: bytes, encoding: bytes, accept: bytes) -> tuple[int, str] | None:
    """Return HTTP status and text where the media types do not do. Agents send the same three again and again."""
    if not _is_json(content_type):
        return 415, "Content-Type must be application/json (UTF-8, no other charset)"
    if encoding.strip().lower() != b"identity":
        return 415, "Send the body without Content-Encoding"
    if not _accepts_both(accept):
        return 406, "Accept must name both application/json and text/event-stream"
    return None


def _is_json(value: bytes) -> bool:
    kind, *parameters = (part.strip().lower() for part in value.split(b";"))
    return kind == _JSON and (not parameters or parameters in ([b"charset=utf-8"], [b'charset="utf-8"']))


def _accepts_both(value: bytes) -> bool:
    kinds = {part.split(b";")[0].strip().lower() for part in value.split(b",")}
    if b"*/*" in kinds:
        return True
    return not kinds.isdisjoint({_JSON, b"application/*"}) and not kinds.isdisjoint({b"text/event-stream", b"text/*"})


# --- the codec of header values (2026-07-28, "Custom Headers") --------------------------------------------------------


def encode_value(value: str) -> str:
    """Return `value` as a header carries it: as it is where that survives, else inside `=?base64?…?=`."""
    if value.isascii() and value.isprintable() and value == value.strip() and not _SENTINEL.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode('ascii')}?="


def decode_value(value: str) -> str | None:
    """Return what a header value stands for, None where the base64 form is not the one that `encode_value` writes."""
    match = _SENTINEL.fullmatch(value) if value.startswith("=?") else None
    if match is None:
        return value
    payload = match.group(1)
    try:
        decoded = base64.b64decode(payload, validate=True)
        # Trailing bits that mean nothing would give one value several spellings.
        return decoded.decode() if base64.b64encode(decoded).decode("ascii") == payload else None
    except ValueError:  # not ASCII, not base64 (binascii.Error), not UTF-8
        return None
