"""A start closes what a crash left open, and never sends it again."""

import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.errors import AuditUnavailable
from gateway.services.enforcement import Completion
from gateway.services.recovery import close_disowned, close_open_calls
from tests.simulate.world import World

DECIDED = EntryDraft(
    tenant="default",
    id="evt_1",
    type=EntryType.CALL_DECIDED,
    time="2026-11-22T12:00:00.000Z",
    intent_id="int_1",
    effect="ALLOW",
    opens=True,
)


async def test_an_open_call_is_closed_as_in_doubt_and_listed() -> None:
    """It may have run: a human must know, and nothing is sent again."""
    world = World()
    await world.store.append(DECIDED)
    (open_call,) = await close_open_calls(world.store, world.store, world.clock, world.ids)
    assert open_call.intent_id == "int_1"
    assert world.entries()[-1].reasons == (Completion.IN_DOUBT,)
    assert world.bodies(EntryType.CALL_COMPLETED)[0] == {
        "completion": "in-doubt",
        "mayHaveRun": True,
        "decidedSeq": 1,
    }
    assert await close_open_calls(world.store, world.store, world.clock, world.ids) == []
    assert all(not upstream.received for upstream in world.upstreams.values())


async def test_a_store_that_fails_stops_the_start() -> None:
    """What cannot be closed must not be forgotten."""
    world = World()
    await world.store.append(DECIDED)
    world.store.down = "full"
    with pytest.raises(AuditUnavailable):
        await close_open_calls(world.store, world.store, world.clock, world.ids)


async def test_a_decision_that_became_durable_too_late_is_closed_as_not_run() -> None:
    """Its call was refused as unrecorded, so its entry must say that it was not forwarded."""
    world = World()
    await world.store.append(DECIDED)
    await close_disowned(world.store, DECIDED, world.clock, world.ids)
    assert world.bodies(EntryType.CALL_COMPLETED)[0] == {"completion": "disowned", "mayHaveRun": False}
    assert await world.store.open_calls() == []


async def test_a_late_decision_that_cannot_be_closed_is_left_to_the_next_start() -> None:
    """Nothing is raised into the event loop; the call stays open."""
    world = World()
    await world.store.append(DECIDED)
    world.store.down = "full"
    await close_disowned(world.store, DECIDED, world.clock, world.ids)
    assert len(await world.store.open_calls()) == 1
