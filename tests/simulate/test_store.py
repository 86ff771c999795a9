"""The fake store breaks exactly as it is told; its ordinary behaviour is held by `tests/contracts/test_store.py`."""

import anyio
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.errors import AuditUnavailable, StoreError
from gateway.ports import Appended
from tests.simulate.store import MemoryStore, Moment


def draft(kind: EntryType = EntryType.CALL_DECIDED) -> EntryDraft:
    return EntryDraft(tenant="t", id="evt_1", type=kind, time="2026-11-22T08:00:00.000Z")


async def test_an_append_told_to_fail_before_recording_leaves_nothing() -> None:
    """Ours: a service test that relies on the failure must see a true one."""
    store = MemoryStore()
    store.break_append(where=lambda given: given.type is EntryType.CALL_COMPLETED, skip=1)
    assert isinstance(await store.append(draft()), Appended)
    assert isinstance(await store.append(draft(EntryType.CALL_COMPLETED)), Appended)
    with pytest.raises(AuditUnavailable):
        await store.append(draft(EntryType.CALL_COMPLETED))
    assert isinstance(await store.append(draft(EntryType.CALL_COMPLETED)), Appended)
    assert (len(store.drafts), len(store.attempts)) == (3, 4)


async def test_an_append_told_to_fail_after_recording_is_there() -> None:
    """Ports: an AuditUnavailable says that it is not certain, not that nothing was written."""
    store = MemoryStore()
    store.break_append(Moment.AFTER)
    with pytest.raises(AuditUnavailable):
        await store.append(draft())
    assert len(store.drafts) == 1


async def test_a_store_that_is_down_says_why() -> None:
    """Ports: `ready` is what the readiness probe shows."""
    store = MemoryStore(down="the disk is full", unreadable="the disk is gone")
    with pytest.raises(AuditUnavailable, match="full"):
        await store.append(draft())
    with pytest.raises(StoreError, match="gone"):
        await store.get("t", "k")
    assert store.ready() == "the disk is full"
    assert store.drafts == []


async def test_a_held_append_waits() -> None:
    """Ours: a test can look at the world while an append is under way."""
    store = MemoryStore(held=anyio.Event())
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(store.append, draft())
            await anyio.wait_all_tasks_blocked()
            assert store.drafts == []
            store.held.set()
    assert len(store.drafts) == 1
