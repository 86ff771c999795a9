"""What is refused before any decision is on record, and strangers cannot fill the disk with it."""

import anyio
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.message import Rejection
from gateway.core.principal import SYSTEM_TENANT
from gateway.ports import Appended, Conflict
from gateway.services import refusals as module
from tests.simulate.world import LOCAL, World

BATCH = Rejection(status=400, code=-32600, message="a batch")


async def test_each_refusal_of_a_known_agent_is_an_entry() -> None:
    """Who tried what belongs into the agent's own record."""
    world = World()
    await world.dispatch.refused(LOCAL, "127.0.0.1", BATCH)
    (entry,) = world.entries(EntryType.REQUEST_REFUSED)
    assert (entry.tenant, entry.agent, entry.reasons) == ("default", "local", ("-32600",))
    assert world.bodies(EntryType.REQUEST_REFUSED)[0] == {"code": -32600, "status": 400, "source": "127.0.0.1"}


async def test_a_refusal_of_the_rest_api_is_recorded_by_its_code() -> None:
    """Its codes are words; the entry is otherwise the same."""
    world = World()
    await world.refusals.note(LOCAL, "127.0.0.1", code="FORBIDDEN", status=403)
    (entry,) = world.entries(EntryType.REQUEST_REFUSED)
    assert (entry.agent, entry.reasons) == ("local", ("FORBIDDEN",))
    await world.refusals.note(None, "10.0.0.9", code="UNAUTHORIZED", status=401)
    await world.refusals.flush()
    assert world.bodies(EntryType.STRANGERS_REFUSED) == [{"source": "10.0.0.9", "reason": "UNAUTHORIZED", "count": 1}]


async def test_strangers_are_counted_by_source_and_reason_and_told_once_a_minute() -> None:
    """A flood becomes one entry with a count."""
    world = World()
    for _ in range(500):
        await world.dispatch.refused(None, "10.0.0.9", BATCH)
    assert world.entries() == []
    world.clock.advance(module.PERIOD_S)
    await world.dispatch.refused(None, "10.0.0.9", BATCH)
    (entry,) = world.entries(EntryType.STRANGERS_REFUSED)
    assert entry.tenant == SYSTEM_TENANT
    assert world.bodies(EntryType.STRANGERS_REFUSED)[0] == {"source": "10.0.0.9", "reason": "-32600", "count": 501}


async def test_many_sources_in_one_minute_share_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up addresses must not make entries without bound."""
    monkeypatch.setattr(module, "SOURCES_KEPT", 2)
    world = World()
    for number in range(5):
        await world.refusals.record(None, f"10.0.0.{number}", BATCH)
    await world.refusals.flush()
    counts = {body["source"]: body["count"] for body in world.bodies(EntryType.STRANGERS_REFUSED)}
    assert counts == {"10.0.0.0": 1, "10.0.0.1": 1, "others": 3}


async def test_a_refusal_stands_though_it_cannot_be_recorded() -> None:
    """Nothing was done, so a failing store must not turn a refusal into an error."""
    world = World()
    world.store.down = "full"
    await world.refusals.record(LOCAL, "127.0.0.1", BATCH)
    assert world.entries() == []


async def test_a_summary_that_is_cut_off_keeps_the_rest_for_the_next() -> None:
    """The stranger that trips it waits a second at most; a thousand entries may take longer."""
    world = World()
    for number in range(3):
        await world.refusals.record(None, f"10.0.0.{number}", BATCH)
    real, once = world.store.append, anyio.CancelScope()

    async def slowly(draft: EntryDraft) -> Appended | Conflict:
        if world.entries(EntryType.STRANGERS_REFUSED):
            once.cancel()
            await anyio.lowlevel.checkpoint()
        return await real(draft)

    world.store.append = slowly  # type: ignore[method-assign]
    with once:
        await world.refusals.flush()
    assert len(world.entries(EntryType.STRANGERS_REFUSED)) == 1
    world.store.append = real  # type: ignore[method-assign]
    await world.refusals.flush()
    told = [body["source"] for body in world.bodies(EntryType.STRANGERS_REFUSED)]
    assert len(told) == len(set(told)) == 2, "the one that was being written is the store's to finish"


async def test_a_summary_that_cannot_be_written_is_written_later() -> None:
    """What was counted while the store was down is not forgotten, and stays bounded."""
    world = World()
    for number in range(3):
        await world.refusals.record(None, f"10.0.0.{number}", BATCH)
    world.store.down = "full"
    await world.refusals.flush()
    assert world.entries() == []
    world.store.down = ""
    await world.refusals.flush()
    assert {body["count"] for body in world.bodies(EntryType.STRANGERS_REFUSED)} == {1}
    assert len(world.entries(EntryType.STRANGERS_REFUSED)) == 3
