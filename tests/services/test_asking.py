"""A remote authority is asked after everything else, once for each decision, and the stricter answer counts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.decision import Effect, Reason
from gateway.core.remote import Question, Told, read_pending, remote_key, unavailable
from gateway.core.rows import call_key
from gateway.core.submission import Submission
from gateway.services.asking import REFUSED_FOR, WAITS_FOR
from gateway.services.enforcement import Outcome, OutcomeKind
from tests.services.calling import ASK, OPERATOR, READ, Other, approved, take
from tests.services.remotely import ALLOWED, DENIED, OVER, WAITS, FakeAuthority
from tests.simulate.world import ALLOW_ALL, LOCAL, FakeCaller, World

KEY = remote_key(call_key(LOCAL.agent, READ))
DENY = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: never, effect: deny, match: {methods: [resources/read]}, when: "risk >= 0", reason: not here}
  - {id: others, effect: allow, match: {methods: [resources/read]}, reason: fine}
"""


def world_of(authority: FakeAuthority, policy: str = ALLOW_ALL) -> World:
    return World(policy=policy, remote=authority)


def recorded(world: World) -> EntryDraft:
    return world.entries(EntryType.CALL_DECIDED)[-1]


def remembered(world: World) -> str:
    """Return which intent the call waits for at the authority."""
    row = world.store.row("default", KEY)
    return "" if row is None else read_pending(row.value).intent_id


async def test_what_both_allow_is_forwarded_and_the_token_s_id_is_on_record() -> None:
    """The question bears the intent's own id, so that both records can be laid side by side."""
    authority = FakeAuthority()
    world = world_of(authority)
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, other.reached) == (OutcomeKind.ANSWERED, 1)
    assert [asked.key for asked in authority.asked] == [outcome.intent_id]
    [body] = world.bodies(EntryType.CALL_DECIDED)
    assert body["decision"]["rung"] == 8
    assert body["facts"]["remote"]["tokenId"] == "tok_there"
    assert b"a.b.c" not in recorded(world).body


@pytest.mark.parametrize(
    ("says", "kind", "reason", "rung"),
    [
        (DENIED, OutcomeKind.DENIED, Reason.AUTHORITY_DENY, 18),
        (unavailable("gone"), OutcomeKind.DENIED, Reason.AUTHORITY_UNAVAILABLE, 17),
        (WAITS, OutcomeKind.ESCALATED, Reason.AUTHORITY_ESCALATE, 19),
    ],
    ids=str,
)
@pytest.mark.parametrize("policy", [ALLOW_ALL, ASK], ids=["allowed here", "escalated here"])
async def test_the_stricter_answer_counts(
    says: Told, kind: OutcomeKind, reason: Reason, rung: int, policy: str
) -> None:
    """An authority takes away and gives nothing; where both ask for a human, it is the one here first."""
    world = world_of(FakeAuthority(says), policy)
    other = Other(world)
    outcome = await take(world, other)
    both = policy == ASK and says is WAITS
    assert (outcome.kind, outcome.reason) == (kind, Reason.POLICY_ESCALATE if both else reason)
    assert (world.bodies(EntryType.CALL_DECIDED)[0]["decision"]["rung"], other.reached) == (7 if both else rung, 0)
    assert bool(outcome.approval_id) is both
    assert len(world.approvals.open("default")) == int(both)


async def test_what_escalates_here_stays_so_though_the_authority_allows_it() -> None:
    """Stricter is stricter."""
    world = world_of(FakeAuthority(), ASK)
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.reason, other.reached) == (OutcomeKind.ESCALATED, Reason.POLICY_ESCALATE, 0)


async def test_what_is_denied_here_is_not_asked_about() -> None:
    """It ends here; the authority learns nothing of it."""
    authority = FakeAuthority()
    world = world_of(authority, DENY)
    outcome = await take(world, Other(world))
    assert (outcome.kind, authority.asked) == (OutcomeKind.DENIED, [])


@pytest.mark.parametrize(("tenant", "asked"), [("default", 1), ("acme", 1), ("other", 0)])
async def test_calls_of_another_tenant_are_denied_unasked(tenant: str, asked: int) -> None:
    """The key speaks for one tenant; whoever has no tenants of its own is `default`."""
    authority = FakeAuthority()
    world = world_of(authority)
    other = Other(world)
    outcome = await world.enforcement.call(replace(LOCAL, tenant=tenant), READ, other, FakeCaller())
    assert (len(authority.asked), other.reached) == (asked, asked)
    assert asked or outcome.reason == Reason.AUTHORITY_UNAVAILABLE


