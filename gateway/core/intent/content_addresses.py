"""Network addresses in text: of metadata services and of private networks, in every spelling that resolvers read.

Owns hosts as text. No name is resolved: what a name points to is the upstream's to check when it connects.
"""

import ipaddress
import re
from collections.abc import Iterator

__all__ = ["hosts_of", "metadata_host", "named_metadata", "private_host"]

MAX_HOSTS = 500
"""Addresses of one text that are looked at one by one; what lies beyond counts as private."""

UNREAD = "localhost"
"""Stands for the hosts that were not looked at."""

NETWORK_SCHEMES = ("http:", "https:", "ws:", "wss:", "ftp:", "sftp:", "ftps:", "gopher:", "dict:", "ldap:", "tcp:",
    "udp:", "ssh:",
                   "git:", "redis:", "rtsp:", "tftp:", "smb:")  # fmt: skip
"""Schemes behind which a bare number is an address."""

LENIENT_SCHEMES = ("http:", "https:", "ws:", "wss:", "ftp:")
"""Schemes whose slashes browsers do not count (WHATWG URL, special schemes)."""

STRIPPED = {ord(sign): None for sign in "\t\r\n "}
"""What browsers take out of an address."""

FOUR_PARTS = 4
"""Parts of an IPv4 address as people write it."""

MAX_HOST_CHARS = 253
"""The longest name of a host (RFC 1035, 2.3.4)."""

METADATA_NAMES = (
    "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "metadata.google.internal",
    "metadata.goog", "instance-data.ec2", "instance-data", "metadata.azure", "metadata.tencentyun",
    "rancher-metadata",
    "/latest/meta-data", "/computemetadata/", "/latest/api/token", "/opc/v1/instance", "/opc/v2/instance",
    "169-254-169-254", "a9fea9fe",
)  # fmt: skip
"""What is searched as it stands, wherever it stands."""

METADATA_HINTS = ("169", "meta", "fd00", "100.100", "192.0.0", "instance-data", "a9fe", "/latest/", "/opc/")
"""Each name holds one of these; searched first because there are fewer."""

HINTED = re.compile("|".join(map(re.escape, METADATA_HINTS)))
HINTED_CHARS = 64
"""Up to here one search for all hints is cheaper (0.3 µs) than one for each (1.2 µs); in long texts it is the other way
round, since each of these looks for one literal."""

METADATA_NETWORKS = (ipaddress.ip_network("169.254.0.0/16"),)
METADATA_HOSTS = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
)
SHARED = ipaddress.ip_network("100.64.0.0/10")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
PRIVATE_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "host.docker.internal", "kubernetes")
PRIVATE_SUFFIXES = (
    ".localhost", ".local", ".internal", ".intranet", ".lan", ".corp", ".svc", ".cluster.local", ".nip.io",
    ".sslip.io",
    ".xip.io", ".localtest.me", ".lvh.me", ".home.arpa", ".rbndr.us", ".consul", ".private", ".home",
)  # fmt: skip
"""Names that stand for a network behind the gateway, and public names that anyone can point there."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def named_metadata(text: str) -> bool:
    """Return True where folded text names a metadata service as it stands."""
    if len(text) <= HINTED_CHARS:
        hinted = HINTED.search(text) is not None
    else:
        hinted = any(hint in text for hint in METADATA_HINTS)
    return hinted and any(name in text for name in METADATA_NAMES)


def hosts_of(text: str, *, is_host: bool = False) -> Iterator[str]:
    """Yield the hosts of the web addresses in a text, and the text itself where it is one host.

    Outside an address a bare number or a version like `10.2` is taken for a host only where the argument is meant for
    one (`is_host`).
    """
    slashed = text.replace("\\", "/")
    at, seen = slashed.find("//"), 0
    while at >= 0 and seen < MAX_HOSTS:
        seen += 1
        host = host_at(slashed, at + 2)
        if not host.isalnum() or not host[:1].isdigit() or on_network(slashed, at):
            yield host
        if is_host and (single_label(slashed, at, host) or ambiguous(slashed, at)):
            yield UNREAD
        at = slashed.find("//", at + 2)
    if at >= 0:
        yield UNREAD
    if is_host:
        yield from lenient_hosts(slashed)
    if not seen and len(text) <= MAX_HOST_CHARS and " " not in text:
        host = host_at(slashed, 0)
        if is_host or host.count(".") == FOUR_PARTS - 1 or ":" in host or not host[:1].isdigit():
            yield host


def single_label(text: str, at: int, host: str) -> bool:
    """Return True for a web address whose host is one word: only a network of one's own resolves it."""
    return text[:at].endswith(LENIENT_SCHEMES) and host.isalnum() and not host[:1].isdigit()


