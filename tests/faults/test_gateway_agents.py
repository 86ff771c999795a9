"""Agents that leave in mid-call, and strangers that only take up room: neither harms the record or the others."""

import asyncio
import json
import random
import resource
import socket
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from anyio.to_thread import run_sync

from gateway.app import Gateway
from gateway.serving import serving
from gateway.settings import Settings, UpstreamSettings
from tests.faults.agent import EFFECTS, Agent, arguments
from tests.faults.gated import Nursery, journal, ledger, polled
from tests.faults.ledger import Entry

CUTS = 200
AT_ONCE = 20
CUT_WITHIN_S = 0.05


async def cut_calls(url: str, count: int) -> list[str]:
    """Make so many calls and close each connection with RST after a moment; return the calls."""
    chance = random.Random(count)
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        wanted = chance.choices(tuple(EFFECTS), (6, 1, 1))[0]
        call = f"cut-{number}-{wanted}"
        given = arguments(wanted, call, chance.choice((0, 10, 40, 1500)))
        async with turn, Agent(url, ("modern", "handshake")[number % 2]) as agent:
            agent.writer.write(agent.written("tools/call", {"name": EFFECTS[wanted], "arguments": given}))
            await asyncio.sleep(chance.uniform(0, CUT_WITHIN_S))  # the moment at which it leaves
            agent.cut()
        return call

    return await asyncio.gather(*map(one, range(count)))


async def at_once(url: str, count: int) -> None:
    """Make so many calls at the same time, so that there are as many connections as there will ever be."""

    async def one(number: int) -> None:
        async with Agent(url, ("modern", "handshake")[number % 2]) as agent:
            assert (await agent.effect("ALLOW", f"warm-{number}-ALLOW", 100)).effect == "ALLOW"

    await asyncio.gather(*map(one, range(count)))


async def test_calls_that_are_cut_off_are_whole_in_the_record_or_not_there(nursery: Nursery, memory: Path) -> None:
    """Security, section 4: no ALLOW without outcome is left open, a cancelled task never skips the audit."""
    with journal(memory) as upstream, nursery.gate(memory, upstream.url) as gate:
        await run_sync(gate.wait_ready)
        await at_once(gate.url, 2 * AT_ONCE)
        base = await run_sync(gate.settled_descriptors)
        calls = await cut_calls(gate.url, CUTS)
        found = ledger(memory)
        entries: list[Entry] = []

        def settled() -> bool:
            entries.extend(found.read_on())
            return not found.open

        await run_sync(polled, settled, 5.0, lambda: f"left open: {found.open}")
        assert await run_sync(gate.settled_descriptors) <= base
        executed = [line["call"] for line in await run_sync(upstream.executed) if line["call"].startswith("cut")]
        async with Agent(gate.url, "modern") as agent:
            assert (await agent.effect("ALLOW", "after-0-ALLOW")).effect == "ALLOW"
        assert await run_sync(gate.end) == 0
    decided = {entry.call: entry.fields for entry in entries if entry.decided}
    assert len(executed) == len(set(executed))
    assert {decided[call]["effect"] for call in executed} == {"ALLOW"}
    assert all(decided[call]["effect"] == call.rpartition("-")[2] for call in calls if call in decided)
    ends = [entry.fields["reasons"][0] for entry in entries if entry.completed]
    assert {"ok", "cancelled"} <= set(ends) <= {"ok", "cancelled", "caller-gone"}
    assert found.broken == []
    print({reason: ends.count(reason) for reason in set(ends)}, f"{len(executed)} executed, {len(decided)} decided")


async def test_no_task_stays_behind_for_those_who_left(memory: Path) -> None:
    """Ours: in this process, where tasks can be counted."""
    with journal(memory) as upstream:
        settings = Settings(
            port=0,
            data=memory / "data",
            state=memory / "state",
            upstreams={"default": UpstreamSettings(url=upstream.url)},
        )
        async with Gateway.open(settings) as gateway, serving(gateway, settings) as served:
            await at_once(served.url, 4)
            base = await settled_tasks(0)
            await cut_calls(served.url, 40)
            assert await settled_tasks(base) <= base