async def test_a_call_waits_there_until_its_human_has_answered_and_is_then_done_once() -> None:
    """It is not asked about anew meanwhile: one human, one approval; the row goes with its use."""
    authority = FakeAuthority(WAITS)
    world = world_of(authority)
    other = Other(world)
    first = await take(world, other)
    assert (first.kind, first.approval_id) == (OutcomeKind.ESCALATED, "")
    assert "apr_there" in first.explanation
    assert remembered(world) == "int_there"
    await take(world, other)
    assert (len(authority.asked), authority.recalled) == (1, ["int_there"])
    authority.stands = ALLOWED
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED
    assert (other.reached, remembered(world)) == (1, "")
    await take(world, other)
    assert (len(authority.asked), other.reached) == (2, 1)
    assert len({asked.key for asked in authority.asked}) == 2


async def test_a_no_there_answers_for_a_while_and_then_the_call_is_asked_about_anew() -> None:
    """An agent that repeats itself must not make the human repeat it."""
    authority = FakeAuthority(WAITS, stands=DENIED)
    world = world_of(authority)
    other = Other(world)
    await take(world, other)
    for _ in range(2):
        assert (await take(world, other)).reason == Reason.AUTHORITY_DENY
    assert len(authority.asked) == 1
    world.clock.advance(REFUSED_FOR.total_seconds() + 1)
    authority.says = ALLOWED
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED
    assert (len(authority.asked), other.reached, remembered(world)) == (2, 1, "")


async def test_what_is_over_there_is_denied_once_and_then_asked_about_anew() -> None:
    """An approval that nobody answered, or a yes that another one used, is nothing to wait for."""
    authority = FakeAuthority(WAITS, stands=OVER)
    world = world_of(authority)
    other = Other(world)
    await take(world, other)
    assert (await take(world, other)).reason == Reason.AUTHORITY_DENY
    assert remembered(world) == ""
    authority.says = ALLOWED
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED
    assert other.reached == 1


async def test_what_waits_for_longer_than_a_day_is_asked_about_anew() -> None:
    """A row must not stand for ever for what the authority has forgotten."""
    authority = FakeAuthority(WAITS)
    world = world_of(authority)
    await take(world, Other(world))
    world.clock.advance((WAITS_FOR + timedelta(seconds=1)).total_seconds())
    authority.says = replace(WAITS, intent_id="int_new")
    await take(world, Other(world))
    assert (len(authority.asked), remembered(world)) == (2, "int_new")


async def test_what_waits_there_stays_while_the_authority_is_away() -> None:
    """It heals by itself, and nobody is asked twice."""
    authority = FakeAuthority(WAITS, stands=unavailable("gone"))
    world = world_of(authority)
    await take(world, Other(world))
    assert (await take(world, Other(world))).reason == Reason.AUTHORITY_UNAVAILABLE
    assert remembered(world) == "int_there"
    authority.stands = ALLOWED
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_a_yes_here_is_not_used_up_while_the_authority_asks_too() -> None:
    """Both humans are needed; whoever is first waits for the other, and the token there is fetched last."""
    authority = FakeAuthority(WAITS)
    world = world_of(authority, ASK)
    other = Other(world)
    first = await approved(world, other)
    assert authority.recalled == []
    for _ in range(2):
        waits = await take(world, other)
        assert (waits.kind, waits.reason, waits.approval_id) == (
            OutcomeKind.ESCALATED,
            Reason.AUTHORITY_ESCALATE,
            "",
        )
    assert authority.recalled == ["int_there", "int_there"]
    authority.stands = ALLOWED
    done = await take(world, other)
    assert (done.kind, done.intent_id, other.reached) == (OutcomeKind.ANSWERED, first.intent_id, 1)
    assert world.bodies(EntryType.CALL_DECIDED)[-1]["decision"]["rung"] == 12


async def test_a_yes_here_comes_to_nothing_where_the_authority_denies() -> None:
    """And stays: it was not used."""
    authority = FakeAuthority(ALLOWED)
    world = world_of(authority, ASK)
    other = Other(world)
    await approved(world, other)
    authority.says = DENIED
    assert (await take(world, other)).reason == Reason.AUTHORITY_DENY
    authority.says = ALLOWED
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED
    assert other.reached == 1
    assert len({asked.key for asked in authority.asked}) == len(authority.asked)


async def test_one_decision_asks_one_question_however_often_it_starts_again() -> None:
    """The authority counts and records each question, and gives each token once."""
    authority = FakeAuthority()
    world = world_of(authority)
    real, attempts = world.facts.gather, []

    async def gather(*args: Any) -> Any:
        facts = await real(*args)
        attempts.append(1)
        return replace(facts, expects=(Expect(key="x", version=7),)) if len(attempts) < 3 else facts

    world.facts.gather = gather  # type: ignore[method-assign]
    other = Other(world)
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED
    assert (len(authority.asked), other.reached, len(attempts)) == (1, 1, 3)


