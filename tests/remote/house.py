"""Two real gateways, one asking the other, and the server that is guarded by the second one's tokens."""

import importlib.util
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from mcp import Client
from mcp.types import TextContent

from gateway.app import Gateway
from gateway.core.principal import Role, TrustTier
from gateway.demo.upstream import on_loopback
from gateway.records import reading
from gateway.sections import AuthoritySettings
from gateway.services.operator import operator
from gateway.serving import serving
from gateway.settings import BreakerSettings, HoldSettings, Settings, TierSettings, UpstreamSettings
from intended.verify import JwksUrl

GUARDED = Path(__file__).parents[2] / "examples" / "guarded_server" / "server.py"
TO = "DE89370400440532013000"

ALLOW_ALL = """
apiVersion: intended/v1
policySet: everything
rules:
  - {id: all, effect: allow, match: {methods: ["*"]}, reason: somebody else decides}
"""
AUTHORITY = """
apiVersion: intended/v1
policySet: there
rules:
  - {id: small, effect: allow, match: {upstreams: [payments], tools: [transfer]}, when: "args.amount <= 100.0",
     reason: small}
  - {id: middle, effect: escalate, match: {upstreams: [payments], tools: [transfer]},
     when: "args.amount > 100.0 && args.amount <= 1000.0", reason: somebody should look}
"""


def settings_of(folder: Path, policy: str, **more: Any) -> Settings:
    folder.mkdir(exist_ok=True)
    (folder / "policy.yaml").write_text(policy)
    values: dict[str, Any] = {
        "port": 0,
        "tiers": TierSettings(default=TrustTier.T4, earned=False),
        "breaker": BreakerSettings(failures=0),
        "holds": HoldSettings(leg_s=0, hold_s=0),
        "policies": folder / "policy.yaml",
        "data": folder / "data",
        "state": folder / "state",
    }
    return Settings(**(values | more))


@dataclass
class Keys:
    """The keys of a service that starts after the server."""

    source: Any = None

    def get(self, kid: str) -> Any:
        return self.source.get(kid)


@dataclass
class House:
    """`url` is the gateway that asks, `service` the one that is asked."""

    url: str
    service: str
    key: str
    human: str
    settings: Settings
    gateway: Gateway
    authority: Gateway
    done: list[str] = field(default_factory=list)

    async def transfer(self, amount: float, mode: str = "auto") -> tuple[bool, str]:
        async with Client(f"{self.url}/mcp", mode=mode) as client:  # type: ignore[arg-type]
            answer = await client.call_tool("transfer", {"amount": amount, "to": TO})
        return bool(answer.is_error), "".join(one.text for one in answer.content if isinstance(one, TextContent))

    async def approve(self, *, yes: bool = True) -> list[str]:
        """Answer all that waits at the service; return the approvals."""
        headers = {"x-api-key": self.human}
        async with httpx.AsyncClient(base_url=self.service, headers=headers) as client:
            waiting = (await client.get("/v1/approvals")).json()["data"]["items"]
            for one in waiting:
                answer = await client.post(f"/v1/approvals/{one['id']}/{'approve' if yes else 'reject'}", json={})
                assert answer.status_code == 200, answer.text
        return [one["id"] for one in waiting]

    async def entries(self, tenant: str = "default") -> list[dict[str, Any]]:
        """Return the decided entries of the gateway that asks, with their bodies."""
        async with reading(self.settings) as reader:
            found = [(json.loads(one.content), json.loads(one.body)) async for one in reader.read(tenant)]
        return [{**content, "body": body} for content, body in found if content["type"] == "call.decided"]


def guarded(keys: Any, done: list[str], *, tenant: str) -> Any:
    spec = importlib.util.spec_from_file_location("guarded_server", GUARDED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def transfer(amount: float, to: str) -> str:
        done.append(f"{amount:.2f} to {to}")
        return f"Transferred {amount:.2f} EUR to {to}."

    module.transfer = transfer
    return module.http_app(keys, tenant=tenant, intents=True)


@asynccontextmanager
async def house(
    folder: Path,
    *,
    here: str = ALLOW_ALL,
    there: str = AUTHORITY,
    tenant: str = "acme",
    timeout_s: float = 5.0,
    key: str = "",
) -> AsyncIterator[House]:
    keys, done = Keys(), []
    async with AsyncExitStack() as stack:
        asked = settings_of(folder / "there", there)
        authority = await stack.enter_async_context(Gateway.open(asked))
        service = await stack.enter_async_context(serving(authority, asked))
        made = await authority.known.keys.create(operator(tenant), tenant=tenant, name="sidecar", role=Role.AGENT)
        human = await authority.known.keys.create(operator(tenant), tenant=tenant, name="human", role=Role.OPERATOR)
        server = await stack.enter_async_context(on_loopback(guarded(keys, done, tenant=tenant)))
        keys.source = JwksUrl(f"{service.url}/.well-known/jwks/{tenant}.json", refetch_s=0)
        settings = settings_of(
            folder / "here",
            here,
            upstreams={"payments": UpstreamSettings(url=f"{server}/mcp", authority_token=True)},
            authority=AuthoritySettings(url=service.url, key=key or made.secret, tenant=tenant, timeout_s=timeout_s),
        )
        gateway = await stack.enter_async_context(Gateway.open(settings))
        served = await stack.enter_async_context(serving(gateway, settings))
        yield House(served.url, service.url, made.secret, human.secret, settings, gateway, authority, done)
