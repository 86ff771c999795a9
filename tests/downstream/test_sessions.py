"""Which sessions exist, for whom, and for how long."""

from dataclasses import replace

import anyio

from gateway.core.principal import Principal
from gateway.downstream.session import Session
from gateway.downstream.sessions import Sessions
from tests.downstream.front import (
    ALICE,
    BOB,
    LIMITS,
    MOUNTS,
    FakeClock,
    FakeConversation,
    FakeIds,
    call,
    eventually,
    world,
)

MOUNT = MOUNTS["/mcp"]


def anybody(principal: Principal) -> bool:
    """Every credential is still good."""
    return True


class Registry:
    """Sessions under a clock that stands still."""

    def __init__(self, **limits: float):
        self.clock = FakeClock()
        self.all = Sessions(limits=replace(LIMITS, **limits), clock=self.clock, ids=FakeIds())

    async def ready(self, principal=ALICE) -> Session:
        session = await self.all.open(principal, MOUNT)
        assert session is not None
        session.conversation = FakeConversation("2025-11-25")
        return session


async def test_a_session_is_found_by_its_own_principal_and_mount_only():
    """And not before it is ready."""
    registry = Registry()
    session = await registry.all.open(ALICE, MOUNT)
    assert registry.all.find(session.id, ALICE, MOUNT) is None
    session.conversation = FakeConversation("2025-11-25")
    assert registry.all.find(session.id, ALICE, MOUNT) is session
    assert registry.all.find(session.id, replace(ALICE), replace(MOUNT)) is session
    assert registry.all.find(session.id, BOB, MOUNT) is None
    assert registry.all.find(session.id, replace(ALICE, tenant="other"), MOUNT) is None
    assert registry.all.find(session.id, ALICE, MOUNTS["/mcp/files"]) is None
    assert registry.all.find("x", ALICE, MOUNT) is None


async def test_an_idle_session_ends():
    """Asked for too late it is unknown; never asked for again it is found by the housekeeping."""
    registry = Registry(session_idle_s=10)
    asked, forgotten, used = await registry.ready(), await registry.ready(), await registry.ready()
    registry.clock.seconds += 9
    assert registry.all.find(used.id, ALICE, MOUNT) is used
    registry.clock.seconds += 2
    assert registry.all.find(asked.id, ALICE, MOUNT) is None
    await registry.all.expire(anybody)
    assert [held.conversation.closed for held in (asked, forgotten, used)] == [1, 1, 0]
    assert len(registry.all) == 1


async def test_a_session_in_use_does_not_idle_out():
    """A request in flight or a GET stream keeps it."""
    async with world(replace(LIMITS, session_idle_s=10)) as w:
        busy, listening = await w.open_session(), await w.open_session()
        hanging = w.send(body=call("hang"), session=busy)
        stream = w.send("GET", session=listening)
        await stream.started()
        await eventually(lambda: w.dispatch.arrived.is_set())
        w.clock.seconds += 100
        await w.front.sessions.expire(anybody)
        assert len(w.front.sessions) == 2
        w.dispatch.release.set()
        await hanging.finished()
        stream.leave()
        await stream.finished()
        w.clock.seconds += 9
        await w.front.sessions.expire(anybody)
        assert len(w.front.sessions) == 2
        w.clock.seconds += 2
        await w.front.sessions.expire(anybody)
        assert len(w.front.sessions) == 0


async def test_the_session_idle_longest_makes_room_at_the_cap():
    """Programs that open a session for every call must neither fail nor pile up; other agents have their own cap."""
    registry = Registry(sessions_per_agent=2)
    await registry.ready(BOB)
    first = await registry.ready()
    registry.clock.seconds += 1
    second = await registry.ready()
    registry.clock.seconds += 1
    first.touch()
    third = await registry.ready()
    assert [held.conversation.closed for held in (first, second, third)] == [0, 1, 0]
    assert len(registry.all) == 3


async def test_sessions_in_use_are_not_ended_for_a_new_one():
    """429, and what runs goes on."""
    async with world(replace(LIMITS, sessions_per_agent=1)) as w:
        session = await w.open_session()
        hanging = w.send(body=call("hang"), session=session)
        await eventually(lambda: w.dispatch.arrived.is_set())
        w.dispatch.reached.clear()
        answer = await w.ask(body={"jsonrpc": "2.0", "id": 9, "method": "initialize", "params": {}})
        assert (answer.status, answer.json["id"]) == (429, 9)
        assert w.dispatch.reached == []
        w.dispatch.release.set()
        await hanging.finished()
        assert hanging.status == 200
        assert await w.open_session() != session


async def test_a_session_ends_once_and_gives_its_place_back():
    """However often it is ended, from wherever."""
    registry = Registry(sessions_per_agent=1)
    session = await registry.ready()
    await registry.all.end(session)
    await registry.all.end(session)
    assert session.conversation.closed == 1
    assert len(registry.all) == 0
    assert await registry.all.open(ALICE, MOUNT) is not None


async def test_ending_all_is_bounded_in_time():
    """An upstream that hangs does not hold up the shutdown."""

    class Stuck(FakeConversation):
        async def aclose(self) -> None:
            await anyio.sleep_forever()

    registry = Registry(close_s=0.01)
    session, other = await registry.ready(), await registry.ready()
    session.conversation = Stuck("2025-11-25")
    await registry.all.close()
    assert other.conversation.closed == 1
    assert len(registry.all) == 0


async def test_the_housekeeping_drops_events_that_are_too_old():
    """Also of sessions that nobody speaks in."""
    registry = Registry(event_buffer_s=5)
    session = await registry.ready()
    await session.notify("notifications/message", {"data": 1})
    assert session.log.held_bytes > 0
    registry.clock.seconds += 6
    await registry.all.expire(anybody)
    assert session.log.held_bytes == 0
    assert len(registry.all) == 1


async def test_the_front_keeps_house_by_itself():
    """A session that nobody asks for again is ended all the same."""
    async with world(replace(LIMITS, housekeeping_s=0.001)) as w:
        await w.open_session()
        w.clock.seconds += LIMITS.session_idle_s + 1
        await eventually(lambda: w.dispatch.conversations[0].closed == 1)
        assert len(w.front.sessions) == 0


async def test_a_session_whose_credential_has_ended_ends_with_it():
    """Others of the same tenant stay."""
    registry = Registry()
    alices, bobs = await registry.ready(), await registry.ready(BOB)
    await registry.all.expire(lambda principal: principal == BOB)
    assert (alices.ended, bobs.ended, len(registry.all)) == (True, False, 1)
