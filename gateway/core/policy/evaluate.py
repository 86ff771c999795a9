"""What a bundle says of one call: the rules that apply and hold, and those that cannot be evaluated.

Reads nothing but its arguments and decides nothing: deny over escalate over allow is `core/decide.py`. No applicable
rule is skipped, also not where an earlier one has already settled the answer: an error in any of them must deny.
"""

from typing import Any

from gateway.core.call import Call
from gateway.core.decision import Effect, MatchedRule
from gateway.core.intent.model import Intent
from gateway.core.policy.bundle import Bundle, Match, Plan, Rule
from gateway.core.policy.cel import Fault
from gateway.core.policy.model import Evaluation, FailedRule, PolicyInput
from gateway.core.principal import Principal, TrustTier

__all__ = ["could_pass", "evaluate", "plan"]

PLANS_KEPT = 4096
"""Kinds of calls of which a bundle remembers what applies; one more, and all are looked up anew once."""


def evaluate(bundle: Bundle, given: PolicyInput, planned: Plan | None = None) -> Evaluation:
    """Evaluate every rule that applies to the call. Never raises for anything that a call can hold.

    A condition that errs, gives no BOOL, or cannot be asked because the call holds what must not reach the engine
    (NUL, non-finite numbers …) makes its rule a FailedRule. `planned` is the call's `plan`, where it is known already.
    """
    if planned is None:
        planned = plan(bundle, given.call, given.intent, given.principal, given.tier)
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


def plan(bundle: Bundle, call: Call, intent: Intent, principal: Principal, tier: TrustTier) -> Plan:
    """Return what applies to calls of this kind.

    It is looked up once for a pinned tool, an agent and a judgement; for each call it would cost 4 µs.
    The key is everything that a `match` may ask for. Names and URIs that an agent chooses freely are not remembered.
    """
    codes = [factor.code for factor in intent.factors]
    agent = principal.named
    if call.tool is None or call.uri:
        return _planned(bundle, call, intent, agent, tier, codes)
    judged = (intent.type, intent.domain, intent.effect_class, *codes)
    place = (call.method, call.upstream, call.name, agent, tier, judged)
    planned = bundle.plans.get(place)
    if planned is None:
        if len(bundle.plans) >= PLANS_KEPT:
            bundle.plans.clear()
        planned = bundle.plans[place] = _planned(bundle, call, intent, agent, tier, codes)
    return planned


def _planned(bundle: Bundle, call: Call, intent: Intent, agent: str, tier: TrustTier, codes: list[str]) -> Plan:
    def fits(match: Match) -> bool:
        return match.fits_intent(intent.type, intent.domain, intent.effect_class.value, codes) and match.may_apply(
            upstream=call.upstream, name=call.name, uri=call.uri, agent=agent, tier=tier
        )

    index = bundle.index.get(call.method)
    candidates = () if index is None else index.judged(intent.effect_class.value).candidates(call.name)
    rules = tuple(rule for rule in candidates if fits(rule.match))
    conditions = [rule.condition for rule in rules if rule.condition is not None]
    charged = tuple(one for one in bundle.budgets if call.method in one.methods and fits(one.match))
    amounts = [budget.amount for budget in charged if budget.amount is not None]
    named = frozenset[str]().union(*(asked.facts for asked in (*conditions, *amounts)))
    return Plan(
        rules=rules,
        settled=None if conditions else _evaluated(rules, None),
        charged=charged,
        read=tuple(budget for budget in bundle.budgets if budget in charged or budget.name in named),
        charges=None if amounts else {budget.name: 1 for budget in charged},
    )


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
