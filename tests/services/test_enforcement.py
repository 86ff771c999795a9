"""The straight line of one call: decided, durably recorded, forwarded at most once, durably completed."""

from decimal import Decimal

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.approvals import Granted
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.call import Call
from gateway.core.decision import Effect, Reason
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role, TrustTier
from gateway.core.worth import amounts_of
from gateway.errors import AuditUnavailable, SigningError, UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from gateway.ports import Conflict
from gateway.services.enforcement import Completion, Outcome, OutcomeKind
from gateway.services.judged import NO_ROWS, Judged, Rows
from tests.simulate.store import Moment
from tests.simulate.world import LOCAL, FakeCaller, World

READ = Call(
    method="resources/read", upstream="default", name="", uri="notes://1", arguments={}, arguments_digest="0" * 64
)
DENY_ALL = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: never, effect: deny, match: {methods: [resources/read]}, reason: not here}
  - {id: others, effect: allow, match: {methods: [resources/read], uris: ["other://*"]}, reason: fine}
"""
DENY_SOME = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: never, effect: deny, match: {methods: [resources/read]}, when: "risk >= 0", reason: not here}
  - {id: others, effect: allow, match: {methods: [resources/read]}, reason: fine}
"""
ESCALATE = DENY_ALL.replace("effect: deny", "effect: escalate")


class Other:
    """The other side of a call: counts how often it was reached, and what was durable by then."""

    def __init__(self, world: World, answer: JsonObject | Exception | None = None) -> None:
        self.world = world
        self.answer = answer or {"result": {"contents": []}}
        self.durable: list[list[EntryType]] = []

    async def __call__(self) -> JsonObject:
        self.durable.append([draft.type for draft in self.world.entries()])
        await anyio.lowlevel.checkpoint()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def reached(self) -> int:
        return len(self.durable)


async def take(world: World, other: Other, call: Call = READ, caller: FakeCaller | None = None) -> Outcome:
    return await world.enforcement.call(LOCAL, call, other, caller or FakeCaller())


def opened_and_closed(world: World) -> tuple[list[str], list[str]]:
    """Return the intents that were left to run, and those whose end is recorded."""
    drafts = world.entries()
    return [one.intent_id for one in drafts if one.opens], [one.intent_id for one in drafts if one.closes]


async def test_an_allowed_call_is_durable_before_it_is_forwarded_and_its_end_before_the_answer() -> None:
    """Promise 1: no byte leaves before the ALLOW is on disk."""
    world = World()
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.message) == (OutcomeKind.ANSWERED, {"result": {"contents": []}})
    assert other.durable == [[EntryType.CALL_DECIDED]]
    decided, completed = world.entries()
    assert (decided.effect, decided.opens, decided.intent_id) == (Effect.ALLOW, True, outcome.intent_id)
    assert (completed.type, completed.closes, completed.reasons) == (EntryType.CALL_COMPLETED, True, (Completion.OK,))
    assert [judged.intent_id for judged in world.judged] == [outcome.intent_id]


async def test_a_denied_call_reaches_nobody_and_is_recorded() -> None:
    """Only ALLOW is forwarded."""
    world = World(policy=DENY_SOME)
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.reason, outcome.rule) == (OutcomeKind.DENIED, Reason.POLICY_DENY, "never")
    assert other.reached == 0
    assert [(one.effect, one.opens) for one in world.entries()] == [(Effect.DENY, False)]


async def test_a_target_that_can_never_be_had_is_hidden() -> None:
    """A principal must not learn that something exists which is denied whatever the arguments."""
    world = World(policy=DENY_ALL)
    outcome = await take(world, Other(world))
    assert outcome.kind is OutcomeKind.HIDDEN


async def test_an_escalated_call_reaches_nobody() -> None:
    """Until a human has approved there is nothing to forward."""
    world = World(policy=ESCALATE)
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.ESCALATED, Reason.POLICY_ESCALATE)
    assert other.reached == 0


