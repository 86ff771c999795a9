"""Where a webhook may go: which URLs and which addresses (research/security.md, "SSRF").

Owns the rules, one for texts and one for addresses. That the checked address is the one that is connected to is
`gateway/webhooks/courier.py`'s.

A host that is an address must be written in the one usual way: `127.1`, `2130706433`, `0x7f.1` and `0177.0.0.1` are
addresses to some resolvers and names to others, so they are neither here.
"""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

__all__ = ["MAX_URL_CHARS", "Address", "Destination", "is_public", "read_destination"]

MAX_URL_CHARS: Final = 2048

Address = IPv4Address | IPv6Address

_VISIBLE: Final = re.compile(r"[!-~]+")
_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label like this makes an address of the host, for whoever reads URLs as browsers do (WHATWG URL, 3.5)."""

_METADATA: Final = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
"""Azure's, at a public address; and Oracle's, in a block that some versions of Python take for public."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_HOLDS_V4: Final = (IPv6Network("::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("2001::/32"))
"""IPv4-compatible, local NAT64, Teredo: they lead to some IPv4 address by ways that are nobody's business here."""
_PORTS: Final = {"https": 443, "http": 80}
_NETLOC: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^:\[\]%]+)(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A URL that webhooks may be sent to, in the parts that are used: nobody reads the text a second time.

    `host` is a name in lower case or an address; `trusted` where the operator allowed it by name, and so wherever it
    leads. `target` are path and query.
    """

    scheme: str
    host: str
    port: int
    target: str
    trusted: bool

    @property
    def netloc(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def origin(self) -> str:
        """Scheme, host and port: all that may be recorded for good, since the rest often is a secret."""
        return f"{self.scheme}://{self.netloc}"


def read_destination(url: str, allowed: AbstractSet[str]) -> Destination:
    """Return where a URL leads. Raises ValueError, in words for whoever wrote it.

    `allowed` are hosts, in lower case, that may lead anywhere and may be reached without TLS.
    """
    if len(url) > MAX_URL_CHARS or _VISIBLE.fullmatch(url) is None or "\\" in url:
        msg = f"must be a URL of at most {MAX_URL_CHARS} visible ASCII characters"
        raise ValueError(msg)
    try:
        parts = urlsplit(url)
        port = parts.port
        bracketed = parts.netloc.startswith("[")
        host = str(IPv6Address(parts.hostname or "")) if bracketed else parts.hostname or ""
    except ValueError:
        msg = "must be a URL as in https://example.com/hook"
        raise ValueError(msg) from None
    problem = _problem(url, parts, port)
    if problem:
        raise ValueError(problem)
    host = host if bracketed else _host(host)
    trusted = host in allowed
    if parts.scheme == "http" and not trusted:
        msg = "must begin with https://; an operator can allow a host by name (`webhooks.allow_hosts`)"
        raise ValueError(msg)
    _require_public(host, trusted=trusted)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(
        scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme], target=target, trusted=trusted
    )


def _problem(url: str, parts: SplitResult, port: int | None) -> str:
    """Return what is wrong with a URL, whichever host it names."""
    if not url.lower().startswith(tuple(f"{scheme}://" for scheme in _PORTS)):
        return "must begin with https://"
    if "@" in parts.netloc:
        return "must not hold a user name or password"
    if "#" in url:
        return "must not have a fragment"
    if _NETLOC.fullmatch(parts.netloc) is None or port == 0:
        return "must name a host, and a port from 1 to 65535 if any"
    return ""


def is_public(address: Address) -> bool:
    """Return True where an address is one of the internet: not of this machine, its networks or its metadata."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local or any(address in network for network in _HOLDS_V4):
            return False
    elif any(address in network for network in _METADATA):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _host(host: str) -> str:
    """Return a name or an IPv4 address in the one form that it may have. Raises ValueError."""
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            msg = "has an IPv4 address in an unusual form; write it as 192.0.2.1"
            raise ValueError(msg) from None
    if _NAME.fullmatch(host) is None:
        msg = "has a host that is no name (write an international one in its ASCII form, `xn--…`)"
        raise ValueError(msg)
    return host


def _require_public(host: str, *, trusted: bool) -> None:
    """Refuse what is inside by its own words. Raises ValueError."""
    inside = host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    if not inside and (":" in host or _NUMBER.fullmatch(host.rpartition(".")[2])):
        inside = not is_public(ip_address(host))
    if inside and not trusted:
        msg = "leads to this machine or its own network; an operator can allow a host by name (`webhooks.allow_hosts`)"
        raise ValueError(msg)
