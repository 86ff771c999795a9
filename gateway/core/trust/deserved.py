"""What a record deserves: its score, its tier now, and what the next tier takes.

Owns the rules of promotion and demotion. Nothing here changes a record: a tier changes when the entry that says so
folds in (`fold.py`). All of it depends on the UTC day of `now` and no finer time.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from gateway.core.principal import TrustTier
from gateway.core.trust.evidence import Change, ChangeKind, Evidence
from gateway.core.trust.fold import after, after_change, aged
from gateway.core.trust.model import DEFAULT_MODEL, UNIT, TrustModel
from gateway.core.trust.record import Cited, Record, Sums
from gateway.core.value import value

__all__ = ["Deserved", "Move", "Need", "change_due", "cites", "deserved_by", "fold", "move", "needs", "score_of"]


@value
class Deserved:
    """What a record deserves on a day. `tier` is at most one above the recorded one, and may be far below it.

    `recorded` is the tier of the last change, or the one that the agent started with.
    """

    tier: TrustTier
    score: int
    recorded: TrustTier


@value
class Need:
    """One thing that the next tier takes, as a person reads it: what there is of it, and how much is asked."""

    what: str
    has: str
    asks: str
    met: bool


@value
class Move:
    """What one entry did: the score and the recorded tier before and after it."""

    told: Evidence | Change
    score_before: int
    score: int
    tier_before: TrustTier
    tier: TrustTier


def deserved_by(
    record: Record,
    now: datetime,
    *,
    ceiling: TrustTier = TrustTier.T2,
    start: TrustTier = TrustTier.T0,
    model: TrustModel = DEFAULT_MODEL,
) -> Deserved:
    """Return what the record deserves on the day of `now` (aware).

    `start` is the tier of an agent of whom nothing is known, `ceiling` that of all for whom no human set another one;
    it never lies below `start`.
    """
    return _on(record, _day(now), ceiling, start, model)


def _on(record: Record, day: int, ceiling: TrustTier, start: TrustTier, model: TrustModel) -> Deserved:
    sums = aged(record.sums, day, model)
    score = score_of(sums, model)
    recorded = start if record.tier is None else record.tier
    top = _ceiling(record, ceiling, start)
    tier = min(recorded, top)
    for below in range(tier):
        if not _keeps(sums, score, below, start, model):
            tier = TrustTier(below)
            break
    if tier == recorded and tier < top and _ripe(record, sums, score, day, start, model):
        tier = TrustTier(tier + 1)
    return Deserved(tier=tier, score=score, recorded=recorded)


def score_of(sums: Sums, model: TrustModel = DEFAULT_MODEL) -> int:
    """Return the score, 0 to 100: the expected value of the Beta distribution, rounded down.

    Slight evidence counts only as far as it fills merit up to `slight_fills`.
    """
    return _expected(max(sums.proven, min(sums.proven + sums.slight, model.slight_fills)), sums.bad, model)


def _expected(merit: int, bad: int, model: TrustModel) -> int:
    return (100 * merit + model.prior * model.base_percent) // (merit + bad + model.prior)


def needs(
    record: Record,
    now: datetime,
    *,
    ceiling: TrustTier = TrustTier.T2,
    start: TrustTier = TrustTier.T0,
    model: TrustModel = DEFAULT_MODEL,
) -> tuple[Need, ...]:
    """Return everything that the tier above the recorded one takes; nothing where there is none."""
    recorded = start if record.tier is None else record.tier
    if recorded is TrustTier.T4:
        return ()
    day = _day(now)
    sums = aged(record.sums, day, model)
    top = _ceiling(record, ceiling, start)
    under = Need(what="ceiling", has=top.name, asks=TrustTier(recorded + 1).name, met=recorded < top)
    return (under, *_needs(record, sums, score_of(sums, model), day, start, model))


def change_due(
    record: Record,
    now: datetime,
    *,
    ceiling: TrustTier = TrustTier.T2,
    start: TrustTier = TrustTier.T0,
    model: TrustModel = DEFAULT_MODEL,
) -> tuple[ChangeKind, Deserved] | None:
    """Return the change that the record is due, and to what; None where its tier is as it should be."""
    due = deserved_by(record, now, ceiling=ceiling, start=start, model=model)
    if due.tier == due.recorded:
        return None
    if due.tier > due.recorded:
        return ChangeKind.PROMOTED, due
    if due.tier == _ceiling(record, ceiling, start):
        return ChangeKind.CAPPED, due
    faded = _only_faded(record, due, _day(now), ceiling, start, model)
    return (ChangeKind.FADED if faded else ChangeKind.DEMOTED), due


def _only_faded(
    record: Record, due: Deserved, day: int, ceiling: TrustTier, start: TrustTier, model: TrustModel
) -> bool:
    """Say whether time alone lowers the tier: it held at the last entry, or would fall with nothing bad on record."""
    last = _on(record, record.sums.day, ceiling, start, model)
    if last.tier >= last.recorded:
        return True
    clean = replace(record, sums=replace(record.sums, bad=0))
    return day >= record.barred and _on(clean, day, ceiling, start, model).tier == due.tier


def cites(record: Record, kind: ChangeKind) -> tuple[Cited, ...]:
    """Return the entries (seq, id) that a change of this kind rests on, oldest first; at most 8.

    What faded rests on the last that was good, which are too long ago.
    """
    if kind is ChangeKind.PROMOTED or kind is ChangeKind.FADED:
        return record.good
    return tuple(sorted({*record.worst, *record.good}))


def fold(record: Record, told: Evidence | Change, model: TrustModel = DEFAULT_MODEL) -> Record:
    """Return the record with one more entry, be it evidence or a change."""
    return after(record, told, model) if isinstance(told, Evidence) else after_change(record, told, model)


def move(
    told: Evidence | Change,
    before: Record,
    record: Record,
    *,
    start: TrustTier = TrustTier.T0,
    model: TrustModel = DEFAULT_MODEL,
) -> Move:
    """Return what an entry did that made this record of the one before. Fading until then is no entry's doing."""
    was, now = (score_of(aged(one.sums, told.day, model), model) for one in (before, record))
    tier_before, tier = (start if one.tier is None else one.tier for one in (before, record))
    return Move(told=told, score_before=was, score=now, tier_before=tier_before, tier=tier)


