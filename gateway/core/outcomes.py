"""What became of an escalated call after its human spoke, kept for the same call: it is not executed a second time.

Owns the row and how long it speaks (contract, section 3). That it changes with the entries of its call, and who is
given it, is `services/outcomes.py`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import orjson

from gateway.core.approvals import Approval
from gateway.core.audit.body import timestamp
from gateway.core.jsonvalue import JsonObject

__all__ = ["KEPT_S", "OUTCOMES", "StoredOutcome", "StoredState", "outcome_key", "read_outcome", "refused", "until"]

OUTCOMES: Final = "outcome:"

KEPT_S: Final = 600
"""How long the same call finds what became of it; the same call is a new intent after that."""


class StoredState(StrEnum):
    """What the row says."""

    RUNNING = "running"
    """Its yes is used up and the call was sent, or is about to be. Of a process that has ended: in doubt."""
    DONE = "done"
    """It has ended, and nobody was there to hear how."""
    REFUSED = "refused"
    """A human said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutcome:
    """One row. `until` is RFC 3339; `attempt` names the run while it lasts, empty otherwise.

    `sealed` is the other side's answer, encrypted; None where there was none, or it was too large to be kept.
    `version` is that of the row.
    """

    state: StoredState
    approval_id: str
    intent_id: str
    until: str
    attempt: str = ""
    answered: bool = False
    reason: str = ""
    explanation: str = ""
    may_have_run: bool = False
    sealed: bytes | None = field(default=None, repr=False)
    version: int = 0

    def written(self) -> bytes:
        """Return the row's value."""
        return orjson.dumps(
            {
                "state": self.state,
                "approvalId": self.approval_id,
                "intentId": self.intent_id,
                "until": self.until,
                "attempt": self.attempt,
                "answered": self.answered,
                "reason": self.reason,
                "explanation": self.explanation,
                "mayHaveRun": self.may_have_run,
                "sealed": None if self.sealed is None else self.sealed.hex(),
            }
        )


def read_outcome(value: bytes, version: int) -> StoredOutcome:
    """Return the outcome of a row."""
    row: JsonObject = orjson.loads(value)
    return StoredOutcome(
        state=StoredState(row["state"]),
        approval_id=row["approvalId"],
        intent_id=row["intentId"],
        until=row["until"],
        attempt=row["attempt"],
        answered=row["answered"],
        reason=row["reason"],
        explanation=row["explanation"],
        may_have_run=row["mayHaveRun"],
        sealed=None if row["sealed"] is None else bytes.fromhex(row["sealed"]),
        version=version,
    )


def outcome_key(call_key: str) -> str:
    """Return the key of the outcome of a call, from that of its approval (`core/rows.py:call_key`)."""
    return f"{OUTCOMES}{call_key.rpartition(':')[2]}"


def until(moment: datetime) -> str:
    """Return the end of what is kept from `moment` on."""
    return timestamp(moment + timedelta(seconds=KEPT_S))


def refused(approval: Approval) -> StoredOutcome:
    """Return what stands after a human's no: the same call is not asked for again at once."""
    return StoredOutcome(
        state=StoredState.REFUSED,
        approval_id=approval.id,
        intent_id=approval.intent_id,
        until=until(datetime.fromisoformat(approval.resolved)),
    )