@pytest.mark.parametrize("moment", list(Moment))
async def test_nothing_reaches_the_upstream_when_the_decision_cannot_be_recorded(moment: Moment) -> None:
    """No store, no calls: also where the entry is there after all but nobody could know."""
    world = World()
    world.store.break_append(moment)
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.UNRECORDED, Reason.AUDIT_UNAVAILABLE)
    assert (outcome.may_have_run, other.reached) == (False, 0)


async def test_nothing_reaches_the_upstream_when_a_fact_cannot_be_read() -> None:
    """A missing fact is no default."""
    world = World()
    world.store.unreadable = "gone"
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.reason, other.reached) == (OutcomeKind.UNRECORDED, Reason.FACTS_UNAVAILABLE, 0)


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


async def test_a_call_cancelled_while_its_decision_is_recorded_is_closed_and_not_forwarded() -> None:
    """The decision is durable, so its end must be too; the upstream is never reached."""
    world = World()
    world.store.held = anyio.Event()
    other = Other(world)
    async with anyio.create_task_group() as group:
        group.start_soon(take, world, other)
        with anyio.fail_after(5):
            while not world.store.attempts:
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
        world.store.held.set()
    opened, closed = opened_and_closed(world)
    assert (len(opened), opened, other.reached) == (1, closed, 0)
    assert world.entries(EntryType.CALL_COMPLETED)[0].reasons == (Completion.CALLER_GONE,)


async def test_a_decision_starts_again_when_what_it_rests_on_changed_and_is_given_up_after_three_attempts() -> None:
    """Conditional append: sums and single use are exact, and contention ends in DENY."""
    world = World()
    real, attempts = world.facts.gather, []

    async def gather(*args: object) -> object:
        facts = await real(*args)  # type: ignore[arg-type]
        attempts.append(facts)
        object.__setattr__(facts, "expects", (Expect(key="counter", version=7),))
        return facts

    world.facts.gather = gather  # type: ignore[method-assign,assignment]
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.DENIED, Reason.CONTENTION)
    assert (len(attempts), other.reached) == (4, 0)


async def test_an_agent_with_too_many_calls_in_flight_is_refused_at_once_and_can_call_again_later() -> None:
    """One hung upstream must not queue calls without bound."""
    world = World(calls_per_agent=1)
    reached, release = anyio.Event(), anyio.Event()

    async def slow() -> JsonObject:
        reached.set()
        await release.wait()
        return {"result": {}}

    async with anyio.create_task_group() as group:
        group.start_soon(world.enforcement.call, LOCAL, READ, slow, FakeCaller())
        with anyio.fail_after(5):
            await reached.wait()
        other = Other(world)
        outcome = await take(world, other)
        assert (outcome.kind, outcome.reason, other.reached) == (OutcomeKind.DENIED, Reason.BUSY, 0)
        release.set()
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_a_first_allowed_call_is_novel_and_the_next_is_not() -> None:
    """Novelty is a fact of the record: it is written with the decision that ends it."""
    world = World()
    await take(world, Other(world))
    await take(world, Other(world))
    assert [judged.facts.novel for judged in world.judged] == [True, False]
    assert [len(one.puts) for one in world.entries(EntryType.CALL_DECIDED)] == [1, 0]


async def test_a_tier_caps_what_an_allow_rule_may_allow() -> None:
    """The recorded tier is the one in force."""
    world = World(tier=TrustTier.T1)
    await take(world, Other(world))
    assert world.bodies(EntryType.CALL_DECIDED)[0]["facts"]["tier"] == 1


async def test_a_certain_denial_is_recorded_and_told_as_asked() -> None:
    """What has no definition cannot be decided, but it is on record."""
    world = World()
    outcome = await world.enforcement.deny(LOCAL, READ, Reason.UNKNOWN_TOOL, "none", kind=OutcomeKind.HIDDEN)
    assert (outcome.kind, outcome.explanation) == (OutcomeKind.HIDDEN, "none")
    assert world.entries()[0].effect == Effect.DENY
    world.store.down = "full"
    outcome = await world.enforcement.deny(LOCAL, READ, Reason.UNKNOWN_TOOL, "none", kind=OutcomeKind.HIDDEN)
    assert outcome.kind is OutcomeKind.UNRECORDED


