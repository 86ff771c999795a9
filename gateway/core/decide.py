"""The decision ladder (PDP). Takes a call, its intent and the facts; returns one Decision.

Reads nothing and knows no clock; gathering is `services/facts.py`. The rungs, first one that applies answers:

 1. a tool call without a pinned tool            → DENY  unknown-tool
 2. the pinned tool's schema cannot be used      → DENY  schema-unusable
 3. the arguments break the pinned schema        → DENY  schema
 4. a condition of an applicable rule errs       → DENY  condition-error   (whatever that rule's effect)
 5. a deny rule matches                          → DENY  policy-deny
 6. the risk is from `deny_from` of the tier on  → DENY  tier-deny
 7. an escalate rule matches                     → ESCALATE  policy-escalate
 8. an allow rule matches, risk below the cap    → ALLOW  policy-allow
 9. an allow rule matches                        → ESCALATE  tier-escalate
10. otherwise                                    → DENY  no-rule

Entries record the number of the rung, so that numbers stay as they are. Rungs that came later have their place
elsewhere on the ladder:

11. the intent is none that the agent declared   → DENY  agent-scope       (before 4)
12. a human's yes covers all that escalates      → ALLOW  approved         (in place of 7 and 9; a deny is above both)
13. a switch stops agent, upstream or tenant     → DENY  switched-off      (before 1: nothing is above a human's stop)
14. the agent's circuit is open                  → DENY  circuit-open      (before 1)
15. a lease covers all that escalates            → ALLOW  leased           (as 12)
16. what it adds to a budget is no such number   → DENY  budget            (in place of every ALLOW and ESCALATE)
17. the remote authority gave no usable answer   → DENY  authority-unavailable   (last; as 18 and 19)
18. the remote authority denies                  → DENY  authority-deny
19. the remote authority asks for a human        → ESCALATE  authority-escalate  (in place of an ALLOW only)

There is no rung for a missing fact: whoever gathers facts and lacks one must not get here. An escalate rule needs no
allow rule beside it: it is the operator's word that a human may allow the call (design, section 4, "Policies").

What follows once it is known which conditions hold (4 to 10, 12, 15, 17 to 19) asks for no arguments: `judge` and
`with_authority` answer for a call, and again for its record when the arguments are gone (`core/rejudge.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from gateway.core.approvals import Granted
from gateway.core.budgets import Uncountable, charges
from gateway.core.call import Call
from gateway.core.decision import ApprovalTerms, Decision, Effect, MatchedRule, Reason, Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.model import Intent, RiskFactor
from gateway.core.leases import Leased
from gateway.core.policy.bundle import Bundle, Plan
from gateway.core.policy.evaluate import could_pass, evaluate, plan
from gateway.core.policy.model import Evaluation, PolicyInput
from gateway.core.principal import TrustTier
from gateway.core.remote import Remote

__all__ = ["Weighed", "decide", "hides", "is_hidden", "judge", "policy_input", "refuse", "with_authority"]

NO_POLICY = ""
"""The policy set of a decision that no rule made."""


class Weighed(Protocol):
    """What is weighed with the rules that hold: a call's `Facts`, or what its record says of them."""

    @property
    def tier(self) -> TrustTier:
        """The agent's."""

    @property
    def thresholds(self) -> Thresholds:
        """Those of the tier."""

    @property
    def lease(self) -> Leased | None:
        """A yes to calls of this shape."""

    @property
    def approval(self) -> Granted | None:
        """A yes to this very call."""


def decide(call: Call, intent: Intent, facts: Facts) -> Decision:
    """Return the answer to `call`. Never raises for anything that a call can hold."""
    if facts.stop is not None:
        rung = 13 if facts.stop.reason is Reason.SWITCHED_OFF else 14
        return refuse(facts, facts.stop.reason, facts.stop.explanation, rung=rung)
    definition = _judge_definition(call, facts)
    if definition is not None:
        return definition
    declared = facts.restriction
    if declared is not None and not declared.permits(domain=intent.domain, intent_type=intent.type):
        text = f"The agent '{facts.principal.agent}' has not declared intents of type '{intent.type}'."
        return refuse(facts, Reason.AGENT_SCOPE, text, rung=11)
    given = policy_input(call, intent, facts)
    planned = plan(facts.bundle, call, intent, facts.principal, facts.tier)
    evaluation = evaluate(facts.bundle, given, planned)
    decision = judge(evaluation, facts, intent.risk, intent.factors, facts.bundle.digest, planned.charges or {})
    if planned.charged and not decision.charges and decision.effect is not Effect.DENY:
        decision = _charged(decision, facts, given, planned)
    return decision if facts.remote is None else with_authority(decision, facts.remote)


