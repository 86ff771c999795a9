"""The HTTP server around a gateway: start, serve, drain, stop, with real sockets and signals."""

import os
import signal
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mcp.server import MCPServer

from gateway.admin.address import NAME
from gateway.app import Gateway
from gateway.demo.upstream import on_loopback
from gateway.errors import ConfigurationError
from gateway.records import reading
from gateway.services.operator import OPERATOR_KEY
from gateway.services.operator import operator as operator_principal
from gateway.serving import Serving, serve, serving
from gateway.settings import MetricsSettings, Settings, UpstreamSettings


class SlowUpstream:
    """A server whose one tool takes until it is let go."""

    def __init__(self) -> None:
        self.called = anyio.Event()
        self.release = anyio.Event()

    def app(self) -> Any:
        server = MCPServer("slow")
        server.add_tool(self.get_time, name="get_time")
        return server.streamable_http_app()

    async def get_time(self) -> str:
        """Return the time, when it is let go."""
        self.called.set()
        await self.release.wait()
        return "noon"


def settings_in(folder: Path, **changes: Any) -> Settings:
    values = {
        "port": 0,
        "data": folder / "data",
        "state": folder / "state",
        "upstreams": {"default": UpstreamSettings(url="http://127.0.0.1:9/mcp")},
    }
    return Settings(**(values | changes))


@asynccontextmanager
async def slow_gateway(folder: Path, **changes: Any) -> AsyncIterator[tuple[SlowUpstream, Gateway, Settings]]:
    upstream = SlowUpstream()
    async with on_loopback(upstream.app()) as address:
        settings = settings_in(
            folder,
            upstreams={"default": UpstreamSettings(url=f"{address}/mcp")},
            policies=Path(__file__).parents[1] / "policies/allow-all.yaml",
            tiers={"default": "T4"},
            **changes,
        )
        async with Gateway.open(settings) as gateway:
            yield upstream, gateway, settings
        upstream.release.set()


async def completions(settings: Settings) -> list[bytes]:
    async with reading(settings) as reader:
        return [entry.content async for entry in reader.read("default") if b'"call.completed"' in entry.content]


async def make_call(url: str) -> httpx.Response | None:
    """Make one modern call; None where the connection was cut before its answer."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "get_time",
    }
    params = {"name": "get_time", "arguments": {}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with httpx.AsyncClient(timeout=30) as client:
        try:
            return await client.post(f"{url}/mcp", json=message, headers=headers)
        except httpx.HTTPError:
            return None


async def test_it_serves_the_gateway_and_its_probes(tmp_path: Path) -> None:
    """On a free port where that is asked for."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings) as gateway, serving(gateway, settings) as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            assert (await client.get("/readyz")).status_code == 200
            served.stop()
        assert served.url.startswith("http://127.0.0.1:")


async def test_a_call_in_flight_ends_before_the_gateway_does(tmp_path: Path) -> None:
    """SIGTERM is no reason to leave a call in doubt (issue, "What a user can do", 4)."""
    async with slow_gateway(tmp_path) as (upstream, gateway, settings):
        answers: list[httpx.Response | None] = []

        async def call(url: str) -> None:
            answers.append(await make_call(url))

        async with anyio.create_task_group() as tasks, serving(gateway, settings) as served:
            tasks.start_soon(call, served.url)
            with anyio.fail_after(5):
                await upstream.called.wait()
            served.stop()
            upstream.release.set()
        [answer] = answers
        assert answer is not None
        assert '"noon"' in answer.text
        assert len(await completions(settings)) == 1


async def test_what_outlasts_the_drain_is_cut_off_and_recorded(tmp_path: Path) -> None:
    """The end is bounded, and the entry is written before the store closes."""
    async with slow_gateway(tmp_path, drain_s=0) as (upstream, gateway, settings):
        async with anyio.create_task_group() as tasks:
            async with serving(gateway, settings) as served:
                tasks.start_soon(make_call, served.url)
                with anyio.fail_after(5):
                    await upstream.called.wait()
                served.stop()
            tasks.cancel_scope.cancel()
        assert len(await completions(settings)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_ends_it_even_if_it_comes_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """From inside the announcement: the earliest moment that anybody can know of."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings) as gateway:
        with anyio.fail_after(5):
            await serve(gateway, settings, started=lambda served: os.kill(os.getpid(), number))


async def test_a_second_signal_does_not_wait_for_what_is_in_flight(tmp_path: Path) -> None:
    """Whoever asks twice means it."""
    async with slow_gateway(tmp_path, drain_s=600) as (upstream, gateway, settings):
        addresses: list[Serving] = []

        async def interrupt() -> None:
            while not addresses:
                await anyio.lowlevel.checkpoint()
            async with anyio.create_task_group() as calls:
                calls.start_soon(make_call, addresses[0].url)
                await upstream.called.wait()
                os.kill(os.getpid(), signal.SIGTERM)
                await anyio.sleep(0.2)  # two signals of one kind that wait together are one
                os.kill(os.getpid(), signal.SIGTERM)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(interrupt)
                await serve(gateway, settings, started=addresses.append)
        assert len(await completions(settings)) == 1


async def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    """With what to do; nothing was served."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = settings_in(tmp_path, port=taken.getsockname()[1])
        async with Gateway.open(settings) as gateway:
            with pytest.raises(ConfigurationError, match="--port"):
                async with serving(gateway, settings):
                    pass


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway.test")])
    now = datetime.fromtimestamp(0, UTC) + timedelta(days=365 * 50)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365 * 100))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "c.pem", folder / "k.pem"