async def settled_tasks(base: int) -> int:
    """Return how many tasks there are once they are no more than `base`, or have stopped to change."""
    counts = [0] * 20
    async with asyncio.timeout(10):
        while len(set(counts)) > 1 or (base and counts[-1] > base):
            await asyncio.sleep(0.05)
            counts = [*counts[1:], len(asyncio.all_tasks())]
    return counts[-1]


# --- strangers --------------------------------------------------------------------------------------------------------

IDLE, HEAD, BODY = 1000, 500, 500
DEADLINE_S = 3.0
"""Given to the head, and to the body."""
CALLS = 300


@contextmanager
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(before[1], 65_536)), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def strangers(url: str, stack: ExitStack) -> list[socket.socket]:
    """Connect from several addresses: some say nothing, some half a head, some half a body."""
    place = urlsplit(url)
    head = f"POST /mcp HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n".encode()
    found = []
    for number in range(IDLE + HEAD + BODY):
        stranger = stack.enter_context(socket.socket())
        stranger.bind((f"127.0.0.{2 + number // 500}", 0))
        stranger.settimeout(5)
        stranger.connect((place.hostname, place.port))
        if IDLE <= number < IDLE + HEAD:
            stranger.sendall(head)
        elif number >= IDLE + HEAD:
            stranger.sendall(head + b'Content-Length: 1000\r\n\r\n{"jsonrpc"')
        found.append(stranger)
    return found


def all_closed(found: list[socket.socket]) -> bool:
    """Tell whether the other side has closed every connection."""
    for stranger in found:
        stranger.setblocking(False)
        try:
            while stranger.recv(4096):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            continue
    return True


async def latencies(url: str, name: str) -> list[float]:
    took: list[float] = []

    async def one(number: int) -> None:
        async with Agent(url, ("modern", "handshake")[number % 2]) as agent:
            for count in range(CALLS // 4):
                answer = await agent.effect("ALLOW", f"{name}-{number}-{count}-ALLOW")
                assert answer.effect == "ALLOW"
                took.append(answer.took_s * 1000)

    await asyncio.gather(*map(one, range(4)))
    return sorted(took)


async def test_two_thousand_strangers_do_not_keep_agents_from_their_calls(nursery: Nursery, memory: Path) -> None:
    """Security, section 4: p99 within ten times, all closed by the deadlines, and the descriptors are back."""
    limits = {"limits": {"header_timeout_s": DEADLINE_S, "body_timeout_s": DEADLINE_S}}
    (memory / "intended.yaml").write_text(json.dumps(limits) + "\n")
    with journal(memory) as upstream, nursery.gate(memory, upstream.url) as gate, ExitStack() as stack:
        stack.enter_context(many_descriptors())
        await run_sync(gate.wait_ready)
        await latencies(gate.url, "warm")
        before = await latencies(gate.url, "before")
        base = await run_sync(gate.settled_descriptors)
        found = await run_sync(strangers, gate.url, stack)
        during = await latencies(gate.url, "during")
        p99 = [statistics.quantiles(took, n=100)[98] for took in (before, during)]
        print(f"p99 {p99[0]:.1f} ms alone, {p99[1]:.1f} ms beside {len(found)} strangers")
        assert p99[1] < 10 * p99[0]
        await run_sync(polled, lambda: all_closed(found), DEADLINE_S + 5, lambda: "some stay open")
        assert await run_sync(gate.settled_descriptors) <= base + 5
        assert gate.get("/readyz") == 200


@pytest.mark.full
async def test_more_strangers_than_descriptors_do_not_end_it(nursery: Nursery, memory: Path) -> None:
    """Ours: out of descriptors it takes no more connections for a while, and goes on when some have ended."""
    (memory / "intended.yaml").write_text('{"limits": {"header_timeout_s": 2}}\n')
    with journal(memory) as upstream, nursery.gate(memory, upstream.url) as gate, ExitStack() as stack:
        stack.enter_context(many_descriptors())
        await run_sync(gate.wait_ready)
        await at_once(gate.url, 4)
        resource.prlimit(
            gate.pid, resource.RLIMIT_NOFILE, (gate.descriptors() + 50, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )
        found = await run_sync(strangers, gate.url, stack)
        await run_sync(polled, lambda: all_closed(found), 60.0, lambda: "some stay open")
        await at_once(gate.url, 4)
        assert gate.get("/readyz") == 200
