"""Connections to one upstream are bounded, waited for in order, and never used after their end."""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.ports import Outbound
from gateway.upstream.http import HttpUpstream
from tests.simulate.relay import RecordingRelay
from tests.upstream.misbehaving import Misbehaving


async def _call(upstream: HttpUpstream, tool: str = "good", *, timeout_s: float = 5.0) -> JsonObject:
    outbound = Outbound(method="tools/call", params={"name": tool}, version="2026-07-28", timeout_s=timeout_s)
    with anyio.fail_after(6):
        return await upstream.request(outbound, RecordingRelay())


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def test_there_are_never_more_connections_than_configured() -> None:
    """Bounds: an upstream is not flooded by its gateway; everybody is served in the end."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url, max_connections=3)
        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(_call, upstream, "good_stream" if number % 2 else "good")
        assert server.connections <= 3
        assert server.calls("good") + server.calls("good_stream") == 40
        await upstream.aclose()


async def test_a_call_that_gets_no_connection_in_time_was_never_sent() -> None:
    """The wait counts, and the caller may be told that nothing happened."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url, max_connections=1)
        async with anyio.create_task_group() as group:
            group.start_soon(_call, upstream, "late")
            await server.until(lambda: server.calls("late") == 1)
            with pytest.raises(UpstreamTimeout) as caught:
                await _call(upstream, timeout_s=0.1)
            assert not caught.value.may_have_run
            assert server.calls("good") == 0
            server.released.set()
        await _call(upstream)
        await upstream.aclose()


async def test_a_waiting_call_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    """A place given to one who is gone must not be lost."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url, max_connections=1)
        async with anyio.create_task_group() as group:
            group.start_soon(_call, upstream, "late")
            await server.until(lambda: server.calls("late") == 1)
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(_call, upstream)
                await anyio.wait_all_tasks_blocked()
                waiting.cancel_scope.cancel()
            group.start_soon(_call, upstream)
            await anyio.wait_all_tasks_blocked()
            server.released.set()
        assert server.calls("good") == 1
        await upstream.aclose()


async def test_an_upstream_that_is_not_there_is_unreachable_and_was_not_asked() -> None:
    """The operator is told in plain words."""
    port = _closed_port()
    upstream = HttpUpstream("files", f"http://127.0.0.1:{port}/mcp")
    with pytest.raises(UpstreamUnreachable, match="connection refused") as caught:
        await _call(upstream)
    assert not caught.value.may_have_run
    assert caught.value.__notes__ == [f"its address is 127.0.0.1:{port}"]
    assert "127.0.0.1" not in str(caught.value), "agents are told the text"
    await upstream.aclose()


async def test_a_name_that_does_not_resolve_is_said_so() -> None:
    """An empty label needs no network to fail."""
    upstream = HttpUpstream("files", "http://a..b/mcp")
    with pytest.raises(UpstreamUnreachable, match="does not resolve"):
        await _call(upstream)
    await upstream.aclose()


async def test_a_host_that_does_not_accept_ends_after_the_connect_timeout() -> None:
    """A full backlog looks like a host behind a silent firewall."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        upstream = HttpUpstream("files", f"http://127.0.0.1:{address[1]}/mcp", connect_timeout_s=0.1)
        with pytest.raises(UpstreamUnreachable, match=r"no connection within 0\.1 s") as caught:
            await _call(upstream)
        assert not caught.value.may_have_run
        with pytest.raises(UpstreamTimeout) as early:
            await _call(upstream, timeout_s=0.05)
        assert not early.value.may_have_run
        await upstream.aclose()
        for filler in fillers:
            filler.close()


async def test_a_closed_upstream_sends_nothing_more() -> None:
    """Whoever still calls is told; whoever waits for a connection too."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url)
        await _call(upstream)
        await upstream.aclose()
        await upstream.aclose()
        with pytest.raises(UpstreamUnreachable):
            await _call(upstream)
        assert server.calls("good") == 1


# --- TLS ---


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    valid = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, *valid)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


async def test_tls_verifies_certificate_and_name(tmp_path: Path) -> None:
    """An upstream that cannot prove its name gets nothing, least of all our credential."""
    pem, secret = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, secret)
    async with Misbehaving(tls=context) as server:
        port = server.url.split(":")[2]
        trusting = ssl.create_default_context(cafile=pem)
        known = HttpUpstream("files", f"https://localhost:{port}", tls=trusting)
        for _ in range(3):
            assert "result" in await _call(known)
        assert server.connections == 1
        misnamed = HttpUpstream("files", f"https://127.0.0.1:{port}", tls=trusting)
        unknown = HttpUpstream("files", f"https://localhost:{port}")
        for upstream in (misnamed, unknown):
            with pytest.raises(UpstreamUnreachable, match="no trusted TLS connection") as caught:
                await _call(upstream)
            assert not caught.value.may_have_run
            assert "certificate" in caught.value.__notes__[1]
            assert not {"localhost", "127.0.0.1"} & set(str(caught.value).split()), "agents are told the text"
            await upstream.aclose()
        await known.aclose()
        assert server.calls("good") == 3