def _keeps(sums: Sums, score: int, below: int, start: TrustTier, model: TrustModel) -> bool:
    """Say whether the evidence is enough for the tier above `below`, or not too much against one that was given."""
    step = model.steps[below]
    if below < start and _expected(sums.proven, sums.bad, model) >= step.newcomer:
        return True
    return score >= step.keeps_score and sums.days[below] >= step.keeps_days * UNIT


def _ripe(record: Record, sums: Sums, score: int, day: int, start: TrustTier, model: TrustModel) -> bool:
    """Say whether the next tier is earned, its ceiling aside; a tier up to `start` is given again, not earned."""
    recorded = start if record.tier is None else record.tier
    step = model.steps[recorded]
    if record.frozen or day < record.barred or day - record.since < step.dwell:
        return False
    if recorded < start:
        return _expected(sums.proven, sums.bad, model) >= step.newcomer
    return score >= step.score and sums.days[recorded] >= step.days * UNIT


def _needs(record: Record, sums: Sums, score: int, day: int, start: TrustTier, model: TrustModel) -> Iterator[Need]:
    """Yield what `_ripe` asks for, one by one."""
    recorded = start if record.tier is None else record.tier
    step = model.steps[recorded]
    yield Need(what="not frozen", has="frozen" if record.frozen else "free", asks="free", met=not record.frozen)
    if recorded < start:
        proven = _expected(sums.proven, sums.bad, model)
        what = "score without what is slight"
        yield Need(what=what, has=str(proven), asks=str(step.newcomer), met=proven >= step.newcomer)
    else:
        yield Need(what="score", has=str(score), asks=str(step.score), met=score >= step.score)
        counted = sums.days[recorded]
        what = f"separate days with a success of risk {step.risk} or more" if step.risk else "separate days"
        has = f"{counted // (UNIT // 10) / 10:.1f}"
        yield Need(what=what, has=has, asks=str(step.days), met=counted >= step.days * UNIT)
    dwelt = max(0, day - record.since) if record.since else 0
    yield Need(what="days at this tier", has=str(dwelt), asks=str(step.dwell), met=dwelt >= step.dwell)
    barred = max(0, record.barred - day)
    yield Need(what="days to wait after a demotion or strike", has=str(barred), asks="0", met=not barred)


def _ceiling(record: Record, ceiling: TrustTier, start: TrustTier) -> TrustTier:
    return max(ceiling, start) if record.ceiling is None else record.ceiling


def _day(now: datetime) -> int:
    return now.astimezone(UTC).date().toordinal()
