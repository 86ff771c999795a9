"""What every outbox keeps: nothing of the chain passed over, order within a lane, tenants apart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.webhooks import Delivery, DeliveryState
from gateway.services.webhooks import Outbox
from gateway.store.sqlite.outbox import SqliteOutbox
from gateway.store.sqlite.store import DATABASE, StoreOptions, open_store
from gateway.telemetry.clock import SystemClock
from tests.simulate.outbox import MemoryOutbox
from tests.simulate.store import MemoryStore

NOW = "2026-11-22T12:00:00.000Z"
LATER = "2026-11-22T13:00:00.000Z"


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[tuple[Any, Outbox]]:
    if kind == "memory":
        store = MemoryStore()
        yield store, MemoryOutbox(store=store)
        return
    options = StoreOptions(data=folder / "data", state=folder / "state", wait_s=2.0)
    real = await open_store(options, SystemClock())
    outbox = SqliteOutbox(options.data / DATABASE)
    try:
        yield real, outbox
    finally:
        await outbox.aclose()
        await real.aclose()


both = pytest.mark.parametrize("kind", ["memory", "sqlite"])


def draft(number: int, kind: EntryType = EntryType.CALL_DECIDED, **more: Any) -> EntryDraft:
    fields: dict[str, Any] = {"tenant": "acme", "intent_id": "int_1", "body": b'{"n":%d}' % number} | more
    return EntryDraft(id=f"evt_{number}", type=kind, time=NOW, **fields)


def delivery(id_: str, lane: str = "int_1", **more: Any) -> Delivery:
    fields: dict[str, Any] = {"tenant": "acme", "endpoint": "hook_1", "created": NOW, "due": NOW} | more
    return Delivery(id=id_, lane=lane, event="intent.approved", intent_id=lane, body=b"{}", **fields)


@both
async def test_the_cursor_moves_with_its_deliveries_only(kind: str, tmp_path: Path) -> None:
    """Reading moves nothing: who dies before `put` reads the same again."""
    async with opened(kind, tmp_path) as (store, outbox):
        for number in range(1, 6):
            await store.append(draft(number))
        for _ in range(2):
            told = await outbox.unread("acme", "hook_1", after=2, limit=2)
            assert [one.seq for one in told] == [3, 4]
        await outbox.put("acme", "hook_1", [delivery("whk_1")], seq=4)
        assert [one.seq for one in await outbox.unread("acme", "hook_1", after=2, limit=9)] == [5]
        assert [one.seq for one in await outbox.unread("acme", "hook_2", after=0, limit=9)] == [1, 2, 3, 4, 5]
        assert await outbox.unread("other", "hook_3", after=0, limit=9) == []


@both
async def test_an_entry_comes_with_the_decision_before_it(kind: str, tmp_path: Path) -> None:
    """Type and risk of an intent are nowhere else."""
    async with opened(kind, tmp_path) as (store, outbox):
        await store.append(draft(1))
        await store.append(draft(2, EntryType.TOKEN_ISSUED))
        await store.append(draft(3, EntryType.APPROVAL_RESOLVED))
        await store.append(draft(4, intent_id="int_2"))
        await store.append(draft(5))
        await store.append(draft(6, EntryType.CALL_COMPLETED))
        await store.append(draft(7, EntryType.AGENT_REGISTERED, intent_id=""))
        told = await outbox.unread("acme", "hook_1", after=0, limit=9)
        earlier = [one.earlier and (one.earlier[0]["id"], one.earlier[1]) for one in told]
        first, last = ("evt_1", {"n": 1}), ("evt_5", {"n": 5})
        assert earlier == [None, None, first, None, first, last, None]
        assert told[0].entry is not None
        assert (told[0].entry["id"], told[0].body) == ("evt_1", {"n": 1})


@both
async def test_a_body_that_cannot_be_read_is_passed_over_not_lost(kind: str, tmp_path: Path) -> None:
    """A damaged entry is the verifier's to tell; the ones behind it must go on."""
    async with opened(kind, tmp_path) as (store, outbox):
        await store.append(draft(1, body=b"{"))
        await store.append(draft(2))
        told = await outbox.unread("acme", "hook_1", after=0, limit=9)
        assert [(one.seq, one.entry is None) for one in told] == [(1, True), (2, False)]