@pytest.mark.parametrize(
    ("says", "kind"),
    [(WAITS, OutcomeKind.ESCALATED), (ALLOWED, OutcomeKind.ANSWERED), (DENIED, OutcomeKind.DENIED)],
    ids=str,
)
async def test_an_equal_call_that_was_faster_is_waited_for(says: Told, kind: OutcomeKind) -> None:
    """Two at the same moment end with one row, and neither a yes nor a token is lost."""
    authority = FakeAuthority(WAITS)
    world = world_of(authority)
    await take(world, Other(world))
    row = world.store.row("default", KEY)
    assert row is not None
    faster = replace(read_pending(row.value), intent_id="int_faster", approval_id="apr_faster")
    await remove(world)
    authority.says = says
    authority.meanwhile = lambda: put(world, faster.written())
    outcome: Outcome = await take(world, Other(world))
    assert outcome.kind is kind
    assert len(authority.asked) == 2
    if says is WAITS:
        assert remembered(world) == "int_faster"
        assert "apr_faster" in outcome.explanation


async def test_64_equal_calls_at_once_leave_one_thing_to_wait_for() -> None:
    """Whoever loses the race for the row waits for what the winner waits for."""
    authority = FakeAuthority(WAITS)
    world = world_of(authority)
    count = [0]

    async def ask(question: object) -> Told:
        count[0] += 1
        mine = replace(WAITS, intent_id=f"int_{count[0]}", approval_id=f"apr_{count[0]}")
        await anyio.lowlevel.checkpoint()
        return mine

    authority.ask = ask  # type: ignore[method-assign]
    outcomes: list[Outcome] = []

    async def one() -> None:
        outcomes.append(await take(world, Other(world)))

    async with anyio.create_task_group() as tasks:
        for _ in range(64):
            tasks.start_soon(one)
    kept = world.store.row("default", KEY)
    assert kept is not None
    approval = read_pending(kept.value).approval_id
    assert {outcome.kind for outcome in outcomes} <= {OutcomeKind.ESCALATED, OutcomeKind.DENIED}
    assert all(f" {approval}." in one.explanation for one in outcomes if one.kind is OutcomeKind.ESCALATED)


async def test_a_submitted_intent_is_asked_about_too() -> None:
    """There is no second way in: the token that a program gets here rests on the authority's yes."""
    authority = FakeAuthority(DENIED)
    world = world_of(authority)
    submission = Submission(agent="bot", action="notes.search", system="notes", params={"q": "x"})
    denied = await world.intents.submit(OPERATOR, submission)
    assert (denied.record.effect, denied.token) == (Effect.DENY, "")
    authority.says = ALLOWED
    allowed = await world.intents.submit(OPERATOR, submission)
    assert (allowed.record.effect, bool(allowed.token)) == (Effect.ALLOW, True)
    assert [asked.action for asked in authority.asked] == ["notes.search"] * 2


async def test_a_question_waits_for_nothing_that_cannot_be_read() -> None:
    """Without the store nobody knows whether the call waits there."""
    authority = FakeAuthority()
    world = world_of(authority)
    other = Other(world)
    real = world.store.get

    async def get(tenant: str, key: str) -> Any:
        if key == KEY:
            world.store.unreadable = "gone"
        return await real(tenant, key)

    world.store.get = get  # type: ignore[method-assign]
    outcome = await take(world, other)
    assert (outcome.kind, other.reached, authority.asked) == (OutcomeKind.UNRECORDED, 0, [])


def put(world: World, value: bytes | None) -> None:
    """Change the row as somebody else's decision would."""
    draft = EntryDraft(tenant="default", id="evt_x", type=EntryType.CALL_DECIDED, time="")
    world.store._change(draft, 999, [Put(key=KEY, value=value)])


async def remove(world: World) -> None:
    put(world, None)


async def test_what_no_call_waits_for_any_more_goes_with_its_time() -> None:
    """The agent never came back for it; `services/retention.py` removes the row."""
    world = world_of(FakeAuthority(WAITS))
    await take(world, Other(world))
    await world.retention.round()
    assert remembered(world) == "int_there"
    world.clock.advance(WAITS_FOR.total_seconds() + 1)
    await world.retention.round()
    assert remembered(world) == ""


async def test_a_token_that_a_yes_here_made_us_fetch_is_not_lost_where_the_decision_starts_again() -> None:
    """The authority gives it once; a second look there would find it used, and the yes of its human gone."""
    authority = FakeAuthority(WAITS)
    world = world_of(authority, ASK)
    other = Other(world)
    await approved(world, other)
    real, attempts = world.facts.gather, []

    async def recall(question: Question, intent_id: str) -> Told:
        authority.recalled.append(intent_id)
        return ALLOWED if len(authority.recalled) == 1 else OVER

    async def gather(*args: Any) -> Any:
        facts = await real(*args)
        attempts.append(1)
        return replace(facts, expects=(Expect(key="x", version=7),)) if len(attempts) < 2 else facts

    world.facts.gather = gather  # type: ignore[method-assign]
    authority.recall = recall  # type: ignore[method-assign]
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED
    assert (authority.recalled, other.reached, len(attempts)) == (["int_there"], 1, 2)
    assert remembered(world) == ""
