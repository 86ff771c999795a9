"""What an audit entry makes of its intent: the table from entries to the status of an intent.

The status is nowhere stored as such. Whoever shows it reads the intent's entries in order, and the last one that this
table knows decides; an index may do the same for many at once.
"""

from collections.abc import Mapping

from gateway.core.audit.entry import EntryType
from gateway.core.submission import IntentStatus

__all__ = ["ANY", "DONE", "STATUS_AFTER", "status_after"]

ANY = ""
"""Stands for every word that the table does not name for that type of entry."""

STATUS_AFTER: Mapping[EntryType, Mapping[str, IntentStatus]] = {
    EntryType.CALL_DECIDED: {
        "ALLOW": IntentStatus.APPROVED,
        "DENY": IntentStatus.REJECTED,
        "ESCALATE": IntentStatus.PENDING,
    },
    EntryType.APPROVAL_RESOLVED: {
        "approved": IntentStatus.APPROVED,
        # One yes of several that are asked for.
        "pending": IntentStatus.PENDING,
        "expired": IntentStatus.EXPIRED,
        ANY: IntentStatus.REJECTED,
    },
    EntryType.CALL_COMPLETED: {
        "ok": IntentStatus.COMPLETED,
        "completed": IntentStatus.COMPLETED,
        ANY: IntentStatus.FAILED,
    },
}
"""Type of entry → word → status. The word is the effect of a decision, and the first reason of the others."""

DONE = frozenset(
    reason for reason, status in STATUS_AFTER[EntryType.CALL_COMPLETED].items() if status is IntentStatus.COMPLETED
)
"""Reasons of the completed entries of what went well."""


def status_after(entry_type: str, *, effect: str, reason: str) -> IntentStatus | None:
    """Return the status that an entry brings its intent to, or None where it says nothing of it."""
    words = STATUS_AFTER.get(EntryType(entry_type)) if entry_type in EntryType.__members__.values() else None
    if words is None:
        return None
    return words.get(effect if entry_type == EntryType.CALL_DECIDED else reason, words.get(ANY))
