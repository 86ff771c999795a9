"""The straight line of one call: decided, durably recorded, forwarded at most once, durably completed."""

import anyio
import anyio.lowlevel
import pytest

from gateway.core.approvals import Granted
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.call import Call
from gateway.core.decision import Effect, Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import TrustTier
from gateway.core.remote import Told
from gateway.errors import AuditUnavailable
from gateway.ports import Conflict
from gateway.services.enforcement import Completion, OutcomeKind
from gateway.services.judged import NO_ROWS, Judged, Rows
from tests.services.calling import ASK, OPERATOR, READ, Other, approved, opened_and_closed, take
from tests.services.remotely import ALLOWED, WAITS, FakeAuthority
from tests.simulate.store import Moment
from tests.simulate.world import LOCAL, FakeCaller, World

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


@pytest.mark.parametrize(("says", "kind"), [(ALLOWED, OutcomeKind.ANSWERED), (WAITS, OutcomeKind.ESCALATED)], ids=str)
async def test_a_remote_authority_is_asked_before_anything_is_forwarded(says: Told, kind: OutcomeKind) -> None:
    """And what it says is written with the decision; its human is asked there, so that nothing is opened here."""
    world = World(remote=FakeAuthority(says))
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.approval_id) == (kind, "")
    assert other.reached == (kind is OutcomeKind.ANSWERED)
    [put] = [put for put in world.entries()[0].puts if put.key.startswith("remote:")] or [None]
    assert (put is None) == (says is ALLOWED)


async def test_a_yes_is_used_only_where_a_remote_authority_has_nothing_against_it() -> None:
    """A call that two humans have to allow is not done for one of them."""
    authority = FakeAuthority(WAITS)
    world = World(policy=ASK, remote=authority)
    other = Other(world)
    await approved(world, other)
    assert ((await take(world, other)).reason, other.reached) == (Reason.AUTHORITY_ESCALATE, 0)
    authority.stands = ALLOWED
    assert ((await take(world, other)).kind, other.reached) == (OutcomeKind.ANSWERED, 1)