async def test_with_a_certificate_it_speaks_tls_only(tmp_path: Path) -> None:
    """Nobody who asked for TLS is served in the clear."""
    cert, key = certificate(tmp_path)
    settings = settings_in(tmp_path, tls_certificate=cert, tls_key=key)
    trust = ssl.create_default_context(cafile=str(cert))
    async with Gateway.open(settings) as gateway, serving(gateway, settings) as served:
        assert served.url.startswith("https://")
        async with httpx.AsyncClient(verify=trust) as client:
            assert (await client.get(f"{served.url}/livez")).status_code == 200
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.HTTPError):
                await client.get(f"{served.url.replace('https', 'http')}/livez")


async def test_a_certificate_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    """At start, not at the first handshake."""
    (tmp_path / "c.pem").write_text("no certificate")
    settings = settings_in(tmp_path, tls_certificate=tmp_path / "c.pem", tls_key=tmp_path / "c.pem")
    async with Gateway.open(settings) as gateway:
        with pytest.raises(ConfigurationError, match="certificate"):
            async with serving(gateway, settings):
                pass


def over_the_socket(settings: Settings) -> httpx.AsyncClient:
    assert settings.data is not None
    transport = httpx.AsyncHTTPTransport(uds=str(settings.data / NAME))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=5)


async def test_the_operator_is_served_on_a_socket_of_its_own_while_the_gateway_serves(tmp_path: Path) -> None:
    """In the data folder, for its owner alone, gone when the gateway is."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings) as gateway, serving(gateway, settings) as served:
        file = tmp_path / "data" / NAME
        assert stat.S_IMODE(file.lstat().st_mode) == 0o600
        async with over_the_socket(settings) as operator, httpx.AsyncClient(base_url=served.url) as stranger:
            assert (await operator.get("/livez")).status_code == 200
            assert (await operator.get("/livez", headers={"x-tenant-id": "_system"})).status_code == 400
            assert (await stranger.get("/livez", headers={"x-tenant-id": "_system"})).status_code == 200
    assert not file.exists()


async def test_nobody_becomes_the_operator_over_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scope of a request from the port never has the operator's key, whatever was sent."""
    settings = settings_in(tmp_path)
    seen: dict[str, list[Any]] = {"port": [], "socket": []}

    def watching(place: str, app: Any) -> Any:
        async def watch(scope: Any, receive: Any, send: Any) -> None:
            seen[place].append(scope.get(OPERATOR_KEY))
            await app(scope, receive, send)

        return watch

    forged = {OPERATOR_KEY: "cli", "x-tenant-id": "default", "x-intended-operator": "cli"}
    async with Gateway.open(settings) as gateway:
        probes = gateway._rest
        monkeypatch.setattr(gateway, "_rest", watching("socket", probes))
        monkeypatch.setattr(gateway, "asgi", watching("port", gateway.asgi))
        async with serving(gateway, settings) as served, over_the_socket(settings) as operator:
            async with httpx.AsyncClient(base_url=served.url) as stranger:
                await stranger.get("/livez", headers=forged, params=forged)
            assert seen["socket"] == [None]
            await operator.get("/livez")
    assert seen["port"] == [None]
    assert seen["socket"][1:] == [operator_principal("default")]


async def test_what_lies_where_the_socket_belongs_stops_the_start(tmp_path: Path) -> None:
    """With the place; the port is free again."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings) as gateway:
        (tmp_path / "data" / NAME).write_text("mine")
        with pytest.raises(ConfigurationError, match=r"admin\.sock"):
            async with serving(gateway, settings):
                pass


async def test_a_port_for_metrics_is_served_where_it_is_set(tmp_path: Path) -> None:
    """On loopback, without a key, and nothing else there; the agents' port keeps strangers out."""
    settings = settings_in(tmp_path, metrics=MetricsSettings(port=0))
    async with Gateway.open(settings) as gateway, serving(gateway, settings) as served, httpx.AsyncClient() as client:
        answer = await client.get(served.metrics_url)
        assert answer.status_code == 200
        assert "intended_ready 1.0" in answer.text
        base = served.metrics_url.removesuffix("/metrics")
        assert (await client.get(f"{base}/readyz")).status_code == 200
        assert (await client.get(f"{base}/keys")).status_code == 404
        assert (await client.get(f"{served.url}/metrics")).status_code == 401


async def test_without_the_setting_there_is_no_such_port(tmp_path: Path) -> None:
    """Nothing listens that nobody asked for."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings) as gateway, serving(gateway, settings) as served:
        assert served.metrics_url == ""


async def test_a_port_for_metrics_that_is_taken_is_a_clear_error(tmp_path: Path) -> None:
    """It names the setting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = settings_in(tmp_path, metrics=MetricsSettings(port=taken.getsockname()[1]))
        async with Gateway.open(settings) as gateway:
            with pytest.raises(ConfigurationError, match="cannot listen"):
                async with serving(gateway, settings):
                    raise AssertionError
