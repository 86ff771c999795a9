"""An intent that a program submits, and the record that it becomes: what the REST dialects take and show.

Owns the values between the dialects and the services. The dialects' own field names are the faces' business; MCP calls
become the same record, read from their audit entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.core.decision import Effect
from gateway.core.jsonvalue import JsonObject

__all__ = ["TRANSITIONS", "IntentRecord", "IntentStatus", "Outcome", "Submission", "may_become"]


class IntentStatus(StrEnum):
    """Where an intent stands (contract, section 2)."""

    PENDING = "pending"
    """Awaits a human."""
    APPROVED = "approved"
    REJECTED = "rejected"
    """By policy or by a human."""
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"


TRANSITIONS: Mapping[IntentStatus, frozenset[IntentStatus]] = {
    IntentStatus.PENDING: frozenset({IntentStatus.APPROVED, IntentStatus.REJECTED, IntentStatus.EXPIRED}),
    IntentStatus.APPROVED: frozenset(
        {
            IntentStatus.COMPLETED,
            IntentStatus.FAILED,
            IntentStatus.EXPIRED,
            # A yes is decided again before it is used: the policy of that moment may say no, or ask again.
            IntentStatus.REJECTED,
            IntentStatus.PENDING,
        }
    ),
    IntentStatus.REJECTED: frozenset(),
    IntentStatus.COMPLETED: frozenset(),
    IntentStatus.FAILED: frozenset(),
    IntentStatus.EXPIRED: frozenset(),
}
"""From each status those that may follow."""


def may_become(status: IntentStatus, next_status: IntentStatus) -> bool:
    """Return True where the table has the transition."""
    return next_status in TRANSITIONS[status]


class Outcome(StrEnum):
    """How the submitting program says that its allowed act went."""

    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a program asks to be decided.

    `agent` is the agent's name as the body has it. `action` is free text or an intent type; `declared_type` and
    `domain` are set only where the dialect has the program declare them (Ops, or Ref's `{"type", "params"}`).
    A `domain` is declared by Ops only: agent and type must then be known, and the type be of that domain.
    `params` is what the token binds by its digest: Ops' and Ref's `params`, else Ref's `metadata`.
    """

    agent: str
    action: str
    declared_type: str = ""
    domain: str = ""
    system: str = ""
    params: JsonObject = field(default_factory=dict)
    description: str = ""
    justification: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRecord:
    """One intent as it stands now, whichever front it came through. Times are RFC 3339 with milliseconds.

    `params` are redacted as the audit stores them. `factors` are (code, points, evidence). `front` is `mcp` or
    `rest`; an MCP intent has its upstream in `system` and its tool in `action`. `decided` is when the decision
    that is shown was made: later than `created` where it was decided again after a human's yes. `error` is what a
    failed outcome said.
    """

    id: str
    tenant: str
    agent: str
    front: str
    type: str
    domain: str
    action: str
    system: str
    params: JsonObject
    description: str
    justification: str
    status: IntentStatus
    effect: Effect
    reason: str
    explanation: str
    risk: int
    confidence: float
    factors: tuple[tuple[str, int, str], ...]
    tier: int
    policy_set: str
    rules: tuple[str, ...]
    policy_digest: str
    args_digest: str
    created: str
    decided: str
    updated: str
    approval_id: str = ""
    error: str = ""
