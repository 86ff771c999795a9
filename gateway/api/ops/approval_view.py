"""What a human needs for a yes or no, as members of an approval in Ops' words: additions of ours to the guide.

Owns the shape. Who sees how much is `services/approval_view.py`'s.
"""

from typing import Any, Literal

from pydantic import Field

from gateway.api.fields import Answer
from gateway.core.jsonvalue import JsonObject
from gateway.core.presentation import ApprovalView, Compared, Details

__all__ = ["DetailsView", "details_of"]


class Factor(Answer):
    """One share of the risk."""

    code: str
    points: int
    evidence: str


class DifferenceView(Answer):
    """One argument that is not as it was."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: str = Field(description="For people: hidden characters written out, long values cut.")
    after: str


class ComparedView(Answer):
    """The difference to the agent's last allowed call of the same tool."""

    intentId: str | None = Field(description="Null where there is none among its last decisions.")
    time: str | None
    exact: bool = Field(description="False where only what the audit shows of the arguments was compared.")
    problem: str = Field(description="Why nothing could be compared.")
    differences: list[DifferenceView]


class RecordView(Answer):
    """How many intents of the agent are in which status."""

    all: dict[str, int]
    ofType: dict[str, int]


class OfferedPlace(Answer):
    """An argument that a lease would hold fast."""

    path: str = Field(description="A JSON pointer into the arguments.")
    value: str = Field(description="For people: hidden characters written out, long values cut.")


class LeaseOffer(Answer):
    """What a lease granted with this approval would be, unless it is loosened."""

    problem: str = Field(description="Why there can be none; empty where there can.")
    maxMinutes: int
    maxUses: int
    places: list[OfferedPlace]


class DetailsView(Answer):
    """What would happen, why it waits, and what speaks for and against it."""

    sentence: str = Field(description="What would happen, in one sentence.")
    method: str
    upstream: str
    target: str = Field(description="The tool, prompt, resource or action.")
    arguments: dict[str, Any] | None = Field(description="Whole while the approval is open, to who may answer it.")
    answers: dict[str, Any] = Field(description="Answers to questions of an earlier round, which go along.")
    argumentsExact: bool = Field(description="False: as the audit shows them, redacted.")
    argumentsText: str = Field(description="For people: hidden characters written out, long values cut with a digest.")
    warnings: list[str] = Field(description="What may mislead: hidden characters, letters that look alike.")
    description: str = Field(description="The program's own claim.")
    justification: str = Field(description="The program's own claim.")
    intentType: str
    domain: str
    effectClass: str
    evidence: list[str]
    confidence: str
    risk: int
    riskFactors: list[Factor]
    trustTier: Literal["T0", "T1", "T2", "T3", "T4"]
    reason: str
    explanation: str
    policySet: str
    rules: list[str]
    record: RecordView
    lastAllowed: ComparedView
    lease: LeaseOffer


def details_of(view: ApprovalView) -> JsonObject | None:
    """Return the details, or None where the principal may not see them."""
    return None if view.details is None else _details(view.details)


def _details(details: Details) -> JsonObject:
    judged = details.judgement
    return {
        "sentence": details.sentence,
        "method": details.method,
        "upstream": details.upstream,
        "target": details.target,
        "arguments": details.arguments,
        "answers": details.answers,
        "argumentsExact": details.exact,
        "argumentsText": details.shown,
        "warnings": details.warnings,
        "description": details.description,
        "justification": details.justification,
        "intentType": judged.type,
        "domain": judged.domain,
        "effectClass": judged.effect_class,
        "evidence": judged.evidence,
        "confidence": judged.confidence,
        "risk": judged.risk,
        "riskFactors": [
            {"code": code, "points": points, "evidence": evidence} for code, points, evidence in judged.factors
        ],
        "trustTier": f"T{judged.tier}",
        "reason": judged.reason,
        "explanation": judged.explanation,
        "policySet": judged.policy_set,
        "rules": judged.rules,
        "record": {"all": details.record.all, "ofType": details.record.of_type},
        "lastAllowed": _compared(details.compared),
        "lease": {
            "problem": details.offer.problem,
            "maxMinutes": details.offer.max_minutes,
            "maxUses": details.offer.max_uses,
            "places": [{"path": path, "value": value} for path, value in details.offer.places],
        },
    }


def _compared(compared: Compared) -> JsonObject:
    return {
        "intentId": compared.intent_id or None,
        "time": compared.time or None,
        "exact": compared.exact,
        "problem": compared.problem,
        "differences": [
            {"path": one.path, "change": one.change, "before": one.before, "after": one.after}
            for one in compared.differences
        ],
    }
