"""Host, Origin, credentials and Accept, as bytes."""

import pytest

from gateway.downstream.head import Gate, Head

SERVER = ("192.0.2.1", 8787)


def gate_status(*headers: tuple[bytes, bytes], **gate: tuple[str, ...]) -> int:
    rejection = Gate(**gate).check(Head(headers), SERVER)
    return 0 if rejection is None else rejection.status


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LOCALHOST:8787",
        b"127.0.0.1",
        b"127.0.0.1:9000",
        b"[::1]:8787",
        b"192.0.2.1:8787",
        b"gate.example",
        b"Gate.Example",
        b"gate.example:8443",
    ],
)
def test_loopback_the_bound_address_and_configured_hosts_are_ours(host):
    """An agent reaches us under these names (issue 2, wire)."""
    assert gate_status((b"host", host), hosts=("gate.example", "gate.example:8443")) == 0


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"evil.example",
        b"localhost.evil.example",
        b"evil.localhost",
        b"localhost:8787.evil.example",
        b"localhost:",
        b"localhost:123456",
        b"127.0.0.1@evil.example",
        b"192.0.2.1",
        b"192.0.2.1:9",
        b"gate.example:1",
        b"gate.example.evil",
        b"x.gate.example",
        b"localhost\xc3\xa9",
    ],
)
def test_a_foreign_host_is_misdirected(host):
    """DNS rebinding: a foreign page's own name, resolved to us (protocol research, section 2)."""
    assert gate_status((b"host", host), hosts=("gate.example",)) == 421


def test_a_host_that_is_missing_or_doubled_is_misdirected():
    """Two readers could take different ones."""
    assert gate_status() == 421
    assert gate_status((b"host", b"localhost"), (b"host", b"localhost")) == 421


def test_the_bound_address_goes_without_port_on_a_default_port():
    """Agents leave a scheme's own port out."""
    head = Head([(b"host", b"192.0.2.1")])
    assert Gate().check(head, ("192.0.2.1", 443)) is None
    assert Gate().check(Head([(b"host", b"[2001:db8::1]:8787")]), ("2001:db8::1", 8787)) is None
    assert Gate().check(head, None) is not None
    assert Gate().check(head, ("/run/socket", None)) is not None


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"http://localhost:3000", 0),
        (b"https://127.0.0.1", 0),
        (b"http://[::1]:1", 0),
        (b"https://console.example", 0),
        (b"", 403),
        (b"null", 403),
        (b"http://evil.example", 403),
        (b"http://localhost.evil.example", 403),
        (b"http://localhost:3000.evil.example", 403),
        (b"http://localhost:3000/", 403),
        (b"https://console.example.evil", 403),
        (b"https://console.example:444", 403),
        (b"http://console.example", 403),
        (b"file://localhost", 403),
    ],
)
def test_an_origin_is_compared_whole(origin, status):
    """The SDK's check by prefix let `http://localhost:3000.evil.example` pass (research/security.md 0)."""
    headers = [(b"host", b"localhost"), (b"origin", origin)]
    assert gate_status(*headers, origins=("https://console.example",)) == status


def test_a_doubled_origin_is_refused_even_where_both_are_allowed():
    """Of two, a server behind us might read the other one."""
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"http://localhost")]
    assert gate_status(*headers) == 403


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], ()),
        ([(b"x-api-key", b"k")], ("k",)),
        ([(b"x-api-key", b" k\t")], ("k",)),
        ([(b"authorization", b"Bearer k")], ("k",)),
        ([(b"authorization", b"bearer  k ")], ("k",)),
        ([(b"authorization", b"Basic a2V5")], ("Basic a2V5",)),
        ([(b"authorization", b"k")], ("k ",)),
        ([(b"authorization", b"")], (" ",)),
        ([(b"authorization", b"Bearer ")], ("",)),
        ([(b"x-api-key", b"")], ("",)),
        ([(b"x-api-key", b"a"), (b"authorization", b"Bearer b")], ("a", "b")),
        ([(b"x-api-key", b"a"), (b"x-api-key", b"b")], ("a", "b")),
        ([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")], ("a", "b")),
        ([(b"accept", b"a"), (b"accept", b"b")], ()),
    ],
)
def test_every_credential_presented_is_found(headers, found):
    """One that is not readable must count as presented, or it would fall back to keyless (LiteLLM's mistake)."""
    assert Head(headers).credentials() == found


@pytest.mark.parametrize(
    ("values", "stream", "preferred"),
    [
        ([], False, False),
        ([b"application/json"], False, False),
        ([b"application/json, text/event-stream"], True, False),
        ([b"application/json", b"text/event-stream"], True, False),
        ([b"text/event-stream, application/json"], True, True),
        ([b"TEXT/EVENT-STREAM"], True, True),
        ([b"*/*"], True, False),
        ([b"text/*, application/json"], True, False),
        ([b"application/json, text/event-stream;q=0"], False, False),
        ([b"text/event-stream; q=0.5, application/json"], True, True),
    ],
)
def test_a_stream_is_for_who_accepts_one(values, stream, preferred):
    """An agent that names event streams first gets one where the era lets us choose."""
    accepts = Head([(b"accept", value) for value in values]).accepts
    assert (accepts.stream, accepts.prefers_stream) == (stream, preferred)


def test_the_declared_length_is_read():
    """A body that announces too much is refused unread."""
    assert Head([(b"content-length", b"12")]).declared_length() == 12
    assert Head([(b"content-length", b"x")]).declared_length() == 0
    assert Head([]).declared_length() == 0
