"""What the service answers, as frozen values: decisions, intents and approvals. The rest is in `records.py`.

A decision is read more strictly than anything else here: an ALLOW that lacks what an ALLOW must have is `Nonsense`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar

from intended.reading import Fields, JsonObject, Nonsense

__all__ = [
    "Approval",
    "CreatedIntent",
    "Decision",
    "Intent",
    "Lease",
    "Page",
    "Person",
    "RiskFactor",
    "Trace",
    "Verdict",
    "refusal",
]

Verdict = Literal["ALLOW", "DENY", "ESCALATE"]

_VERDICTS: Final[dict[str, Verdict]] = {"ALLOW": "ALLOW", "DENY": "DENY", "ESCALATE": "ESCALATE"}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """How a decision came about: the policy set, the rules that fired, and when."""

    policy_set: str
    triggered_rules: tuple[str, ...]
    evaluated_at: str

    @classmethod
    def read(cls, fields: Fields) -> "Trace":
        """Read it from an answer."""
        return cls(
            policy_set=fields.text_or("policySet"),
            triggered_rules=fields.texts("triggeredRules"),
            evaluated_at=fields.text("evaluatedAt"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFactor:
    """One thing that made an intent riskier or less so, with its points and what it was seen by."""

    code: str
    points: float
    evidence: str

    @classmethod
    def read(cls, fields: Fields) -> "RiskFactor":
        """Read it from an answer."""
        return cls(
            code=fields.text_or("code"), points=fields.number_or("points") or 0, evidence=fields.text_or("evidence")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the service decided about one intent. Only `verdict == "ALLOW"` permits the act.

    `token` is the signed authority token of an ALLOW, issued once; it is left out of the representation, since whoever
    holds it may act. `fail_closed` is True where no service decided: the client denied, and `reason` says why.
    `retry_after_s` is when a DENY for what was spent of a budget may be asked again; None where that helps nothing.
    """

    verdict: Verdict
    reason: str
    risk_score: float
    confidence: float
    intent_id: str
    token: str | None = field(default=None, repr=False)
    trace: Trace | None = None
    reason_code: str = ""
    intent_type: str = ""
    domain: str = ""
    agent_id: str = ""
    agent: str = ""
    trust_tier: str = ""
    risk_factors: tuple[RiskFactor, ...] = ()
    escalation_id: str | None = None
    approval_url: str | None = None
    policy_digest: str = ""
    fail_closed: bool = False
    retry_after_s: float | None = None

    @property
    def allowed(self) -> bool:
        """True where the act is permitted."""
        return self.verdict == "ALLOW"

    @property
    def denied(self) -> bool:
        """True where the act is refused."""
        return self.verdict == "DENY"

    @property
    def escalated(self) -> bool:
        """True where a human must decide."""
        return self.verdict == "ESCALATE"

    @classmethod
    def read(cls, fields: Fields) -> "Decision":
        """Read a fresh decision, whose ALLOW must hold a token and a trace. Raises Nonsense."""
        decision = cls.recorded(fields)
        if decision.token is not None and not decision.allowed:
            raise Nonsense("it has a token without saying ALLOW")
        if decision.allowed and decision.token is None:
            raise Nonsense(
                "it says ALLOW without a token (one is issued once: was this submitted before under the same"
                " idempotency key?)"
            )
        if decision.allowed and decision.trace is None:
            raise Nonsense("it says ALLOW without a trace")
        return decision

    @classmethod
    def recorded(cls, fields: Fields) -> "Decision":
        """Read a decision that was made before; its token may have been issued already. Raises Nonsense."""
        verdict = _VERDICTS.get(fields.text("decision"))
        if verdict is None:
            raise Nonsense("`decision` is none of ALLOW, DENY, ESCALATE")
        token = fields.text("token") if fields.has("token") else None
        if token is not None and not token.isprintable():
            raise Nonsense("`token` is no token")
        return cls(
            verdict=verdict,
            reason=fields.text_or("reason") or f"{verdict} by policy",
            risk_score=fields.number("riskScore", least=0, most=100),
            confidence=fields.number("confidence", least=0, most=1),
            intent_id=fields.text("intentId"),
            token=token,
            trace=fields.one("trace", Trace.read) if fields.has("trace") else None,
            reason_code=fields.text_or("reasonCode"),
            intent_type=fields.text_or("intentType"),
            domain=fields.text_or("domain"),
            agent_id=fields.text_or("agentId"),
            agent=fields.text_or("agent"),
            trust_tier=fields.text_or("trustTier"),
            risk_factors=fields.each_or("riskFactors", RiskFactor.read),
            escalation_id=fields.text_or("escalationId") or None,
            approval_url=fields.text_or("approvalUrl") or None,
            policy_digest=fields.text_or("policyDigest"),
            retry_after_s=fields.number_or("retryAfterSeconds") or None,
        )

    @classmethod
    def read_agent_intent(cls, fields: Fields) -> "Decision":
        """Read the answer of `POST /agent-intent`, which spells a decision in its own way. Raises Nonsense."""
        inner = fields.one("authorityDecision", Fields.whole)
        token = fields.text_or("authorityDecisionToken") or None
        verdict = _VERDICTS.get(Fields(dict(inner)).text("decision"))
        if verdict is None or (verdict == "ALLOW" and token is None):
            raise Nonsense("`authorityDecision` is no decision, or an ALLOW without a token")
        scores = Fields(dict(inner), "`authorityDecision`")
        return cls(
            verdict=verdict,
            reason=fields.text_or("explanation") or f"{verdict} by policy",
            risk_score=scores.number("riskScore", least=0, most=100),
            confidence=scores.number("confidence", least=0, most=1),
            intent_id=fields.text("intentId"),
            token=token if verdict == "ALLOW" else None,
            escalation_id=fields.text_or("escalationId") or None,
        )


