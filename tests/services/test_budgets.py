"""Budgets through the whole gate: exactly as much runs as fits, and nobody is sent away for coming together."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.decision import BY_BUDGET, Effect, Reason
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.submission import Submission
from gateway.errors import UpstreamUnreachable
from gateway.services import enforcement
from gateway.services.audit_query import decisions
from gateway.services.budgets import OVERTAKEN
from gateway.services.recompute import recompute
from tests.services.spending import POLICY, REFUND, SELLER, SUM, at_once, call, reasons, runs, spent, world
from tests.services.trusthouse import House
from tests.simulate.store import MemoryStore, Moment

COUNT = "budget:calls:count:agent:local"


# --- exactness --------------------------------------------------------------------------------------------------------


async def test_of_64_at_once_exactly_those_run_that_fit() -> None:
    """The card: sums hold exactly with 64 concurrent callers at the limit; none is denied for coming together."""
    made = world(POLICY.replace("6.4", "3.7"))
    await at_once(*[lambda: call(made)] * 64)
    assert reasons(made) == {Reason.POLICY_ALLOW: 37, Reason.NO_RULE: 27}
    assert runs(made) == 37
    assert await spent(made) == 3_700_000


async def test_64_times_a_tenth_is_6_4() -> None:
    """Ours: sums are decimal; in binary fractions the last call would be a hair too much."""
    made = world()
    await at_once(*[lambda: call(made)] * 64)
    assert (runs(made), await spent(made)) == (64, 6_400_000)
    assert (await call(made))["outcome"] == "deny"


async def test_a_rate_holds_with_64_at_once() -> None:
    """The card: rates hold exactly, too, and the refused ones never reach the upstream."""
    made = world()
    await at_once(*[lambda: call(made, name="read")] * 64)
    assert reasons(made) == {Reason.POLICY_ALLOW: 20, Reason.POLICY_DENY: 44}
    assert (runs(made, "read"), await spent(made, COUNT)) == (20, 20)


async def test_both_fronts_spend_of_the_same_budget() -> None:
    """Ours: an agent that submits by REST what it may no longer call has no second budget."""
    made = world(POLICY.replace("6.4", "3.0"))
    submission = Submission(agent="local", action="refund", params={"amount": 0.1})

    async def submit() -> object:
        return (await made.intents.submit(SELLER, submission)).record.effect

    ends = await at_once(*[submit] * 9) + await at_once(*[lambda: call(made)] * 9)  # who comes first is left to chance
    ends += await at_once(*[submit, submit, lambda: call(made)] * 15, submit)
    allowed = reasons(made)[Reason.POLICY_ALLOW]
    assert allowed == 30
    assert runs(made) + ends.count(Effect.ALLOW) == 30
    assert 9 <= runs(made) <= 21
    assert await spent(made) == 3_000_000


async def test_different_amounts_never_go_beyond_the_limit() -> None:
    """Ours: whatever order they come in, what is allowed adds up to no more than the limit."""
    made = world(POLICY.replace("6.4", "100.0"))
    await at_once(*[lambda amount=amount: call(made, amount) for amount in range(1, 65)])  # type: ignore[misc]
    amounts = [one.params["arguments"]["amount"] for one in made.upstream().calls("refund")]
    assert sum(amounts) * 10**6 == await spent(made) <= 100 * 10**6
    assert 100 - sum(amounts) < min({*range(1, 65)} - {*amounts})


async def test_a_budget_that_is_only_read_is_exact_too() -> None:
    """Ours: a rule may look at what another tool has spent, and must not miss what is spent at this moment."""
    made = world(POLICY.replace("count.calls >= 20", "budget.refunds >= 0.5"))
    await at_once(*[lambda: call(made), lambda: call(made, name="read")] * 20)
    order = [draft.tool for draft in made.entries(EntryType.CALL_DECIDED) if draft.effect == Effect.ALLOW]
    fifth = [place for place, name in enumerate(order) if name == "refund"][4]
    assert "read" not in order[fifth + 1 :]
    assert set(reasons(made)) == {Reason.POLICY_ALLOW, Reason.POLICY_DENY}


async def test_calls_that_come_to_nothing_take_nobody_s_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: where an append fails, those that went by it are decided again, and what fits still runs."""
    made = world(POLICY.replace("6.4", "3.0"))
    await call(made)
    made.store.break_append(where=lambda draft: draft.effect == Effect.ALLOW, skip=3, times=5)
    await at_once(*[lambda: call(made)] * 64)
    # Those denied while five failures were on their way were denied by what would have been spent.
    assert Reason.CONTENTION not in reasons(made)
    assert runs(made) * 100_000 == await spent(made)
    assert 24 <= runs(made) <= 30
    await at_once(*[lambda: call(made)] * 10)
    assert (runs(made), await spent(made)) == (30, 3_000_000)


