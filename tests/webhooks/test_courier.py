"""One attempt: where it goes, what it never does, and what is said of each way to fail."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from socket import gaierror
from typing import Any

import anyio
import pytest

from gateway.core.webhooks import Delivery, Posted, make_secret
from gateway.telemetry.clock import SystemClock
from gateway.webhooks import courier as module
from gateway.webhooks.courier import Courier, resolve
from gateway.webhooks.post import MAX_ANSWER_BYTES
from tests.webhooks.receiver import answering, receiver

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = make_secret("x")
LOOPBACK = frozenset({"127.0.0.1"})
DELIVERY = Delivery(
    tenant="acme",
    endpoint="hook_1",
    id="whk_1",
    lane="int_1",
    event="intent.approved",
    intent_id="int_1",
    body=b'{"id":"whk_1"}',
    created="",
    due="",
)


async def post(courier: Courier, url: str) -> Posted:
    with anyio.fail_after(5):
        return await courier.deliver(DELIVERY, url=url, secrets=[SECRET], at=NOW)


def resolving(*answers: Sequence[str]) -> Any:
    """Return a resolver that gives these answers in turn; the last goes on. `asked` are the questions."""
    left = list(answers)

    async def look(host: str, port: int) -> Sequence[str]:
        look.asked.append((host, port))  # type: ignore[attr-defined]
        return left.pop(0) if len(left) > 1 else left[0]

    look.asked = []  # type: ignore[attr-defined]
    return look


async def test_a_delivery_is_posted_with_headers_of_ours_only() -> None:
    """Nothing of the library's, of the environment's or of a proxy's."""
    async with receiver() as one:
        assert await post(Courier(LOOPBACK), one.url) == Posted(status=200)
    [got] = one.got
    assert got.line == "POST /hook?x=1 HTTP/1.1"
    assert got.body == b'{"id":"whk_1"}'
    assert got.headers["host"] == f"127.0.0.1:{one.port}"
    assert got.headers.keys() == {
        "host",
        "content-type",
        "content-length",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-intendedops-signature",
        "x-meritt-signature",
    }


async def test_no_proxy_and_no_netrc_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment of the gateway is not the receiver's business, nor the other way round."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login hunter password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with receiver() as one, receiver() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert (await post(Courier(LOOPBACK), one.url)).status == 200
    assert (len(one.got), proxy.connections, "authorization" in one.got[0].headers) == (1, 0, False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_nobody_follows_it(status: int) -> None:
    """It would lead past every check of the URL."""
    async with receiver() as other:
        location = f"HTTP/1.1 {status} Moved\r\nlocation: {other.url}\r\ncontent-length: 0\r\n\r\n"
        async with receiver(answering(location.encode())) as one:
            posted = await post(Courier(LOOPBACK), one.url)
    assert posted == Posted(status=status, reason=f"answered with a redirect, which is not followed ({status})")
    assert (other.connections, len(one.got)) == (0, 1)


@pytest.mark.parametrize("status", [400, 401, 410, 418, 500, 503])
async def test_only_2xx_is_success_and_the_body_is_not_kept(status: int) -> None:
    """What a receiver says may be anybody's secret."""
    answer = f"HTTP/1.1 {status} hunter2\r\ncontent-length: 7\r\n\r\nhunter2"
    async with receiver(answering(answer.encode())) as one:
        posted = await post(Courier(LOOPBACK), one.url)
    assert posted == Posted(status=status, reason=f"answered with an error ({status})")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("999999999", 86_400.0),
        ("Sun, 22 Nov 2026 12:05:00 GMT", 300.0),
        ("Sun, 22 Nov 2026 12:05:00 -0000", 300.0),
        ("Sun, 22 Nov 2020 12:05:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("99999999999999999999", None),
        ("", None),
    ],
)
async def test_a_receiver_may_ask_for_time(text: str, seconds: float | None) -> None:
    """In seconds or as a date (RFC 9110, 10.2.3)."""
    answer = f"HTTP/1.1 503 Busy\r\nretry-after: {text}\r\ncontent-length: 0\r\n\r\n"
    async with receiver(answering(answer.encode())) as one:
        assert (await post(Courier(LOOPBACK), one.url)).retry_after_s == seconds


