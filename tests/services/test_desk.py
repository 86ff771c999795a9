"""What became of an approved call is found by the same call, and a yes leads to one execution at most."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.holds import HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.outcomes import OUTCOMES
from gateway.core.principal import Principal, Role
from gateway.core.refusal import DECISION_META
from gateway.errors import UpstreamTimeout
from gateway.services import desk as module
from gateway.services.dispatch import Conversation
from gateway.services.judged import NO_ROWS, Held, Judged, OutcomeKind
from tests.simulate.store import Moment
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import LOCAL, FakeCaller, World, tool

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, reason: money}
"""
FIVE = {"amount": 5}
INTENT = Call(method=INTENT_METHOD, upstream="", name="a", uri="", arguments={}, arguments_digest="0" * 64)


def world(policy: str = ASK, holds: HoldTerms | None = None) -> World:
    return World(upstreams=[FakeUpstream(tools=[tool("pay")])], policy=policy, holds=holds)


async def approve(made: World) -> str:
    """Say yes to the one approval that is pending."""
    (one,) = (await made.list_approvals(HUMAN, page=1, page_size=10)).items
    await made.approvals.resolve(HUMAN, approval_id=one.id, approve=True)
    return one.id


async def call(made: World, amount: int = 5, caller: FakeCaller | None = None) -> JsonObject:
    """Call `pay` and return what the gateway says of it, or what the upstream answered."""
    reply = await made.call("pay", {"amount": amount}, caller=caller)
    result = reply.message["result"]
    return result.get("_meta", {}).get(DECISION_META, result)


async def approved(made: World, amount: int = 5) -> str:
    """Make a call that escalates, and say yes to it."""
    assert (await call(made, amount))["outcome"] == "pending"
    return await approve(made)


def text(said: JsonObject) -> str:
    return str(said["content"][0]["text"])


def runs(made: World) -> int:
    return len(made.upstream().calls("pay"))


async def rows(made: World) -> list[str]:
    return [row.key for row in await made.store.scan("default", OUTCOMES)]


async def unheard(made: World, amount: int = 5) -> None:
    """Let an approved call run whose caller leaves while it does."""
    caller = FakeCaller()
    made.upstream().hang("pay")
    before = runs(made)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(call, made, amount, caller))
            while runs(made) == before:
                await anyio.lowlevel.checkpoint()
            caller.left = True
            made.upstream().behave()


async def cancelled(made: World, ask: Callable[[], Awaitable[object]]) -> None:
    """Make a call and cancel it while its upstream works; the upstream then answers."""
    made.upstream().hang("pay")
    before = runs(made)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def run() -> None:
                with scope:
                    await ask()

            tasks.start_soon(run)
            while runs(made) == before:
                await anyio.lowlevel.checkpoint()
            scope.cancel()
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            made.upstream().behave()


# --- once -------------------------------------------------------------------------------------------------------------


async def test_a_yes_is_used_up_with_the_row_that_says_so() -> None:
    """Both are of one transaction: a crash leaves the yes whole, or the call in doubt."""
    made = world()
    await approved(made)
    assert text(await call(made)) == "pay ran"
    decided = made.entries(EntryType.CALL_DECIDED)[-1]
    (running,) = [put for put in decided.puts if put.key.startswith(OUTCOMES)]
    assert running.value is not None
    assert b'"running"' in running.value
    assert await rows(made) == [], "its answer went out: nothing is kept"
    assert runs(made) == 1


async def test_after_its_answer_the_same_call_is_a_new_intent() -> None:
    """A second legitimate payment can be made; a human says yes to it again."""
    made = world()
    first = await approved(made)
    await call(made)
    again = await call(made)
    assert (again["outcome"], again["approval"] != first, runs(made)) == ("pending", True, 1)


