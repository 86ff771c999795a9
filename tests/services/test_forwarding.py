"""From a durable ALLOW to a durable end: forwarded at most once, looked at once more before, ended by a switch."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Reason
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.switches import Switch, SwitchKind
from gateway.core.worth import amounts_of
from gateway.errors import SigningError, UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from gateway.services.enforcement import Completion, Outcome, OutcomeKind
from gateway.services.judged import Judged
from gateway.services.operator import operator
from tests.services.calling import ASK, READ, Other, approved, opened_and_closed, take
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import LOCAL, FakeCaller, World

CREDITED = {"cents": 250, "type": "other", "currency": "USD"}


async def test_an_answer_is_withheld_when_its_end_cannot_be_recorded() -> None:
    """An answer without a record would be an act that nobody can prove."""
    world = World()
    world.store.break_append(where=lambda draft: draft.closes)
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.message, other.reached) == (OutcomeKind.WITHHELD, {}, 1)
    assert outcome.may_have_run


async def test_a_call_is_not_forwarded_once_its_caller_is_gone() -> None:
    """Nobody is there to receive the answer, and the retry would run it twice."""
    world = World()
    caller = FakeCaller()
    caller.left = True
    other = Other(world)
    outcome = await take(world, other, caller=caller)
    assert (outcome.reason, outcome.may_have_run, other.reached) == (Completion.CALLER_GONE, False, 0)
    assert opened_and_closed(world) == ([outcome.intent_id], [outcome.intent_id])


async def test_a_caller_that_is_gone_while_the_store_fails_is_told_nothing_false() -> None:
    """The call did not run, so the outcome must not say that it may have."""
    world = World()
    world.store.break_append(where=lambda draft: draft.closes)
    caller = FakeCaller()
    caller.left = True
    outcome = await take(world, Other(world), caller=caller)
    assert (outcome.kind, outcome.may_have_run) == (OutcomeKind.UNRECORDED, False)


@pytest.mark.parametrize(
    ("answer", "completion"),
    [
        ({"result": {"isError": True, "content": []}}, Completion.TOOL_ERROR),
        ({"result": {"isError": False}}, Completion.OK),
        ({"error": {"code": 1, "message": "no"}}, Completion.RPC_ERROR),
    ],
)
async def test_the_completed_entry_says_how_the_upstream_answered(answer: JsonObject, completion: Completion) -> None:
    """Trust and value rest on what became of a call, not on its decision."""
    world = World()
    outcome = await take(world, Other(world, answer))
    assert (outcome.kind, outcome.message) == (OutcomeKind.ANSWERED, answer)
    assert world.entries(EntryType.CALL_COMPLETED)[0].reasons == (completion,)


@pytest.mark.parametrize(
    "error", [UpstreamTimeout("late", may_have_run=True), UpstreamUnreachable("down", may_have_run=False)]
)
async def test_an_upstream_that_fails_hurts_its_own_call_only(error: UpstreamTimeout | UpstreamUnreachable) -> None:
    """The call ends with a clear outcome and a completed entry; the next call works."""
    world = World()
    failed = await take(world, Other(world, error))
    assert (failed.kind, failed.may_have_run, failed.explanation) == (
        OutcomeKind.FAILED,
        error.may_have_run,
        str(error),
    )
    assert world.bodies(EntryType.CALL_COMPLETED)[0]["completion"] == Completion.UPSTREAM_FAILED
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_an_unforeseen_fault_is_raised_and_still_closes_the_call() -> None:
    """A bug of ours must be loud, but it must not leave the call in doubt."""
    world = World()
    with pytest.raises(ZeroDivisionError):
        await take(world, Other(world, ZeroDivisionError()))
    assert world.entries(EntryType.CALL_COMPLETED)[0].reasons == (Completion.FAULT,)


async def test_what_a_call_is_to_carry_is_prepared_between_the_durable_allow_and_the_forwarding() -> None:
    """A token for a decision that is not durable would be authority that nobody granted."""
    world = World()
    other = Other(world)
    prepared: list[tuple[str, list[EntryType], int]] = []

    async def prepare(judged: Judged) -> None:
        prepared.append((judged.intent_id, [draft.type for draft in world.entries()], other.reached))

    outcome = await world.enforcement.call(LOCAL, READ, other, FakeCaller(), prepare=prepare)
    assert outcome.kind is OutcomeKind.ANSWERED
    assert prepared == [(outcome.intent_id, [EntryType.CALL_DECIDED], 0)]
    assert other.reached == 1


async def test_a_call_that_cannot_be_given_its_token_reaches_nobody() -> None:
    """It did not run, and its end says so."""
    world = World()
    other = Other(world)

    async def prepare(judged: Judged) -> None:
        raise SigningError("no key")

    outcome = await world.enforcement.call(LOCAL, READ, other, FakeCaller(), prepare=prepare)
    assert (outcome.kind, outcome.reason, outcome.may_have_run) == (OutcomeKind.FAILED, Completion.UNSIGNED, False)
    assert (outcome.explanation, other.reached) == ("No authority token: no key.", 0)
    assert opened_and_closed(world) == ([outcome.intent_id], [outcome.intent_id])


async def test_a_fault_while_a_call_is_prepared_is_raised_and_closes_the_call() -> None:
    """A bug of ours must be loud, but it must not leave the call in doubt."""
    world = World()
    other = Other(world)

    async def prepare(judged: Judged) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await world.enforcement.call(LOCAL, READ, other, FakeCaller(), prepare=prepare)
    [completed] = world.bodies(EntryType.CALL_COMPLETED)
    assert (completed["completion"], completed["mayHaveRun"], other.reached) == (Completion.FAULT, False, 0)


async def test_a_caller_that_leaves_while_its_call_is_prepared_is_not_served() -> None:
    """The last look is just before the first byte."""
    world = World()
    caller, other = FakeCaller(), Other(world)

    async def prepare(judged: Judged) -> None:
        caller.left = True

    outcome = await world.enforcement.call(LOCAL, READ, other, caller, prepare=prepare)
    assert (outcome.reason, other.reached) == (Completion.CALLER_GONE, 0)


async def test_a_cancelled_call_closes_its_entry() -> None:
    """A caller that hangs up cannot suppress an audit entry."""
    world = World()
    reached = anyio.Event()

    async def hang() -> JsonObject:
        reached.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as group:
        group.start_soon(world.enforcement.call, LOCAL, READ, hang, FakeCaller())
        with anyio.fail_after(5):
            await reached.wait()
        group.cancel_scope.cancel()
    assert world.entries(EntryType.CALL_COMPLETED)[0].reasons == (Completion.CANCELLED,)


async def test_an_approved_call_that_has_begun_runs_to_its_end_though_it_is_cancelled() -> None:
    """A human's yes is worth one execution: a client that gives up waiting must find its outcome."""
    world = World(policy=ASK)
    begun, go_on = anyio.Event(), anyio.Event()
    await approved(world, Other(world))

    async def slow() -> JsonObject:
        begun.set()
        await go_on.wait()
        return {"result": {"contents": ["done"]}}

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def run() -> None:
                with scope:
                    await world.enforcement.call(LOCAL, READ, slow, FakeCaller())

            tasks.start_soon(run)
            await begun.wait()
            scope.cancel()
            await anyio.lowlevel.checkpoint()
            go_on.set()
    assert [entry.reasons for entry in world.entries(EntryType.CALL_COMPLETED)] == [(Completion.OK,)]
    again = await take(world, Other(world))
    assert again.message == {"result": {"contents": ["done"]}}