async def test_an_endless_answer_is_read_within_bounds() -> None:
    """Its status was all that was asked for."""
    sent = 0

    async def pour(stream: Any) -> None:
        nonlocal sent
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send(b"x" * 4096)
            sent += 4096

    async with receiver(pour) as one:
        assert (await post(Courier(LOOPBACK), one.url)).status == 200
    assert sent < MAX_ANSWER_BYTES + 8 * 1024 * 1024  # what the sockets' buffers took beside


async def test_an_answer_that_breaks_off_after_its_status_is_still_one() -> None:
    """The receiver has it."""
    async with receiver(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx")) as one:
        assert await post(Courier(LOOPBACK), one.url) == Posted(status=200)


async def reset(stream: Any) -> None:
    """Close with a reset instead of an end."""
    import socket
    import struct

    raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def hang_up(stream: Any) -> None:
    """Close without a word."""


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (reset, "not reached: the connection broke"),
        (hang_up, "not reached: the connection ended early, or the answer is no HTTP"),
        (answering(b"SSH-2.0-x\r\n\r\n"), "not reached: the connection ended early, or the answer is no HTTP"),
        (answering(b"HTTP/1.1 abc\r\n\r\n"), "not reached: the connection ended early, or the answer is no HTTP"),
    ],
)
async def test_what_is_no_answer_says_so(way: Any, reason: str) -> None:
    """In our words; nothing of the receiver's."""
    async with receiver(way) as one:
        assert await post(Courier(LOOPBACK), one.url) == Posted(reason=reason)


