"""Budgets and humans: what waits, is leased or was approved counts when it runs."""

from typing import Any

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.decision import Reason
from gateway.core.leases import Check, Constraint
from gateway.core.principal import Principal, Role
from gateway.core.submission import IntentStatus, Submission
from gateway.services.lease_terms import LeaseTerms
from tests.services.spending import POLICY, SELLER, SUM, at_once, call, reasons, runs, spent, world
from tests.simulate.world import World

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
ASK = POLICY.replace("effect: allow, match: {tools: [refund]}", "effect: escalate, match: {tools: [refund]}").replace(
    "rules:",
    'rules:\n  - {id: most, effect: deny, match: {tools: [refund]}, when: "budget.refunds >= 0.3", reason: all}',
)


async def pending(made: World) -> list[str]:
    return [one.id for one in (await made.list_approvals(HUMAN, page=1, page_size=100)).items]


async def test_what_waits_counts_when_it_runs_with_its_yes() -> None:
    """Ours: a pending call has spent nothing; approved, it is decided on what is left by then."""
    made = world(ASK)
    amounts = [0.1, 0.11, 0.12, 0.13]
    for amount in amounts:
        assert (await call(made, amount))["outcome"] == "pending"
    assert await made.store.get("default", SUM) is None
    for one in await pending(made):
        await made.approvals.resolve(HUMAN, approval_id=one, approve=True)
    said = await at_once(*[lambda amount=amount: call(made, amount) for amount in amounts])  # type: ignore[misc]
    assert [one.get("outcome", "ran") for one in said] == ["deny", "ran", "ran", "ran"]
    assert (runs(made), reasons(made)[Reason.APPROVED]) == (3, 3)
    assert await spent(made) == 330_000


async def test_a_yes_that_came_too_late_is_not_used_up() -> None:
    """Ours: where others have spent what was left, the human's word stands until there is room again, or it expires."""
    made = world(ASK.replace("1d, match", "1m, match"))
    assert (await call(made, 0.2))["outcome"] == "pending"
    (one,) = await pending(made)
    await made.approvals.resolve(HUMAN, approval_id=one, approve=True)
    overtake = made.desk.hold

    async def overtaken(judged: Any) -> Any:
        held = await overtake(judged)
        tally = b"1 1 %d:500000" % made.clock.now().timestamp()
        await made.store.append(
            EntryDraft(
                tenant="default", id="evt_x", type=EntryType.TOOL_PINNED, time="", puts=(Put(key=SUM, value=tally),)
            )
        )
        made.facts.budgets._ahead._lines.clear()
        return held

    made.desk.hold = overtaken  # type: ignore[method-assign]
    assert (await call(made, 0.2))["outcome"] == "deny"
    assert runs(made) == 0
    made.desk.hold = overtake  # type: ignore[method-assign]
    made.clock.advance(120)
    assert "content" in await call(made, 0.2)
    assert runs(made) == 1


async def leased(made: World) -> None:
    """Grant a lease for refunds up to 1, by way of a call of 0.05 that then runs."""
    await call(made, 0.05)
    (one,) = await pending(made)
    terms = LeaseTerms(minutes=10, uses=50, constraints=(Constraint(path="/amount", check=Check.MAX, value=1),))
    await made.leases.approve(HUMAN, terms, approval_id=one, rationale="agreed")
    assert "content" in await call(made, 0.05)


async def test_uses_of_a_lease_count_and_stop_where_the_budget_does() -> None:
    """Ours: a yes to many calls is not a yes to more than the policy gives."""
    made = world(ASK)
    await leased(made)
    said = await at_once(*[lambda n=n: call(made, 0.1 + n / 1000) for n in range(20)])  # type: ignore[misc]
    assert sorted(one.get("reason", "ran") for one in said) == [Reason.POLICY_DENY] * 17 + ["ran"] * 3
    assert (runs(made), reasons(made)[Reason.LEASED]) == (4, 3)
    assert await spent(made) == 353_000


async def test_what_a_lease_no_longer_covers_waits_for_a_human() -> None:
    """Ours: a rule that asks from some sum on was not answered by who said yes before that."""
    made = world(ASK.replace("effect: deny, match: {tools: [refund]}", "effect: escalate, match: {tools: [refund]}"))
    await leased(made)
    said = await at_once(*[lambda n=n: call(made, 0.1 + n / 1000) for n in range(20)])  # type: ignore[misc]
    assert sorted(one.get("outcome", "ran") for one in said) == ["pending"] * 17 + ["ran"] * 3
    assert len(await pending(made)) == 17
    assert (runs(made), await spent(made)) == (4, 353_000)


async def test_an_approved_intent_counts_when_its_token_is_issued() -> None:
    """Ours: by REST, too, what waits has spent nothing."""
    made = world(ASK)
    submission = Submission(agent="local", action="refund", params={"amount": 0.2})
    record = (await made.intents.submit(SELLER, submission)).record
    assert record.status is IntentStatus.PENDING
    assert await made.store.get("default", SUM) is None
    await made.approvals.resolve(HUMAN, intent_id=record.id, approve=True)
    assert (await made.intents.show(SELLER, record.id)).token
    assert await spent(made) == 200_000
