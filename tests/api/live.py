"""A whole gateway on a port of its own, in a thread, for tests that speak HTTP to it from outside.

with live(folder) as service:
    requests.get(service.url + "/v1/stats", headers=service.headers)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import httpx

from gateway.app import Gateway
from gateway.core.principal import Role
from gateway.demo.upstream import DemoUpstream, running
from gateway.policyfiles.shipped import shipped_policy
from gateway.services.operator import operator
from gateway.serving import serving
from gateway.settings import Settings, UpstreamSettings

TENANT = "acme"
UNLIMITED = 10_000_000


@dataclass
class Service:
    """Where it listens, a key of role admin, and ids of things that exist, by the word in their path."""

    url: str
    key: str
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"x-api-key": self.key}


@contextmanager
def live(folder: Path, *, policy: str = "default") -> Iterator[Service]:
    """Start a gateway in front of a real MCP server, with a key and one thing of each kind."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running(DemoUpstream())) as upstream,
        portal.wrap_async_context_manager(Gateway.open(_settings(folder, upstream, policy))) as gateway,
        portal.wrap_async_context_manager(serving(gateway, _settings(folder, upstream, policy))) as served,
    ):
        service = Service(url=served.url, key=portal.call(_key, gateway))
        with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as client:
            service.ids = _things(client)
        # Approvals are answered by another credential than the one that submitted.
        service.key = portal.call(_key, gateway)
        yield service


def _settings(folder: Path, upstream: str, policy: str) -> Settings:
    return Settings(
        port=0,
        data=folder / "data",
        state=folder / "state",
        policies=shipped_policy(policy),
        upstreams={"default": UpstreamSettings(url=upstream)},
    )


async def _key(gateway: Gateway) -> str:
    made = await gateway.known.keys.create(
        operator(TENANT), tenant=TENANT, name="test", role=Role.ADMIN, plan="enterprise", per_minute=UNLIMITED
    )
    return made.secret


def _things(client: httpx.Client) -> dict[str, str]:
    def post(path: str, body: Any) -> Any:
        answer = client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    agent = post("/v1/agents", {"name": "Billing Agent"})["data"]["id"]
    intent = {"type": "billing.process_refund", "domain": "billing", "agentId": agent, "params": {"amount": 9.5}}
    escalated = post("/v1/intents", intent)["data"]["intentId"]
    approval = client.get(f"/v1/intents/{escalated}").json()["data"]["approvalId"]
    return {
        "agents": agent,
        "intent": escalated,
        "intents": escalated,
        "approvals": approval,
        "keys": post("/keys", {"name": "spare", "role": "viewer"})["id"],
        "users": post("/users", {"name": "jane", "role": "viewer"})["id"],
        "connectors": "default",
    }
