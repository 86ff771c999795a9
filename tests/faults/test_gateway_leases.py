"""SIGKILL while calls run under a lease: no use is lost or made twice, and none runs beyond what a human granted."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.to_thread import run_sync

from tests.faults.agent import Agent
from tests.faults.gated import Nursery, journal, ledger
from tests.faults.test_gateway_holds import ROUND_S, approvals, operator

USES = 60
BEFORE, AFTER = 40, 80
"""Calls that are made at once: before the kill, and after the restart more than are left."""


async def granted(human: httpx.AsyncClient, url: str) -> str:
    """Make a call that escalates, approve it with a lease, let it run; return the lease."""
    async with Agent(url, "modern", prefer="wait=0") as agent:
        assert (await agent.effect("ESCALATE", "first")).effect == "ESCALATE"
        (one,) = await approvals(human, "pending")
        lease = {"minutes": 60, "uses": USES, "constraints": {"/call": {"any": True}}}
        answer = await human.post(f"/v1/approvals/{one['id']}/approve", json={"lease": lease})
        assert (await agent.effect("ESCALATE", "first")).effect == "ALLOW"
    return str(answer.json()["data"]["leaseId"])


async def shown(human: httpx.AsyncClient, lease: str) -> dict[str, Any]:
    found: dict[str, Any] = (await human.get(f"/v1/leases/{lease}")).json()["data"]
    return found


async def effect(url: str, number: int, call: str) -> str:
    """Make one call; return its effect, or nothing where the gateway was killed under it."""
    try:
        async with Agent(url, ("modern", "handshake")[number % 2], prefer="wait=0") as agent:
            return (await agent.effect("ESCALATE", call)).effect
    except (OSError, EOFError, TimeoutError):
        return ""


async def all_at_once(url: str, calls: list[str]) -> Counter[str]:
    async with asyncio.timeout(ROUND_S):
        return Counter(await asyncio.gather(*(effect(url, number, call) for number, call in enumerate(calls))))


@pytest.mark.parametrize("seed", range(2))
async def test_a_kill_loses_no_lease_and_no_use(nursery: Nursery, memory: Path, seed: int) -> None:
    """Promise 5: a use is in the transaction of its decision; what was granted holds after the restart."""
    chance = random.Random(seed)
    with journal(memory) as upstream:
        found = ledger(memory)
        with nursery.gate(memory, upstream.url) as gate:
            await run_sync(gate.wait_ready)
            async with operator(memory / "data") as human:
                lease = await granted(human, gate.url)
            calls = asyncio.create_task(all_at_once(gate.url, [f"a{number}" for number in range(BEFORE)]))
            await asyncio.sleep(chance.uniform(0.05, 0.3))  # the moment of the kill
            await run_sync(gate.end, 9)
            await calls
        entries = found.read_on()
        used = sum(entry.fields["reasons"][0] == "leased" for entry in entries if entry.decided)
        with nursery.gate(memory, upstream.url) as gate:
            await run_sync(gate.wait_ready)
            async with operator(memory / "data") as human:
                kept = await shown(human, lease)
                assert (kept["status"], kept["used"]) == ("active", used)
                told = await all_at_once(gate.url, [f"b{number}" for number in range(AFTER)])
                assert told == {"ALLOW": USES - used, "ESCALATE": AFTER - USES + used}
                assert (await shown(human, lease))["status"] == "used-up"
            assert await run_sync(gate.end) == 0, gate.talk()
        entries += found.read_on()
        leased = Counter(entry.call for entry in entries if entry.decided and entry.fields["reasons"][0] == "leased")
        executed = Counter(line["call"] for line in upstream.executed())
        assert (leased.total(), max(leased.values())) == (USES, 1)
        assert max(executed.values()) == 1
        assert executed.keys() <= leased.keys() | {"first"}
        assert (found.broken, found.open) == ([], {})
