"""A yes is for one call, which is the one that was asked about, and for once."""

from dataclasses import replace

import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect, Reason
from gateway.core.jsonvalue import JsonObject
from tests.services.approving import (
    ASK,
    HUMAN,
    PAY,
    call,
    escalated,
    pending,
    read_call,
    resolve,
    times_run,
    unreachable,
    world,
)
from tests.simulate.world import LOCAL, FakeCaller


async def test_the_same_call_finds_its_pending_approval_again() -> None:
    """One intent, one approval, however often the agent asks."""
    made = world()
    first, second = await call(made), await call(made)
    assert first == second
    assert (await pending(made)).total == 1


async def test_an_approved_call_runs_once_and_then_asks_anew() -> None:
    """Approving authorises that very call once; it goes on under its first intent."""
    made = world()
    approval_id = await escalated(made)
    approved = await resolve(made, HUMAN, approval_id)
    assert "content" in await call(made)
    assert times_run(made) == 1
    decided = made.entries(EntryType.CALL_DECIDED)
    assert [one.effect for one in decided] == [Effect.ESCALATE, Effect.ALLOW]
    assert {one.intent_id for one in decided} == {approved.intent_id}
    assert decided[-1].reasons[0] == Reason.APPROVED
    assert (decided[-1].opens, made.entries(EntryType.CALL_COMPLETED)[0].intent_id) == (True, approved.intent_id)
    assert await escalated(made) != approval_id
    assert times_run(made) == 1


@pytest.mark.parametrize("change", ["arguments", "agent", "tool"])
async def test_a_call_that_differs_asks_for_its_own_approval(change: str) -> None:
    """Change one byte of the arguments, the agent or the definition, and the yes is for something else."""
    made = world()
    approval_id = await escalated(made)
    await resolve(made, HUMAN, approval_id)
    if change == "tool":
        made.catalog.forget_listing("default")
        made.upstream().tools = [PAY | {"description": "Pay anybody."}]
    if change == "agent":
        outcome = await made.enforcement.call(
            replace(LOCAL, agent="other"), made.judged[-1].call, unreachable, FakeCaller()
        )
        assert outcome.approval_id not in ("", approval_id)
        return
    said = await call(made, {"amount": 6} if change == "arguments" else None)
    assert said["approval"] != approval_id
    assert times_run(made) == 0


async def test_a_policy_that_denies_today_denies_in_spite_of_a_yes() -> None:
    """An approval is a fact, not a bypass."""
    made = world()
    await resolve(made, HUMAN, await escalated(made))
    made.policies.replace(ASK + '  - {id: never, effect: deny, when: "args.amount > 1", reason: no more}\n')
    said = await call(made)
    assert (said["outcome"], said["rule"], times_run(made)) == ("deny", "never", 0)


async def test_a_rule_that_is_new_asks_again_and_an_unrelated_change_does_not() -> None:
    """The first yes is used up by the question that it does not answer."""
    made = world()
    approval_id = await escalated(made)
    await resolve(made, HUMAN, approval_id)
    made.policies.replace(ASK + "  - {id: ask-too, effect: escalate, reason: more money}\n")
    again = await escalated(made)
    assert again != approval_id
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.FAILED
    await resolve(made, HUMAN, again)
    made.policies.replace(
        ASK + "  - {id: ask-too, effect: escalate, reason: more money}\n"
        "  - {id: elsewhere, effect: escalate, match: {tools: [other]}, reason: x}\n"
    )
    assert "content" in await call(made)
    assert times_run(made) == 1


async def test_what_is_not_a_tool_call_waits_for_its_approval_too() -> None:
    """Resources and prompts escalate like tools."""
    made = world(ASK.replace("effect: escalate,", "effect: escalate, match: {methods: [resources/read]},"))
    outcome = await made.enforcement.call(LOCAL, read_call(), unreachable, FakeCaller())
    await resolve(made, HUMAN, outcome.approval_id)

    async def answer() -> JsonObject:
        return {"result": {"contents": []}}

    done = await made.enforcement.call(LOCAL, read_call(), answer, FakeCaller())
    assert (done.intent_id, done.message) == (outcome.intent_id, {"result": {"contents": []}})
