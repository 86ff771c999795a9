"""A verdict made again from the recorded results of its conditions, where the arguments are no longer kept. Pure.

A second ladder beside `core/decide.py`, on what the entry and its body say: which rules' conditions held, the risk, the
thresholds of the tier, a human's yes. What rests on the arguments themselves (schema, conditions) is taken as recorded.
"""

from typing import Final

from gateway.core.decision import Effect, MatchedRule, Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.leases import read_leased

__all__ = ["Rejudged", "rejudge"]

Rejudged = tuple[str, str, int]
"""Effect, reason and rung."""

_RUNGS: Final = frozenset({4, 5, 6, 7, 8, 9, 10, 12, 15})
"""Those that follow from rules, risk and a yes. The others rest on what no condition tells."""


def rejudge(entry: JsonObject, body: JsonObject) -> Rejudged | str:
    """Return what follows from the recorded results, or in words why nothing does."""
    told, facts = body["decision"], body["facts"]
    if told["rung"] not in _RUNGS:
        return "the answer rests on no condition"
    rules = [_rule(one) for one in told["rules"]]
    held = {name for name, result in told["conditions"].items() if result == "true"}
    if told["rung"] != 4 and held != {rule.id for rule in rules}:  # where one errs, none is listed
        return "the rules on record are not those whose conditions held"
    found = _judged(told["conditions"], rules, risk=entry["risk"], facts=facts)
    if found[0] != Effect.ESCALATE:
        return found
    return _with_yes(found, rules, entry, body)


def _judged(conditions: JsonObject, rules: list[MatchedRule], *, risk: int, facts: JsonObject) -> Rejudged:
    effects = {rule.effect for rule in rules}
    if "error" in conditions.values():
        return Effect.DENY, Reason.CONDITION_ERROR, 4
    if Effect.DENY in effects:
        return Effect.DENY, Reason.POLICY_DENY, 5
    if risk >= facts["denyFrom"]:
        return Effect.DENY, Reason.TIER_DENY, 6
    if Effect.ESCALATE in effects:
        return Effect.ESCALATE, Reason.POLICY_ESCALATE, 7
    if Effect.ALLOW in effects:
        if risk < facts["allowBelow"]:
            return Effect.ALLOW, Reason.POLICY_ALLOW, 8
        return Effect.ESCALATE, Reason.TIER_ESCALATE, 9
    return Effect.DENY, Reason.NO_RULE, 10


def _with_yes(found: Rejudged, rules: list[MatchedRule], entry: JsonObject, body: JsonObject) -> Rejudged:
    """Return what a lease, else a human's yes to this very call, makes of an escalation."""
    facts = body["facts"]
    if "lease" in facts:
        factors = [factor[0] for factor in body["intent"]["factors"]]
        lease = read_leased(facts["lease"])
        covered = lease.covers(rules, risk=entry["risk"], factors=factors, tier=facts["tier"])
        return (Effect.ALLOW, Reason.LEASED, 15) if covered else found
    if "approval" in facts:
        seen = set(map(tuple, facts["approval"]["rules"]))
        if all((rule.id, rule.digest) in seen for rule in rules if rule.effect is Effect.ESCALATE):
            return Effect.ALLOW, Reason.APPROVED, 12
    return found


def _rule(told: JsonObject) -> MatchedRule:
    return MatchedRule(
        id=told["id"], policy_set=told["policySet"], effect=Effect(told["effect"]), reason="", digest=told["digest"]
    )
