"""Where webhooks may go: what is refused by its text, whatever it is spelt like, and which addresses are public."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.destinations import is_public, read_destination

NONE: frozenset[str] = frozenset()

INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
]

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused(address: str) -> None:
    """Loopback, private, shared, link-local with its metadata, multicast, reserved; and IPv4 inside of IPv6."""
    assert not is_public(ip_address(address))
    url = f"https://[{address}]/" if ":" in address else f"https://{address}/"
    with pytest.raises(ValueError, match="its own network"):
        read_destination(url, NONE)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_not(address: str) -> None:
    """Receivers are there."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0x0.0x0.0x1",
        "0x7F.1",
        "0177.0.0.1",
        "017700000001",
        "00000177.0.0.1",
        "127.0.0.1.",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.0.0.1",
        "a.b.0x",
        "1",
        "0",
    ],
)
def test_an_address_in_another_spelling_is_refused(host: str) -> None:
    """What one reader takes for a name and another for an address is neither."""
    with pytest.raises(ValueError, match=r"has an? (IPv4|host)"):
        read_destination(f"https://{host}/hook", NONE)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "must begin with https://"),
        ("ftp://example.com/", "must begin with https://"),
        ("https:/example.com/", "must begin with https://"),
        ("example.com", "must begin with https://"),
        ("//example.com/", "must begin with https://"),
        ("https://user@example.com/", "user name"),
        ("https://user:pass@example.com/", "user name"),
        ("https://example.com@127.0.0.1/", "user name"),
        ("https://127.0.0.1\\@example.com/", "visible ASCII"),
        ("https://example.com/#x", "fragment"),
        ("https://example.com#@127.0.0.1/", "fragment"),
        ("https:///path", "must name a host"),
        ("https://:443/", "must name a host"),
        ("https://example.com:/", "must name a host"),
        ("https://example.com:0/", "must name a host"),
        ("https://example.com:99999/", "must be a URL"),
        ("https://example.com:8x/", "must be a URL"),
        ("https://[::1]x/", "must"),
        ("https://[::1/", "must be a URL"),
        ("https://[::g]/", "must"),
        ("https://[1:2]/", "must be a URL"),
        ("https://[fe80::1%25eth0]/", "must"),
        ("https://%31%32%37.0.0.1/", "must name a host"),
        ("https://exa mple.com/", "visible ASCII"),
        ("https://example.com/\r\nHost: x", "visible ASCII"),
        ("https://\u2460\u2461\u2466.0.0.1/", "visible ASCII"),
        ("https://localhost/", "its own network"),
        ("https://LOCALHOST:8787/", "its own network"),
        ("https://a.localhost/", "its own network"),
        ("https://metadata.google.internal/", "its own network"),
        ("https://printer.local/", "its own network"),
        ("https://localhost./", "has a host that is no name"),
        ("https://-a.example/", "has a host that is no name"),
        ("https://" + "a." * 127 + "com/", "has a host that is no name"),
        ("https://example.com/" + "x" * 2048, "visible ASCII"),
        ("", "visible ASCII"),
    ],
)
def test_a_url_that_may_not_be_used_says_why(url: str, why: str) -> None:
    """Whoever wrote it has to mend it."""
    with pytest.raises(ValueError, match=why):
        read_destination(url, frozenset())


def test_a_url_is_read_into_the_parts_that_are_used() -> None:
    """A second reader might find another host in it."""
    found = read_destination("HTTPS://Hooks.Example.com:8443/a%20b?c=d", NONE)
    assert (found.scheme, found.host, found.port, found.target) == ("https", "hooks.example.com", 8443, "/a%20b?c=d")
    assert (found.netloc, found.origin) == ("hooks.example.com:8443", "https://hooks.example.com:8443")
    plain = read_destination("https://example.com?x=1", NONE)
    assert (plain.target, plain.netloc, plain.port, plain.trusted) == ("/?x=1", "example.com", 443, False)
    assert read_destination("https://[2606:4700:4700::1111]/", NONE).netloc == "[2606:4700:4700::1111]"


def test_a_host_that_the_operator_allowed_may_be_inside_and_without_tls() -> None:
    """By its name as in the URL, and no other: not by a suffix, nor because it leads to the same place."""
    allowed = frozenset({"127.0.0.1", "hooks.internal", "::1"})
    found = read_destination("http://127.0.0.1:9000/", allowed)
    assert (found.trusted, found.origin) == (True, "http://127.0.0.1:9000")
    assert read_destination("http://[::1]/", allowed).netloc == "[::1]"
    assert read_destination("http://HOOKS.internal/", allowed).port == 80
    for other in ("http://127.0.0.2/", "http://a.hooks.internal/", "https://a.hooks.internal/", "http://localhost/"):
        with pytest.raises(ValueError, match="allow_hosts"):
            read_destination(other, allowed)


@given(st.text(max_size=40) | st.text(alphabet="https:/@[]%.0x127#?\\a\t\n", max_size=30).map("https://".__add__))
def test_whatever_is_read_is_public_or_a_name(url: str) -> None:
    """No text gets an address inside past the reader."""
    try:
        found = read_destination(url, NONE)
    except ValueError:
        return
    assert (found.scheme, found.trusted) == ("https", False)
    try:
        address = ip_address(found.host)
    except ValueError:
        assert not found.host.rpartition(".")[2].isdigit()
    else:
        assert is_public(address)
