"""Approvals of what was switched off are cancelled, on record, and no yes of before counts."""

import anyio
import anyio.lowlevel
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.call import Call
from gateway.core.principal import Principal, Role, Scope
from gateway.core.submission import IntentStatus, Submission
from gateway.core.switches import Cancelled, Switch, SwitchKind
from gateway.errors import AlreadyResolved, StateConflict
from gateway.ports import Appended, Conflict
from gateway.services.cancelling import Cancelling, Stopped
from gateway.services.lease_terms import LeaseTerms
from gateway.services.operator import operator
from gateway.services.switches import Switches
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, FakeCaller, World, tool

ADMIN = operator("default")
ASK = ALLOW_ALL.replace("effect: allow", "effect: escalate")
BOT = Principal(tenant="default", agent="bot", credential="key_1", scopes=frozenset(Scope), role=Role.AGENT)


def stops(kind: SwitchKind, name: str) -> Stopped:
    switch = Switch(kind=kind, name=name, who="usr_1", why="amok", since="now")
    return lambda agent, upstream: switch if switch.stops("default", agent, upstream) else None


async def waiting(world: World, agent: str, upstream: str) -> str:
    """Open the approval of a tool-less call, and return its id."""
    call = Call(method="resources/read", upstream=upstream, name="", uri="notes://1", arguments={}, arguments_digest="")
    principal = Principal(tenant="default", agent=agent, credential=f"key_{agent}")

    async def never() -> dict[str, object]:
        raise AssertionError

    return (await world.enforcement.call(principal, call, never, FakeCaller())).approval_id


async def states(world: World, *approvals: str) -> list[str]:
    return [(await world.approvals.show(ADMIN, one)).state.value for one in approvals]


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        (SwitchKind.AGENT, "bot", ["cancelled", "cancelled", "pending"]),
        (SwitchKind.UPSTREAM, "bank", ["cancelled", "pending", "cancelled"]),
        (SwitchKind.TENANT, "default", ["cancelled", "cancelled", "cancelled"]),
        (SwitchKind.AGENT, "nobody", ["pending", "pending", "pending"]),
    ],
)
async def test_what_is_stopped_is_cancelled_and_nothing_else(kind: SwitchKind, name: str, wanted: list[str]) -> None:
    """A human should not be asked in vain, nor the work of one be lost that is not concerned."""
    world = World(policy=ASK)
    places = (("bot", "bank"), ("bot", "files"), ("other", "bank"))
    approvals = [await waiting(world, *place) for place in places]
    done = await Cancelling(world.approvals, world.leases).cancel("default", stops(kind, name))
    assert done == Cancelled(approvals=wanted.count("cancelled"), complete=True)
    assert await states(world, *approvals) == wanted
    for approval_id, state in zip(approvals, wanted, strict=True):
        found = await world.approvals.show(ADMIN, approval_id)
        if state == "cancelled":
            assert (found.resolved_by, "amok" in found.rationale) == ("usr_1", True)
    told = [entry.reasons for entry in world.entries(EntryType.APPROVAL_RESOLVED)]
    assert told == [("cancelled",)] * wanted.count("cancelled")


async def test_a_yes_that_was_not_used_is_cancelled_and_one_that_was_stays() -> None:
    """The first would run when the switch is released, a week later; the second is history."""
    world = World(policy=ASK)
    unused, used, no = [await waiting(world, "bot", one) for one in ("a", "b", "c")]
    for approval_id, approve in ((unused, True), (used, True), (no, False)):
        await world.approvals.resolve(ADMIN, approval_id=approval_id, approve=approve)

    async def forward() -> dict[str, object]:
        return {"result": {}}

    call = Call(method="resources/read", upstream="b", name="", uri="notes://1", arguments={}, arguments_digest="")
    await world.enforcement.call(
        Principal(tenant="default", agent="bot", credential="key_bot"), call, forward, FakeCaller()
    )
    assert (await Cancelling(world.approvals, world.leases).cancel("default", stops(SwitchKind.AGENT, "bot"))).complete
    assert await states(world, unused, used, no) == ["cancelled", "approved", "denied"]


