"""What an audit entry says of its agent: evidence of one act, or a change of its trust.

Owns which entries count and which are not the agent's doing. Reads chained fields only, never a body, so that whoever
has the log's hashed bytes finds the same. What it weighs is `fold.py`'s.
"""

from collections.abc import Mapping
from datetime import date
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final
from zlib import crc32

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.decision import BY_BUDGET, Effect, Reason
from gateway.core.intent.risk import MAX_RISK
from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import BY_UPSTREAM
from gateway.core.principal import TrustTier
from gateway.core.value import value

__all__ = [
    "BY_THE_MODEL",
    "Change",
    "ChangeKind",
    "Evidence",
    "EvidenceKind",
    "change_of",
    "day_of",
    "evidence_of",
    "read_chained",
]


class EvidenceKind(IntEnum):
    """What an act was. The numbers are the places of the counts in a record."""

    EXECUTED = 0
    """The gateway forwarded the call and saw it succeed."""
    CLAIMED = 1
    """The agent reports by REST that what it was allowed to do succeeded: its own word."""
    FAILED = 2
    """Executed, and the tool or its server says that it failed."""
    CLAIMED_FAILED = 3
    """The agent reports by REST that it failed."""
    DENIED = 4
    """A policy, the agent's tier or its declared scope forbids the call."""
    SLIPPED = 5
    """Denied, but nothing that anybody forbade: no such tool, wrong arguments, no rule, asked again after a no."""
    APPROVED = 6
    """A human said yes."""
    REJECTED = 7
    """A human said no."""


class ChangeKind(StrEnum):
    """What a `trust.changed` entry tells; the first of its reasons. The second is the tier, where there is one."""

    PROMOTED = "promoted"
    DEMOTED = "demoted"
    """The tier fell by what the agent did; it is not promoted for a while."""
    FADED = "faded"
    """The tier fell by time alone: what it rested on is too long ago."""
    CAPPED = "capped"
    """The tier came down to the ceiling: no fault of the agent's."""
    CEILING = "ceiling"
    """A human set the ceiling; without a tier it is that of the configuration again."""
    FROZEN = "frozen"
    """A human froze the agent: it is not promoted. It may still fall."""
    UNFROZEN = "unfrozen"


BY_THE_MODEL = frozenset({ChangeKind.PROMOTED, ChangeKind.DEMOTED, ChangeKind.FADED, ChangeKind.CAPPED})
"""Changes of the tier itself, which they always name; the others are a human's."""


@value
class Evidence:
    """One act of one agent. `time` is the entry's; `day` its UTC day as a number; `what` stands for the kind of call.

    `what` is a checksum of upstream, tool and arguments' digest: two calls that share it by chance count as one.
    """

    kind: EvidenceKind
    risk: int
    day: int
    what: int
    time: str
    seq: int
    id: str


@value
class Change:
    """One change of an agent's trust. `tier` is the new tier or ceiling; None where there is none."""

    kind: ChangeKind
    tier: TrustTier | None
    day: int
    time: str
    seq: int
    id: str

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of the entry that tells it."""
        return (self.kind.value,) if self.tier is None else (self.kind.value, self.tier.name)


_CALL_DECIDED: Final = EntryType.CALL_DECIDED
_CALL_COMPLETED: Final = EntryType.CALL_COMPLETED
_TRUST_CHANGED: Final = EntryType.TRUST_CHANGED
_DENY: Final = Effect.DENY

_COMPLETED: Mapping[str, EvidenceKind] = {
    "ok": EvidenceKind.EXECUTED,
    "completed": EvidenceKind.CLAIMED,
    "tool-error": EvidenceKind.FAILED,
    "rpc-error": EvidenceKind.FAILED,
    "failed": EvidenceKind.CLAIMED_FAILED,
}
"""Reason of a completed entry → evidence. The others say nothing of the agent: `upstream-failed` would let a server
that is down, or another agent that overloads it, take everybody's trust; `cancelled` and `caller-gone` are an agent's
right; `disowned`, `unsigned`, `fault` and `in-doubt` are the gateway's own."""