def judge(
    evaluation: Evaluation,
    facts: Weighed,
    risk: int,
    factors: Iterable[RiskFactor],
    digest: str,
    counted: Mapping[str, int],
) -> Decision:
    """Rungs 4 to 10, then 15 or 12: what follows from the conditions' results.

    Rungs 4 to 10 rest on `place` and the evaluation and on nothing else, so that their answer is kept with it (4 µs).
    `counted` follows from what the evaluation was made for: each call of a kind adds the same to what counts calls.
    """
    tier, caps = facts.tier, facts.thresholds
    place = (risk, int(tier), caps.allow_below, caps.deny_from, digest)
    decision = evaluation.decisions.get(place)
    if decision is None:
        decision = evaluation.decisions[place] = _climb(evaluation, risk, tier, caps, digest, counted)
    if facts.lease is not None:
        return _with_lease(decision, facts.lease, risk, factors, tier)
    return decision if facts.approval is None else _with_yes(decision, facts.approval)


def policy_input(call: Call, intent: Intent, facts: Facts) -> PolicyInput:
    """Return what conditions may look at of a call and its facts."""
    return PolicyInput(
        call=call,
        intent=intent,
        principal=facts.principal,
        tier=facts.tier,
        score=facts.score,
        now=facts.now,
        session=facts.session,
        budgets=facts.budgets,
        counts=facts.counts,
        first_use=facts.novel,
        failures_in_row=facts.failures_in_row,
    )


def refuse(facts: Facts, reason: Reason, explanation: str, *, rung: int = 0) -> Decision:
    """Return a DENY that no rule made. Rung 0 stands for refusals outside the ladder (busy, contention …)."""
    return Decision(
        effect=Effect.DENY,
        reason=reason,
        rung=rung,
        explanation=explanation,
        policy_set=NO_POLICY,
        policy_digest=facts.bundle.digest,
    )


def is_hidden(call: Call, facts: Facts, *, any_uri: bool = False) -> bool:
    """Return True where every outcome for this target is DENY, whatever the arguments, for this principal.

    Such a tool is left out of lists, and calling it is answered as if it did not exist (design, "Pinning").
    `any_uri` asks about all URIs at once, for what stands for many (a resource template); the call's own is not read.
    """
    return hides(call, bundle=facts.bundle, agent=facts.principal.named, tier=facts.tier, any_uri=any_uri)


def hides(call: Call, *, bundle: Bundle, agent: str, tier: TrustTier, any_uri: bool = False) -> bool:
    """Return what `is_hidden` does, from the facts that it rests on and no others."""
    if call.tool is not None and call.tool.schema is None:
        return True
    return not could_pass(
        bundle,
        method=call.method,
        upstream=call.upstream,
        name=call.name,
        uri=None if any_uri else call.uri,
        agent=agent,
        tier=tier,
    )


def with_authority(decision: Decision, remote: Remote) -> Decision:
    """Rungs 17 to 19. Of the two answers the stricter one counts: a remote authority takes away, and gives nothing."""
    milder = remote.effect is Effect.ALLOW or decision.effect is Effect.DENY
    if milder or remote.effect is decision.effect:
        return decision
    return replace(
        decision,
        effect=remote.effect,
        reason=remote.reason,
        rung=_RUNGS_OF_AUTHORITY[remote.reason],
        explanation=remote.explanation,
        approval=None,
        charges={},
    )


_RUNGS_OF_AUTHORITY: Mapping[Reason, int] = {
    Reason.AUTHORITY_UNAVAILABLE: 17,
    Reason.AUTHORITY_DENY: 18,
    Reason.AUTHORITY_ESCALATE: 19,
}


def _judge_definition(call: Call, facts: Facts) -> Decision | None:
    """Rungs 1 to 3: is the call one of a tool as it is pinned?"""
    if call.method != "tools/call":
        return None
    if call.tool is None:
        return refuse(facts, Reason.UNKNOWN_TOOL, f"There is no tool '{call.name}'.", rung=1)
    if call.tool.schema is None:
        return refuse(facts, Reason.SCHEMA_UNUSABLE, f"The tool '{call.name}' is withheld.", rung=2)
    problem = call.tool.schema.problem(call.arguments)
    if problem:
        return refuse(facts, Reason.SCHEMA, f"The arguments do not fit the tool: {problem}.", rung=3)
    return None


def _with_yes(decision: Decision, approval: Granted) -> Decision:
    """Rung 12. A yes answers what escalated when it was asked for; a rule that is new or changed since asks again."""
    if decision.effect is not Effect.ESCALATE or not approval.covers(decision.rules):
        return decision
    return replace(
        decision,
        effect=Effect.ALLOW,
        reason=Reason.APPROVED,
        rung=12,
        explanation=f"A human has approved this very call ({approval.id}).",
        approval=None,
    )


