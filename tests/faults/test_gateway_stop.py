"""SIGTERM under load: what was answered is recorded, what was in flight is closed, and the stop is the last entry."""

import random
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from tests.faults.gated import JournalProcess, Nursery, journal, ledger
from tests.faults.ledger import Ledger
from tests.faults.load import calling, check

QUICK, FULL = 20, 200
LOAD_S = 0.2


async def one(nursery: Nursery, folder: Path, upstream: JournalProcess, found: Ledger, moment_s: float) -> None:
    """Start on the store of the round before, load, stop, compare."""
    with nursery.gate(folder, upstream.url) as gate:
        await run_sync(gate.wait_ready)
        assert "no outcome" not in gate.talk()  # the round before left nothing in doubt
        async with calling(gate.url, agents=8, name=gate.said.name) as load:
            await anyio.sleep(moment_s)  # the moment of the signal
            assert await run_sync(gate.end) == 0, gate.talk()
    entries = found.read_on()
    check(load, upstream.executed(), entries)
    assert (found.open, found.broken) == ({}, [])
    assert entries[-1].fields["type"] == "gateway.stopped"
    assert "Traceback" not in gate.talk()


async def rounds(nursery: Nursery, folder: Path, count: int) -> None:
    chance = random.Random(count)
    with journal(folder) as upstream:
        found = ledger(folder)
        for _ in range(count):
            await one(nursery, folder, upstream, found, chance.uniform(0, LOAD_S))


async def test_twenty_stops_under_load_lose_nothing(nursery: Nursery, memory: Path) -> None:
    """Security, section 4: no answered call without its entries, exit code 0, and each restart works."""
    await rounds(nursery, memory, QUICK)


@pytest.mark.full
async def test_two_hundred_do_not_either(nursery: Nursery, memory: Path) -> None:
    """As above."""
    await rounds(nursery, memory, FULL)
