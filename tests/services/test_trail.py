"""A tenant's own trail: pages of its entries, and one verification at a time."""

from dataclasses import replace

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import Principal
from gateway.errors import StoreError
from gateway.ports import EntryFilter
from gateway.services.trail import Trail
from tests.simulate.index import MemoryIndex
from tests.simulate.store import MemoryStore
from tests.simulate.world import FakeClock, FakeIds

ACME = Principal(tenant="acme", agent="bot", credential="key_1")
OTHER = Principal(tenant="other", agent="bot", credential="key_2")


def entry(number: int, tenant: str = "acme", kind: EntryType = EntryType.KEY_CREATED) -> EntryDraft:
    return EntryDraft(tenant=tenant, id=f"evt_{number}", type=kind, time=f"2026-01-01T00:00:{number:02}.000Z")


async def filled(count: int) -> MemoryStore:
    store = MemoryStore()
    for number in range(count):
        await store.append(entry(number))
    return store


def trail(store: MemoryStore) -> Trail:
    return Trail(reader=store, index=MemoryIndex(store), audit=store, clock=FakeClock(), ids=FakeIds())


async def test_entries_come_newest_first_with_their_hash_and_body() -> None:
    """A reader wants what happened last, and what ties it to the chain."""
    page = await trail(await filled(3)).entries(ACME, EntryFilter(), page=1, page_size=2)
    assert ([one["id"] for one in page.items], page.total) == (["evt_2", "evt_1"], 3)
    assert len(page.items[0]["hash"]) == 64
    assert page.items[0]["body"] == {}


async def test_a_tenant_sees_its_own_chain_only() -> None:
    """Two tenants never see each other's anything (issue 3)."""
    store = await filled(3)
    await store.append(entry(7, tenant="other"))
    assert [one["id"] for one in (await trail(store).entries(OTHER, EntryFilter(), page=1, page_size=9)).items] == [
        "evt_7"
    ]
    assert (await trail(store).verify(OTHER)).count == 1
    assert (await trail(store).verify(ACME)).count == 3


async def test_the_last_verification_of_each_chain_is_remembered() -> None:
    """Metrics tell it: a chain that nobody has verified is neither whole nor broken."""
    store = await filled(3)
    one = trail(store)
    assert one.verified == {}
    await one.verify(ACME)
    assert one.verified == {"acme": (True, FakeClock().now().timestamp())}
    damaged(store)
    await one.verify(ACME)
    assert one.verified["acme"][0] is False


async def test_who_asks_while_one_verification_runs_shares_the_next() -> None:
    """It costs time with the chain's length: fifty questions must not cost fifty readings; nor be answered too old."""
    store = await filled(2)
    begun, gate, reads = anyio.Event(), anyio.Event(), 0
    plain = store.read

    async def read(tenant: str, *, after: int = 0, inputs: bool = True):
        nonlocal reads
        reads += 1
        begun.set()
        await gate.wait()
        async for one in plain(tenant, after=after):
            yield one

    store.read = read  # type: ignore[method-assign]
    audit = trail(store)
    counts: list[int] = []

    async def ask() -> None:
        counts.append((await audit.verify(ACME)).count)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await begun.wait()
            for _ in range(50):
                group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            await store.append(entry(8))
            gate.set()
    assert reads == 2
    assert counts[1:] == [3] * 50


async def test_a_verification_that_fails_leaves_nothing_to_share() -> None:
    """An answer from before the failure would be an old one."""
    store = await filled(2)
    audit = trail(store)
    assert (await audit.verify(ACME)).valid
    store.unreadable = "disk"
    with pytest.raises(StoreError):
        await audit.verify(ACME)
    store.unreadable = ""
    assert (await audit.verify(ACME)).valid


def broken_at(store: MemoryStore, seq: int) -> None:
    read = store.read

    async def changed(tenant: str, *, after: int = 0, inputs: bool = True):
        async for one in read(tenant, after=after):
            yield replace(one, content=b"{}") if one.seq == seq else one

    store.read = changed  # type: ignore[method-assign]


async def test_a_break_is_on_record_once_however_often_it_is_found() -> None:
    """Webhooks tell it from there; a nightly verification must not tell it every night."""
    store = await filled(3)
    broken_at(store, 2)
    audit = trail(store)
    found = await audit.verify(ACME)
    again = await audit.verify(ACME)
    assert (found.valid, again.broken) == (False, found.broken)
    [told] = [draft for draft in store.drafts if draft.type is EntryType.CHAIN_BROKEN]
    assert orjson.loads(told.body)["sequence"] == 2


async def test_a_break_that_cannot_be_recorded_is_reported_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asks must hear of it, most of all when the store is not well."""
    store = await filled(3)
    broken_at(store, 2)
    store.down = "disk"
    with caplog.at_level("ERROR"):
        assert not (await trail(store).verify(ACME)).valid
    assert "is not on record" in caplog.text


def damaged(store: MemoryStore) -> None:
    """Change an entry in the store's back."""
    chain = store._chains["acme"]
    chain[1] = replace(chain[1], body=b'{"changed": true}')


async def test_a_break_that_is_found_is_told_once() -> None:
    """An entry of its own, from which webhooks tell it; who verifies every minute must not fill the chain."""
    store = await filled(3)
    damaged(store)
    one = trail(store)
    report = await one.verify(ACME)
    assert not report.valid
    assert not (await one.verify(ACME)).valid
    [told] = [draft for draft in store.drafts if draft.type is EntryType.CHAIN_BROKEN]
    [found] = report.breaks
    assert orjson.loads(told.body) == {
        "sequence": 2,
        "kind": "body-mismatch",
        "expected": found.expected,
        "found": found.found,
    }


async def test_a_report_stands_though_its_breaks_cannot_be_recorded(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asked must learn it all the same."""
    store = await filled(3)
    damaged(store)
    store.down = "disk full"
    assert not (await trail(store).verify(ACME)).valid
    assert "is not on record: disk full" in caplog.text
