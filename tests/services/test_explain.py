"""An explanation is the gateway's own judgement, with nothing recorded or forwarded."""

import pytest

from gateway.core.decision import Effect, Thresholds
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import TrustTier
from gateway.errors import CanonicalError
from gateway.services.explain import Explanation, Question, explain
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, LOCAL, FakeClock, World, bundle, tool

SMALL = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: small, effect: allow, match: {tools: [pay]}, when: "args.amount < 10.0", reason: small sums}
  - {id: notes, effect: allow, match: {methods: [resources/read], uris: ["notes://*"]}, reason: notes}
"""
PAY = {"name": "pay", "inputSchema": {"type": "object", "properties": {"amount": {"type": "number"}}}}
CAPS = Thresholds(allow_below=101, deny_from=101)


def asked(arguments: JsonObject, *, definition: JsonObject | None = None, policy: str = SMALL) -> Explanation:
    question = Question(
        principal=LOCAL,
        tier=TrustTier.T4,
        method="tools/call",
        upstream="default",
        name="pay",
        arguments=arguments,
        definition=definition,
    )
    return explain(question, bundle=bundle(policy), thresholds=CAPS, taxonomy=TAXONOMY, clock=FakeClock())


@pytest.mark.parametrize(("amount", "effect"), [(5.0, Effect.ALLOW), (50.0, Effect.DENY)])
async def test_an_explanation_says_what_the_gateway_does(amount: float, effect: Effect) -> None:
    """Whoever tries a policy must see the decision, the intent and the risk that a real call would get."""
    world = World(upstreams=[FakeUpstream(tools=[PAY])], policy=SMALL)
    await world.call("pay", {"amount": amount})
    (judged,) = world.judged
    explained = asked({"amount": amount}, definition=PAY)
    assert explained.decision.effect is effect
    assert (explained.call, explained.intent, explained.decision, explained.facts.novel) == (
        judged.call,
        judged.intent,
        judged.decision,
        judged.facts.novel,
    )


def test_a_rule_that_could_not_be_evaluated_is_explained() -> None:
    """The agent is not told why; who wrote the rule must be."""
    assert asked({}).faults == {"small": "an argument that it reads is missing; guard it with has(…)"}
    assert asked({"amount": 5.0}).faults == {}


def test_a_tool_without_a_definition_takes_any_object() -> None:
    """A policy can be tried before there is an upstream."""
    assert asked({"amount": 1.0}).decision.effect is Effect.ALLOW


def test_a_definition_is_held_against_the_arguments() -> None:
    """The schema is part of the decision."""
    assert asked({"amount": "all"}, definition=PAY).decision.reason == "schema"


def test_a_resource_has_no_tool() -> None:
    """Other methods are judged by their URI."""
    question = Question(
        principal=LOCAL, tier=TrustTier.T1, method="resources/read", upstream="default", uri="notes://1"
    )
    explained = explain(question, bundle=bundle(SMALL), thresholds=CAPS, taxonomy=TAXONOMY, clock=FakeClock())
    assert (explained.call.tool, explained.decision.effect) == (None, Effect.ALLOW)


def test_arguments_without_a_canonical_form_are_an_error() -> None:
    """They could not be digested, so the gateway would not decide on them."""
    with pytest.raises(CanonicalError):
        asked({"amount": 2**60}, policy=ALLOW_ALL)


async def test_nothing_is_recorded_and_nothing_is_forwarded() -> None:
    """An explanation has no effects: it takes neither a store nor an upstream."""
    world = World(upstreams=[FakeUpstream(tools=[tool("pay")])])
    asked({"amount": 5.0})
    assert (world.entries(), world.upstream().received) == ([], [])
