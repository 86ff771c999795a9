"""A held call ends the moment that a switch or a breaker stops it."""

import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.breaker import BreakerTerms
from gateway.core.refusal import DECISION_META
from gateway.core.switches import SwitchKind
from gateway.errors import AlreadyResolved
from gateway.services.operator import operator
from tests.services.held import (
    ASK,
    FIVE,
    HUMAN,
    LONG,
    SHORT,
    only_approval,
    pay,
    resolve,
    runs,
    say,
    settled,
    state_of,
    waiting,
    world,
)
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World, tool

ADMIN = operator("default")


async def throw(made: World, kind: SwitchKind = SwitchKind.AGENT, name: str = "local") -> None:
    await made.switches.throw(ADMIN, kind, name, reason="runs amok")


@pytest.mark.parametrize(
    ("kind", "name"), [(SwitchKind.AGENT, "local"), (SwitchKind.UPSTREAM, "default"), (SwitchKind.TENANT, "default")]
)
async def test_a_held_call_is_denied_the_moment_that_it_is_switched_off(kind: SwitchKind, name: str) -> None:
    """In both eras, and not after its leg: nobody who stops an agent wants to see it wait for the next human's yes."""
    made = world()
    conversation = await made.conversation()
    async with waiting(made, pay(made), say(made, conversation)) as (modern, classic):
        approval_id = await only_approval(made)
        await throw(made, kind, name)
    for one in (modern, classic):
        assert (one.record["outcome"], one.record["reason"]) == ("deny", "switched-off")
        assert "runs amok" in one.text
    assert (runs(made), made.holds.count) == (0, 0)
    found = await made.approvals.show(HUMAN, approval_id)
    assert (found.state, "runs amok" in found.rationale) == (ApprovalState.CANCELLED, True)
    with pytest.raises(AlreadyResolved, match="cancelled"):
        await made.approvals.resolve(HUMAN, approval_id=approval_id, approve=True)


async def test_a_held_call_is_denied_though_its_approval_cannot_be_cancelled_now() -> None:
    """The store takes nothing more for a while; the switch is in force."""
    made = world()
    made.store.break_append(where=lambda draft: draft.type is EntryType.APPROVAL_RESOLVED, times=100)
    async with waiting(made, pay(made)) as (one,):
        await throw(made)
    assert (one.record["reason"], runs(made)) == ("switched-off", 0)


async def test_a_switch_of_another_leaves_a_held_call_waiting() -> None:
    """Its human may still say yes."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        await throw(made, SwitchKind.AGENT, "somebody-else")
        await settled(made)
        assert one.reply is None
        await resolve(made)
    assert (one.text, runs(made)) == ("pay ran", 1)


async def test_a_call_that_comes_back_for_its_next_leg_finds_the_switch() -> None:
    """It was thrown between two legs, when nobody waited."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    await throw(made)
    reply = await made.modern("tools/call", {"name": "pay", "arguments": FIVE, "requestState": state})
    record = reply.message["result"]["_meta"][DECISION_META]
    assert (record["outcome"], record["reason"], runs(made)) == ("deny", "switched-off", 0)


async def test_a_call_that_comes_back_after_the_release_asks_no_more() -> None:
    """Its approval was cancelled: it is told so, and may ask anew."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    approval_id = await only_approval(made)
    await throw(made)
    await made.switches.release(ADMIN, SwitchKind.AGENT, "local", reason="fixed")
    reply = await made.modern("tools/call", {"name": "pay", "arguments": FIVE, "requestState": state})
    record = reply.message["result"]["_meta"][DECISION_META]
    assert (record["reason"], "runs amok" in str(reply.message)) == ("switched-off", True)
    await made.call("pay", FIVE)
    assert await only_approval(made) != approval_id


async def test_a_call_that_waits_for_the_same_one_is_told_of_the_switch_that_ended_it() -> None:
    """Two connections, one execution, and a human who stops it in the middle."""
    made = world()
    made.upstream().hang("pay")
    async with waiting(made, pay(made), pay(made)) as (one, two):
        await resolve(made)
        await settled(made)
        assert runs(made) == 1
        await throw(made)
    assert "runs amok" in one.text
    assert "runs amok" in two.text
    assert (len(made.upstream().cancelled), runs(made)) == (1, 1)
    assert [entry.reasons for entry in made.entries(EntryType.CALL_COMPLETED)] == [("switched-off",)]


async def test_a_yes_while_the_circuit_is_open_does_not_run_and_is_kept() -> None:
    """The agent is told until when; the same call runs then without asking again."""
    made = World(
        upstreams=[FakeUpstream(tools=[tool("pay")])],
        policy=ASK,
        holds=LONG,
        breaker=BreakerTerms(failures=3, cool_down_s=60),
    )
    async with waiting(made, pay(made)) as (one,):
        made.failures.of["default", "local"] = (3, "2026-11-22T12:00:00.000Z")
        await resolve(made)
    assert (one.record["reason"], runs(made)) == ("circuit-open", 0)
    made.clock.advance(60)
    await made.call("pay", FIVE)
    assert runs(made) == 1
