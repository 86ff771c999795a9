"""The values that reading a message yields: one message, or why it is not read further.

Owns the types only; `core/wire.py` makes them and hands them on under its own name.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.core.call import Era
from gateway.core.jsonvalue import JsonObject
from gateway.core.value import value

__all__ = ["Inbound", "Kind", "Rejection", "WireLimits"]


class Kind(StrEnum):
    """The three shapes of a JSON-RPC message."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Bounds of one message; the defaults and their reasons are in `settings.py`."""

    body_bytes: int
    depth: int
    keys: int
    id_chars: int


@value
class Inbound:
    """One message of an agent, read in the only way there is.

    `version` is the protocol version that the message names (modern: `_meta`, equal to the header; handshake: the
    header, or empty where there is none). `params` is the very object that is evaluated and forwarded. `id` is None
    for notifications. For a response `params` is empty and `message` holds `result` or `error`. `param_headers` are
    the `Mcp-Param-*` headers as sent (name, value), for comparison with the pinned schema and for the next hop.
    """

    kind: Kind
    era: Era
    version: str
    id: str | int | None
    method: str
    params: JsonObject
    message: JsonObject = field(default_factory=dict)
    param_headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A message that is not read further: HTTP status and JSON-RPC error. `id` is the message's where it was sound."""

    status: int
    code: int
    message: str
    data: JsonObject | None = None
    id: str | int | None = None
    era: Era | None = None
