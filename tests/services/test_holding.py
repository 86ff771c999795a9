"""An escalated call waits for its human, goes on the moment it may, and nothing runs without a yes or twice."""

import anyio
import anyio.lowlevel

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect, Reason
from gateway.core.holds import HoldTerms
from gateway.core.refusal import DECISION_META
from tests.services.held import (
    ASK,
    FIVE,
    HUMAN,
    SHORT,
    Waiter,
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
from tests.simulate.world import FakeCaller

DENY = ASK + "  - {id: never, effect: deny, when: 'risk >= 0', reason: no}\n"


# --- waiting, and going on --------------------------------------------------------------------------------------------


async def test_a_call_goes_on_the_moment_that_its_human_says_yes() -> None:
    """It continues the first intent, is decided again with the yes as a fact, and is forwarded once."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        assert (one.reply, made.holds.count, made.holds.by_tenant) == (None, 1, {"default": 1})
        approval_id = await resolve(made)
    assert (one.text, runs(made), made.holds.count, made.holds.by_tenant) == ("pay ran", 1, 0, {})
    first, second = made.entries(EntryType.CALL_DECIDED)
    assert (first.effect, second.effect, second.intent_id) == (Effect.ESCALATE, Effect.ALLOW, first.intent_id)
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.APPROVED
    assert [entry.intent_id for entry in made.entries(EntryType.CALL_COMPLETED)] == [first.intent_id]


async def test_a_handshake_call_goes_on_as_well() -> None:
    """Both eras have the same promise."""
    made = world()
    conversation = await made.conversation()
    async with waiting(made, say(made, conversation)) as (one,):
        await resolve(made)
    assert (one.text, runs(made)) == ("pay ran", 1)


async def test_a_call_that_its_human_rejects_is_denied_with_what_the_human_said() -> None:
    """The model learns why, and the agent does not ask again at once."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        await resolve(made, approve=False, rationale="not on a Friday")
    assert "not on a Friday" in one.text
    assert (one.record["outcome"], one.record["reason"], runs(made)) == ("deny", "rejected", 0)
    again = await made.call("pay", FIVE)
    assert again.message["result"]["_meta"][DECISION_META]["reason"] == Reason.REJECTED
    assert "not on a Friday" in again.message["result"]["content"][0]["text"]
    assert runs(made) == 0


async def test_a_call_whose_time_runs_out_while_it_waits_is_denied() -> None:
    """An approval that has expired cannot be given any more."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        made.clock.advance(3601)
        await made.approvals.sweep()
    assert (one.record["outcome"], one.record["reason"], runs(made)) == ("deny", "expired", 0)


async def test_a_call_whose_approval_is_gone_is_denied() -> None:
    """What cannot be known is no yes."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        approval_id = await only_approval(made)
        del made.store._rows["default", f"approval:{approval_id}"]
        made.wakeups.wake_all()
    assert (one.record["reason"], runs(made)) == ("expired", 0)


async def test_a_policy_of_today_that_denies_is_above_the_yes() -> None:
    """A yes is a fact, no bypass."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        made.policies.replace(DENY)
        await resolve(made)
    assert (one.record["outcome"], one.record["reason"], runs(made)) == ("deny", "policy-deny", 0)
    ids = {entry.intent_id for entry in made.entries(EntryType.CALL_DECIDED)}
    assert len(ids) == 1, "it is the same intent still"


async def test_a_rule_that_came_later_asks_again_and_the_call_waits_on() -> None:
    """The human has seen one rule, not the other."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        made.policies.replace(ASK + "  - {id: more, effect: escalate, reason: more money}\n")
        first = await resolve(made)
        await settled(made)
        assert one.reply is None
        assert await resolve(made) != first
    assert (one.text, runs(made)) == ("pay ran", 1)


async def test_only_a_tool_call_waits() -> None:
    """A prompt or a resource is read while a program waits for its list; its client knows no pending result."""
    made = world(policy=ASK.replace("reason", "match: {methods: [prompts/get]}, reason"))
    with anyio.fail_after(1):
        reply = await made.modern("prompts/get", {"name": "greet"})
    assert "Waiting for a human" in reply.message["error"]["message"]


# --- when nobody waits any more ---------------------------------------------------------------------------------------


async def test_a_caller_that_is_gone_by_then_is_not_served() -> None:
    """Nobody would receive the answer; the yes waits for the retry."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        one.caller.left = True
        approval_id = await resolve(made)
    assert (runs(made), one.record.get("outcome")) == (0, "pending")
    held = await made.approvals.current("default", approval_id)
    assert held is not None
    assert (held.approval.state, held.used) == (ApprovalState.APPROVED, False)
    assert (await made.call("pay", FIVE)).message["result"]["content"][0]["text"] == "pay ran"


async def test_a_call_whose_key_has_ended_by_then_is_not_run() -> None:
    """Whoever revokes a key must not have to reject what waits for a human in its name as well."""
    made = world()
    ended: set[str] = set()
    made.holds._stands = lambda principal: principal.credential not in ended
    async with waiting(made, pay(made)) as (one,):
        ended.add("keyless")
        approval_id = await resolve(made)
    assert (runs(made), one.record.get("outcome")) == (0, "pending")
    held = await made.approvals.current("default", approval_id)
    assert held is not None
    assert (held.approval.state, held.used) == (ApprovalState.APPROVED, False)


async def test_a_call_that_is_cancelled_while_it_waits_ends_and_its_approval_stays() -> None:
    """`notifications/cancelled`, or a closed stream of the modern era: the human's work is not lost."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        one.scope.cancel()
        await settled(made)
        assert made.holds.count == 0
    approval_id = await resolve(made)
    assert (runs(made), one.reply) == (0, None)
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.APPROVED


async def test_a_gateway_that_stops_ends_all_holds_with_the_pending_text() -> None:
    """In both eras: a leg would end at a closed door."""
    made = world()
    conversation = await made.conversation()
    async with waiting(made, pay(made), say(made, conversation)) as (modern, classic):
        made.holds.stop()
    for one in (modern, classic):
        assert (one.record["outcome"], one.text.startswith("Waiting for a human")) == ("pending", True)
    assert runs(made) == 0
    with anyio.fail_after(1):
        await made.call("pay", FIVE)
    await only_approval(made)


async def test_a_store_that_fails_while_a_call_waits_ends_the_wait() -> None:
    """No store, no calls."""
    made = world()
    async with waiting(made, pay(made)) as (one,):
        made.store.unreadable = "gone"
        made.wakeups.wake_all()
    made.store.unreadable = ""
    assert (one.record["outcome"], one.record["mayHaveRun"], runs(made)) == ("error", False, 0)


# --- several connections, one execution -------------------------------------------------------------------------------


async def test_several_connections_wait_and_one_executes_for_all() -> None:
    """One approval, one yes, one execution; the others get its outcome."""
    made = world()
    conversation = await made.conversation()
    async with waiting(made, pay(made), pay(made), say(made, conversation), pay(made)) as all_of_them:
        await resolve(made)
    assert [one.text for one in all_of_them] == ["pay ran"] * 4
    assert runs(made) == 1
    assert len(made.entries(EntryType.CALL_REPLAYED)) == 3


async def test_a_connection_that_joins_while_the_call_runs_gets_its_outcome() -> None:
    """The client has timed out and calls again."""
    made = world()
    made.upstream().hang("pay")
    async with waiting(made, pay(made)) as (one,):
        await resolve(made)
        await settled(made)
        assert runs(made) == 1
        late = Waiter()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(late.run, pay(made))
            await settled(made)
            made.upstream().behave()
    assert (one.text, late.text, runs(made)) == ("pay ran", "pay ran", 1)


async def test_who_cannot_wait_for_the_other_connection_is_told_that_it_runs() -> None:
    """Its answer is there for the next try."""
    made = world(SHORT)
    made.upstream().hang("pay")
    state = state_of(await made.call("pay", FIVE))
    await resolve(made)
    first = Waiter()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.run, pay(made, requestState=state))
            await settled(made)
            conversation = await made.conversation()
            reply = await say(made, conversation)(FakeCaller())
            assert reply.message["result"]["_meta"][DECISION_META]["outcome"] == "running"
            leg = await pay(made)(FakeCaller())
            assert leg.message["result"]["_meta"][DECISION_META]["outcome"] == "running"
            made.upstream().behave()
    assert (first.text, runs(made)) == ("pay ran", 1)


async def test_the_reads_of_an_approval_that_fail_do_not_leave_a_place_taken() -> None:
    """A cap that never comes down would end all holds."""
    made = world(HoldTerms(leg_s=60, held_per_agent=1))
    state = made.store
    async with waiting(made, pay(made)) as (one,):
        state.unreadable = "gone"
        made.wakeups.wake_all()
        await settled(made)
        state.unreadable = ""
        assert made.holds.count == 0
    assert one.record["outcome"] == "error"
