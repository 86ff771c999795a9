"""What a bundle says of one call: the rules that apply and hold, and those that cannot be evaluated.

Reads nothing but its arguments and decides nothing: deny over escalate over allow is `core/decide.py`. No applicable
rule is skipped, also not where an earlier one has already settled the answer: an error in any of them must deny.
"""

from collections.abc import Iterator
from typing import Any

from gateway.core.decision import Effect, MatchedRule
from gateway.core.policy.bundle import Budget, Bundle, Plan, Rule
from gateway.core.policy.cel import Fault
from gateway.core.policy.model import Evaluation, FailedRule, PolicyInput
from gateway.core.principal import TrustTier

__all__ = ["could_pass", "evaluate", "plan"]

PLANS_KEPT = 4096
"""Kinds of calls of which a bundle remembers what applies; one more, and all are looked up anew once."""


def evaluate(bundle: Bundle, given: PolicyInput) -> Evaluation:
    """Evaluate every rule that applies to the call. Never raises for anything that a call can hold.

    A condition that errs, gives no BOOL, or cannot be asked because the call holds what must not reach the engine
    (NUL, non-finite numbers …) makes its rule a FailedRule.
    """
    planned = plan(bundle, given)
    if planned.settled is not None:
        return planned.settled
    return _evaluated(planned.rules, _activation(bundle, given, planned.rules))


def _evaluated(rules: tuple[Rule, ...], activation: Any) -> Evaluation:
    matched: list[MatchedRule] = []
    failed: list[FailedRule] = []
    conditions: dict[str, str] = {}
    for rule in rules:
        told = rule.matched
        outcome = _outcome(rule, activation)
        if outcome is True:
            matched.append(told)
            conditions[told.id] = "true"
        elif outcome is False:
            conditions[told.id] = "false"
        else:
            failed.append(FailedRule(id=told.id, policy_set=told.policy_set, message=outcome.message))
            conditions[told.id] = "error"
    return Evaluation(matched=tuple(matched), failed=tuple(failed), conditions=conditions)


def could_pass(
    bundle: Bundle, *, method: str, upstream: str, name: str, uri: str | None, agent: str, tier: TrustTier
) -> bool:
    """Return False only where every outcome is DENY, whatever the arguments and whatever they are judged to be for.

    That is: a deny rule applies without condition and without asking for a judgement, or no allow or escalate rule can
    apply at all. The tiers' caps on risk are not looked at: risk depends on arguments.

    A URI of None is any URI: rules that name some can then apply, and a deny rule that names some leaves others.
    """
    index = bundle.index.get(method)
    if index is None:
        return False
    possible = False
    for rule in index.candidates(name):
        if not rule.match.may_apply(upstream=upstream, name=name, uri=uri, agent=agent, tier=tier):
            continue
        if rule.matched.effect is not Effect.DENY:
            possible = True
        elif rule.condition is None and not rule.match.judged and (uri is not None or rule.match.uris is None):
            return False
    return possible


def plan(bundle: Bundle, given: PolicyInput) -> Plan:
    """Return what applies to calls of this kind.

    It is looked up once for a pinned tool, an agent and a judgement; for each call it would cost 4 µs.
    The key is everything that a `match` may ask for. Names and URIs that an agent chooses freely are not remembered.
    """
    call, intent = given.call, given.intent
    codes = [factor.code for factor in intent.factors]
    if call.tool is None or call.uri:
        return _planned(bundle, given, codes)
    judged = (intent.type, intent.domain, intent.effect_class.value, *codes)
    place = (call.method, call.upstream, call.name, given.principal, int(given.tier), judged)
    planned = bundle.plans.get(place)
    if planned is None:
        if len(bundle.plans) >= PLANS_KEPT:
            bundle.plans.clear()
        planned = bundle.plans[place] = _planned(bundle, given, codes)
    return planned


def _planned(bundle: Bundle, given: PolicyInput, codes: list[str]) -> Plan:
    rules = tuple(_applicable(bundle, given, codes))
    asked = any(rule.condition is not None for rule in rules)
    charged = tuple(_charged(bundle, given, codes))
    named: frozenset[str] = frozenset()
    named = named.union(*(rule.condition.facts for rule in rules if rule.condition is not None))
    named = named.union(*(budget.amount.facts for budget in charged if budget.amount is not None))
    return Plan(
        rules=rules,
        settled=None if asked else _evaluated(rules, None),
        charged=charged,
        read=tuple(budget for budget in bundle.budgets if budget in charged or budget.name in named),
    )


def _charged(bundle: Bundle, given: PolicyInput, factors: list[str]) -> Iterator[Budget]:
    """The budgets whose `match` the call meets."""
    call, intent = given.call, given.intent
    for budget in bundle.budgets:
        match = budget.match
        if (
            call.method in budget.methods
            and match.fits_intent(intent.type, intent.domain, intent.effect_class.value, factors)
            and match.may_apply(
                upstream=call.upstream,
                name=call.name,
                uri=call.uri,
                agent=given.principal.named,
                tier=given.tier,
            )
        ):
            yield budget


def _applicable(bundle: Bundle, given: PolicyInput, factors: list[str]) -> list[Rule]:
    """The rules whose `match` the call meets, in the bundle's order."""
    call, intent = given.call, given.intent
    index = bundle.index.get(call.method)
    if index is None:
        return []
    upstream, name, uri = call.upstream, call.name, call.uri
    agent, tier = given.principal.named, given.tier
    effect = intent.effect_class.value
    return [
        rule
        for rule in index.judged(effect).candidates(name)
        if rule.match.fits_intent(intent.type, intent.domain, effect, factors)
        and rule.match.may_apply(upstream=upstream, name=name, uri=uri, agent=agent, tier=tier)
    ]


def _activation(bundle: Bundle, given: PolicyInput, rules: tuple[Rule, ...]) -> Any:
    """The call's values for the engine, once for all conditions; None where there is none to evaluate."""
    if bundle.engine is None:
        return None
    reads = 0
    for rule in rules:
        if rule.condition is not None:
            reads |= rule.condition.reads
    return bundle.engine.activation(given, reads)


def _outcome(rule: Rule, activation: Any) -> bool | Fault:
    if rule.condition is None:
        return True
    return activation if isinstance(activation, Fault) else rule.condition.holds(activation)
