"""The circuit breaker of a whole gateway: read off the chain, of one agent only, and no weapon against another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from gateway.app import Gateway
from gateway.core.principal import Role
from gateway.services.operator import operator
from gateway.settings import BreakerSettings, Settings, TierSettings

POLICY = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: fine, effect: allow, match: {methods: [intent]}, reason: fine}
  - {id: never, effect: deny, match: {methods: [intent]}, when: "args.bad == true", reason: never}
  - {id: badly-named, effect: deny, match: {methods: [intent]}, when: "!has(args.bad)", reason: never}
"""
HOUR = 3600.0


@asynccontextmanager
async def gateway(folder: Path, *, failures: int = 3, cool_down_s: float = HOUR) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a gateway on the folder, with a key that may act as any agent."""
    policies = folder / "policy.yaml"
    policies.write_text(POLICY)
    settings = Settings(
        port=0,
        data=folder / "data",
        state=folder / "state",
        policies=policies,
        breaker=BreakerSettings(failures=failures, cool_down_s=cool_down_s),
        tiers=TierSettings(thresholds={f"T{tier}": {"allow_below": 101, "deny_from": 101} for tier in range(5)}),
    )
    async with Gateway.open(settings) as opened:
        made = await opened.known.keys.create(
            operator("default"), tenant="default", name="program", role=Role.ADMIN, plan="enterprise", per_minute=10**6
        )
        transport = httpx.ASGITransport(opened.asgi)
        headers = {"x-api-key": made.secret}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            yield client


async def ask(client: httpx.AsyncClient, actor: str, *, bad: bool = False) -> dict[str, Any]:
    answer = await client.post("/intent", json={"action": "search notes", "actor": actor, "metadata": {"bad": bad}})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def fail(client: httpx.AsyncClient, actor: str, times: int) -> None:
    for _ in range(times):
        assert (await ask(client, actor, bad=True))["decision"] == "DENY"


async def test_an_agent_that_only_fails_is_stopped_and_no_other_is(tmp_path: Path) -> None:
    """What is allowed in between ends the row; what the breaker denies is no failure of its own."""
    async with gateway(tmp_path) as client:
        await fail(client, "looper", 2)
        assert (await ask(client, "looper"))["decision"] == "ALLOW"
        await reported(client, await ask(client, "looper"))
        await fail(client, "looper", 3)
        for _ in range(5):
            stopped = await ask(client, "looper")
            assert (stopped["decision"], stopped.get("token")) == ("DENY", None)
            assert "is stopped until" in str(stopped)
        assert (await ask(client, "other"))["decision"] == "ALLOW"
    async with gateway(tmp_path) as client:
        assert "The last 3 calls" in str(await ask(client, "looper")), "after a restart, and still three"
        assert (await ask(client, "other"))["decision"] == "ALLOW"
    async with gateway(tmp_path, failures=0) as client:
        assert (await ask(client, "looper"))["decision"] == "ALLOW"


async def reported(client: httpx.AsyncClient, intent: dict[str, Any]) -> None:
    """Report an intent as done: the success that ends a row."""
    answer = await client.post(f"/intent/{intent['intentId']}/outcome", json={"status": "completed"})
    assert answer.status_code == 200, answer.text


async def test_a_stopped_agent_may_try_again_and_its_first_failure_stops_it_anew(tmp_path: Path) -> None:
    """Nobody has to let it go, and one try in a while is all that a loop gets."""
    async with gateway(tmp_path, cool_down_s=0.2) as client:
        await fail(client, "looper", 3)
        assert (await ask(client, "looper"))["decision"] == "DENY"
        with anyio.fail_after(5):
            while "is stopped until" in str(await ask(client, "looper", bad=True)):
                await anyio.lowlevel.checkpoint()
        assert "The last 4 calls" in str(await ask(client, "looper"))