async def test_arguments_can_be_kept_out_of_the_body() -> None:
    """An operator may keep digests only."""
    world = World(show_arguments=False)
    await take(world, Other(world))
    assert "arguments" not in world.bodies(EntryType.CALL_DECIDED)[0]["call"]


def test_drafts_are_values() -> None:
    """Two entries that say the same are the same."""
    assert EntryDraft(tenant="t", id="e", type=EntryType.CALL_DECIDED, time="") == EntryDraft(
        tenant="t", id="e", type=EntryType.CALL_DECIDED, time=""
    )


# --- decided and not forwarded ----------------------------------------------------------------------------------------

INTENT = Call(
    method="intent", upstream="github", name="read the report", uri="", arguments={}, arguments_digest="0" * 64
)
MARK = Rows(expects=(Expect(key="mark", version=0),), puts=(Put(key="mark", value=b"1"),))
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, match: {methods: ["*"]}, reason: a person should look}
"""
OPERATOR = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)


async def test_a_submitted_intent_is_decided_and_left_open_by_nothing() -> None:
    """Its program acts, not the gateway; the rows of its front are written with the decision."""
    world = World()
    judged = await world.enforcement.judge(LOCAL, INTENT, lambda judged: MARK)
    assert isinstance(judged, Judged)
    assert judged.decision.effect is Effect.ALLOW
    (entry,) = world.entries()
    assert (entry.opens, entry.upstream, entry.tool) == (False, "github", "read the report")
    assert {put.key for put in entry.puts} >= {"mark"}
    assert world.judged == [judged]
    again = await world.enforcement.judge(LOCAL, INTENT, lambda judged: NO_ROWS, intent_id="int_x")
    assert isinstance(again, Judged)
    assert (again.intent_id, again.facts.novel) == ("int_x", False)


@pytest.mark.parametrize("policy", [ASK, DENY_ALL])
async def test_nothing_is_decided_where_a_row_that_the_front_expects_has_changed(policy: str) -> None:
    """Also a DENY is no answer to somebody else's idempotency key."""
    world = World(policy=policy)
    await world.enforcement.judge(LOCAL, INTENT, lambda judged: MARK)
    told = len(world.judged)
    outcome = await world.enforcement.judge(LOCAL, INTENT, lambda judged: MARK)
    assert outcome == Conflict(key="mark")
    assert (len(world.entries(EntryType.CALL_DECIDED)), len(world.judged)) == (1, told)


async def test_an_intent_whose_facts_keep_changing_is_denied_and_its_rows_still_count() -> None:
    """Contention ends in DENY; the front's own rows are as it expects."""
    world = World()
    real = world.facts.gather

    async def gather(*args: object) -> object:
        facts = await real(*args)  # type: ignore[arg-type]
        object.__setattr__(facts, "expects", (Expect(key="counter", version=7),))
        return facts

    world.facts.gather = gather  # type: ignore[method-assign,assignment]
    judged = await world.enforcement.judge(LOCAL, INTENT, lambda judged: MARK)
    assert isinstance(judged, Judged)
    assert judged.decision.reason is Reason.CONTENTION
    assert await world.store.get("default", "mark") is not None


async def test_an_intent_that_cannot_be_recorded_raises() -> None:
    """A face answers 503; nothing was decided."""
    world = World()
    world.store.down = "full"
    with pytest.raises(AuditUnavailable):
        await world.enforcement.judge(LOCAL, INTENT, lambda judged: NO_ROWS)
    assert world.judged == []


async def test_an_escalated_call_names_its_approval_and_goes_on_with_the_yes() -> None:
    """The first intent is continued; the yes is a fact of its second decision."""
    world = World(policy=ASK)
    other = Other(world)
    first = await take(world, other)
    assert (first.kind, bool(first.approval_id), other.reached) == (OutcomeKind.ESCALATED, True, 0)
    await world.approvals.resolve(OPERATOR, approval_id=first.approval_id, approve=True)
    second = await take(world, other)
    assert (second.kind, second.intent_id, other.reached) == (OutcomeKind.ANSWERED, first.intent_id, 1)
    assert world.judged[-1].facts.approval is not None