def _with_lease(
    decision: Decision, lease: Leased, risk: int, factors: Iterable[RiskFactor], tier: TrustTier
) -> Decision:
    """Rung 15. A lease answers no more than the human saw: no other rule, no higher risk, no new factor, no lower tier.

    Whether the call is of its shape is found before (`services/leases.py`), since a shape is kept from records.
    """
    codes = (factor.code for factor in factors)
    covered = lease.covers(decision.rules, risk=risk, factors=codes, tier=tier)
    if decision.effect is not Effect.ESCALATE or not covered:
        return decision
    return replace(
        decision,
        effect=Effect.ALLOW,
        reason=Reason.LEASED,
        rung=15,
        explanation=f"A human has approved calls of this shape ({lease.id}).",
        approval=None,
    )


def _charged(decision: Decision, facts: Facts, given: PolicyInput, planned: Plan) -> Decision:
    """Rung 16, and what a call that is allowed adds. No human is asked for a yes that could not be counted."""
    found = charges(facts.bundle, given, planned)
    if isinstance(found, Uncountable):
        text = f"What this call would add to the budget '{found.budget}' cannot be computed."
        return replace(refuse(facts, Reason.BUDGET, text, rung=16), conditions=decision.conditions)
    return replace(decision, charges=found) if decision.effect is Effect.ALLOW else decision


def _climb(
    evaluation: Evaluation, risk: int, tier: TrustTier, caps: Thresholds, digest: str, counted: Mapping[str, int]
) -> Decision:
    def answer(rung: int, effect: Effect, reason: Reason, rules: tuple[MatchedRule, ...], text: str) -> Decision:
        deciding = rules[0] if rules else None
        return Decision(
            effect=effect,
            reason=reason,
            rung=rung,
            explanation=text,
            policy_set=deciding.policy_set if deciding else NO_POLICY,
            policy_digest=digest,
            rules=rules,
            approval=_terms(rules) if effect is Effect.ESCALATE else None,
            conditions=evaluation.conditions,
            charges=counted if effect is Effect.ALLOW else {},
        )

    allow, escalate, deny = _by_effect(evaluation)
    if evaluation.failed:
        broken = evaluation.failed[0]
        text = f"Rule '{broken.id}' of policy '{broken.policy_set}' could not be evaluated for this call."
        return answer(4, Effect.DENY, Reason.CONDITION_ERROR, (), text)
    if deny:
        return answer(
            5, Effect.DENY, Reason.POLICY_DENY, deny + escalate + allow, _by_rule(deny[0], "forbids this call")
        )
    if risk >= caps.deny_from:
        text = f"The risk of this call ({risk}) is beyond what tier {tier.name} may do at all."
        return answer(6, Effect.DENY, Reason.TIER_DENY, escalate + allow, text)
    if escalate:
        text = _by_rule(escalate[0], "asks for a human")
        return answer(7, Effect.ESCALATE, Reason.POLICY_ESCALATE, escalate + allow, text)
    if allow and risk < caps.allow_below:
        return answer(8, Effect.ALLOW, Reason.POLICY_ALLOW, allow, _by_rule(allow[0], "allows this call"))
    if allow:
        text = f"The risk of this call ({risk}) is above what tier {tier.name} may do alone (below {caps.allow_below})."
        return answer(9, Effect.ESCALATE, Reason.TIER_ESCALATE, allow, text)
    return answer(10, Effect.DENY, Reason.NO_RULE, (), "No policy rule allows this call.")


Rules = tuple[MatchedRule, ...]


def _by_effect(evaluation: Evaluation) -> tuple[Rules, Rules, Rules]:
    """Split the matched rules into those that allow, escalate and deny, each in the bundle's order."""
    matched = evaluation.matched
    if len(matched) == 1:  # the common case, kept off three passes
        only = matched[0].effect
        return (
            matched if only is Effect.ALLOW else (),
            matched if only is Effect.ESCALATE else (),
            matched if only is Effect.DENY else (),
        )
    return (
        tuple(rule for rule in matched if rule.effect is Effect.ALLOW),
        tuple(rule for rule in matched if rule.effect is Effect.ESCALATE),
        tuple(rule for rule in matched if rule.effect is Effect.DENY),
    )


def _by_rule(rule: MatchedRule, does: str) -> str:
    """Name the rule and give the operator's own reason."""
    reason = f": {rule.reason}" if rule.reason else "."
    return f"Rule '{rule.id}' of policy '{rule.policy_set}' {does}{reason}"


def _terms(rules: Rules) -> ApprovalTerms:
    """Return the strictest terms of the escalating rules: most approvers, soonest expiry; the first one's role."""
    asked = [rule.approval for rule in rules if rule.effect is Effect.ESCALATE and rule.approval is not None]
    if not asked:
        return ApprovalTerms()
    return ApprovalTerms(
        role=asked[0].role,
        approvers=max(terms.approvers for terms in asked),
        expires_s=min(terms.expires_s for terms in asked),
    )
