"""Proofs of a chain that grows: right, from little that is kept, and never of one that does not hold."""

import sys
from dataclasses import replace

import anyio
import pytest

from gateway.core.audit import tiles
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.audit.tree import leaf_hash
from gateway.errors import StoreError, Unavailable
from gateway.services import inclusion
from gateway.services.inclusion import Inclusion, Proven
from intended.evidence.chain import included
from tests.simulate.chain import MemoryChain
from tests.simulate.store import MemoryStore


def entry(number: int) -> EntryDraft:
    return EntryDraft(tenant="acme", id=f"evt_{number}", type=EntryType.KEY_CREATED, time="2026-01-01T00:00:00.000Z")


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tiles, inclusion):
        monkeypatch.setattr(module, "TILE", 4)


async def grown(store: MemoryStore, count: int) -> MemoryStore:
    for number in range(count):
        await store.append(entry(number))
    return store


def holds(found: Proven, seq: int) -> bool:
    point = found.checkpoint
    return included(found.leaves[seq], index=seq - 1, size=point.size, proof=found.proofs[seq], root=point.root)


async def test_each_entry_is_proved_under_one_checkpoint() -> None:
    """In complete tiles and in the last one, while the chain grows between two questions."""
    store = MemoryStore()
    rows = MemoryChain(store)
    proofs = Inclusion(reader=store, rows=rows)
    for count in (1, 4, 3, 6):
        await grown(store, count)
        size, head = await store.head("acme")
        found = await proofs.prove("acme", range(1, size + 1))
        assert (found.checkpoint.size, found.checkpoint.head) == (size, head)
        assert all(holds(found, seq) for seq in range(1, size + 1))
        assert found.leaves[size] == leaf_hash([one async for one in store.read("acme")][-1].content)


async def test_what_was_read_is_not_read_again() -> None:
    """Of a long chain a proof reads what is new, and one tile for each that it is asked about."""
    store = await grown(MemoryStore(), 21)
    rows = MemoryChain(store)
    proofs = Inclusion(reader=store, rows=rows)
    await proofs.prove("acme", [21])
    assert rows.asked == [(0, 21)]
    await proofs.prove("acme", [6, 5, 21, 6])
    assert rows.asked[1:] == [(20, 21), (4, 8)]


async def test_a_chain_that_does_not_hold_is_not_vouched_for() -> None:
    """A signature under it would make a forgery evidence."""
    for place, asked in ((2, [9]), (8, [9]), (2, [3])):
        store = await grown(MemoryStore(), 9)
        chain = store._chains["acme"]
        chain[place] = replace(chain[place], content=chain[place].content.replace(b"evt_", b"evil"))
        with pytest.raises(Unavailable, match=f"does not hold at entry {place + 1}"):
            await Inclusion(reader=store, rows=MemoryChain(store)).prove("acme", asked)


async def test_what_changes_under_a_kept_tile_is_noticed() -> None:
    """Also consistently rewritten: the tile says what was there."""
    store = await grown(MemoryStore(), 9)
    proofs = Inclusion(reader=store, rows=MemoryChain(store))
    await proofs.prove("acme", [1])
    chain = store._chains["acme"]
    chain[2] = replace(chain[2], content=b"{}")
    with pytest.raises(Unavailable, match="does not hold at entry 1"):
        await proofs.prove("acme", [1])


async def test_a_chain_that_was_cut_is_not_vouched_for() -> None:
    """Its end is not the head that the store names; an entry behind it is none."""

    class Longer(MemoryStore):
        async def head(self, tenant: str) -> tuple[int, bytes]:
            size, head = await super().head(tenant)
            return size + 1, head

    store = await grown(Longer(), 3)
    with pytest.raises(Unavailable, match="at entry 4"):
        await Inclusion(reader=store, rows=MemoryChain(store)).prove("acme", [1])
    plain = await grown(MemoryStore(), 3)
    with pytest.raises(Unavailable, match="at entry 4"):
        await Inclusion(reader=plain, rows=MemoryChain(plain)).prove("acme", [4])


async def test_what_cannot_be_read_now_can_be_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a store that fails nor a wait that is too long leaves anything behind."""
    store = await grown(MemoryStore(), 3)
    proofs = Inclusion(reader=store, rows=MemoryChain(store))
    store.unreadable = "down"
    with pytest.raises(StoreError):
        await proofs.prove("acme", [1])
    store.unreadable = ""
    monkeypatch.setattr(inclusion, "PROVE_S", 0)
    with pytest.raises(Unavailable, match="in time"):
        await proofs.prove("acme", [1])
    monkeypatch.setattr(inclusion, "PROVE_S", 5)
    assert holds(await proofs.prove("acme", [1]), 1)


async def test_those_who_ask_at_once_read_one_after_the_other() -> None:
    """Two that took over the same entries would count them twice."""
    store = await grown(MemoryStore(), 9)
    proofs = Inclusion(reader=store, rows=MemoryChain(store))
    found: list[Proven] = []

    async def ask() -> None:
        found.append(await proofs.prove("acme", [2]))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
    assert len(found) == 3
    assert all(holds(one, 2) for one in found)


async def test_little_is_kept_of_a_long_chain() -> None:
    """A hash for each tile, whatever the entries hold."""
    store = await grown(MemoryStore(), 41)
    proofs = Inclusion(reader=store, rows=MemoryChain(store))
    await proofs.prove("acme", [1])
    kept = proofs._known["acme"]
    assert len(kept.tiles) == 10
    assert all(sys.getsizeof(one) < 100 for one in kept.tiles)
