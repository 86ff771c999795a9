"""An escalated call waits for its human, goes on the moment it may, and nothing runs without a yes or twice."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.breaker import BreakerTerms
from gateway.core.decision import Effect, Reason
from gateway.core.holds import LEGS, HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role
from gateway.core.refusal import DECISION_META
from gateway.core.switches import SwitchKind
from gateway.errors import AlreadyResolved
from gateway.services import holding as module
from gateway.services.dispatch import Conversation, Reply
from gateway.services.operator import operator
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import FakeCaller, World, tool

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, reason: money}
"""
ALLOW = ASK.replace("escalate", "allow")
DENY = ASK + "  - {id: never, effect: deny, when: 'risk >= 0', reason: no}\n"
LONG = HoldTerms(leg_s=60, hold_s=60, held_per_agent=50)
SHORT = HoldTerms(leg_s=0.01, hold_s=0.01)
FIVE = {"amount": 5}


def world(terms: HoldTerms = LONG, policy: str = ASK, *tools: JsonObject) -> World:
    return World(upstreams=[FakeUpstream(tools=tools or [tool("pay")])], policy=policy, holds=terms)


class Waiter:
    """One call that waits, as a task: what it was answered, and when."""

    def __init__(self) -> None:
        self.caller = FakeCaller()
        self.scope = anyio.CancelScope()
        self.reply: Reply | None = None

    async def run(self, ask: Callable[[FakeCaller], Awaitable[Reply]]) -> None:
        with self.scope:
            self.reply = await ask(self.caller)

    @property
    def record(self) -> JsonObject:
        assert self.reply is not None
        return self.reply.message["result"].get("_meta", {}).get(DECISION_META, {})

    @property
    def text(self) -> str:
        assert self.reply is not None, "no answer yet"
        return str(self.reply.message["result"]["content"][0]["text"])


@asynccontextmanager
async def waiting(made: World, *asks: Callable[[FakeCaller], Awaitable[Reply]]) -> AsyncIterator[list[Waiter]]:
    """Let calls wait inside of the block, and take their answers after it, bounded in time."""
    waiters = [Waiter() for _ in asks]
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for waiter, ask in zip(waiters, asks, strict=True):
                tasks.start_soon(waiter.run, ask)
            await settled(made)
            yield waiters


async def settled(made: World) -> None:
    """Return once every call that could has come to its wait."""
    for _ in range(60):
        await anyio.lowlevel.checkpoint()


def pay(made: World, arguments: JsonObject | None = None, **params: object) -> Callable[[FakeCaller], Awaitable[Reply]]:
    """Return a call of `pay` in the modern era."""
    given = {"name": "pay", "arguments": arguments or FIVE, **params}
    return lambda caller: made.modern("tools/call", given, caller=caller)


def say(made: World, conversation: Conversation, **meta: object) -> Callable[[FakeCaller], Awaitable[Reply]]:
    """Return a call of `pay` in the handshake era."""
    params: JsonObject = {"name": "pay", "arguments": FIVE, **({"_meta": meta} if meta else {})}
    return lambda caller: made.handle(conversation, "tools/call", params, caller)


async def only_approval(made: World) -> str:
    (one,) = (await made.approvals.list(HUMAN, page=1, page_size=10)).items
    return one.id


async def resolve(made: World, *, approve: bool = True, rationale: str = "") -> str:
    approval_id = await only_approval(made)
    await made.approvals.resolve(HUMAN, approval_id=approval_id, approve=approve, rationale=rationale)
    return approval_id


def runs(made: World) -> int:
    return len(made.upstream().calls("pay"))


def state_of(reply: Reply) -> str:
    result = reply.message["result"]
    assert result["resultType"] == "input_required", result
    return str(result["requestState"])


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


# --- how long ---------------------------------------------------------------------------------------------------------


async def test_a_handshake_call_that_nobody_answers_ends_as_pending() -> None:
    """Its client knows nothing of legs."""
    made = world(SHORT)
    conversation = await made.conversation()
    reply = await made.handle(conversation, "tools/call", {"name": "pay", "arguments": FIVE})
    approval_id = await only_approval(made)
    text = reply.message["result"]["content"][0]["text"]
    assert f"intended approvals approve {approval_id}" in text
    assert "resultType" not in reply.message["result"]


async def test_a_modern_call_that_nobody_answers_goes_through_its_legs_and_ends_as_pending() -> None:
    """A client's own limit is 10 retries, and then an exception that no model sees."""
    made = world(SHORT)
    reply = await made.call("pay", FIVE)
    states = []
    while reply.message["result"]["resultType"] == "input_required":
        assert reply.message["result"]["_meta"][DECISION_META]["outcome"] == "pending"
        states.append(state_of(reply))
        reply = await made.modern("tools/call", {"name": "pay", "arguments": FIVE, "requestState": states[-1]})
    assert (len(states), len(set(states))) == (LEGS - 1, LEGS - 1)
    result = reply.message["result"]
    assert (result["isError"], result["resultType"]) == (True, "complete")
    assert result["_meta"][DECISION_META]["rule"] == "ask"
    assert len(made.entries(EntryType.CALL_DECIDED)) == 1, "waiting on is no new decision"