def ambiguous(text: str, at: int) -> bool:
    """Return True where readers disagree which host an address names: two `@`, white space or controls before it."""
    authority = text[at + 2 : at + 2 + MAX_HOST_CHARS].partition("/")[0].rstrip()
    return authority.count("@") > 1 or any(char <= " " or char == "\x7f" for char in authority)


def lenient_hosts(text: str) -> Iterator[str]:
    """Yield the host as browsers read it: any number of slashes, tabs and line breaks taken away."""
    bare = text.translate(STRIPPED)
    for scheme in LENIENT_SCHEMES:
        if bare.startswith(scheme):
            yield host_at(bare, len(bare) - len(bare[len(scheme) :].lstrip("/")))


def on_network(text: str, at: int) -> bool:
    """Return True where the slashes belong to a scheme whose host is resolved, or to none; `notes://1` is an id."""
    return text[at - 1 : at] != ":" or text[max(0, at - 8) : at].endswith(NETWORK_SCHEMES)


def host_at(text: str, begin: int) -> str:
    """Return the host that begins here, without user, port and brackets."""
    piece = text[begin : begin + MAX_HOST_CHARS + 64]
    for stop in "/\\?# \t\r\n\"'<>`,)":
        piece = piece.partition(stop)[0]
    piece = piece.rpartition("@")[2]
    if piece.startswith("["):
        return piece[1:].partition("]")[0]
    if piece.count(":") > 1:
        return piece
    return piece.partition(":")[0].rstrip(".").replace("。", ".")


def metadata_host(host: str) -> bool:
    """Return True for the address of a metadata service."""
    address = read_address(host)
    return address is not None and (
        address in METADATA_HOSTS or any(address in network for network in METADATA_NETWORKS)
    )


def private_host(host: str) -> bool:
    """Return True for a loopback, private or link-local address, or a name that stands for one."""
    if host in PRIVATE_NAMES or f".{host}".endswith(PRIVATE_SUFFIXES):
        return True
    address = read_address(host)
    return address is not None and (not address.is_global or address in SHARED) and not address.is_multicast


def read_address(host: str) -> Address | None:
    """Return the address that a resolver would read, with IPv4 taken out of IPv6 forms that carry it."""
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host.partition("%")[0])
        except ValueError:
            return None
        return carried(address)
    return loose_ipv4(host)


def carried(address: ipaddress.IPv6Address) -> Address:
    """Return the IPv4 address inside a mapped, compatible, 6to4 or NAT64 address."""
    inner = address.ipv4_mapped or address.sixtofour
    if inner is not None:
        return inner
    if address in NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def loose_ipv4(host: str) -> ipaddress.IPv4Address | None:
    """Read an IPv4 address as `inet_aton` does: one to four parts, each decimal, octal or hexadecimal."""
    if not host[:1].isdigit():
        return None
    parts = host.split(".")
    numbers = [number for number in map(loose_number, parts) if number is not None]
    if len(parts) > FOUR_PARTS or len(numbers) != len(parts):
        return None
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (5 - len(parts)):
        return None
    value = last
    for position, number in enumerate(leading):
        value += number << (8 * (3 - position))
    return ipaddress.IPv4Address(value)


def loose_number(text: str) -> int | None:
    """Read one part of an address: 10, 0xA or 012."""
    if not text.isascii() or not text.isalnum() or len(text) > 12:
        return None
    base = 16 if text.startswith("0x") else 8 if text.startswith("0") and len(text) > 1 else 10
    try:
        return int(text, base)
    except ValueError:
        return None