_DENIED: Mapping[str, EvidenceKind] = {
    Reason.POLICY_DENY: EvidenceKind.DENIED,
    Reason.TIER_DENY: EvidenceKind.DENIED,
    Reason.AGENT_SCOPE: EvidenceKind.DENIED,
    Reason.NO_RULE: EvidenceKind.SLIPPED,
    Reason.UNKNOWN_TOOL: EvidenceKind.SLIPPED,
    Reason.SCHEMA: EvidenceKind.SLIPPED,
    Reason.REJECTED: EvidenceKind.SLIPPED,
    Reason.AUTHORITY_DENY: EvidenceKind.SLIPPED,
}
"""Reason of a DENY → evidence. What a remote authority denies it weighs itself, in a record of its own. The others are
not the agent's doing: what the gateway could not read, record or evaluate, what others' calls or a human's switch
brought about, or what nobody answered in time. Nor is it what a rule denies for a budget alone (`BY_BUDGET`): an agent
that meets a limit does what it may do, only too often, and others may have spent it."""

_RESOLVED: Mapping[str, EvidenceKind] = {"approved": EvidenceKind.APPROVED, "denied": EvidenceKind.REJECTED}
"""State of a resolved approval → evidence. One yes of several, and none in time, say nothing yet."""


def evidence_of(entry: EntryDraft, seq: int) -> Evidence | None:
    """Return what the entry at this place of the chain is evidence of; None where it says nothing of an agent.

    What an upstream asks of the agent says nothing: whoever chooses the questions would choose the agent's tier.
    """
    if not entry.agent or not entry.reasons or BY_UPSTREAM in entry.reasons:
        return None
    kind = None
    if entry.type is _CALL_COMPLETED:
        kind = _COMPLETED.get(entry.reasons[0])
    elif entry.type is _CALL_DECIDED:
        if entry.effect == _DENY and BY_BUDGET not in entry.reasons:
            kind = _DENIED.get(entry.reasons[0])
    elif entry.type is EntryType.APPROVAL_RESOLVED:
        kind = _RESOLVED.get(entry.reasons[0])
    if kind is None:
        return None
    return Evidence(
        kind=kind,
        risk=max(0, min(MAX_RISK, entry.risk)),
        day=day_of(entry.time[:10]),
        what=crc32(f"{entry.upstream}\0{entry.tool}\0{entry.args_digest}".encode()),
        time=entry.time,
        seq=seq,
        id=entry.id,
    )


def change_of(entry: EntryDraft, seq: int) -> Change | None:
    """Return the change that a `trust.changed` entry tells; None for any other entry, and for words unknown here."""
    if entry.type is not _TRUST_CHANGED or not entry.agent or not entry.reasons:
        return None
    word, *rest = entry.reasons
    if word not in ChangeKind.__members__.values() or (rest and rest[0] not in TrustTier.__members__):
        return None
    kind, tier = ChangeKind(word), TrustTier[rest[0]] if rest else None
    if tier is None and kind in BY_THE_MODEL:
        return None
    return Change(kind=kind, tier=tier, day=day_of(entry.time[:10]), time=entry.time, seq=seq, id=entry.id)


def read_chained(content: JsonObject) -> EntryDraft | None:
    """Return a stored entry's hashed fields as a draft, for folding a log; None for a type unknown here."""
    if content["type"] not in EntryType.__members__.values():
        return None
    return EntryDraft(
        tenant=content["tenant"],
        id=content["id"],
        type=EntryType(content["type"]),
        time=content["time"],
        intent_id=content["intentId"],
        agent=content["agent"],
        upstream=content["upstream"],
        tool=content["tool"],
        effect=content["effect"],
        reasons=tuple(content["reasons"]),
        policy_digest=content["policyDigest"],
        risk=content["risk"],
        confidence=content["confidence"],
        args_digest=content["argsDigest"],
    )


@lru_cache(maxsize=64)
def day_of(text: str) -> int:
    """Return the number of a day that is written as `2026-11-22`. Raises ValueError."""
    return date.fromisoformat(text).toordinal()