async def test_a_leg_goes_on_where_the_last_one_ended() -> None:
    """The yes may come between two legs."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    await resolve(made)
    reply = await made.modern("tools/call", {"name": "pay", "arguments": FIVE, "requestState": state})
    assert (reply.message["result"]["content"][0]["text"], runs(made)) == ("pay ran", 1)
    assert "requestState" not in made.upstream().calls("pay")[0].params
    assert len({entry.intent_id for entry in made.entries(EntryType.CALL_DECIDED)}) == 1


async def test_what_a_call_carried_beside_its_arguments_reaches_the_upstream_after_the_legs() -> None:
    """The agent's retry has our state in place of its upstream's, and no answers: they would be lost."""
    made = world(SHORT)
    answers = {"name": {"action": "accept", "content": {"name": "Ada"}}}
    first = await pay(made, requestState="theirs", inputResponses=answers)(FakeCaller())
    await resolve(made)
    await pay(made, requestState=state_of(first))(FakeCaller())
    (sent,) = made.upstream().calls("pay")
    assert (sent.params["requestState"], sent.params["inputResponses"]) == ("theirs", answers)


async def test_a_call_that_carries_too_much_is_not_held_in_legs() -> None:
    """Its agent would send it back nine times."""
    made = world(SHORT)
    reply = await pay(made, requestState="x" * 50_000)(FakeCaller())
    assert reply.message["result"]["isError"] is True


async def test_an_agent_may_ask_for_no_wait() -> None:
    """`Prefer: wait=0`: its client wants to know at once."""
    made = world()
    caller = FakeCaller()
    caller.prefer = "wait=0"
    with anyio.fail_after(1):
        reply = await pay(made)(caller)
    assert reply.message["result"]["isError"] is True


async def test_an_agent_holds_a_bounded_number_of_calls() -> None:
    """Each holds a connection; one agent must not take them all."""
    made = world(HoldTerms(leg_s=60, held_per_agent=1))
    async with waiting(made, pay(made)) as (one,):
        with anyio.fail_after(1):
            reply = await pay(made, {"amount": 6})(FakeCaller())
        state = reply.message["result"].get("requestState")
        if state:
            with anyio.fail_after(1):
                reply = await pay(made, {"amount": 6}, requestState=state)(FakeCaller())
            assert "money" in str(reply.message["result"].get("content", "money"))
        one.scope.cancel()


async def test_an_agent_that_asked_for_progress_hears_that_its_call_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients show it, and some wait longer for it; numbers rise, and stay below those of an upstream."""
    monkeypatch.setattr(module, "PROGRESS_S", 0.01)
    made = world(HoldTerms(leg_s=0.05, hold_s=0.05))
    conversation = await made.conversation()
    caller = FakeCaller()
    await say(made, conversation, progressToken="p")(caller)
    assert {method for method, _ in caller.told} == {"notifications/progress"}
    numbers = [params["progress"] for _, params in caller.told]
    assert len(numbers) > 1
    assert numbers == sorted(set(numbers))
    assert numbers[-1] <= 0
    assert {params["progressToken"] for _, params in caller.told} == {"p"}


async def test_nobody_hears_of_progress_that_was_not_asked_for() -> None:
    """A client without a token could not tell what it is about; true is no token."""
    made = world(SHORT)
    conversation = await made.conversation()
    caller = FakeCaller()
    await say(made, conversation, progressToken=True)(caller)
    assert caller.told == []


# --- the state that goes from leg to leg ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state[:-4] + ("AAAA" if state[-4:] != "AAAA" else "BBBB"),
        lambda state: state[:40],
        lambda state: module.STATE_PREFIX,
        lambda state: module.STATE_PREFIX + "not base64!",
        lambda state: module.STATE_PREFIX + "é",
    ],
)
async def test_a_state_that_was_changed_is_refused(spoil: Callable[[str], str]) -> None:
    """It is sealed: whoever changes it comes nowhere."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    await resolve(made)
    reply = await pay(made, requestState=spoil(state))(FakeCaller())
    assert (reply.message["error"]["code"], runs(made)) == (-32602, 0)
    assert made.entries(EntryType.REQUEST_REFUSED)


async def test_a_state_of_another_call_is_refused() -> None:
    """Who waits for five may not come back for six."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    await resolve(made)
    reply = await pay(made, {"amount": 6}, requestState=state)(FakeCaller())
    assert ("another call" in reply.message["error"]["message"], runs(made)) == (True, 0)


async def test_a_state_of_another_agent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one agent waits for is not another one's."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    await resolve(made)
    eve = Principal(tenant="default", agent="eve", credential="key_2")
    monkeypatch.setattr("tests.simulate.world.LOCAL", eve)
    reply = await pay(made, requestState=state)(FakeCaller())
    assert (reply.message["error"]["code"], runs(made)) == (-32602, 0)


async def test_a_state_that_is_too_old_is_refused() -> None:
    """Nobody stores them; they must not live for ever."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    made.clock.advance(601)
    reply = await pay(made, requestState=state)(FakeCaller())
    assert "too old" in reply.message["error"]["message"]


async def test_a_state_of_an_upstream_passes() -> None:
    """It is between the agent and its upstream."""
    made = world(policy=ALLOW)
    await pay(made, requestState="theirs")(FakeCaller())
    await made.modern("resources/read", {"uri": "notes://1", "requestState": "theirs"})
    assert made.upstream().calls("pay")[0].params["requestState"] == "theirs"


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


# --- switched off while it waits --------------------------------------------------------------------------------------

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