async def test_an_append_of_which_nobody_knows_is_counted_where_it_was_written() -> None:
    """Ours: an allowed entry in the chain is spent, although its call was refused as unrecorded."""
    made = world(POLICY.replace("6.4", "1.0"))
    made.store.break_append(Moment.AFTER, where=lambda draft: draft.effect == Effect.ALLOW, skip=2)
    await at_once(*[lambda: call(made)] * 20)
    await at_once(*[lambda: call(made)] * 20)
    assert (runs(made), await spent(made)) == (9, 1_000_000)


async def test_a_call_is_decided_again_as_often_as_those_before_it_come_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ours: attempts are for what a decision rests on; a wrong guess about others is not the call's own bad luck."""
    made = world()
    await call(made, name="read")
    guess = await made.store.get("default", COUNT)
    assert guess is not None
    outcomes = []
    append = MemoryStore.append

    async def spoiled(self: MemoryStore, draft: EntryDraft) -> object:
        if draft.type is EntryType.CALL_DECIDED and len(outcomes) < spoil:
            await append(
                self,
                replace(
                    draft,
                    type=EntryType.TOOL_PINNED,
                    opens=False,
                    puts=(Put(key=COUNT, value=b"1 1 1:%d" % len(outcomes)),),
                    unchanged=(),
                ),
            )
        outcomes.append(await append(self, draft))
        return outcomes[-1]

    monkeypatch.setattr(MemoryStore, "append", spoiled)
    spoil = enforcement.ATTEMPTS + 2
    assert "content" in await call(made, name="read")
    outcomes.clear()
    spoil = OVERTAKEN + enforcement.ATTEMPTS
    assert (await call(made, name="read"))["reason"] == Reason.CONTENTION
    assert runs(made, "read") == 2


# --- what counts ------------------------------------------------------------------------------------------------------


async def test_only_what_was_allowed_counts() -> None:
    """Ours: a denied call has spent nothing, and one that its match does not name neither."""
    made = world()
    assert (await call(made, 7))["outcome"] == "deny"
    assert (await call(made, name="other"))["outcome"] == "deny"
    assert await made.store.get("default", SUM) is None
    await call(made, name="read")
    assert await made.store.get("default", SUM) is None
    assert await spent(made, COUNT) == 1


async def test_what_was_allowed_stays_spent_although_it_did_not_run() -> None:
    """Ours: an amount that came back could be spent twice, by whoever can make its calls fail."""
    made = world(POLICY.replace("6.4", "0.1"))
    made.upstream().fail(UpstreamUnreachable("down", may_have_run=False), "refund")
    await call(made)
    assert made.entries(EntryType.CALL_COMPLETED)[0].reasons == ("upstream-failed",)
    made.upstream().behave()
    assert (await call(made))["outcome"] == "deny"


@pytest.mark.parametrize("amount", [-1, "1", None, True, [1], 1e300])
async def test_what_cannot_be_counted_never_reaches_the_upstream(amount: Any) -> None:
    """Ours: a negative amount would refill the budget."""
    made = world(POLICY.replace('when: "budget.refunds + double(args.amount) <= 6.4"', "reason: any"))
    await call(made, 1)
    said = await call(made, amount)
    assert (said["outcome"], said["reason"]) == ("deny", Reason.BUDGET)
    assert (runs(made), await spent(made)) == (1, 1_000_000)


