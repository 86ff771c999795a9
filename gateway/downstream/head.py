"""The head of one HTTP request: whether Host and Origin are ours, which credentials it presents, what it accepts.

Pure functions of bytes. Owns no decision about a credential (`services/authentication.py`) and none about the message
(`core/wire.py`). Credentials are read from two headers only; a query string is never looked at.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.core.codes import INVALID_REQUEST
from gateway.core.message import Rejection

__all__ = ["LAST_EVENT_ID", "PREFER", "SESSION_ID", "TENANT", "VERSION", "Accepts", "Gate", "Head"]

SESSION_ID: Final = b"mcp-session-id"
VERSION: Final = b"mcp-protocol-version"
LAST_EVENT_ID: Final = b"last-event-id"
TENANT: Final = b"x-tenant-id"
PREFER: Final = b"prefer"
_ACCEPT: Final = b"accept"
_HOST: Final = b"host"
_ORIGIN: Final = b"origin"
_KEY: Final = b"x-api-key"
_AUTHORIZATION: Final = b"authorization"
_LENGTH: Final = b"content-length"
_OWS: Final = b" \t"
"""White space around a value is no part of it (RFC 9110, 5.5); the HTTP parser leaves what follows."""
_READ: Final = frozenset(
    {SESSION_ID, VERSION, LAST_EVENT_ID, TENANT, PREFER, _ACCEPT, _HOST, _ORIGIN, _KEY, _AUTHORIZATION, _LENGTH}
)

_LOOPBACK_HOST = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
"""Any port: a forwarded or mapped port is the agent's way to us, and a foreign page cannot name these hosts."""
_LOOPBACK_ORIGIN = re.compile(rb"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")
_DEFAULT_PORTS: Final = frozenset({80, 443})


# --- Accept -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts:
    """Whether the agent takes an event stream, and whether it names one before JSON."""

    stream: bool
    prefers_stream: bool


@lru_cache(maxsize=32)
def _accepts(header: bytes | None) -> Accepts:
    """Read an Accept header. Without one there is no stream: nobody is sent what it did not ask for."""
    places: dict[str, int] = {}
    for place, item in enumerate((header or b"").decode("latin-1").lower().split(",")):
        media, *parameters = (part.strip() for part in item.split(";"))
        if not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters):
            places.setdefault(media, place)
    stream = places.get("text/event-stream")
    taken = stream is not None or "text/*" in places or "*/*" in places
    json = places.get("application/json")
    return Accepts(stream=taken, prefers_stream=stream is not None and (json is None or stream < json))


# --- the head ---------------------------------------------------------------------------------------------------------


class Head:
    """The headers that the front itself reads. What came more than once is in `repeated`, never quietly dropped."""

    __slots__ = ("_fields", "repeated")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields: dict[bytes, bytes] = {}
        self.repeated: list[tuple[bytes, bytes]] = []
        fields = self._fields
        for name, value in headers:
            if name in _READ:
                if name in fields:
                    self.repeated.append((name, value.strip(_OWS)))
                else:
                    fields[name] = value.strip(_OWS)

    def get(self, name: bytes) -> str | None:
        """Return the header's value, or None where it is absent."""
        value = self._fields.get(name)
        return None if value is None else value.decode("latin-1")

    def field(self, name: bytes) -> bytes | None:
        """Return the header's bytes, or None where it is absent."""
        return self._fields.get(name)

    def doubled(self, name: bytes) -> bool:
        """Return whether the header came more than once."""
        return bool(self.repeated) and any(repeated == name for repeated, _ in self.repeated)

    def credentials(self) -> tuple[str, ...]:
        """Return every credential presented. One that cannot be read counts as presented, so that it is refused."""
        fields = self._fields
        found = []
        if (key := fields.get(_KEY)) is not None:
            found.append(key.decode("latin-1"))
        if (authorization := fields.get(_AUTHORIZATION)) is not None:
            found.append(_bearer(authorization))
        for name, value in self.repeated:
            if name == _KEY:
                found.append(value.decode("latin-1"))
            elif name == _AUTHORIZATION:
                found.append(_bearer(value))
        return tuple(found)

    @property
    def accepts(self) -> Accepts:
        """What the agent takes as an answer."""
        value = self._fields.get(_ACCEPT)
        if self.repeated and value is not None:
            value = b",".join([value, *(more for name, more in self.repeated if name == _ACCEPT)])
        return _accepts(value)

    def declared_length(self) -> int:
        """Return the declared Content-Length, 0 where there is none. (The HTTP parser refuses malformed ones.)"""
        value = self._fields.get(_LENGTH)
        return int(value) if value is not None and value.isdigit() else 0


def _bearer(authorization: bytes) -> str:
    """Return the token of a Bearer header; another scheme is returned whole: presented, but nobody's."""
    scheme, _, token = authorization.decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else f"{scheme} {token}"


# --- Host and Origin (DNS rebinding; protocol research, section 2) ----------------------------------------------------


class Gate:
    """Which Host and Origin headers are ours: loopback, the address that was connected to, and what is configured.

    Names are compared whole. A configured host names its port where the agent's Host header does.
    """

    def __init__(self, *, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> None:
        self._hosts = frozenset(host.lower().encode("latin-1") for host in hosts)
        self._origins = frozenset(origin.encode("latin-1") for origin in origins)
        self._ours: tuple[bytes, tuple[str, int | None] | None] | None = None

    def check(self, head: Head, server: tuple[str, int | None] | None) -> Rejection | None:
        """Return why the request is refused, or None. `server` is the local end of its connection."""
        host = head.field(_HOST)
        if host is None or not self._is_ours(host, server) or head.doubled(_HOST):
            return Rejection(
                status=421,
                code=INVALID_REQUEST,
                message="This Host is not served here. Fix: use the gateway's own address, or add the host to"
                " `allowed_hosts`.",
            )
        origin = head.field(_ORIGIN)
        if origin is None:
            return None
        allowed = origin in self._origins or _LOOPBACK_ORIGIN.fullmatch(origin) is not None
        if not allowed or head.doubled(_ORIGIN):
            return Rejection(
                status=403,
                code=INVALID_REQUEST,
                message="This Origin may not call the gateway. Fix: add it to `allowed_origins`.",
            )
        return None

    def _is_ours(self, host: bytes, server: tuple[str, int | None] | None) -> bool:
        """Tell, and remember the last one that was: nearly always the next is the same."""
        asked = (host, server)
        if asked == self._ours:
            return True
        if not self._is_named(host, server):
            return False
        self._ours = asked
        return True

    def _is_named(self, host: bytes, server: tuple[str, int | None] | None) -> bool:
        if _LOOPBACK_HOST.fullmatch(host) is not None or host.lower() in self._hosts:
            return True
        if server is None or server[1] is None:
            return False
        name = f"[{server[0]}]" if ":" in server[0] else server[0]
        bound = f"{name}:{server[1]}".encode("latin-1")
        return host == bound or (server[1] in _DEFAULT_PORTS and host == name.encode("latin-1"))