@both
async def test_of_each_lane_the_oldest_open_one_is_due(kind: str, tmp_path: Path) -> None:
    """A later event of an intent waits for the earlier one to be delivered or given up."""
    async with opened(kind, tmp_path) as (_, outbox):
        ones = [delivery("whk_1"), delivery("whk_2"), delivery("whk_3", "int_2"), delivery("whk_4", "int_3", due=LATER)]
        await outbox.put("acme", "hook_1", ones, seq=1)

        async def due(now: str = NOW, limit: int = 9) -> list[str]:
            return [one.id for one in await outbox.due("hook_1", now=now, limit=limit)]

        assert await due() == ["whk_1", "whk_3"]
        assert await due(limit=1) == ["whk_1"]
        await outbox.settle(replace(ones[0], state=DeliveryState.FAILED, due=LATER, attempts=1))
        assert await due() == ["whk_3"]
        assert sorted(await due(LATER)) == ["whk_1", "whk_3", "whk_4"]
        await outbox.settle(replace(ones[0], state=DeliveryState.GIVEN_UP))
        assert sorted(await due()) == ["whk_2", "whk_3"]
        await outbox.settle(replace(ones[2], state=DeliveryState.DELIVERED, last=NOW))
        assert await due() == ["whk_2"]
        assert await outbox.due("hook_2", now=LATER, limit=9) == []


@both
async def test_a_delivery_that_is_there_stays_as_it_is(kind: str, tmp_path: Path) -> None:
    """After a power failure the same ones are made again; what was delivered must not be pending again."""
    async with opened(kind, tmp_path) as (_, outbox):
        await outbox.put("acme", "hook_1", [delivery("whk_1")], seq=None)
        done = replace(delivery("whk_1"), state=DeliveryState.DELIVERED, attempts=2, first=NOW, last=LATER, status=200)
        await outbox.settle(done)
        await outbox.put("acme", "hook_1", [delivery("whk_1")], seq=3)
        assert await outbox.get("acme", "hook_1", "whk_1") == done


@both
async def test_deliveries_are_found_by_their_own_tenant_and_endpoint(kind: str, tmp_path: Path) -> None:
    """Whose id one knows is not one's own by that."""
    async with opened(kind, tmp_path) as (_, outbox):
        mine, failed = delivery("whk_1"), delivery("whk_2", state=DeliveryState.FAILED)
        await outbox.put("acme", "hook_1", [mine, failed], seq=None)
        assert await outbox.get("acme", "hook_2", "whk_1") is None
        assert await outbox.get("other", "hook_1", "whk_1") is None
        assert await outbox.get("acme", "hook_1", "whk_9") is None
        page = await outbox.list("acme", "hook_1", None, page=1, page_size=1)
        assert (page.items, page.total) == ((failed,), 2)
        page = await outbox.list("acme", "hook_1", DeliveryState.PENDING, page=1, page_size=9)
        assert (page.items, page.total) == ((mine,), 1)
        assert (await outbox.list("other", "hook_1", None, page=1, page_size=9)).total == 0


@both
async def test_what_is_still_to_be_made_is_counted_by_tenant(kind: str, tmp_path: Path) -> None:
    """Not tried and tried in vain wait alike; what has arrived or was given up waits no more."""
    async with opened(kind, tmp_path) as (_, outbox):
        assert await outbox.waiting() == {}
        waiting = [delivery("whk_1"), delivery("whk_2", state=DeliveryState.FAILED)]
        over = [delivery("whk_3", state=DeliveryState.DELIVERED), delivery("whk_4", state=DeliveryState.GIVEN_UP)]
        await outbox.put("acme", "hook_1", waiting + over, seq=None)
        await outbox.put("other", "hook_2", [delivery("whk_5", tenant="other", endpoint="hook_2")], seq=None)
        assert await outbox.waiting() == {"acme": 2, "other": 1}


@both
async def test_what_is_old_or_nobodys_goes(kind: str, tmp_path: Path) -> None:
    """Open ones stay, however old: they are still to be delivered."""
    async with opened(kind, tmp_path) as (store, outbox):
        await store.append(draft(1))
        ones = [
            delivery("whk_1", state=DeliveryState.DELIVERED, last=NOW),
            delivery("whk_2", state=DeliveryState.GIVEN_UP, last=LATER),
            delivery("whk_3"),
            delivery("whk_4", endpoint="hook_2"),
        ]
        await outbox.put("acme", "hook_1", ones, seq=1)
        await outbox.put("acme", "hook_2", [], seq=1)
        await outbox.purge(before=LATER, endpoints=["hook_1"])
        page = await outbox.list("acme", "hook_1", None, page=1, page_size=9)
        assert [one.id for one in page.items] == ["whk_3", "whk_2"]
        assert await outbox.get("acme", "hook_2", "whk_4") is None
        assert [one.seq for one in await outbox.unread("acme", "hook_1", after=0, limit=9)] == []
        assert [one.seq for one in await outbox.unread("acme", "hook_2", after=0, limit=9)] == [1]


@both
async def test_a_chain_from_a_backup_is_followed_from_its_end(kind: str, tmp_path: Path) -> None:
    """What is appended next has numbers that the cursor has passed."""
    async with opened(kind, tmp_path) as (store, outbox):
        await store.append(draft(1))
        await outbox.put("acme", "hook_1", [], seq=9)
        assert await outbox.unread("acme", "hook_1", after=0, limit=9) == []
        await store.append(draft(2))
        assert [one.seq for one in await outbox.unread("acme", "hook_1", after=0, limit=9)] == [2]