async def test_an_approved_call_that_is_cancelled_before_it_has_begun_does_not_run() -> None:
    """Nothing is forwarded once the caller is gone."""
    world = World(policy=ASK)
    other = Other(world)
    await approved(world, other)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await take(world, other)
    assert other.reached == 0
    assert world.entries(EntryType.CALL_COMPLETED)[0].reasons == (Completion.CALLER_GONE,)
    told = await take(world, other)
    assert (told.kind, told.may_have_run, other.reached) == (OutcomeKind.FAILED, False, 0)


def worth_something() -> World:
    return World(amounts=amounts_of(TAXONOMY, "USD", dict.fromkeys(TAXONOMY.by_id, Decimal("2.50"))))


async def test_a_call_that_completed_earns_the_amount_of_its_type() -> None:
    """The credit is in the record, so that it stays when the amounts change; and on the draft for who counts."""
    world = worth_something()
    await take(world, Other(world))
    decided, completed = world.entries()
    kind = TAXONOMY.by_id[world.judged[0].intent.type].value
    assert orjson.loads(completed.body)["value"] == CREDITED | {"type": kind or "other"}
    assert (completed.value_cents, completed.value_type) == (250, kind or "other")
    assert (decided.value_cents, "value" in orjson.loads(decided.body)) == (0, False)


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32000, "message": "no"}},
        {"result": {"isError": True, "content": []}},
        {"result": {"resultType": "input_required", "requestState": "s"}},
        UpstreamBroken("no answer", may_have_run=True),
    ],
)
async def test_a_call_that_did_not_do_what_it_was_for_earns_nothing(answer: JsonObject | Exception) -> None:
    """Never for what failed; and one that asks for more input is not over."""
    world = worth_something()
    await take(world, Other(world, answer))
    (completed,) = world.entries(EntryType.CALL_COMPLETED)
    assert (completed.value_cents, completed.value_type, "value" in orjson.loads(completed.body)) == (0, "", False)


async def test_a_type_without_an_amount_earns_nothing() -> None:
    """Its entry says nothing of value at all, as before there were amounts."""
    world = World(amounts=amounts_of(TAXONOMY, "USD", {"billing.send_invoice": Decimal(1)}))
    await take(world, Other(world))
    assert "value" not in orjson.loads(world.entries(EntryType.CALL_COMPLETED)[0].body)


# --- switched off -----------------------------------------------------------------------------------------------------

ADMIN = operator("default")


async def stop(world: World, kind: SwitchKind = SwitchKind.AGENT, name: str = "local") -> None:
    await world.switches.throw(ADMIN, kind, name, reason="runs amok")


