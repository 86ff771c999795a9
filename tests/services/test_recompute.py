"""A verdict can be recomputed from what was kept, and a difference shows."""

from dataclasses import replace

import pytest

from gateway.core.decision import BY_BUDGET
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import Principal, Role, Scope
from gateway.core.remote import Told, fact_of
from gateway.core.submission import Submission
from gateway.core.switches import SwitchKind
from gateway.services.audit_query import RecordedDecision, decisions
from gateway.services.operator import operator
from gateway.services.recompute import Recomputation, recompute
from tests.services.remotely import ALLOWED, DENIED, WAITS, FakeAuthority
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, World, bundle, tool

NOTES = tool("search_notes", description="Search the notes.")
SOME = """
apiVersion: intended/v1
policySet: some
rules:
  - {id: short, effect: allow, match: {tools: [search_notes]}, when: "size(args.q) < 9", reason: short}
  - {id: long, effect: escalate, match: {tools: [search_notes]}, when: "size(args.q) > 20", reason: long}
"""


async def recorded(world: World, arguments: JsonObject, name: str = "search_notes") -> RecordedDecision:
    await world.call(name, arguments)
    (decision,) = await decisions(world.store, "default", world.judged[-1].intent_id)
    return decision


def again(world: World, decision: RecordedDecision, definition: JsonObject | None = NOTES) -> Recomputation:
    return recompute(decision, bundle=world.policies.current(), definition=definition, taxonomy=TAXONOMY)


@pytest.mark.parametrize("query", ["short", "of middling length", "rather longer than anybody would like"])
async def test_a_verdict_is_recomputed_from_the_record(query: str) -> None:
    """ALLOW, DENY and ESCALATE alike, by somebody who only has the store."""
    world = World(upstreams=[FakeUpstream(tools=[NOTES])], policy=SOME)
    decision = await recorded(world, {"q": query})
    assert again(world, decision) == Recomputation(seq=decision.seq, intent_id=world.judged[0].intent_id)
    assert again(world, decision).same


async def test_a_changed_tool_is_recomputed_as_changed() -> None:
    """That it was unreviewed and new is part of the facts."""
    world = World(upstreams=[FakeUpstream(tools=[NOTES])])
    await recorded(world, {"q": "x"})
    world.catalog.forget_listing("default")
    changed = NOTES | {"description": "Deletes the notes."}
    world.upstream().tools = [changed]
    decision = await recorded(world, {"q": "x"})
    assert again(world, decision, changed).same
    assert decision.body["call"]["review"] == "changed"


async def test_a_call_without_tool_needs_no_definition() -> None:
    """Resources and prompts have none."""
    world = World()
    await world.modern("resources/read", {"uri": "notes://1"})
    (decision,) = await decisions(world.store, "default", world.judged[0].intent_id)
    assert again(world, decision, None).same


async def test_the_answers_of_a_round_are_part_of_what_is_recomputed() -> None:
    """They raised the risk then; left out, the verdict would not follow from the record."""
    world = World(upstreams=[FakeUpstream(tools=[NOTES])])
    answers = {"q": {"action": "accept", "content": {"path": "/etc/shadow"}}}
    await world.modern("tools/call", {"name": "search_notes", "arguments": {"q": "x"}, "inputResponses": answers})
    (decision,) = await decisions(world.store, "default", world.judged[-1].intent_id)
    assert decision.entry["risk"] > 80
    assert again(world, decision).same


async def test_a_record_that_says_otherwise_is_found() -> None:
    """An entry whose verdict does not follow from its facts was not made by this gateway."""
    world = World(upstreams=[FakeUpstream(tools=[NOTES])], policy=SOME)
    decision = await recorded(world, {"q": "of middling length"})
    forged = replace(decision, entry={**decision.entry, "effect": "ALLOW"})
    found = again(world, forged)
    assert not found.same
    assert found.differences == ("effect: ALLOW → DENY",)


async def test_what_is_no_longer_kept_is_said() -> None:
    """No recomputation is better than a guessed one."""
    world = World(upstreams=[FakeUpstream(tools=[NOTES])], policy=SOME)
    decision = await recorded(world, {"q": "short"})
    other: Bundle = bundle(ALLOW_ALL)
    gone = replace(decision, evaluation_input=None)
    assert "no longer kept" in again(world, gone).problem
    assert "tool's definition" in again(world, decision, None).problem
    for wrong in (None, replace(other, digest="0" * 64)):
        found = recompute(decision, bundle=wrong, definition=NOTES, taxonomy=TAXONOMY)
        assert "policy of that time" in found.problem


