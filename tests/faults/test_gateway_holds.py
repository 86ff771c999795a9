"""SIGKILL while calls are held and their humans answer: nothing runs twice or without a yes, no approval is lost."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.to_thread import run_sync

from gateway.admin.address import socket_path
from tests.faults.agent import Agent
from tests.faults.gated import JournalProcess, Nursery, journal, ledger, polled
from tests.faults.ledger import Entry, Ledger

HELD = 100
QUICK, FULL = 2, 60
ROUND_S = 60.0
LOOK_S = 0.02


@asynccontextmanager
async def operator(data: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the gateway from another process, as its operator does."""
    with socket_path(data) as place:
        transport = httpx.AsyncHTTPTransport(uds=place)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=20) as client:
            yield client


async def approvals(human: httpx.AsyncClient, status: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        query = {"status": status, "page": str(len(found) // HELD + 1), "pageSize": str(HELD)}
        page = (await human.get("/v1/approvals", params=query)).json()["data"]
        found += page["items"]
        if len(found) >= page["total"] or not page["items"]:
            return found


async def hold(url: str, number: int, call: str) -> str:
    """Make one call that waits; return its effect, or nothing where the gateway was killed under it."""
    try:
        async with Agent(url, ("modern", "handshake")[number % 2], prefer="wait=180") as agent:
            return (await agent.effect("ESCALATE", call)).effect
    except (OSError, EOFError, TimeoutError):
        return ""


async def killed(gate: Any, human: httpx.AsyncClient, calls: list[str], chance: random.Random) -> set[str]:
    """Hold all calls, approve some and kill the gateway in the middle of it; return the ids of what was approved."""
    yes: set[str] = set()
    async with asyncio.timeout(ROUND_S), asyncio.TaskGroup() as agents:
        for number, call in enumerate(calls):
            agents.create_task(hold(gate.url, number, call))
        waiting = await held(human, len(calls))
        for one in chance.sample(waiting, chance.randrange(5, 40)):
            (await human.post(f"/v1/approvals/{one}/approve", json={})).raise_for_status()
            yes.add(one)
        await asyncio.sleep(chance.uniform(0, 0.02))  # the moment of the kill
        await run_sync(gate.end, 9)
    return yes


def judge(entries: list[Entry], executed: Counter[str], yes: set[str]) -> None:
    """Compare what ran with what the record says: each run has its yes, and none is a second one."""
    decided = [entry for entry in entries if entry.decided]
    # The first one: after an answer that went out the same call asks anew.
    asked = {entry.call: entry.body["approvalId"] for entry in decided[::-1] if entry.fields["effect"] == "ESCALATE"}
    allowed = Counter(entry.call for entry in decided if entry.fields["effect"] == "ALLOW")
    assert all(count == 1 for count in executed.values()), executed.most_common(3)
    assert all(allowed[call] == 1 for call in executed)
    assert {asked[call] for call in executed} <= yes


async def one(nursery: Nursery, folder: Path, upstream: JournalProcess, found: Ledger, seed: int) -> None:
    """Hold, kill, restart, and let every agent come back once."""
    chance = random.Random(seed)
    calls = [f"{seed}-{number}" for number in range(HELD)]
    entries: list[Entry] = []
    with nursery.gate(folder, upstream.url) as gate:
        await run_sync(gate.wait_ready)
        async with operator(folder / "data") as human:
            yes = await killed(gate, human, calls, chance)
    entries += found.read_on()
    executed = Counter(line["call"] for line in upstream.executed())
    judge(entries, executed, yes)
    with nursery.gate(folder, upstream.url) as gate:
        await run_sync(gate.wait_ready)
        async with operator(folder / "data") as human:
            pending = {one["id"] for one in await approvals(human, "pending")}
            approved = {one["id"] for one in await approvals(human, "approved")}
            assert pending.isdisjoint(yes)
            assert (len(pending), yes <= approved) == (HELD - len(yes), True), "an approval is lost"
            told = await come_back(gate.url, calls)
            for one in await approvals(human, "pending"):  # the next round begins with none
                await human.post(f"/v1/approvals/{one['id']}/reject", json={})
        assert await run_sync(gate.end) == 0, gate.talk()
    entries += found.read_on()
    executed += Counter(line["call"] for line in upstream.executed())
    judge(entries, executed, yes)
    doubtful = {entry.fields["intentId"] for entry in entries if entry.fields["reasons"] == ["in-doubt"]}
    ended(told, entries, executed, doubtful)
    assert (found.broken, found.open) == ([], {})


async def come_back(url: str, calls: list[str]) -> dict[str, tuple[str, str]]:
    """Make every call once more; return effect and reason of each answer."""
    told: dict[str, tuple[str, str]] = {}
    async with Agent(url, "modern", prefer="wait=0") as agent:
        for call in calls:
            answer = await agent.effect("ESCALATE", call)
            told[call] = answer.effect, str(answer.decision.get("reason", ""))
    return told


def ended(told: dict[str, tuple[str, str]], entries: list[Entry], executed: Counter[str], doubtful: set[str]) -> None:
    """Whoever came back was told the truth: the result of its one execution, that it waits, or that it is in doubt."""
    intents = {entry.call: entry.fields["intentId"] for entry in entries if entry.decided}
    for call, (effect, reason) in told.items():
        if effect == "ALLOW":
            assert executed[call] == 1, call
        elif reason == "in-doubt":
            assert intents[call] in doubtful, call
        else:
            assert effect == "ESCALATE", (call, effect, reason)


async def rounds(nursery: Nursery, folder: Path, count: int) -> None:
    with journal(folder) as upstream:
        found = ledger(folder)
        for seed in range(count):
            await one(nursery, folder, upstream, found, seed)


async def test_a_kill_while_a_hundred_calls_are_held_loses_no_approval_and_runs_nothing_twice(
    nursery: Nursery, memory: Path
) -> None:
    """Promise 5, and a restart: a yes is one execution, wherever the gateway dies."""
    await rounds(nursery, memory, QUICK)


@pytest.mark.full
async def test_sixty_of_them_do_not_either(nursery: Nursery, memory: Path) -> None:
    """As above."""
    await rounds(nursery, memory, FULL)


async def held(human: httpx.AsyncClient, count: int) -> list[str]:
    """Return the ids of the approvals once so many calls wait."""
    waiting: list[dict[str, Any]] = []
    async with asyncio.timeout(ROUND_S):
        while len(waiting) < count:
            await asyncio.sleep(LOOK_S)
            waiting = await approvals(human, "pending")
    return [one["id"] for one in waiting]


async def test_a_yes_from_another_process_wakes_the_calls_that_wait(nursery: Nursery, memory: Path) -> None:
    """In both eras, over real connections, each executed once."""
    with journal(memory) as upstream, nursery.gate(memory, upstream.url) as gate:
        await run_sync(gate.wait_ready)
        async with operator(memory / "data") as human, asyncio.timeout(ROUND_S), asyncio.TaskGroup() as agents:
            tasks = [agents.create_task(hold(gate.url, number, f"c{number}")) for number in range(10)]
            for one in await held(human, 10):
                (await human.post(f"/v1/approvals/{one}/approve", json={})).raise_for_status()
        assert [task.result() for task in tasks] == ["ALLOW"] * 10
        assert Counter(line["call"] for line in upstream.executed()) == Counter(f"c{number}" for number in range(10))


async def test_a_stop_tells_the_calls_that_wait_that_they_are_pending(nursery: Nursery, memory: Path) -> None:
    """It does not wait for humans, and its approvals are there after the next start."""
    with journal(memory) as upstream:
        with nursery.gate(memory, upstream.url) as gate:
            await run_sync(gate.wait_ready)
            async with operator(memory / "data") as human, asyncio.timeout(ROUND_S), asyncio.TaskGroup() as agents:
                tasks = [agents.create_task(hold(gate.url, number, f"c{number}")) for number in range(10)]
                before = await held(human, 10)
                assert await run_sync(gate.end) == 0, gate.talk()
            assert [task.result() for task in tasks] == ["ESCALATE"] * 10
        with nursery.gate(memory, upstream.url) as gate:
            await run_sync(gate.wait_ready)
            async with operator(memory / "data") as human:
                assert sorted(await held(human, 10)) == sorted(before)
        assert upstream.executed() == []


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_a_caller_that_hung_up_is_not_served_by_a_late_yes(nursery: Nursery, memory: Path, era: str) -> None:
    """Nobody would get the answer; who comes back with the same call has its one execution."""
    with journal(memory) as upstream, nursery.gate(memory, upstream.url) as gate:
        await run_sync(gate.wait_ready)
        async with operator(memory / "data") as human:
            async with Agent(gate.url, era, prefer="wait=180") as agent:
                arguments = {"note": "n1", "call": "c"}
                agent.writer.write(agent.written("tools/call", {"name": "delete_note", "arguments": arguments}))
                (one,) = await held(human, 1)
                open_then = gate.descriptors()
                agent.cut()
            await run_sync(polled, lambda: gate.descriptors() < open_then, 5)
            (await human.post(f"/v1/approvals/{one}/approve", json={})).raise_for_status()
            assert upstream.executed() == []
            async with Agent(gate.url, era, prefer="wait=0") as again:
                assert (await again.call("delete_note", arguments)).effect == "ALLOW"
        assert len(upstream.executed()) == 1