async def test_a_call_that_was_allowed_before_a_switch_is_not_forwarded_after_it() -> None:
    """Between the durable ALLOW and the first byte a token is made; whoever throws a switch meanwhile was promised."""
    world = World()
    other = Other(world)

    async def prepare(judged: Judged) -> None:
        await stop(world)

    outcome = await world.enforcement.call(LOCAL, READ, other, FakeCaller(), prepare=prepare)
    assert (outcome.kind, outcome.reason, outcome.may_have_run) == (OutcomeKind.FAILED, "switched-off", False)
    assert "runs amok" in outcome.explanation
    assert other.reached == 0
    assert opened_and_closed(world) == ([outcome.intent_id], [outcome.intent_id])


class Slow(Other):
    """An other side that answers when it is told to, and takes note of a cancellation."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.begun, self.go_on, self.cancelled = anyio.Event(), anyio.Event(), False

    async def __call__(self) -> JsonObject:
        self.begun.set()
        try:
            await self.go_on.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise
        return await super().__call__()


async def during(world: World, other: Slow, act: Callable[[], Awaitable[None]]) -> list[Outcome]:
    """Do `act` while a call is at its upstream; return the call's outcome, and go on with the same task after it."""
    outcomes: list[Outcome] = []

    async def one() -> None:
        outcomes.append(await take(world, other))
        outcomes.append(await take(world, Other(world)))  # the task has not been harmed

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            await other.begun.wait()
            await act()
    return outcomes


@pytest.mark.parametrize(
    ("kind", "name"), [(SwitchKind.AGENT, "local"), (SwitchKind.UPSTREAM, "default"), (SwitchKind.TENANT, "default")]
)
async def test_a_switch_ends_the_calls_that_are_at_their_upstreams(kind: SwitchKind, name: str) -> None:
    """Whoever stops an agent in mid-deletion wants no more of it; whether it ran is left open, and on record."""
    world = World()
    other = Slow(world)
    first, second = await during(world, other, lambda: stop(world, kind, name))
    assert (other.cancelled, other.reached) == (True, 0)
    assert (first.kind, first.reason, first.may_have_run) == (OutcomeKind.FAILED, "switched-off", True)
    assert "runs amok" in first.explanation
    assert (second.kind, second.reason) == (OutcomeKind.DENIED, Reason.SWITCHED_OFF)
    assert [entry.reasons for entry in world.entries(EntryType.CALL_COMPLETED)] == [("switched-off",)]


async def test_a_switch_ends_no_call_but_those_that_it_stops() -> None:
    """Another agent, another upstream."""
    world = World(upstreams=[FakeUpstream(), FakeUpstream("other")])
    slow = Slow(world)

    async def act() -> None:
        await stop(world, name="somebody-else")
        await stop(world, SwitchKind.UPSTREAM, "other")
        slow.go_on.set()

    first, second = await during(world, slow, act)
    assert (first.kind, second.kind, slow.cancelled) == (OutcomeKind.ANSWERED, OutcomeKind.ANSWERED, False)


@pytest.mark.parametrize("answer", [{"result": {}}, UpstreamBroken("gone", may_have_run=True), RuntimeError("odd")])
async def test_an_answer_of_the_same_moment_is_not_given(answer: JsonObject | Exception) -> None:
    """A stopped agent gets no answer any more, and the end of its call is recorded all the same."""
    world = World()

    class Same(Slow):
        async def __call__(self) -> JsonObject:
            self.begun.set()
            await self.go_on.wait()
            switch = Switch(kind=SwitchKind.AGENT, name="local", who="cli", why="now", since="")
            world.running.end("default", switch)  # with the answer in hand: no wait is left that could be cancelled
            if isinstance(answer, Exception):
                raise answer
            return answer

    other = Same(world)

    async def act() -> None:
        other.go_on.set()

    first, second = await during(world, other, act)
    assert (first.kind, first.reason, first.message) == (OutcomeKind.FAILED, "switched-off", {})
    assert second.kind is OutcomeKind.ANSWERED
    assert [entry.reasons for entry in world.entries(EntryType.CALL_COMPLETED)] == [("switched-off",), ("ok",)]


async def test_a_switch_ends_what_a_human_had_approved_too() -> None:
    """That runs to its end for an agent that gives up waiting, but not against a human who stops it."""
    world = World(policy=ASK)
    other = Slow(world)
    await approved(world, other)
    first, second = await during(world, other, lambda: stop(world))
    assert (first.reason, first.may_have_run, other.cancelled, other.reached) == ("switched-off", True, True, 0)
    assert second.reason == Reason.SWITCHED_OFF


async def test_an_agent_that_hangs_up_as_it_is_stopped_leaves_one_end_on_record() -> None:
    """Two cancellations of one task."""
    world = World()
    other = Slow(world)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def one() -> None:
                with scope:
                    await take(world, other)

            tasks.start_soon(one)
            await other.begun.wait()
            scope.cancel()
            await stop(world)
    assert len(world.entries(EntryType.CALL_COMPLETED)) == 1
    assert opened_and_closed(world)[0] == opened_and_closed(world)[1]
