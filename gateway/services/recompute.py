"""A recorded decision, made again from what was recorded: is it what the same call, facts and policy give today?

Owns the comparison. Nothing is recorded or forwarded; the judgement is `core`'s own. Where the evaluation input is no
longer kept there is nothing to recompute from, and this says so.
"""

from dataclasses import dataclass
from datetime import datetime

from gateway.core.agents import Restriction
from gateway.core.approvals import read_granted
from gateway.core.audit.body import read_call
from gateway.core.call import PinnedTool, Review
from gateway.core.decide import decide
from gateway.core.decision import BY_BUDGET, Reason, Stop, Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.classify import classify
from gateway.core.intent.model import IntentContext
from gateway.core.intent.taxonomy import Taxonomy
from gateway.core.jsonvalue import JsonObject
from gateway.core.leases import read_leased
from gateway.core.pinning import pin_tool
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import Principal, TrustTier
from gateway.core.remote import read_remote
from gateway.core.respite import by_budget
from gateway.services.audit_query import RecordedDecision

__all__ = ["Recomputation", "recompute"]

OUTSIDE_THE_LADDER = 0
"""The rung of refusals that rest on no rule (busy, contention, no such target): there is nothing to recompute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    """The outcome. `problem` says why there is none; `differences` are `what: recorded → recomputed`."""

    seq: int
    intent_id: str
    problem: str = ""
    differences: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Return True where the verdict was recomputed and is the recorded one."""
        return not self.problem and not self.differences


def recompute(
    recorded: RecordedDecision, *, bundle: Bundle | None, definition: JsonObject | None, taxonomy: Taxonomy
) -> Recomputation:
    """Make the decision again with the policy and the tool definition of its time (None: no longer known)."""
    intent_id = str(recorded.entry["intentId"])
    problem = _missing(recorded, bundle, definition)
    if problem or bundle is None or recorded.evaluation_input is None:
        return Recomputation(seq=recorded.seq, intent_id=intent_id, problem=problem)
    called, given = recorded.evaluation_input["call"], recorded.evaluation_input["facts"]
    call = read_call(called, arguments_digest=str(recorded.entry["argsDigest"]), tool=_tool(called, definition))
    facts = Facts(
        principal=Principal(tenant=str(recorded.entry["tenant"]), agent=given["agent"], credential=given["credential"]),
        tier=TrustTier(given["tier"]),
        score=given["score"],
        thresholds=Thresholds(allow_below=given["allowBelow"], deny_from=given["denyFrom"]),
        bundle=bundle,
        now=datetime.fromisoformat(given["now"]),
        novel=given["novel"],
        session=given["session"],
        budgets=given["budgets"],
        counts=given["counts"],
        failures_in_row=given.get("failuresInRow", 0),
        restriction=_restriction(given),
        approval=read_granted(given["approval"]) if "approval" in given else None,
        stop=_stop(given),
        lease=read_leased(given["lease"]) if "lease" in given else None,
        remote=read_remote(given["remote"]) if "remote" in given else None,
    )
    intent = classify(call, IntentContext(mappings=bundle.mappings, novel=facts.novel), taxonomy)
    decision = decide(call, intent, facts)
    told = recorded.body["decision"]
    marked = BY_BUDGET in recorded.entry["reasons"]  # older gateways marked none
    pairs = {
        "effect": (recorded.entry["effect"], decision.effect.value),
        "reason": (told["reason"], decision.reason.value),
        "rung": (told["rung"], decision.rung),
        "rules": ([rule["id"] for rule in told["rules"]], [rule.id for rule in decision.rules]),
        "risk": (recorded.entry["risk"], intent.risk),
        "intent": (recorded.body["intent"]["type"], intent.type),
        "for a budget": (marked, marked and by_budget(call, intent, facts, decision)),
        "charges": (told.get("charges", {}), decision.charges),
    }
    differences = tuple(f"{what}: {was} → {now}" for what, (was, now) in pairs.items() if was != now)
    return Recomputation(seq=recorded.seq, intent_id=intent_id, differences=differences)


def _missing(recorded: RecordedDecision, bundle: Bundle | None, definition: JsonObject | None) -> str:
    """Say what a recomputation lacks, or nothing."""
    if recorded.body["decision"]["rung"] == OUTSIDE_THE_LADDER:
        return "the refusal rests on no rule and no fact that could be judged again"
    if recorded.evaluation_input is None:
        return "the evaluation input is no longer kept"
    if bundle is None or bundle.digest != recorded.entry["policyDigest"]:
        return "the policy of that time is not on record"
    if "pin" in recorded.evaluation_input["call"] and definition is None:
        return "the tool's definition of that time is not on record"
    return ""


def _restriction(given: JsonObject) -> Restriction | None:
    """Return what the agent had declared for itself."""
    declared = given.get("restriction")
    if declared is None:
        return None
    return Restriction(domains=frozenset(declared["domains"]), intent_types=frozenset(declared["intentTypes"]))


def _stop(given: JsonObject) -> Stop | None:
    """Return the switch or open circuit that stopped the call."""
    stop = given.get("stop")
    return None if stop is None else Stop(reason=Reason(stop["reason"]), explanation=stop["explanation"])


def _tool(called: JsonObject, definition: JsonObject | None) -> PinnedTool | None:
    """Return the tool as it was pinned; None where the call had none."""
    if "pin" not in called or definition is None:
        return None
    known = None
    if called["review"] == Review.CHANGED:
        known = PinnedTool(upstream=called["upstream"], name=called["name"], pin="", definition={})
    return pin_tool(called["upstream"], definition, known=known)