async def test_the_window_slides() -> None:
    """Ours: what was spent comes back as it grows old, and not all of it at midnight."""
    made = world(POLICY.replace("6.4", "0.4"))
    for _ in range(4):
        assert "content" in await call(made)
        made.clock.advance(6 * 3600)
    made.clock.advance(-1)
    assert (await call(made))["outcome"] == "deny"
    made.clock.advance(86_400 / 60 + 1)
    assert "content" in await call(made)
    assert (await call(made))["outcome"] == "deny"
    made.clock.advance(86_400 * 2)
    assert "content" in await call(made)


async def test_each_agent_has_its_own_account_and_a_tenant_one_for_all() -> None:
    """Ours: `per` says whose account it is."""
    own = world(POLICY.replace("6.4", "0.1"))
    shared = world(POLICY.replace("6.4", "0.1").replace("per: agent", "per: tenant"))
    submission = Submission(agent="somebody", action="refund", params={"amount": 0.1})
    for made, effect in ((own, Effect.ALLOW), (shared, Effect.DENY)):
        await call(made)
        submitted = await made.intents.submit(replace(SELLER, agent="somebody"), submission)
        assert submitted.record.effect is effect


async def test_a_budget_outlives_the_process() -> None:
    """Ours: who restarts the gateway has not spent less."""
    made = world(POLICY.replace("6.4", "0.2"))
    await call(made)
    after = world(POLICY.replace("6.4", "0.2"))
    after.store._rows = made.store._rows
    assert "content" in await call(after)
    assert (await call(after))["outcome"] == "deny"


async def test_a_changed_policy_goes_on_from_what_was_spent() -> None:
    """Ours: an edit is no way to spend again; another name is another budget."""
    made = world(POLICY.replace("6.4", "0.2"))
    await call(made)
    await call(made)
    made.policies.replace(POLICY.replace("6.4", "0.2").replace("1d", "7d").replace("[refund]", "[refund, other]"))
    assert (await call(made))["outcome"] == "deny"
    made.policies.replace(POLICY.replace("6.4", "0.2").replace("refunds", "refunds_anew"))
    assert "content" in await call(made)


async def test_who_is_denied_for_what_was_spent_learns_when_to_come_back() -> None:
    """The time is the ladder's own: a second earlier the answer is the same, at that time the call runs."""
    made = world(POLICY.replace("6.4", "0.4"))
    for _ in range(4):
        await call(made)
        made.clock.advance(3600)
    said = await call(made)
    assert (said["outcome"], said["reason"], said["retry"]) == ("deny", Reason.NO_RULE, "later")
    made.clock.advance(said["retryAfterS"] - 1)
    assert (await call(made))["retryAfterS"] == 1
    assert runs(made) == 4
    made.clock.advance(1)
    assert "content" in await call(made)
    assert runs(made) == 5


async def test_a_program_is_told_as_an_agent_is() -> None:
    """By REST the same account is spent, and comes back at the same second."""
    made = world(POLICY.replace("6.4", "0.2"))
    submission = Submission(agent="local", action="refund", params={"amount": 0.1})
    for _ in range(2):
        assert (await made.intents.submit(SELLER, submission)).respite is None
    denied = await made.intents.submit(SELLER, submission)
    assert (denied.record.effect, denied.token) == (Effect.DENY, "")
    assert denied.respite is not None
    assert denied.respite.after_s == (await call(made))["retryAfterS"]


async def test_what_is_more_than_the_whole_budget_is_denied_for_good() -> None:
    """No window helps a call that is too large for an empty account."""
    made = world()
    await call(made)
    said = await call(made, 7)
    assert (said["outcome"], said["retry"], "retryAfterS" in said) == ("deny", "never", False)


async def test_a_denial_for_a_budget_alone_is_marked_and_no_other_is() -> None:
    """The mark is hashed into the chain: by it a stranger tells an agent at its limit from one that is forbidden."""
    made = world(POLICY.replace("6.4", "0.2").replace(">= 20", ">= 3"))
    for amount in (0.1, 0.1, 0.1, 7):
        await call(made, amount)
    for _ in range(2):
        await call(made, name="read")
    await call(made, name="other")
    await made.intents.submit(SELLER, Submission(agent="local", action="refund", params={"amount": 0.1}))
    assert [draft.reasons for draft in made.entries(EntryType.CALL_DECIDED)] == [
        ("policy-allow", "within"),
        ("policy-allow", "within"),
        ("no-rule", BY_BUDGET),
        ("no-rule",),
        ("policy-allow", "reads"),
        ("policy-deny", "fast", "reads", BY_BUDGET),
        ("no-rule",),
        ("no-rule", BY_BUDGET),
    ]