async def test_a_refusal_outside_of_the_ladder_is_not_recomputed() -> None:
    """An upstream that was down then says nothing about the policy."""
    world = World(upstreams=[FakeUpstream("a"), FakeUpstream("b")])
    decision = await recorded(world, {}, "nobody__x")
    assert "rests on no rule" in again(world, decision, None).problem


KEY = Principal(tenant="default", agent="key-1", credential="key_1", scopes=frozenset({Scope.INTENTS_WRITE}))
INTENTS = """
apiVersion: intended/v1
policySet: some
rules:
  - {id: reads, effect: allow, match: {effects: [read]}, reason: fine}
  - {id: pays, effect: escalate, match: {effects: [payment]}, when: "args.amount < 100", reason: money}
"""


@pytest.mark.parametrize(
    "submission",
    [
        Submission(agent="ci", action="read the report", system="crm", description="Weekly", justification="asked"),
        Submission(agent="ci", action="billing.process_refund", declared_type="billing.process_refund",
                   params={"amount": 5}),
        Submission(agent="ci", action="deploy " + "x" * 600),
        Submission(agent="restricted", action="read the report"),
    ],
)  # fmt: skip
async def test_what_was_submitted_by_rest_is_recomputed_from_the_record(submission: Submission) -> None:
    """All of what the program said, and what its agent had declared, is in the evaluation input."""
    world = World(policy=INTENTS)
    await world.agents.register(KEY, name="restricted", domains=["billing"])
    intent = (await world.intents.submit(KEY, submission)).record
    (decision,) = await decisions(world.store, "default", intent.id)
    assert again(world, decision, None) == Recomputation(seq=decision.seq, intent_id=intent.id)


async def test_a_decision_that_rests_on_a_yes_is_recomputed_with_it() -> None:
    """The yes is a fact of the second decision, and no fact of the first."""
    world = World(policy=INTENTS)
    submission = Submission(agent="ci", action="pay the invoice", params={"amount": 5})
    intent = (await world.intents.submit(KEY, submission)).record
    operator = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)
    await world.approvals.resolve(operator, approval_id=intent.approval_id, approve=True)
    assert (await world.intents.show(KEY, intent.id)).token
    first, second = await decisions(world.store, "default", intent.id)
    assert (first.entry["effect"], second.entry["effect"]) == ("ESCALATE", "ALLOW")
    assert again(world, first, None).same
    assert again(world, second, None).same


async def test_a_call_that_was_switched_off_is_recomputed_as_such() -> None:
    """The switch is a fact on record; without it the same call would have been allowed."""
    world = World(upstreams=[FakeUpstream(tools=[NOTES])])
    await world.switches.throw(operator("default"), SwitchKind.AGENT, "local", reason="amok")
    decision = await recorded(world, {"q": "short"})
    assert decision.body["decision"]["rung"] == 13
    assert again(world, decision).same


async def test_a_denial_that_is_marked_as_by_a_budget_must_be_one() -> None:
    """The mark spares an agent's trust: whoever kept the log could spare whom it likes."""
    limited = ALLOW_ALL.replace("rules:", "budgets: {calls: {count: calls, per: agent, window: 1m}}\nrules:")
    world = World(
        upstreams=[FakeUpstream(tools=[NOTES])],
        policy=limited + '  - {id: fast, effect: deny, when: "count.calls >= 1", reason: slowly}\n',
    )
    assert again(world, await recorded(world, {"q": "x"})).same
    decision = await recorded(world, {"q": "x"})
    assert decision.entry["reasons"][-1] == BY_BUDGET
    assert again(world, decision).same
    unmarked = replace(decision, entry={**decision.entry, "reasons": decision.entry["reasons"][:-1]})
    assert again(world, unmarked).same, "an older gateway marked none"
    world = World(upstreams=[FakeUpstream(tools=[NOTES])], policy=SOME)
    forbidden = await recorded(world, {"q": "not so short"})
    lied = replace(forbidden, entry={**forbidden.entry, "reasons": [*forbidden.entry["reasons"], BY_BUDGET]})
    assert again(world, lied).differences == ("for a budget: True → False",)


@pytest.mark.parametrize("says", [ALLOWED, DENIED, WAITS], ids=str)
async def test_what_a_remote_authority_said_is_recomputed_from_the_record(says: Told) -> None:
    """Nobody has to ask it again."""
    world = World(upstreams=[FakeUpstream(tools=[NOTES])], remote=FakeAuthority(says))
    decision = await recorded(world, {"q": "x"})
    assert decision.entry["effect"] == fact_of(says).effect
    assert again(world, decision).same
