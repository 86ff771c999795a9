"""Acts of an agent as the audit tells them: entries by hand, and hypothesis strategies for records and histories."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import TrustTier
from gateway.core.trust.deserved import fold
from gateway.core.trust.evidence import Change, ChangeKind, Evidence, EvidenceKind, day_of
from gateway.core.trust.record import NEW, Record

__all__ = ["BAD", "FIRST", "act", "acts", "changed", "changes", "entry", "histories", "lived", "on_day"]

FIRST = datetime(2026, 1, 1, 12, tzinfo=UTC)

BAD = (
    EvidenceKind.DENIED,
    EvidenceKind.REJECTED,
    EvidenceKind.FAILED,
    EvidenceKind.CLAIMED_FAILED,
    EvidenceKind.SLIPPED,
)


def on_day(day: int) -> datetime:
    """Return noon of a day, counted from the first."""
    return FIRST + timedelta(days=day)


def entry(what: EntryType, **fields: Any) -> EntryDraft:
    """Return an entry of the agent `bot` on the first day, as the gateway drafts it."""
    return replace(EntryDraft(tenant="default", id="evt_1", type=what, time=timestamp(FIRST), agent="bot"), **fields)


def act(kind: EvidenceKind, *, risk: int = 40, day: int = 0, what: int = 1, seq: int = 1) -> Evidence:
    """Return evidence of one act."""
    time = timestamp(on_day(day))
    return Evidence(kind=kind, risk=risk, day=day_of(time[:10]), what=what, time=time, seq=seq, id=f"evt_{seq}")


def changed(kind: ChangeKind, tier: TrustTier | None = None, *, day: int = 0, seq: int = 1) -> Change:
    """Return a change of trust."""
    time = timestamp(on_day(day))
    return Change(kind=kind, tier=tier, day=day_of(time[:10]), time=time, seq=seq, id=f"evt_{seq}")


def lived(told: Iterable[Evidence | Change], record: Record = NEW) -> Record:
    """Return what a history folds into."""
    for one in told:
        record = fold(record, one)
    return record


def acts(
    kinds: Iterable[EvidenceKind] = tuple(EvidenceKind), *, risks: tuple[int, int] = (0, 100)
) -> st.SearchStrategy[Evidence]:
    """Any act of those kinds; on days that may go backwards, of few kinds of call, so that some repeat."""
    return st.builds(
        act,
        st.sampled_from(tuple(kinds)),
        risk=st.integers(*risks),
        day=st.integers(0, 300),
        what=st.integers(0, 12),
        seq=st.integers(1, 10_000),
    )


def changes() -> st.SearchStrategy[Change]:
    """Any change of trust, by the model or by a human."""
    tiered = st.builds(
        changed,
        st.sampled_from(
            (ChangeKind.PROMOTED, ChangeKind.DEMOTED, ChangeKind.FADED, ChangeKind.CAPPED, ChangeKind.CEILING)
        ),
        st.sampled_from(TrustTier),
        day=st.integers(0, 300),
    )
    bare = st.builds(
        changed,
        st.sampled_from((ChangeKind.CEILING, ChangeKind.FROZEN, ChangeKind.UNFROZEN)),
        day=st.integers(0, 300),
    )
    return tiered | bare


def histories(max_size: int = 40) -> st.SearchStrategy[list[Evidence | Change]]:
    """Any history; half of them in the order of time, with a good share of successes."""
    told = st.lists(acts((EvidenceKind.EXECUTED,)) | acts() | changes(), max_size=max_size)
    return told | told.map(lambda some: sorted(some, key=lambda one: one.day))