async def test_a_yes_to_another_question_opens_a_new_approval() -> None:
    """The rule has changed since."""
    world = World(policy=ASK)
    other = Other(world)
    first = await take(world, other)
    await world.approvals.resolve(OPERATOR, approval_id=first.approval_id, approve=True)
    world.policies.replace(ASK.replace("a person", "two persons"))
    second = await take(world, other)
    assert (second.kind, second.intent_id, other.reached) == (OutcomeKind.ESCALATED, first.intent_id, 0)
    assert second.approval_id not in ("", first.approval_id)


async def test_without_a_desk_an_escalated_call_ends_there() -> None:
    """Nobody can say yes to it."""
    world = World(policy=ASK)
    world.enforcement._desk = None
    outcome = await take(world, Other(world))
    assert (outcome.kind, outcome.approval_id) == (OutcomeKind.ESCALATED, "")
    assert [put.key for put in world.entries()[0].puts] == []


async def test_an_intent_is_decided_again_with_the_yes_that_it_is_given() -> None:
    """By REST the yes belongs to the intent, not to the next one that looks like it."""
    world = World(policy=ASK)
    first = await world.enforcement.judge(LOCAL, INTENT, lambda judged: NO_ROWS)
    assert isinstance(first, Judged)
    rules = frozenset((rule.id, rule.digest) for rule in first.decision.rules)
    again = await world.enforcement.judge(
        LOCAL,
        INTENT,
        lambda judged: NO_ROWS,
        intent_id=first.intent_id,
        approval=Granted(id=first.approval_id, rules=rules),
    )
    assert isinstance(again, Judged)
    assert (again.decision.reason, again.intent_id) == (Reason.APPROVED, first.intent_id)


async def approved(world: World, other: Other) -> Outcome:
    """Let one call escalate, and say yes to it."""
    first = await take(world, other)
    await world.approvals.resolve(OPERATOR, approval_id=first.approval_id, approve=True)
    return first


async def test_a_call_that_its_human_has_rejected_is_denied_under_its_intent() -> None:
    """The no is on record as a decision, and reaches nobody."""
    world = World(policy=ASK)
    other = Other(world)
    first = await take(world, other)
    await world.approvals.resolve(OPERATOR, approval_id=first.approval_id, approve=False, rationale="no")
    second = await take(world, other)
    assert (second.kind, second.reason, second.intent_id) == (OutcomeKind.DENIED, Reason.REJECTED, first.intent_id)
    assert (other.reached, world.entries(EntryType.CALL_DECIDED)[-1].effect) == (0, Effect.DENY)


async def test_a_call_goes_on_under_the_intent_that_it_has_waited_for() -> None:
    """There is one intent, whatever today's policy makes of it."""
    world = World(policy=ASK)
    other = Other(world)
    first = await approved(world, other)
    waited = (first.intent_id, first.approval_id)
    outcome = await world.enforcement.call(LOCAL, READ, other, FakeCaller(), waited=waited)
    assert (outcome.kind, outcome.intent_id, other.reached) == (OutcomeKind.ANSWERED, first.intent_id, 1)


async def test_the_same_call_is_told_the_outcome_of_the_first_and_nothing_is_forwarded() -> None:
    """Its agent had left, and comes back for it."""
    world = World(policy=ASK)
    other = Other(world)
    await approved(world, other)

    class Leaving(FakeCaller):
        def connected(self) -> bool:
            return False

    await take(world, other, caller=Leaving())
    again = await take(world, other)
    assert (again.message, other.reached) == ({"result": {"contents": []}}, 1)


@pytest.mark.parametrize("failing", [True, False])
async def test_a_yes_that_could_not_be_used_leaves_no_attempt_behind(failing: bool) -> None:
    """Else the same call would be said to run, for ever."""
    world = World(policy=ASK)
    other = Other(world)
    await approved(world, other)
    if failing:
        world.store.break_append(where=lambda draft: draft.opens)
        assert (await take(world, other)).kind is OutcomeKind.UNRECORDED
    else:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(take, world, other)
    assert (other.reached, world.desk._attempts) == (0 if failing else 1, {})


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


# --- value ------------------------------------------------------------------------------------------------------------

CREDITED = {"cents": 250, "type": "other", "currency": "USD"}


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
