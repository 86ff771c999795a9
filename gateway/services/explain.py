"""What would be decided, and why: one call judged as the gateway would judge it, with nothing recorded or forwarded.

For `intended eval` and policy cases. The judgement is `core`'s own, so that an explanation can never differ from what
the gateway does with the same call and the same facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.audit.canonical import digest
from gateway.core.call import Call, PinnedTool
from gateway.core.decide import decide, policy_input
from gateway.core.decision import Decision, Reason, Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.classify import classify
from gateway.core.intent.model import Intent, IntentContext
from gateway.core.intent.taxonomy import Taxonomy
from gateway.core.jsonvalue import JsonObject
from gateway.core.pinning import pin_tool
from gateway.core.policy.bundle import Bundle
from gateway.core.policy.evaluate import evaluate
from gateway.core.principal import Principal, TrustTier
from gateway.ports import Clock

__all__ = ["Explanation", "Question", "explain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One call to be judged.

    `definition` is the tool as its upstream lists it; None stands for a tool that takes any object and says nothing
    of itself. `novel` is True where the agent has not been allowed the target before.
    """

    principal: Principal
    tier: TrustTier
    method: str
    upstream: str
    name: str = ""
    uri: str = ""
    arguments: JsonObject = field(default_factory=dict)
    definition: JsonObject | None = None
    novel: bool = True
    budgets: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    failures_in_row: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The judgement with everything it rests on.

    `faults` says of each rule that could not be evaluated why; agents are not told that, and no value is in it.
    """

    call: Call
    intent: Intent
    decision: Decision
    facts: Facts
    faults: Mapping[str, str] = field(default_factory=dict)


def explain(
    question: Question, *, bundle: Bundle, thresholds: Thresholds, taxonomy: Taxonomy, clock: Clock
) -> Explanation:
    """Judge the call. Raises CanonicalError where its arguments have no canonical form."""
    call = Call(
        method=question.method,
        upstream=question.upstream,
        name=question.name,
        uri=question.uri,
        arguments=question.arguments,
        arguments_digest=digest(question.arguments),
        tool=_tool(question),
    )
    facts = Facts(
        principal=question.principal,
        tier=question.tier,
        score=0,
        thresholds=thresholds,
        bundle=bundle,
        now=clock.now(),
        novel=question.novel,
        budgets=dict(question.budgets),
        counts=dict(question.counts),
        failures_in_row=question.failures_in_row,
    )
    intent = classify(call, IntentContext(mappings=bundle.mappings, novel=question.novel), taxonomy)
    decision = decide(call, intent, facts)
    faults = _faults(call, intent, facts) if decision.reason is Reason.CONDITION_ERROR else {}
    return Explanation(call=call, intent=intent, decision=decision, facts=facts, faults=faults)


def _faults(call: Call, intent: Intent, facts: Facts) -> dict[str, str]:
    evaluation = evaluate(facts.bundle, policy_input(call, intent, facts))
    return {rule.id: rule.message for rule in evaluation.failed}


def _tool(question: Question) -> PinnedTool | None:
    if question.method != "tools/call":
        return None
    anything: JsonObject = {"name": question.name, "inputSchema": {"type": "object"}}
    return pin_tool(question.upstream, question.definition or anything)