async def test_an_answer_that_nobody_heard_is_given_to_the_same_call_once() -> None:
    """The client timed out and calls again: it gets the first result, not a second execution (contract, section 3)."""
    made = world()
    await approved(made)
    await unheard(made)
    (completed,) = made.entries(EntryType.CALL_COMPLETED)
    assert completed.closes
    assert text(await call(made)) == "pay ran"
    assert (runs(made), await rows(made)) == (1, [])
    (replayed,) = made.entries(EntryType.CALL_REPLAYED)
    assert replayed.intent_id == completed.intent_id
    assert (await call(made))["outcome"] == "pending"


async def test_an_answer_that_nobody_heard_is_kept_for_ten_minutes() -> None:
    """Later the same call is a new intent."""
    made = world()
    await approved(made)
    await unheard(made)
    made.clock.advance(599)
    assert len(await rows(made)) == 1
    made.clock.advance(2)
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 1


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_an_approved_call_runs_to_its_end_though_its_agent_gives_up(era: str) -> None:
    """Its time-out does not undo the act; the retry gets the outcome (peers.md 4, "Exactly-once effect")."""
    made = world()
    conversation = await made.conversation()
    await approved(made)
    if era == "modern":
        await cancelled(made, partial(call, made))
    else:
        await cancelled(made, partial(pay, made, conversation))
    assert made.upstream().cancelled == []
    assert [entry.reasons for entry in made.entries(EntryType.CALL_COMPLETED)] == [("ok",)]
    assert text(await call(made)) == "pay ran"
    assert runs(made) == 1


async def pay(made: World, conversation: Conversation) -> JsonObject:
    reply = await made.handle(conversation, "tools/call", {"name": "pay", "arguments": FIVE})
    return dict(reply.message["result"])


async def test_an_answer_is_told_in_the_words_of_the_era_that_asks() -> None:
    """A handshake client has never heard of `resultType`; a modern one must have it."""
    made = world()
    conversation = await made.conversation()
    await approved(made)
    await unheard(made)
    assert "resultType" not in await pay(made, conversation)
    await approved(made, 6)
    await cancelled(made, lambda: made.handle(conversation, "tools/call", {"name": "pay", "arguments": {"amount": 6}}))
    reply = await made.call("pay", {"amount": 6})
    assert reply.message["result"]["resultType"] == "complete"
    assert runs(made) == 2


async def test_a_question_of_the_upstream_is_not_replayed_to_an_era_that_cannot_answer_it() -> None:
    """It would read as an empty success (protocol.md 3.1)."""
    made = world()
    conversation = await made.conversation()
    made.upstream().lie({"result": {"resultType": "input_required", "requestState": "x"}}, "pay")
    await approved(made)
    await call(made, caller=Leaving())
    told = await pay(made, conversation)
    assert told["_meta"][DECISION_META]["outcome"] == "done"


class Leaving(FakeCaller):
    """An agent that is there until its call is sent, and gone when it ends."""

    def connected(self) -> bool:
        return False


