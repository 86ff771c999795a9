"""The example server behind a real gateway: it takes the gateway's calls and nobody else's, whatever they bring."""

import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from mcp import Client, MCPError, StdioServerParameters

from gateway.app import Gateway
from gateway.configuration import Layer, resolve
from gateway.core.principal import TrustTier
from gateway.demo.upstream import on_loopback
from gateway.serving import serving
from gateway.settings import Settings, TierSettings, UpstreamSettings
from intended.verify import JwksUrl

FOLDER = Path(__file__).parents[2] / "examples" / "guarded_server"
ARGUMENTS = {"amount": 12.5, "to": "DE89370400440532013000"}
AUTHORITY = "intended-authority"


def example() -> Any:
    spec = importlib.util.spec_from_file_location("guarded_server", FOLDER / "server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Keys:
    """The keys of a gateway that starts after its server."""

    source: Any = None

    def get(self, kid: str) -> Any:
        return self.source.get(kid)


@dataclass(frozen=True)
class Request:
    """One `tools/call` as it went over the wire."""

    headers: dict[str, str]
    body: dict[str, Any]

    def with_token(self, token: str | None) -> "Request":
        """Return the same call with another token, or with none."""
        meta = {name: value for name, value in self.body["params"]["_meta"].items() if "authority" not in name}
        headers = {name: value for name, value in self.headers.items() if name != AUTHORITY}
        if token is not None:
            meta, headers = {**meta, "so.intended/authority": token}, {**headers, AUTHORITY: token}
        return Request(headers, {**self.body, "params": {**self.body["params"], "_meta": meta}})

    def with_arguments(self, **arguments: Any) -> "Request":
        return replace(self, body={**self.body, "params": {**self.body["params"], "arguments": arguments}})

    @property
    def token(self) -> str:
        return self.headers[AUTHORITY]


@dataclass
class Wire:
    """Whoever listens between gateway and server: keeps each call, and with `steal` passes none on."""

    app: Any
    steal: bool = False
    calls: list[Request] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        waiting = [{"type": "http.request", "body": body}]
        if json.loads(body).get("method") == "tools/call":
            dropped = (b"content-length", b"host", b"connection")
            headers = {name.decode(): value.decode() for name, value in scope["headers"] if name not in dropped}
            self.calls.append(Request(headers, json.loads(body)))
            if self.steal:
                await send({"type": "http.response.start", "status": 502, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return

        async def again() -> Any:
            return waiting.pop() if waiting else await receive()

        await self.app(scope, again, send)


@dataclass
class House:
    """A gateway, the guarded server behind it, and what the server really did."""

    gateway: str
    server: str
    wire: Wire
    printed: Callable[[], str]
    _done: list[str] = field(default_factory=list)

    @property
    def done(self) -> list[str]:
        """What the tool said that it did."""
        self._done += [line for line in self.printed().splitlines() if line.startswith("transferred")]
        return self._done

    async def ask(self, mode: str = "auto", **arguments: Any) -> Any:
        """Call through the gateway, as an agent does."""
        async with Client(f"{self.gateway}/mcp", mode=mode) as client:
            return await client.call_tool("transfer", ARGUMENTS | arguments)

    async def stolen(self) -> Request:
        """Return a call whose token is good and was never used."""
        self.wire.steal = True
        await self.ask()
        self.wire.steal = False
        return self.wire.calls[-1]

    async def post(self, request: Request) -> int:
        """Send a call around the gateway; return the HTTP status."""
        async with httpx.AsyncClient() as client:
            answer = await client.post(self.server, headers=request.headers, json=request.body)
        return answer.status_code


@asynccontextmanager
async def house(folder: Path, printed: Callable[[], str], **more: Any) -> AsyncIterator[House]:
    keys = Keys()
    wire = Wire(example().http_app(keys, **more))
    async with on_loopback(wire) as address:
        settings = Settings(
            port=0,
            tiers=TierSettings(default=TrustTier.T4),
            upstreams={"payments": UpstreamSettings(url=f"{address}/mcp", authority_token=True)},
            policies=FOLDER / "policy.yaml",
            data=folder / "data",
            state=folder / "state",
        )
        async with Gateway.open(settings) as gateway, serving(gateway, settings) as served:
            keys.source = JwksUrl(f"{served.url}/.well-known/jwks.json", refetch_s=0)
            yield House(served.url, f"{address}/mcp", wire, printed)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().err


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_gateway_s_calls_are_taken(tmp_path: Path, printed: Callable[[], str], mode: str) -> None:
    """In both eras, several in a row, each with a token of its own."""
    async with house(tmp_path, printed) as one:
        for _ in range(3):
            answer = await one.ask(mode)
            assert answer.content[0].text == "Transferred 12.50 EUR to DE89370400440532013000."
        assert one.done == ["transferred 12.50 to DE89370400440532013000"] * 3
        assert len({call.token for call in one.wire.calls}) == 3


async def test_what_the_policy_refuses_never_gets_there(tmp_path: Path, printed: Callable[[], str]) -> None:
    """There is no token for it either."""
    async with house(tmp_path, printed) as one:
        answer = await one.ask(amount=100_000)
        assert answer.is_error
        assert (one.wire.calls, one.done) == ([], [])


async def test_going_around_the_gateway_fails(tmp_path: Path, printed: Callable[[], str]) -> None:
    """Without a token: by the official client, and by a request that is otherwise the gateway's."""
    async with house(tmp_path, printed) as one:
        async with Client(one.server) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["transfer"]
            with pytest.raises(Exception, match=r"authority of its gateway|403"):
                await client.call_tool("transfer", ARGUMENTS)
        assert await one.post((await one.stolen()).with_token(None)) == 403
        assert one.done == []


async def test_a_token_that_was_used_is_worthless(tmp_path: Path, printed: Callable[[], str]) -> None:
    """Whoever listens on the line gets nothing from it."""
    async with house(tmp_path, printed) as one:
        await one.ask()
        assert await one.post(one.wire.calls[0]) == 403
        assert len(one.done) == 1


async def test_a_stolen_token_is_good_for_its_own_call_only(tmp_path: Path, printed: Callable[[], str]) -> None:
    """Other arguments are refused; the very call passes, which shows that the token itself was good."""
    async with house(tmp_path, printed) as one:
        stolen = await one.stolen()
        for changes in ({"amount": 99.0}, {"to": "DE00"}, {"amount": 12.5, "to": "DE89370400440532013000", "x": 1}):
            assert await one.post(stolen.with_arguments(**(ARGUMENTS | changes))) == 403
        assert one.done == []
        assert await one.post(stolen) == 200
        assert await one.post(stolen) == 403
        assert len(one.done) == 1


async def test_an_expired_token_is_worthless(tmp_path: Path, printed: Callable[[], str]) -> None:
    """The server's clock says that two minutes are over."""
    shift = [0.0]
    async with house(tmp_path, printed, now=lambda: time.time() + shift[0]) as one:
        stolen = await one.stolen()
        shift[0] = 121.0
        assert await one.post(stolen) == 403
        assert one.done == []


async def test_a_token_of_another_tenant_is_worthless(tmp_path: Path, printed: Callable[[], str]) -> None:
    """A server of `acme` takes nothing of `default`, though it is the same gateway and the same key set here."""
    async with house(tmp_path, printed, tenant="acme") as one:
        answer = await one.ask()
        assert answer.is_error
        assert one.done == []


async def test_a_token_that_is_signed_otherwise_is_worthless(tmp_path: Path, printed: Callable[[], str]) -> None:
    """The right claims under the right name, by another key; and the same bytes by HMAC with the public key."""
    async with house(tmp_path, printed) as one:
        stolen = await one.stolen()
        claims = jwt.decode(stolen.token, options={"verify_signature": False})
        head = {**jwt.get_unverified_header(stolen.token)}
        own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        forged = jwt.encode(claims, own, algorithm="RS256", headers=head)
        assert await one.post(stolen.with_token(forged)) == 403
        unsigned = jwt.encode(claims, None, algorithm="none", headers={**head, "alg": "none"})
        assert await one.post(stolen.with_token(unsigned)) == 403
        assert one.done == []


async def test_an_agent_cannot_bring_a_token_of_its_own(tmp_path: Path, printed: Callable[[], str]) -> None:
    """What it writes into `_meta` or a header is replaced by the gateway's, for what the gateway decided."""
    async with house(tmp_path, printed) as one:
        stolen = await one.stolen()
        smuggled = stolen.with_arguments(amount=1.0, to="DE00")
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{one.gateway}/mcp", headers=smuggled.headers, json=smuggled.body)
        assert answer.status_code == 200
        [_, sent] = one.wire.calls
        assert sent.token != stolen.token
        assert sent.body["params"]["_meta"]["so.intended/authority"] == sent.token
        assert one.done == ["transferred 1.00 to DE00"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_server_over_standard_input_is_guarded_too(tmp_path: Path, mode: str) -> None:
    """There are no headers; the token is in `_meta`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    args = [str(FOLDER / "server.py"), "--stdio", "--keys", f"http://127.0.0.1:{port}/.well-known/jwks.json"]
    settings = Settings(
        port=port,
        tiers=TierSettings(default=TrustTier.T4),
        upstreams={"payments": UpstreamSettings(command=sys.executable, args=tuple(args), authority_token=True)},
        policies=FOLDER / "policy.yaml",
        data=tmp_path / "data",
        state=tmp_path / "state",
    )
    async with Gateway.open(settings) as gateway, serving(gateway, settings) as served:
        async with Client(f"{served.url}/mcp", mode=mode) as client:
            answer = await client.call_tool("transfer", ARGUMENTS)
        assert answer.content[0].text == "Transferred 12.50 EUR to DE89370400440532013000."
    async with Client(StdioServerParameters(command=sys.executable, args=args), mode=mode) as client:
        with pytest.raises(MCPError, match="authority of its gateway"):
            await client.call_tool("transfer", ARGUMENTS)


def test_its_configuration_is_one() -> None:
    """It is what people copy."""
    settings = resolve(Layer(), environ={}, config=FOLDER / "intended.yaml").settings
    assert settings.upstreams["payments"].authority_token
    assert settings.policies == (FOLDER / "policy.yaml",)


def test_the_command_of_its_page_starts_it() -> None:
    """As a process of its own, which takes no call without a token."""
    command = [sys.executable, str(FOLDER / "server.py"), "--port", "0", "--keys", "http://127.0.0.1:1/jwks.json"]
    params = {"name": "transfer", "arguments": ARGUMENTS}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=FOLDER.parents[1]) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            answer = httpx.post(url, json=body, timeout=5)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, 40301)
        finally:
            process.terminate()
