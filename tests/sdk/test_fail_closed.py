"""Real sockets that are nobody, or talk nonsense: the decision is DENY, in time, and the key goes nowhere."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from intended import AsyncIntendedClient, Decision, IntendedClient
from tests.intended.answering import ALLOW, KEY

WAIT_S = 5.0
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
ALLOW_WITHOUT_TOKEN = b'{"intentId":"int_1","decision":"ALLOW","riskScore":1,"confidence":1,"trace":{}}'


class Peer:
    """Answers each connection with the same bytes, in the given pieces; counts connections."""

    def __init__(self, *pieces: bytes, hang: bool = False) -> None:
        self.pieces = pieces
        self.hang = hang
        self.connections = 0
        self.over = threading.Event()

    def serve(self, listener: socket.socket) -> None:
        while not self.over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(WAIT_S)
                self.talk(connection)

    def talk(self, connection: socket.socket) -> None:
        try:
            heard(connection)
            for piece in self.pieces:
                connection.sendall(piece)
            if self.hang:
                self.over.wait(WAIT_S)
        except OSError:  # the client has seen enough
            return


def heard(connection: socket.socket) -> None:
    """Read one whole request: to close before its end would take the answer back."""
    request, wanted = b"", None
    while wanted is None or len(request) < wanted:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionAbortedError
        request += piece
        head, end, _ = request.partition(b"\r\n\r\n")
        if end and wanted is None:
            wanted = len(head) + len(end) + int(re.search(rb"content-length: (\d+)", head.lower())[1])


@contextmanager
def listening(peer: Peer) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=peer.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            peer.over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(WAIT_S)


def whole(body: bytes) -> bytes:
    return JSON + b"content-length: %d\r\n\r\n" % len(body) + body


def asked(url: str, timeout: float = WAIT_S) -> Decision:
    with IntendedClient(KEY, base_url=url, timeout=timeout) as client:
        return client.submit_intent(action="deploy", actor="ci", idempotency_key="once")


async def awaited(url: str, timeout: float = WAIT_S) -> Decision:
    async with AsyncIntendedClient(KEY, base_url=url, timeout=timeout) as client:
        return await client.submit_intent(action="deploy", actor="ci", idempotency_key="once")


PEERS = {
    "closes at once": Peer(),
    "500": Peer(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"),
    "502 html": Peer(b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"),
    "truncated JSON": Peer(whole(b'{"decision": "ALLOW", "tok')),
    "cut off in the body": Peer(JSON + b"content-length: 500\r\n\r\n{"),
    "ALLOW without a token": Peer(whole(ALLOW_WITHOUT_TOKEN)),
    "wrong types": Peer(whole(b'{"decision": ["ALLOW"], "token": true, "riskScore": "low"}')),
    "too large": Peer(JSON + b"\r\n", *[b"x" * 65536] * 200),
    "announced too large": Peer(JSON + b"content-length: 99999999999\r\n\r\n"),
    "no HTTP": Peer(b"SSH-2.0-OpenSSH_9.0\r\n"),
    "endless headers": Peer(b"HTTP/1.1 200 OK\r\n", *[b"x-h: " + b"y" * 60000 + b"\r\n"] * 5),
}


@pytest.mark.parametrize("name", PEERS)
async def test_a_service_that_makes_no_sense_denies(name: str) -> None:
    """Blocking and awaited alike."""
    for make in (asked, awaited):
        peer = PEERS[name]
        peer.over.clear()
        with listening(peer) as url:
            decision = asked(url) if make is asked else await awaited(url)
        assert (decision.verdict, decision.fail_closed, decision.token) == ("DENY", True, None), name
        assert KEY not in decision.reason


def certificate(folder: Path) -> ssl.SSLContext:
    """Make a certificate for 127.0.0.1 in `cert.pem`, and return the server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "service")])
    now = datetime.now(UTC)  # noqa: TID251 - a certificate is valid by the clock of the machine
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


class TlsPeer(Peer):
    """A peer that speaks TLS."""

    def __init__(self, context: ssl.SSLContext, *pieces: bytes) -> None:
        super().__init__(*pieces)
        self.context = context

    def talk(self, connection: socket.socket) -> None:
        try:
            with self.context.wrap_socket(connection.dup(), server_side=True) as wrapped:
                super().talk(wrapped)
        except OSError:  # the client did not like the certificate
            return


async def test_only_a_certificate_that_is_trusted_is_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger in the way must neither see the key nor answer; one's own authority can be named."""
    context = certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with listening(TlsPeer(context, whole(json.dumps(ALLOW).encode()))) as url:
        address = url.replace("http:", "https:")
        stranger, awaited_stranger = asked(address), await awaited(address)
        with IntendedClient(KEY, base_url=address, verify=trusted) as client:
            known = client.submit_intent(action="deploy", actor="ci")
        async with AsyncIntendedClient(KEY, base_url=address, verify=trusted) as client_awaited:
            awaited_known = await client_awaited.submit_intent(action="deploy", actor="ci")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        named = asked(address)
    assert [one.verdict for one in (stranger, awaited_stranger)] == ["DENY", "DENY"]
    assert [one.verdict for one in (known, awaited_known, named)] == ["ALLOW", "ALLOW", "ALLOW"]


async def test_nobody_there_denies() -> None:
    """Refused at once, and told how to mend it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for decision in (asked(url), await awaited(url)):
        assert decision.verdict == "DENY"
        assert "INTENDED_API_URL" in decision.reason


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200 OK\r\nx-slow: ",), (JSON + b"content-length: 9\r\n\r\n{",)])
async def test_a_service_that_hangs_denies_in_time(pieces: tuple[bytes, ...]) -> None:
    """Before its answer, within its headers, within its body."""
    for make in (asked, awaited):
        with listening(Peer(*pieces, hang=True)) as url:
            decision = asked(url, 0.3) if make is asked else await awaited(url, 0.3)
        assert decision.verdict == "DENY"
        assert "within 0.3 s" in decision.reason


async def test_a_redirect_is_not_followed() -> None:
    """The key would go where the redirect says."""
    elsewhere = Peer(whole(b"{}"))
    with listening(elsewhere) as other:
        location = (
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: %s/intent\r\ncontent-length: 0\r\n\r\n" % other.encode()
        )
        for make in (asked, awaited):
            with listening(Peer(location)) as url:
                decision = asked(url) if make is asked else await awaited(url)
            assert (decision.verdict, decision.fail_closed) == ("DENY", True)
            assert "redirect" in decision.reason
    assert elsewhere.connections == 0