async def test_a_receiver_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten seconds; here after a moment."""
    monkeypatch.setattr(module, "ATTEMPT_S", 0.2)
    async with receiver(lambda stream: anyio.sleep_forever()) as one:
        assert (await post(Courier(LOOPBACK), one.url)).reason == "no answer within 0 s"


async def test_nobody_there_is_a_failure_too() -> None:
    """And so is a name that nobody knows."""
    async with receiver() as one:
        pass
    assert await post(Courier(LOOPBACK), one.url) == Posted(reason="not reached: no connection")

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise gaierror(-2, "Name or service not known")

    nowhere = Courier((), resolve=unknown)
    assert await post(nowhere, "https://example.com/") == Posted(reason="not reached: its name is not known")
    empty = Courier((), resolve=resolving([]))
    assert await post(empty, "https://example.com/") == Posted(reason="not reached: OSError")


async def test_what_nobody_foresaw_is_a_failed_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """It ends neither the gateway nor other deliveries, and its message, which may hold anything, is not logged."""

    secret = "".join(("hun", "ter2"))  # a traceback shows the line, not what it made

    async def broken(host: str, port: int) -> Sequence[str]:
        raise RuntimeError(secret)

    assert await post(Courier((), resolve=broken), "https://example.com/") == Posted(reason="not sent: RuntimeError")
    assert "RuntimeError" in caplog.text
    assert secret not in caplog.text


# --- where it may go --------------------------------------------------------------------------------------------------

INSIDE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:127.0.0.1"]


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_refused_at_save_and_at_connect(address: str) -> None:
    """Also where only one of its addresses does."""
    for answer in ([address], ["1.1.1.1", address]):
        courier = Courier((), resolve=resolving(answer))
        assert await courier.check("https://hooks.example.com/") == "leads to this machine or its own network"
        posted = await post(courier, "https://hooks.example.com/")
        assert posted == Posted(reason="not sent: the URL leads to this machine or its own network")


async def test_a_name_that_answers_differently_the_second_time_gains_nothing() -> None:
    """Rebinding between save and connect: nothing reaches the one inside."""
    async with receiver() as one:
        look = resolving(["1.1.1.1"], ["127.0.0.1"])
        courier = Courier((), resolve=look)
        url = f"https://hooks.example.com:{one.port}/"
        assert await courier.check(url) == ""
        assert (await post(courier, url)).reason == "not sent: the URL leads to this machine or its own network"
    assert one.connections == 0


async def test_the_connection_goes_to_the_very_address_that_was_checked() -> None:
    """One question for each attempt; the name is in Host, and a second answer is never asked for."""
    async with receiver() as one:
        look = resolving(["127.0.0.1"], ["192.0.2.1"])
        courier = Courier({"Hooks.Example.com"}, resolve=look)
        assert (await post(courier, f"http://hooks.example.com:{one.port}/")).status == 200
    assert look.asked == [("hooks.example.com", one.port)]
    assert one.got[0].headers["host"] == f"hooks.example.com:{one.port}"


async def test_the_next_address_has_its_turn_where_nobody_is_at_the_first() -> None:
    """Nothing was sent by then."""
    async with receiver() as one:
        courier = Courier({"hooks.example.com"}, resolve=resolving(["127.0.0.2", "127.0.0.1"]))
        assert (await post(courier, f"http://hooks.example.com:{one.port}/")).status == 200
    assert len(one.got) == 1


async def test_a_url_that_may_no_longer_be_used_is_not() -> None:
    """An operator took the host off the list after the endpoint was saved."""
    async with receiver() as one:
        assert (await post(Courier(()), one.url)).reason.startswith("not sent: the URL must begin with https://")
    assert one.connections == 0


async def test_a_check_tells_what_is_wrong_and_lets_the_unknown_pass() -> None:
    """A name may be known later; it is looked at again at each attempt."""

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise gaierror(-2, "Name or service not known")

    courier = Courier((), resolve=unknown)
    assert await courier.check("https://example.com/") == ""
    assert "must begin with https://" in await courier.check("http://example.com/")
    look = resolving(["127.0.0.1"])
    assert await Courier({"example.com"}, resolve=look).check("http://example.com/") == ""
    assert await Courier({"[::1]"}, resolve=look).check("http://[::1]/") == ""
    assert look.asked == []  # the operator said that it may lead anywhere


def test_of_a_url_only_its_origin_is_recorded() -> None:
    """Its path often is a secret."""
    assert Courier(()).origin("https://example.com/T0/hunter2") == "https://example.com"
    assert Courier(()).origin("http://example.com/T0/hunter2") == ""


async def test_the_systems_resolver_knows_loopback() -> None:
    """Addresses only, each once."""
    assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for hooks.example.com."""
    from datetime import timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example.com")])
    at = SystemClock().now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(at - timedelta(hours=1))
        .not_valid_after(at + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def trusting(certificate: Path, names: list[Any]) -> Any:
    def make() -> ssl.SSLContext:
        names.append("made")
        return ssl.create_default_context(cafile=str(certificate))

    return make


async def test_tls_proves_the_name_though_the_connection_goes_to_an_address(certificate: Path) -> None:
    """And trust is read once."""
    made: list[Any] = []
    async with receiver(tls=serving(certificate)) as one:
        courier = Courier({"hooks.example.com"}, resolve=resolving(["127.0.0.1"]), tls=trusting(certificate, made))
        for _ in range(2):
            assert await post(courier, f"https://hooks.example.com:{one.port}/") == Posted(status=200)
    assert (len(one.got), made) == (2, ["made"])


async def test_a_certificate_of_another_name_is_refused(certificate: Path) -> None:
    """Whoever is at the address is not who was meant; nothing is sent."""
    async with receiver(tls=serving(certificate)) as one:
        courier = Courier({"other.example.com"}, resolve=resolving(["127.0.0.1"]), tls=trusting(certificate, []))
        posted = await post(courier, f"https://other.example.com:{one.port}/")
    assert posted == Posted(reason="not reached: its certificate does not prove its name")
    assert one.got == []


async def test_no_tls_there_is_said() -> None:
    """A port that speaks something else."""
    async with receiver() as one:
        one.greeting = b"220 mail.example.com ESMTP\r\n"
        courier = Courier({"hooks.example.com"}, resolve=resolving(["127.0.0.1"]))
        posted = await post(courier, f"https://hooks.example.com:{one.port}/")
        assert posted == Posted(reason="not reached: no TLS connection")
        await anyio.wait_all_tasks_blocked()
    assert one.got == []