def refusal(reason: str) -> Decision:
    """Return the decision of a client that got none: DENY, whatever the service would have said."""
    return Decision(verdict="DENY", reason=reason, risk_score=100, confidence=0.0, intent_id="", fail_closed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An intent as it stands now. `raw` is the whole answer, for members that have no name here.

    `decision` is the last one: an intent that a human allowed says ESCALATE there, under the status `approved`, until
    it is decided again for its token. It is None in the Ops dialect. `params` are redacted, as the audit keeps them.
    `token` is there at most once: for the agent that submitted, after a human's yes.
    """

    id: str
    status: str
    type: str = ""
    domain: str = ""
    agent_id: str = ""
    agent: str = ""
    action: str = ""
    system: str = ""
    params: JsonObject = field(default_factory=dict)
    description: str = ""
    approval_id: str = ""
    created_at: str = ""
    updated_at: str = ""
    error: str = ""
    decision: Decision | None = None
    raw: JsonObject = field(default_factory=dict, repr=False)

    @property
    def token(self) -> str | None:
        """The authority token, where this answer issued it."""
        return self.decision.token if self.decision is not None else None

    @classmethod
    def read(cls, fields: Fields) -> "Intent":
        """Read an intent of either dialect: Ref's decision with its state, or Ops' object with its `id`."""
        return cls(
            id=fields.text("intentId") if fields.has("intentId") else fields.text("id"),
            status=fields.text_or("status"),
            type=fields.text_or("type") or fields.text_or("intentType"),
            domain=fields.text_or("domain"),
            agent_id=fields.text_or("agentId"),
            agent=fields.text_or("agent"),
            action=fields.text_or("action"),
            system=fields.text_or("system"),
            params=fields.object_or("params") or fields.object_or("metadata"),
            description=fields.text_or("description"),
            approval_id=fields.text_or("approvalId") or fields.text_or("escalationId"),
            created_at=fields.text_or("createdAt"),
            updated_at=fields.text_or("updatedAt"),
            error=fields.text_or("error"),
            decision=Decision.recorded(fields) if fields.has("intentId") and fields.has("decision") else None,
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedIntent:
    """What creating an intent in the Ops dialect answers. `token` is there where the policy allowed it, once."""

    intent_id: str
    status: str
    created_at: str
    token: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "CreatedIntent":
        """Read it from an answer."""
        return cls(
            intent_id=fields.text("intentId"),
            status=fields.text("status"),
            created_at=fields.text("createdAt"),
            token=fields.text_or("token") or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A human user. `name` is empty where the user is no more, and for a credential that is bound to an agent."""

    id: str
    name: str = ""

    @classmethod
    def read(cls, fields: Fields) -> "Person":
        """Read it from an answer."""
        return cls(id=fields.text("id"), name=fields.text_or("name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One hold on one escalated intent, waiting for a human or resolved by one.

    `resolved_by` is the credential of record, `resolved_by_user` whose portal session it is, None where it is none.
    """

    id: str
    status: str
    intent_id: str = ""
    agent: str = ""
    requested_by: str = ""
    reason: str = ""
    created_at: str = ""
    expires_at: str = ""
    resolved_at: str = ""
    resolved_by: str = ""
    resolved_by_user: Person | None = None
    rationale: str = ""
    lease_id: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "Approval":
        """Read it from an answer of either dialect; Ref calls its id `escalationId`, and a no `denied`."""
        status = fields.text("status")
        return cls(
            id=fields.text("escalationId") if fields.has("escalationId") else fields.text("id"),
            status="rejected" if status == "denied" else status,
            intent_id=fields.text_or("intentId"),
            agent=fields.text_or("agent"),
            requested_by=fields.text_or("requestedBy"),
            reason=fields.text_or("reason"),
            created_at=fields.text_or("createdAt"),
            expires_at=fields.text_or("expiresAt"),
            resolved_at=fields.text_or("resolvedAt"),
            resolved_by=fields.text_or("resolvedBy"),
            resolved_by_user=fields.one("resolvedByUser", Person.read) if fields.has("resolvedByUser") else None,
            rationale=fields.text_or("rationale") or fields.text_or("resolution"),
            lease_id=fields.text_or("leaseId"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A human's yes to calls of one shape. `status` is `active`, or says how it ended; its shape is in `raw`."""

    id: str
    status: str
    agent: str = ""
    upstream: str = ""
    tool: str = ""
    used: int = 0
    max_uses: int = 0
    expires_at: str = ""
    granted_by: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "Lease":
        """Read it from an answer."""
        return cls(
            id=fields.text("id"),
            status=fields.text("status"),
            agent=fields.text_or("agent"),
            upstream=fields.text_or("upstream"),
            tool=fields.text_or("tool"),
            used=fields.count_or("used"),
            max_uses=fields.count_or("maxUses"),
            expires_at=fields.text_or("expiresAt"),
            granted_by=fields.text_or("grantedBy"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[_T]):
    """One page of a list, newest first. `total` counts all pages."""

    items: tuple[_T, ...]
    total: int
    page: int
    page_size: int

    def __iter__(self) -> Iterator[_T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