@pytest.mark.parametrize(
    "answer",
    [{"result": {"resultType": "complete", "content": [], "n": 2**70}}, {"result": {"resultType": "complete", "t": 1}}],
)
async def test_an_answer_that_cannot_be_kept_is_not_executed_again(
    answer: JsonObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent learns that it was done, and that its answer is gone."""
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 10)
    made = world()
    made.upstream().lie(answer, "pay")
    await approved(made)
    await call(made, caller=Leaving())
    said = await call(made)
    assert (said["outcome"], runs(made)) == ("done", 1)


async def test_a_failure_that_nobody_heard_is_told_as_it_was() -> None:
    """It may have run; the retry must not find out by running it again."""
    made = world()
    made.upstream().fail(UpstreamTimeout("late", may_have_run=True), "pay")
    await approved(made)
    await call(made, caller=Leaving())
    said = await call(made)
    assert (said["outcome"], said["mayHaveRun"], runs(made)) == ("error", True, 1)


async def test_a_call_whose_process_ended_is_in_doubt_and_never_sent_again_by_itself() -> None:
    """The row says that it ran, and nobody lives who could say how it ended."""
    made = world()
    await approved(made)
    made.store.break_append(where=lambda draft: draft.closes)
    assert (await call(made))["reason"] == "audit-unavailable"
    for _ in range(2):
        said = await call(made)
        assert (said["outcome"], said["reason"], said["mayHaveRun"]) == ("error", "in-doubt", True)
    assert runs(made) == 1
    made.clock.advance(601)
    assert (await call(made))["outcome"] == "pending"


@pytest.mark.parametrize("moment", list(Moment))
async def test_a_yes_whose_use_cannot_be_recorded_executes_nothing(moment: Moment) -> None:
    """Also where it is on record after all and nobody could know: then it is in doubt."""
    made = world()
    await approved(made)
    made.store.break_append(moment, where=lambda draft: draft.opens)
    assert (await call(made))["reason"] == "audit-unavailable"
    assert runs(made) == 0
    said = await call(made)
    if moment is Moment.BEFORE:
        assert text(said) == "pay ran"
    else:
        assert (said["reason"], runs(made)) == ("in-doubt", 0)


async def test_what_the_same_call_is_told_is_told_only_once_it_is_on_record() -> None:
    """A kept answer is given once; whether it was must be known."""
    made = world()
    await approved(made)
    await unheard(made)
    made.store.break_append(where=lambda draft: draft.type is EntryType.CALL_REPLAYED)
    assert (await call(made))["reason"] == "audit-unavailable"
    assert text(await call(made)) == "pay ran"
    assert runs(made) == 1


async def test_two_who_come_back_at_once_get_the_same_answer() -> None:
    """Only one takes the row away; neither executes anything."""
    made = world()
    await approved(made)
    await unheard(made)
    said: list[JsonObject] = []

    async def ask() -> None:
        said.append(await call(made))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(ask)
    assert [text(one) for one in said] == ["pay ran"] * 2
    assert (runs(made), len(made.entries(EntryType.CALL_REPLAYED))) == (1, 2)


# --- rows whose time is over ------------------------------------------------------------------------------------------


async def test_rows_whose_time_is_over_go_with_later_escalations() -> None:
    """Nobody may come back for them: they must not fill the store."""
    made = world()
    for amount in range(3):
        await approved(made, amount)
        await unheard(made, amount)
    assert len(await rows(made)) == 3
    made.clock.advance(601)
    await call(made, 9)
    assert await rows(made) == []


async def test_a_row_that_speaks_again_is_not_taken_away() -> None:
    """The same call may have been approved anew meanwhile."""
    made = world()
    await approved(made)
    await unheard(made)
    (key,) = await rows(made)
    made.desk._expiring["default"][key] = "2000-01-01T00:00:00.000Z"
    await call(made, 9)
    assert await rows(made) == [key]


async def test_a_no_is_told_again_with_what_the_human_said_and_no_secret_of_it() -> None:
    """The agent may ask why; whoever reads the record later must find no key there."""
    made = world()
    await call(made)
    (one,) = (await made.list_approvals(HUMAN, page=1, page_size=10)).items
    said = "the budget is spent, ask sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    await made.approvals.resolve(HUMAN, approval_id=one.id, approve=False, rationale=said)
    told = (await made.call("pay", FIVE)).message["result"]["content"][0]["text"]
    assert ("the budget is spent" in told, "sk-proj-" in told) == (True, False)
    made.clock.advance(601)
    assert (await call(made))["outcome"] == "pending"
    assert await rows(made) == []


async def test_a_refusal_whose_approval_is_gone_is_one_still() -> None:
    """What the human said is lost, that it was no is not."""
    made = world()
    await call(made)
    (one,) = (await made.list_approvals(HUMAN, page=1, page_size=10)).items
    await made.approvals.resolve(HUMAN, approval_id=one.id, approve=False)
    del made.store._rows["default", f"approval:{one.id}"]
    said = await call(made)
    assert (said["outcome"], said["reason"], runs(made)) == ("deny", "rejected", 0)


# --- several at once --------------------------------------------------------------------------------------------------


async def at_once(*asks: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for ask in asks:
                tasks.start_soon(ask)


async def test_all_who_wait_for_one_yes_get_the_outcome_of_its_one_execution() -> None:
    """From memory: the answer went out to one of them, so that the store keeps nothing."""
    made = world(holds=HoldTerms(leg_s=60))
    said: list[JsonObject] = []

    async def ask() -> None:
        said.append(await call(made))

    async def yes() -> None:
        while made.holds.count < 3:
            await anyio.lowlevel.checkpoint()
        await approve(made)

    await at_once(ask, ask, ask, yes)
    assert [text(one) for one in said] == ["pay ran"] * 3
    assert (runs(made), await rows(made), made.desk._runs) == (1, [], {})


@pytest.mark.parametrize("moment", range(12))
async def test_one_who_waited_never_asks_a_human_anew_for_what_another_one_has_done(moment: int) -> None:
    """Whichever step the one has come to when the other one executes."""
    made = world(holds=HoldTerms(leg_s=60))
    conversation = await made.conversation()
    said: list[JsonObject] = []

    async def ask() -> None:
        said.append(await pay(made, conversation))

    async def yes() -> None:
        while made.holds.count < 1:
            await anyio.lowlevel.checkpoint()
        await approve(made)
        for _ in range(moment):
            await anyio.lowlevel.checkpoint()
        hasty = FakeCaller()
        hasty.prefer = "wait=0"
        await call(made, caller=hasty)

    await at_once(ask, yes)
    assert runs(made) == 1
    assert text(said[0]) == "pay ran"


async def test_one_who_waited_is_told_what_the_store_has_kept_of_the_other_one() -> None:
    """The other one left before its answer."""
    made = world(holds=HoldTerms(leg_s=60))
    first, second = Leaving(), FakeCaller()
    said: list[JsonObject] = []

    async def ask(caller: FakeCaller) -> None:
        said.append(await call(made, caller=caller))

    async def yes() -> None:
        while made.holds.count < 1:
            await anyio.lowlevel.checkpoint()
        await approve(made)
        await call(made, caller=first)

    await at_once(partial(ask, second), yes)
    assert (text(said[0]), runs(made), await rows(made)) == ("pay ran", 1, [])


async def test_a_rule_that_is_new_opens_another_approval_in_place_of_the_yes() -> None:
    """And the yes is nobody's any more."""
    made = world()
    first = await approved(made)
    made.policies.replace(ASK + "  - {id: more, effect: escalate, reason: more}\n")
    again = await call(made)
    assert (again["outcome"], again["approval"] != first, made.desk._attempts) == ("pending", True, {})


async def test_a_submitted_intent_finds_nobody_elses_outcome() -> None:
    """A program acts itself, with a token; there is nothing to give it again."""
    made = world(ASK.replace("reason", "match: {methods: [intent]}, reason"))
    one, other = [
        await made.enforcement.judge(LOCAL, replace(INTENT, name=name), lambda judged: NO_ROWS) for name in "aa"
    ]
    assert isinstance(one, Judged)
    assert isinstance(other, Judged)
    assert one.approval_id != other.approval_id


async def test_who_comes_for_one_yes_is_not_given_the_outcome_of_another() -> None:
    """The same call may have been approved twice, one after the other."""
    made = world()
    await approved(made)
    await unheard(made)
    kept = await made.store.get("default", (await rows(made))[0])
    assert kept is not None
    tool_call = made.judged[-1].call
    other = Held(intent_id="int_0", approval_id="apr_0", rows=NO_ROWS, over=True)
    outcome = await made.desk.again(LOCAL, tool_call, other)
    assert outcome.kind is OutcomeKind.DONE
    assert await rows(made) == [kept.key]
    assert runs(made) == 1


async def test_who_waited_for_an_approval_that_is_gone_asks_anew() -> None:
    """There is nothing that it could go on with."""
    made = world()
    await call(made)
    judged = replace(made.judged[-1], continues="apr_0")
    held = await made.desk.hold(judged)
    assert held.yes is None
    assert not held.over


async def test_a_gateway_that_stops_wakes_all_who_wait() -> None:
    """They have to be told before the door closes."""
    made = world()
    with made.desk.waiting("apr_1") as watch:
        event = watch.event
        made.desk.wake_all()
        assert event.is_set()