async def test_a_submitted_intent_is_rejected_with_its_approval() -> None:
    """Its program asks for its status, and must not wait for ever; the system is compared as it was written."""
    world = World(policy=ASK)
    made = await world.intents.submit(BOT, Submission(agent="bot", action="pay", system="bank"))
    assert (
        await Cancelling(world.approvals, world.leases).cancel("default", stops(SwitchKind.UPSTREAM, "bank"))
    ).complete
    shown = await world.intents.show(BOT, made.record.id)
    assert (shown.record.status, shown.token) == (IntentStatus.REJECTED, "")


async def test_what_the_store_does_not_take_is_left_and_said() -> None:
    """The others are cancelled all the same."""
    world = World(policy=ASK)
    approvals = [await waiting(world, "bot", one) for one in ("a", "b", "c")]
    world.store.break_append(where=lambda draft: draft.type is EntryType.APPROVAL_RESOLVED)
    cancelling = Cancelling(world.approvals, world.leases)
    done = await cancelling.cancel("default", stops(SwitchKind.AGENT, "bot"))
    assert done == Cancelled(approvals=2, complete=False)
    assert sorted(await states(world, *approvals)) == ["cancelled", "cancelled", "pending"]
    assert (await cancelling.cancel("default", stops(SwitchKind.AGENT, "bot"))).complete
    assert await states(world, *approvals) == ["cancelled"] * 3


async def test_a_human_that_answers_at_the_same_moment_is_overruled() -> None:
    """One of both is first, and the end is the same: nothing runs."""
    world = World(policy=ASK)
    approval_id = await waiting(world, "bot", "a")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: world.approvals.resolve(ADMIN, approval_id=approval_id, approve=True))
            tasks.start_soon(
                Cancelling(world.approvals, world.leases).cancel, "default", stops(SwitchKind.AGENT, "bot")
            )
    assert await states(world, approval_id) == ["cancelled"]
    told = [entry.reasons for entry in world.entries(EntryType.APPROVAL_RESOLVED)]
    assert told == [("approved",), ("cancelled",)]


async def test_an_approval_that_others_change_all_the_time_is_left() -> None:
    """Bounded; it is tried again later."""
    world = World(policy=ASK)
    await waiting(world, "bot", "a")

    async def never(held: object, *, by: str, why: str) -> bool:
        return False

    world.approvals.cancel = never  # type: ignore[method-assign,assignment]
    assert not (
        await Cancelling(world.approvals, world.leases).cancel("default", stops(SwitchKind.AGENT, "bot"))
    ).complete


async def test_an_approval_that_ends_meanwhile_is_no_failure() -> None:
    """It expired between two looks, or is gone."""
    world = World(policy=ASK)
    approval_id = await waiting(world, "bot", "a")
    world.approvals.open = lambda tenant: (approval_id, "apr_gone")  # type: ignore[method-assign]
    world.clock.advance(4000)
    assert (await Cancelling(world.approvals, world.leases).cancel("default", stops(SwitchKind.AGENT, "bot"))).complete
    assert (await world.approvals.show(ADMIN, approval_id)).state is ApprovalState.EXPIRED


# --- leases -----------------------------------------------------------------------------------------------------------

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)


