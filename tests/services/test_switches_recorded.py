"""A switch holds from its durable entry on, for everybody, also after a restart."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.decision import Effect, Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.switches import SWITCHES_KEY, SwitchKind
from gateway.errors import (
    AuditUnavailable,
    NotFound,
    StateConflict,
)
from gateway.ports import StateRow
from gateway.services import switches as module
from gateway.services.judged import OutcomeKind
from tests.services.calling import READ, Other, take
from tests.services.switching import ADMIN, AGENT, EVERY, UPSTREAM, anew, changes, release, throw
from tests.simulate.store import Moment
from tests.simulate.world import LOCAL, FakeCaller, World

# --- exactly ----------------------------------------------------------------------------------------------------------


async def test_a_decision_that_was_begun_before_a_switch_is_not_recorded_after_it() -> None:
    """It conflicts and is made anew: the chain shows no ALLOW behind the switch."""
    world = World()
    gather = world.facts.gather

    async def slowly(principal: Principal, call: object) -> object:
        facts = await gather(principal, call)  # type: ignore[arg-type]
        if facts.stop is None and not changes(world):
            await throw(world)
        return facts

    world.facts.gather = slowly  # type: ignore[method-assign,assignment]
    other = Other(world)
    assert ((await take(world, other)).reason, other.reached) == (Reason.SWITCHED_OFF, 0)
    assert [entry.type for entry in world.entries()] == [EntryType.SWITCH_CHANGED, EntryType.CALL_DECIDED]
    assert world.entries()[1].effect == Effect.DENY


@pytest.mark.parametrize("thrower", range(0, 20, 5))
async def test_after_the_throw_has_answered_not_one_call_of_twenty_is_forwarded(thrower: int) -> None:
    """Twenty that call without a pause, and the chain's order against the upstream's own record."""
    world = World()
    answered = False
    late: list[str] = []
    arrived: list[int] = []

    async def other_side() -> JsonObject:
        if answered:
            late.append("called")
        await anyio.lowlevel.checkpoint()
        arrived.append(len(world.entries()))
        return {"result": {"contents": []}}

    async def agent() -> None:
        for _ in range(12):
            outcome = await world.enforcement.call(LOCAL, READ, other_side, FakeCaller())
            if answered:
                assert outcome.reason == Reason.SWITCHED_OFF

    async def human() -> None:
        nonlocal answered
        for _ in range(thrower):
            await anyio.lowlevel.checkpoint()
        await throw(world)
        answered = True

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(agent)
            tasks.start_soon(human)
            for _ in range(10):
                tasks.start_soon(agent)
    assert late == []
    kinds = [(entry.type, entry.effect) for entry in world.entries()]
    after = kinds[kinds.index((EntryType.SWITCH_CHANGED, "")) :]
    assert (EntryType.CALL_DECIDED, Effect.ALLOW) not in after
    assert (EntryType.CALL_DECIDED, Effect.DENY) in after


async def test_a_switch_that_became_durable_without_anybody_knowing_holds_all_the_same() -> None:
    """The append was given up and went through: the next decision finds the row changed, and reads it."""
    world = World()
    world.store.break_append(Moment.AFTER)
    with pytest.raises(AuditUnavailable):
        await throw(world)
    assert world.switches.list(ADMIN) == ()
    other = Other(world)
    assert ((await take(world, other)).reason, other.reached) == (Reason.SWITCHED_OFF, 0)
    assert [one.name for one in world.switches.list(ADMIN)] == ["local"]
    await throw(world, AGENT, "local")  # and again is no second one
    assert len(changes(world)) == 1


async def test_a_release_that_became_durable_without_anybody_knowing_holds_all_the_same() -> None:
    """The same the other way round: whoever asks again is told that there is nothing to let go."""
    world = World()
    await throw(world)
    world.store.break_append(Moment.AFTER)
    with pytest.raises(AuditUnavailable):
        await release(world)
    with pytest.raises(NotFound):
        await release(world)
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_a_switch_that_could_not_be_recorded_is_not_thrown() -> None:
    """And whoever threw it is told: without a store no call passes anyway."""
    world = World()
    world.store.break_append()
    with pytest.raises(AuditUnavailable):
        await throw(world)
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_a_switch_whose_row_cannot_be_read_again_is_in_force() -> None:
    """It is durable; only its version is not known, which the next decision finds out."""
    world = World()
    world.switches.on_throw(lambda tenant, switch: setattr(world.store, "unreadable", "gone"))
    await throw(world)
    assert world.switches.stop("default", "local", "") is not None
    world.store.unreadable = ""
    assert (await take(world, Other(world))).reason == Reason.SWITCHED_OFF


async def test_changes_that_never_get_through_are_given_up() -> None:
    """Whoever throws a switch must get an answer."""
    world = World()
    append = world.store.append

    async def meddled(draft: EntryDraft) -> object:
        row = await world.store.get("default", SWITCHES_KEY)
        version = 7 if row is None else row.version + 1
        world.store._rows["default", SWITCHES_KEY] = StateRow(key=SWITCHES_KEY, version=version, value=b"")
        return await append(draft)

    world.store.append = meddled  # type: ignore[method-assign,assignment]
    with pytest.raises(StateConflict):
        await throw(world)
    assert changes(world) == []


async def test_whoever_throws_a_switch_and_hangs_up_has_thrown_it() -> None:
    """The person closes the lid; what was begun is finished."""
    world = World()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await throw(world)
    assert world.switches.stop("default", "local", "") is not None


# --- on record, and after a restart -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), EVERY)
async def test_each_change_is_an_entry_with_who_and_why(kind: SwitchKind, name: str) -> None:
    """Why everything stood still on a Sunday is asked on Monday."""
    world = World()
    jane = replace(ADMIN, credential="ps_1", human="usr_jane")
    await throw(world, kind, name, by=jane)
    (thrown,) = world.switches.list(ADMIN)
    assert (thrown.kind, thrown.name, thrown.who, thrown.why) == (kind, name, "usr_jane", "runs amok")
    world.clock.advance(60)
    await release(world, kind, name)
    first, second = changes(world)
    assert (first.agent, first.upstream) == (name if kind is AGENT else "", name if kind is UPSTREAM else "")
    assert (first.reasons, second.reasons) == (("thrown", kind), ("released", kind))
    shared = {"kind": kind, "name": name}
    assert orjson.loads(first.body) == {
        **shared,
        "state": "thrown",
        "by": "ps_1",
        "human": "usr_jane",
        "reason": "runs amok",
    }
    assert orjson.loads(second.body) == {**shared, "state": "released", "by": "cli", "human": "", "reason": "fixed"}
    assert second.time > first.time


async def test_a_restart_keeps_the_switches() -> None:
    """A crash must not let an agent go."""
    world = World()
    await throw(world)
    await throw(world, UPSTREAM, "default")
    await release(world, UPSTREAM, "default")
    started = anew(world)
    await started.load(["acme", "default"])
    assert started.list(ADMIN) == world.switches.list(ADMIN)
    assert started.stop("default", "local", "") == world.switches.stop("default", "local", "")
    assert started.stop("default", "other", "default") is None
    assert started.expects("default") == world.switches.expects("default")
    assert started.expects("acme") == anew(world).expects("acme")


async def test_no_secret_of_a_reason_is_kept() -> None:
    """It is told to agents, and recorded for good."""
    world = World()
    await world.switches.throw(ADMIN, AGENT, "local", reason="leaked sk-ant-" + "a" * 95)
    assert "aaaa" not in str(world.switches.list(ADMIN)) + str(changes(world)[0].body)


async def test_of_several_switches_the_latest_is_listed_first() -> None:
    """Whoever looks wants to know what happened just now."""
    world = World()
    for number in range(3):
        await throw(world, AGENT, f"bot-{number}")
        world.clock.advance(1)
    assert [one.name for one in world.switches.list(ADMIN)] == ["bot-2", "bot-1", "bot-0"]


async def test_a_tenant_has_so_many_switches_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are whole in memory."""
    monkeypatch.setattr(module, "SWITCHES_KEPT", 2)
    world = World()
    await throw(world, AGENT, "a")
    await throw(world, AGENT, "b")
    with pytest.raises(StateConflict, match="stop the tenant"):
        await throw(world, AGENT, "c")
    await release(world, AGENT, "a")
    await throw(world, AGENT, "c")
