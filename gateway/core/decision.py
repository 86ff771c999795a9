"""The answer: effect, reason codes, and the decision as it is recorded and told.

Owns the words of an answer. How it is reached is `core/decide.py`; how it looks on a wire is the faces' business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from gateway.core.value import value

__all__ = ["BY_BUDGET", "ApprovalTerms", "Decision", "Effect", "MatchedRule", "Reason", "Stop", "Thresholds"]


class Effect(StrEnum):
    """Deny overrides escalate, escalate overrides allow; what no rule allows is denied (contract, section 2)."""

    ALLOW = "ALLOW"
    ESCALATE = "ESCALATE"
    DENY = "DENY"


class Reason(StrEnum):
    """Stable codes for why a call was answered as it was. A program may branch on them; an agent learns no more."""

    POLICY_ALLOW = "policy-allow"
    POLICY_ESCALATE = "policy-escalate"
    POLICY_DENY = "policy-deny"
    NO_RULE = "no-rule"
    """No rule allows or escalates the call."""
    CONDITION_ERROR = "condition-error"
    """A condition of an applicable rule could not be evaluated to true or false."""
    TIER_ESCALATE = "tier-escalate"
    """A rule allows the call, but its risk is above what the agent's tier may do without a human."""
    AGENT_SCOPE = "agent-scope"
    """The intent is none of those that the agent declared for itself."""
    APPROVED = "approved"
    """A human has said yes to this very call, and nothing that asks for a human has changed since."""
    LEASED = "leased"
    """A human has said yes to calls of this shape, for a number of them and a time."""
    SWITCHED_OFF = "switched-off"
    """A human has stopped the agent, the upstream or the whole tenant."""
    CIRCUIT_OPEN = "circuit-open"
    """Too many of the agent's calls have failed or were denied in a row; it is stopped for a while."""
    BUDGET = "budget"
    """What the call would add to a declared budget cannot be computed."""
    REJECTED = "rejected"
    """A human has said no to this very call, a short while ago."""
    EXPIRED = "expired"
    """The call has waited for a human, and none answered in time."""
    TIER_DENY = "tier-deny"
    """The risk is at or above what the agent's tier may do at all."""
    UNKNOWN_TOOL = "unknown-tool"
    """Not in the upstream's list, or hidden from this principal."""
    SCHEMA = "schema"
    """The arguments break the pinned input schema."""
    SCHEMA_UNUSABLE = "schema-unusable"
    """The tool's input schema is invalid or refers elsewhere, so the tool is withheld."""
    AUTHORITY_ALLOW = "authority-allow"
    """The remote authority has nothing against the call. It is the reason of a fact, never of a decision."""
    AUTHORITY_DENY = "authority-deny"
    """The remote authority that this gateway asks denies the call."""
    AUTHORITY_ESCALATE = "authority-escalate"
    """The remote authority asks for a human, who answers there."""
    AUTHORITY_UNAVAILABLE = "authority-unavailable"
    """The remote authority gave no answer that could be used."""
    CONTENTION = "contention"
    """What the decision rested on kept changing; given up after the allowed number of attempts."""
    CALLER_GONE = "caller-gone"
    """The agent hung up before the first byte was forwarded."""
    BUSY = "busy"
    """Too many calls of this agent or to this upstream are in flight."""
    AUDIT_UNAVAILABLE = "audit-unavailable"
    """The decision could not be made durable, so nothing was forwarded."""
    FACTS_UNAVAILABLE = "facts-unavailable"
    """Something that the decision needs could not be read."""
    INTERNAL = "internal"
    """An unforeseen fault of the gateway; nothing was forwarded because of it."""


BY_BUDGET: Final = "by:budget"
"""Among the reasons of a denial by the rules: it was for what had been spent of a budget, and for nothing else
(`core/respite.py`). No rule has such an id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why nothing of an agent, upstream or tenant may run now: SWITCHED_OFF or CIRCUIT_OPEN, and a sentence.

    `until` is when it ends by itself, None where it does not.
    """

    reason: Reason
    explanation: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What one trust tier may do, in points of risk (0 to 100).

    Below `allow_below` a call that a rule allows needs no human; from `deny_from` on it is denied whatever a rule
    says; in between a human is asked. 101 in either place switches that cap off.
    """

    allow_below: int
    deny_from: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalTerms:
    """Who may approve an escalated call and for how long, as the escalating rules ask (strictest of them)."""

    role: str = "operator"
    approvers: int = 1
    expires_s: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedRule:
    """One rule that applied and whose condition held.

    `digest` is the lower-case hex SHA-256 of the rule's text as loaded, so that a changed rule is told from an old
    one of the same id.
    """

    id: str
    policy_set: str
    effect: Effect
    reason: str
    digest: str
    obligations: tuple[str, ...] = ()
    approval: ApprovalTerms | None = None


@value
class Decision:
    """The answer to one call.

    `rung` is the number of the rung of `core/decide.py` that answered. `explanation` is one sentence for the agent
    and the human: it names the rule, never an argument's value. `rules` are the matched rules of the deciding effect
    first, then the others. `conditions` is the outcome of every applicable rule's condition, so that the verdict can
    be recomputed where the arguments are no longer kept. `charges` is what an ALLOW adds to each budget that counts it
    (`core/budgets.py`): 1 to a count, millionths to a sum.
    """

    effect: Effect
    reason: Reason
    rung: int
    explanation: str
    policy_set: str
    policy_digest: str
    rules: tuple[MatchedRule, ...] = ()
    approval: ApprovalTerms | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)
    charges: Mapping[str, int] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """The id of the rule that decided; empty where none did: one of another effect would be the wrong culprit."""
        return self.rules[0].id if self.rules and self.rules[0].effect is self.effect else ""