async def leased() -> tuple[World, list[str]]:
    """Return a world in which the local agent has a lease at each of two upstreams."""
    upstreams = [FakeUpstream("bank", tools=[tool("pay")]), FakeUpstream("shop", tools=[tool("pay")])]
    world = World(policy=ASK, upstreams=upstreams)
    leases = []
    for name in ("bank__pay", "shop__pay"):
        await world.call(name, {"amount": 5})
        (one,) = (await world.list_approvals(HUMAN, page=1, page_size=9)).items
        leases.append((await world.leases.approve(HUMAN, LeaseTerms(), approval_id=one.id))[1].id)
    return world, leases


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        (SwitchKind.AGENT, "local", ["revoked", "revoked"]),
        (SwitchKind.UPSTREAM, "shop", ["active", "revoked"]),
        (SwitchKind.AGENT, "nobody", ["active", "active"]),
    ],
)
async def test_a_lease_of_what_is_stopped_ends_for_good(kind: SwitchKind, name: str, wanted: list[str]) -> None:
    """When the switch is released, a week later, nothing runs on a yes of before."""
    world, leases = await leased()
    assert (await Cancelling(world.approvals, world.leases).cancel("default", stops(kind, name))).complete
    found = [(await world.leases.show(HUMAN, one)).lease for one in leases]
    assert [one.state.value for one in found] == wanted
    assert all(one.ended_by == "usr_1" and "amok" in one.ended_reason for one in found if one.ended)


async def test_a_lease_whose_end_the_store_does_not_take_is_left_and_said() -> None:
    """The others end all the same."""
    world, leases = await leased()
    world.store.break_append(where=lambda draft: draft.type is EntryType.LEASE_ENDED)
    cancelling = Cancelling(world.approvals, world.leases)
    assert not (await cancelling.cancel("default", stops(SwitchKind.AGENT, "local"))).complete
    assert len(world.leases.active("default")) == 1
    assert (await cancelling.cancel("default", stops(SwitchKind.AGENT, "local"))).complete
    assert world.leases.active("default") == ()
    assert len(leases) == len(world.entries(EntryType.LEASE_ENDED))


@pytest.mark.parametrize("moment", [EntryType.APPROVAL_RESOLVED, EntryType.LEASE_GRANTED])
async def test_a_lease_that_is_granted_while_a_switch_is_thrown_is_none(
    moment: EntryType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch had ended all that it found; one that came after it would be in force again with its release."""
    world = World(upstreams=[FakeUpstream(tools=[tool("pay")])], policy=ASK)
    switches = Switches(
        audit=world.store,
        state=world.store,
        clock=world.clock,
        ids=world.ids,
        agents=world.agents,
        cancels=Cancelling(world.approvals, world.leases),
        upstreams=frozenset(world.upstreams),
    )
    append = world.store.append

    async def throwing(draft: EntryDraft) -> Appended | Conflict:
        if draft.type is moment:
            monkeypatch.undo()
            await switches.throw(ADMIN, SwitchKind.AGENT, "local", reason="amok")
        return await append(draft)

    await world.call("pay", {"amount": 5})
    (approval,) = world.approvals.open("default")
    monkeypatch.setattr(world.store, "append", throwing)
    with pytest.raises((StateConflict, AlreadyResolved)):
        await world.leases.approve(HUMAN, LeaseTerms(), approval_id=approval)
    await switches.release(ADMIN, SwitchKind.AGENT, "local", reason="fixed")
    assert not world.leases.active("default")
    await world.call("pay", {"amount": 5})
    assert world.upstream().calls() == []


async def test_under_a_switch_no_lease_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval may wait to be cancelled, because the store was slow; a yes to it must not outlive the switch."""
    world = World(upstreams=[FakeUpstream(tools=[tool("pay")])], policy=ASK)
    await world.call("pay", {"amount": 5})
    (approval,) = world.approvals.open("default")
    monkeypatch.setattr(world.approvals, "open", lambda tenant: ())
    await world.switches.throw(ADMIN, SwitchKind.AGENT, "local", reason="amok")
    with pytest.raises(StateConflict):
        await world.leases.approve(HUMAN, LeaseTerms(), approval_id=approval)
    assert not world.leases.active("default")
    assert (await world.approvals.show(ADMIN, approval)).state is ApprovalState.PENDING
