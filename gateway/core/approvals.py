"""The approval of one escalated intent: its value, and its states as a table.

Owns which transition exists. Who may ask for one, and that it is durable before it takes effect, is
`services/approvals.py`. Words of the AuthZEN access-request profile.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.core.decision import ApprovalTerms, Effect, MatchedRule
from gateway.core.jsonvalue import JsonObject

__all__ = ["TRANSITIONS", "Approval", "ApprovalState", "Granted", "may_become", "read_granted"]


class ApprovalState(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    """What it is about was switched off; a yes that was not used by then is none any more."""
    FAILED = "failed"
    """The yes could not be used: the decision at dispatch was no."""


TRANSITIONS: Mapping[ApprovalState, frozenset[ApprovalState]] = {
    ApprovalState.PENDING: frozenset(
        {ApprovalState.APPROVED, ApprovalState.DENIED, ApprovalState.EXPIRED, ApprovalState.CANCELLED}
    ),
    ApprovalState.APPROVED: frozenset({ApprovalState.FAILED, ApprovalState.EXPIRED, ApprovalState.CANCELLED}),
    ApprovalState.DENIED: frozenset(),
    ApprovalState.EXPIRED: frozenset(),
    ApprovalState.CANCELLED: frozenset(),
    ApprovalState.FAILED: frozenset(),
}
"""From each state the states that may follow. Nothing leads back to pending, and no no becomes a yes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One hold on one escalated intent. Times are RFC 3339; what has not happened yet is empty.

    `requested_by` is the credential that submitted the intent: it, and its agent, may not resolve it. `claimed` is
    who a body said the approver was: a claim, kept beside `resolved_by`, the credential of record, and
    `resolved_by_user`, the user behind it; empty where it is nobody's session.
    """

    id: str
    tenant: str
    intent_id: str
    agent: str
    requested_by: str
    state: ApprovalState
    reason: str
    terms: ApprovalTerms
    created: str
    expires: str
    resolved: str = ""
    resolved_by: str = ""
    resolved_by_user: str = ""
    claimed: str = ""
    rationale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A human's yes as a fact of the next decision on the same call.

    `rules` are the escalating rules that it answers, by id and digest: one that is new or changed since asks again.
    """

    id: str
    rules: frozenset[tuple[str, str]] = frozenset()

    def covers(self, rules: Iterable[MatchedRule]) -> bool:
        """Return True where every escalating rule of these is one that the human has seen as it is."""
        return all((rule.id, rule.digest) in self.rules for rule in rules if rule.effect is Effect.ESCALATE)


def read_granted(kept: JsonObject) -> Granted:
    """Return the fact as it was recorded."""
    return Granted(id=kept["id"], rules=frozenset((rule, text) for rule, text in kept["rules"]))


def may_become(state: ApprovalState, next_state: ApprovalState) -> bool:
    """Return True where the table has the transition."""
    return next_state in TRANSITIONS[state]
