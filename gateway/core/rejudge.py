"""A recorded decision judged again from the results of its conditions, where its arguments are no longer kept. Pure.

Owns how a record is read; what follows from it is the ladder's (`core/decide.py`). What rests on the arguments
themselves (schema, conditions, what a budget counts) is taken as recorded.
"""

from dataclasses import dataclass
from typing import Final

from gateway.core.approvals import Granted, read_granted
from gateway.core.decide import judge, with_authority
from gateway.core.decision import Effect, MatchedRule, Thresholds
from gateway.core.intent.model import RiskFactor
from gateway.core.jsonvalue import JsonObject
from gateway.core.leases import Leased, read_leased
from gateway.core.policy.model import Evaluation, FailedRule
from gateway.core.principal import TrustTier
from gateway.core.remote import read_remote

__all__ = ["Rejudged", "rejudge"]

Rejudged = tuple[str, str, int]
"""Effect, reason and rung."""

_RUNGS: Final = frozenset({4, 5, 6, 7, 8, 9, 10, 12, 15, 17, 18, 19})
"""Those that come after the conditions' results. The others rest on what no condition tells."""

_CONDITION_ERROR: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighed:
    """What a record says of the facts that the rules were weighed with."""

    tier: TrustTier
    thresholds: Thresholds
    lease: Leased | None
    approval: Granted | None


def rejudge(entry: JsonObject, body: JsonObject) -> Rejudged | str:
    """Return what follows from the recorded results, or in words why nothing does."""
    told, facts = body["decision"], body["facts"]
    if told["rung"] not in _RUNGS:
        return "the answer rests on no condition"
    evaluation = _evaluation(told)
    held = {name for name, result in told["conditions"].items() if result == "true"}
    # Where a condition errs, no rule is listed.
    if told["rung"] != _CONDITION_ERROR and held != {rule.id for rule in evaluation.matched}:
        return "the rules on record are not those whose conditions held"
    factors = [RiskFactor(code=code, points=points, evidence=why) for code, points, why in body["intent"]["factors"]]
    decision = judge(evaluation, _weighed(facts), entry["risk"], factors, facts["policyDigest"], {})
    if "remote" in facts:
        decision = with_authority(decision, read_remote(facts["remote"]))
    return decision.effect, decision.reason, decision.rung


def _evaluation(told: JsonObject) -> Evaluation:
    """Return what the policies of that time said of the call. Reasons and terms of rules are missing; none decides."""
    return Evaluation(
        matched=tuple(
            MatchedRule(
                id=rule["id"],
                policy_set=rule["policySet"],
                effect=Effect(rule["effect"]),
                reason="",
                digest=rule["digest"],
            )
            for rule in told["rules"]
        ),
        failed=tuple(
            FailedRule(id=name, policy_set="", message="")
            for name, result in told["conditions"].items()
            if result == "error"
        ),
        conditions=told["conditions"],
    )


def _weighed(facts: JsonObject) -> _Weighed:
    return _Weighed(
        tier=TrustTier(facts["tier"]),
        thresholds=Thresholds(allow_below=facts["allowBelow"], deny_from=facts["denyFrom"]),
        lease=read_leased(facts["lease"]) if "lease" in facts else None,
        approval=read_granted(facts["approval"]) if "approval" in facts else None,
    )
