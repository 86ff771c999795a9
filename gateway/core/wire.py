"""Bytes and headers of one agent message → one strict reading, or a rejection; and the envelope back.

Pure: no I/O, no clock. Owns the order of the checks and the decision between the two eras. The checks themselves are
`core/headers.py`, `core/strictjson.py` and `core/envelope.py`. What a method means is `core/methods.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.core.call import Era
from gateway.core.codes import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
)
from gateway.core.envelope import Envelope, encode_error, encode_message, encode_result, read_envelope
from gateway.core.guard import guard
from gateway.core.headers import RoutingHeaders, decode_value, read_headers
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Inbound, Kind, Rejection, WireLimits
from gateway.core.methods import NAME_MEMBER
from gateway.core.paramheaders import check_param_headers, invalid_x_mcp_header
from gateway.core.strictjson import Unreadable, read_call
from gateway.core.tokens import without_authority
from gateway.core.versions import HANDSHAKE_VERSIONS, KNOWN_VERSIONS, MODERN_VERSIONS

__all__ = [
    "CAPABILITIES_KEY",
    "VERSION_KEY",
    "Inbound",
    "Kind",
    "Rejection",
    "WireLimits",
    "check_param_headers",
    "classify",
    "encode_error",
    "encode_message",
    "encode_result",
    "guard",
    "invalid_x_mcp_header",
]

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
"""The members of `_meta` that every modern request has."""

_NO_META: Final[JsonObject] = {}
_HANDSHAKE: Final = Era.HANDSHAKE
_MODERN: Final = Era.MODERN
_REQUEST: Final = Kind.REQUEST
_RESPONSE: Final = Kind.RESPONSE


def classify(body: bytes, headers: Sequence[tuple[bytes, bytes]], limits: WireLimits) -> Inbound | Rejection:
    """Read one POSTed message. The first rung that fails answers; nothing raises.

    1. Headers that name one thing are given once, in visible ASCII (400); the media type is JSON (415), not
       compressed (415), and the agent takes JSON and event streams (406).
    2. The body is no longer than allowed (413).
    3. It is JSON of one reading (400, `-32700` where it is no JSON, `-32600` where it is JSON that we refuse).
    4. It is one JSON-RPC message (400, `-32600`).
    5. Its era: modern if the body or the header says so, handshake otherwise.
    6. Modern: the body names version (`-32602`) and capabilities (`-32602`), the headers agree with the body
       (`-32020`), we speak the version (`-32022`); all 400. The order is the official SDK's.
       Handshake: a routing header that is there nevertheless agrees with the body (`-32020`).
    """
    routing = read_headers(headers)  # 1
    if isinstance(routing, Rejection):
        return routing
    if len(body) > limits.body_bytes:  # 2
        return Rejection(status=413, code=INVALID_REQUEST, message=f"the body is longer than {limits.body_bytes} bytes")
    try:  # 3
        value = read_call(body, depth=limits.depth, keys=limits.keys)
    except Unreadable as unreadable:
        code = INVALID_REQUEST if unreadable.is_json else PARSE_ERROR
        return Rejection(status=400, code=code, message=unreadable.problem)
    envelope = read_envelope(value, id_chars=limits.id_chars)  # 4
    if isinstance(envelope, Rejection):
        return envelope
    meta = envelope.params.get("_meta", _NO_META)
    if _is_modern(meta, routing):  # 5
        return _modern(envelope, meta, routing)  # 6
    return _handshake(envelope, routing)


def _is_modern(meta: JsonObject, routing: RoutingHeaders) -> bool:
    """Tell the era from body and header together (protocol research, 1.1).

    The header alone would let a modern body without it pass as a handshake message; the body alone would let a header
    that an intermediary routes on say something else.
    """
    if routing.version is not None and routing.version not in HANDSHAKE_VERSIONS:
        return True
    return VERSION_KEY in meta


# --- handshake era ----------------------------------------------------------------------------------------------------


def _handshake(envelope: Envelope, routing: RoutingHeaders) -> Inbound | Rejection:
    # No header at all is the rule here, but an intermediary may act on one that is there.
    if routing.method is not None and routing.method != envelope.method:
        return _mismatch("Mcp-Method", envelope, Era.HANDSHAKE)
    if routing.name is not None and _name_differs(envelope, routing):
        return _mismatch("Mcp-Name", envelope, Era.HANDSHAKE)
    return _inbound(envelope, _HANDSHAKE, routing.version or "", ())


# --- modern era -------------------------------------------------------------------------------------------------------


def _modern(envelope: Envelope, meta: JsonObject, routing: RoutingHeaders) -> Inbound | Rejection:
    if envelope.kind is _RESPONSE:
        return _refused(INVALID_REQUEST, "answers are not POSTed in this protocol version", envelope)
    rejection = (
        _check_body(envelope, meta, routing)
        or _check_routing(envelope, meta, routing)
        or _check_version(envelope, routing)
    )
    if rejection is not None:
        return rejection
    return _inbound(envelope, _MODERN, routing.version or "", routing.params)


def _check_body(envelope: Envelope, meta: JsonObject, routing: RoutingHeaders) -> Rejection | None:
    """What the body must say by itself. Notifications need not (202 and dropped, as the official SDK does)."""
    if envelope.kind is not _REQUEST:
        return None
    if VERSION_KEY not in meta and routing.version not in KNOWN_VERSIONS:
        # A handshake agent with a version from nowhere, not a modern one that forgot its body.
        return _check_version(envelope, routing)
    if VERSION_KEY not in meta or CAPABILITIES_KEY not in meta:
        missing = [key for key in (VERSION_KEY, CAPABILITIES_KEY) if key not in meta]
        return _refused(INVALID_PARAMS, f"params._meta needs {' and '.join(missing)}", envelope)
    if not isinstance(meta[CAPABILITIES_KEY], dict):
        return _refused(INVALID_PARAMS, f"{CAPABILITIES_KEY} must be an object", envelope)
    return None


def _check_routing(envelope: Envelope, meta: JsonObject, routing: RoutingHeaders) -> Rejection | None:
    """What header and body must say alike."""
    if routing.version is None or meta.get(VERSION_KEY, routing.version) != routing.version:
        return _mismatch("MCP-Protocol-Version", envelope, Era.MODERN)
    if routing.method is None and envelope.kind is Kind.NOTIFICATION:
        return None  # undefined for notifications; what is there must be right all the same
    if routing.method != envelope.method:
        return _mismatch("Mcp-Method", envelope, Era.MODERN)
    return _mismatch("Mcp-Name", envelope, Era.MODERN) if _name_differs(envelope, routing) else None


def _name_differs(envelope: Envelope, routing: RoutingHeaders) -> bool:
    """Tell whether `Mcp-Name` disagrees. A body without the name is refused later, for what it lacks."""
    member = NAME_MEMBER.get(envelope.method)
    if member is None or member not in envelope.params:
        return False
    return routing.name is None or decode_value(routing.name) != envelope.params[member]


def _check_version(envelope: Envelope, routing: RoutingHeaders) -> Rejection | None:
    if routing.version in MODERN_VERSIONS:
        return None
    data: JsonObject = {"supported": list(MODERN_VERSIONS), "requested": routing.version}
    return replace(_refused(UNSUPPORTED_VERSION, "Unsupported protocol version", envelope), data=data)


# --- answers of this module -------------------------------------------------------------------------------------------


def _inbound(envelope: Envelope, era: Era, version: str, params: tuple[tuple[str, str], ...]) -> Inbound:
    return Inbound(
        kind=envelope.kind,
        era=era,
        version=version,
        id=envelope.id,
        method=envelope.method,
        params=without_authority(envelope.params),
        message=envelope.answer,
        param_headers=params,
    )


def _mismatch(header: str, envelope: Envelope, era: Era) -> Rejection:
    message = f"the {header} header is missing or differs from the body"
    return Rejection(status=400, code=HEADER_MISMATCH, message=message, id=envelope.id, era=era)


def _refused(code: int, message: str, envelope: Envelope) -> Rejection:
    return Rejection(status=400, code=code, message=message, id=envelope.id, era=Era.MODERN)