async def test_an_agent_at_its_limit_loses_no_trust_and_is_not_stopped() -> None:
    """It does what it may do, too often; and of a budget of the tenant others may have taken the last."""
    made = world(POLICY.replace(">= 20", ">= 1"))
    trust = House(store=made.store).trust
    await call(made, name="read")
    before = trust.held("default", "local")
    assert before is not None
    record = before.record
    for _ in range(30):
        assert (await call(made, name="read"))["outcome"] == "deny"
    assert before.record == record
    assert trust.failing("default", "local") is None
    await call(made, name="other")
    assert before.record != record, "what no rule allows is a slip, budget or not"


# --- first use --------------------------------------------------------------------------------------------------------


async def test_of_many_first_calls_at_once_one_is_the_first() -> None:
    """The card: first use of a tool is exact, too."""
    made = world(
        """
apiVersion: intended/v1
policySet: test
rules:
  - {id: once, effect: allow, match: {tools: [read]}, when: call.first_use}
"""
    )
    await at_once(*[lambda: call(made, name="read")] * 20)
    assert reasons(made) == {Reason.POLICY_ALLOW: 1, Reason.NO_RULE: 19}
    assert runs(made, "read") == 1


# --- the record -------------------------------------------------------------------------------------------------------


async def test_what_was_read_and_added_is_on_record_and_the_verdict_is_recomputed() -> None:
    """The card: budgets are part of the recorded facts, and `intended audit recompute` makes the same of them."""
    made = world(POLICY.replace("6.4", "0.35"))
    for _ in range(4):
        await call(made)
    for judged in made.judged:
        (decision,) = await decisions(made.store, "default", judged.intent_id)
        assert recompute(decision, bundle=made.policies.current(), definition=REFUND, taxonomy=TAXONOMY).same
    bodies = made.bodies(EntryType.CALL_DECIDED)
    assert [body["facts"]["budgets"] for body in bodies] == [{"refunds": spent / 10} for spent in range(4)]
    assert [body["facts"]["counts"] for body in bodies] == [{"calls": count} for count in range(4)]
    assert [body["decision"].get("charges") for body in bodies] == [{"refunds": 100_000, "calls": 1}] * 3 + [None]


async def test_a_record_whose_sum_is_another_is_found() -> None:
    """Ours: what was added can be checked against the arguments."""
    made = world()
    await call(made)
    (decision,) = await decisions(made.store, "default", made.judged[0].intent_id)
    body = orjson.loads(orjson.dumps(decision.body))
    body["decision"]["charges"]["refunds"] = 1
    found = recompute(
        replace(decision, body=body), bundle=made.policies.current(), definition=REFUND, taxonomy=TAXONOMY
    )
    assert found.differences == ("charges: {'refunds': 1, 'calls': 1} → {'refunds': 100000, 'calls': 1}",)


# --- failing closed ---------------------------------------------------------------------------------------------------


async def test_an_account_that_cannot_be_read_refuses_the_call() -> None:
    """Ours: a damaged account is no empty one."""
    made = world()
    await made.store.append(
        EntryDraft(
            tenant="default", id="evt_x", type=EntryType.TOOL_PINNED, time="", puts=(Put(key=SUM, value=b"garbage"),)
        )
    )
    await call(made)
    assert runs(made) == 0


async def test_a_bundle_without_budgets_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: who declares none pays nothing."""
    made = world("apiVersion: intended/v1\npolicySet: test\nrules: [{id: all, effect: allow}]\n")
    monkeypatch.setattr(made.facts, "budgets", None)
    assert "content" in await call(made)
    made.policies.replace(
        POLICY.replace("[refund]", "[nothing]").replace(
            "{count: calls, per", "{count: calls, match: {tools: [nothing]}, per"
        )
    )
    monkeypatch.undo()
    await call(made, name="other")
    assert await made.store.scan("default", "budget:") == []
