"""How a record changes with each entry: fading by the day, what an act adds, what it forfeits.

Owns the arithmetic of evidence. What counts is `evidence.py`, how much `model.py`, what it earns `deserved.py`.
It runs for each entry on the path of a call: where a day is saturated, the sums stay the very same value.
"""

from dataclasses import replace

from gateway.core.trust.evidence import Change, ChangeKind, Evidence, EvidenceKind
from gateway.core.trust.model import DEFAULT_MODEL, UNIT, Step, TrustModel
from gateway.core.trust.record import CITED, Cited, Record, Sums

__all__ = ["FAILURES", "SUCCESSES", "after", "after_change", "aged"]

_SQUARE = 10_000
"""Risk is weighed by its square, of a hundred's: ten harmless acts are not one dangerous act, good or bad."""

_GOOD = frozenset({EvidenceKind.EXECUTED, EvidenceKind.CLAIMED, EvidenceKind.APPROVED})
SUCCESSES = frozenset({EvidenceKind.EXECUTED, EvidenceKind.CLAIMED})
_FORFEITS = frozenset({EvidenceKind.DENIED, EvidenceKind.REJECTED})
FAILURES = frozenset({EvidenceKind.FAILED, EvidenceKind.CLAIMED_FAILED, EvidenceKind.DENIED})


def after(record: Record, evidence: Evidence, model: TrustModel = DEFAULT_MODEL) -> Record:
    """Return the record with one more act. An entry whose time is before the last one's counts for the last one's day.

    A clock that goes backwards so gains nothing: no day counts twice, and nothing fades less.
    """
    kind = evidence.kind
    today = aged(record.sums, evidence.day, model)
    if kind in _GOOD:
        sums = _better(today, evidence, model)
    elif kind in _FORFEITS:
        sums = _worse(today, evidence, model)
    else:
        sums = _mildly_worse(today, evidence, model)
    good, worst, barred = record.good, record.worst, record.barred
    if sums.proven > today.proven or sums.level > today.level:
        good = _cited(good, evidence)
    elif sums.bad > today.bad or sums.refused is not today.refused:
        worst = _cited(worst, evidence)
    if kind in _FORFEITS and _forfeits(evidence, model) >= model.strike_percent * _SQUARE:
        barred = max(barred, sums.day + model.quiet)
    row, failed_at = record.failures_in_row, record.failed_at
    if kind in SUCCESSES:
        row = 0
    elif kind in FAILURES:
        row, failed_at = row + 1, max(failed_at, evidence.time)
    counts = list(record.counts)
    counts[kind] += 1
    return Record(
        sums=sums,
        tier=record.tier,
        since=record.since or evidence.day,
        barred=barred,
        ceiling=record.ceiling,
        frozen=record.frozen,
        failures_in_row=row,
        failed_at=failed_at,
        counts=tuple(counts),
        good=good,
        worst=worst,
    )


def after_change(record: Record, change: Change, model: TrustModel = DEFAULT_MODEL) -> Record:
    """Return the record with a change of the agent's trust, by the model or by a human."""
    kind = change.kind
    if kind is ChangeKind.CEILING:
        return replace(record, ceiling=change.tier)
    if kind is ChangeKind.FROZEN or kind is ChangeKind.UNFROZEN:
        return replace(record, frozen=kind is ChangeKind.FROZEN)
    day = max(record.sums.day, record.since, change.day)
    barred = max(record.barred, day + model.probation) if kind is ChangeKind.DEMOTED else record.barred
    return replace(record, tier=change.tier, since=day, barred=barred)


def aged(sums: Sums, day: int, model: TrustModel = DEFAULT_MODEL) -> Sums:
    """Return the sums as they are on that day; the very same where it is not a later one.

    It fades day by day, so that it does not matter at how many of them somebody looked.
    """
    if day <= sums.day:
        return sums
    first, second, third, fourth = sums.days
    fading: tuple[int, ...] = (sums.proven, sums.slight, sums.bad, first, second, third, fourth)
    rate = model.fade
    for _ in range(day - sums.day):
        if not any(fading):
            break
        fading = tuple(one * rate >> 32 for one in fading)
    proven, slight, bad, first, second, third, fourth = fading
    return Sums(
        day=day,
        proven=proven,
        slight=slight,
        bad=bad,
        days=(first, second, third, fourth),
        kinds=sums.kinds,
        run=sums.run,
    )


def _better(today: Sums, evidence: Evidence, model: TrustModel) -> Sums:
    """Add a success: in full where the gateway saw it, it was of some risk, and not the same call as one before."""
    if evidence.kind is not EvidenceKind.EXECUTED or evidence.risk < model.proven_risk:
        return _slight(today, evidence, model)
    run = min(today.run + 1, model.run_at_most)
    if evidence.what in today.kinds:
        sums = _slight(today, evidence, model)
        return sums if run == sums.run else _raised(sums, 0, proven=0, slight=0, kinds=sums.kinds, run=run)
    added = min(_weight(evidence, 100, model), model.proven_a_day - today.proven_today)
    level = _level(evidence.risk, model.steps)
    if not added and level <= today.level:
        return today if run == today.run else _raised(today, 0, proven=0, slight=0, kinds=today.kinds, run=run)
    kinds = (*today.kinds[1 - model.kinds :], evidence.what)
    return _raised(today, level, proven=added, slight=0, kinds=kinds, run=run)


def _slight(today: Sums, evidence: Evidence, model: TrustModel) -> Sums:
    """Add a success that is harmless, repeated or the agent's own word, or a human's yes."""
    # That a human agreed is no day on which the agent did anything well.
    level = 0 if evidence.kind is EvidenceKind.APPROVED else 1
    room = min(model.slight_a_day - today.slight_today, model.slight_fills - today.slight)
    if room <= 0 and level <= today.level:
        return today
    if evidence.kind is EvidenceKind.APPROVED:
        weight = _weight(evidence, model.approved_percent, model)
    else:
        weight = max(_weight(evidence, 100, model), model.least_good)
        if evidence.kind is EvidenceKind.CLAIMED:
            weight = weight * model.claimed_percent // 100
    return _raised(today, level, proven=0, slight=max(0, min(weight, room)), kinds=today.kinds, run=today.run)


def _level(risk: int, steps: tuple[Step, ...]) -> int:
    """Return the highest tier that a success of that risk counts for."""
    level = len(steps)
    while level > 1 and risk < steps[level - 1].risk:
        level -= 1
    return level


def _raised(today: Sums, level: int, *, proven: int, slight: int, kinds: tuple[int, ...], run: int) -> Sums:
    """Return the sums with something good added; the day counts once for each tier up to `level`."""
    first, second, third, fourth = (
        one + UNIT if today.level < tier <= level else one for tier, one in enumerate(today.days, start=1)
    )
    return Sums(
        day=today.day,
        proven=today.proven + proven,
        slight=today.slight + slight,
        bad=today.bad,
        days=(first, second, third, fourth),
        level=max(today.level, level),
        proven_today=today.proven_today + proven,
        slight_today=today.slight_today + slight,
        mild_today=today.mild_today,
        kinds=kinds,
        refused=today.refused,
        run=run,
    )


def _worse(today: Sums, evidence: Evidence, model: TrustModel) -> Sums:
    """Add a denial or a human's no: it weighs by its risk, and forfeits a share of everything good."""
    refused = today.refused
    percent = model.rejected_percent
    if evidence.kind is EvidenceKind.DENIED:
        if evidence.what in refused:
            return _mildly_worse(today, evidence, model)
        refused = (*refused[1 - model.refused :], evidence.what)
        percent = model.denied_percent
    weight = max(_weight(evidence, percent, model), model.least_bad)
    whole = 100 * _SQUARE
    left = whole - _forfeits(evidence, model)
    first, second, third, fourth = today.days
    return replace(
        today,
        proven=today.proven * left // whole,
        slight=today.slight * left // whole,
        bad=min(today.bad + weight, model.bad_at_most),
        days=(first * left // whole, second * left // whole, third * left // whole, fourth * left // whole),
        refused=refused,
    )


def _forfeits(evidence: Evidence, model: TrustModel) -> int:
    """Return the share of all merit that the act forfeits, in parts of a million."""
    denied = evidence.kind is EvidenceKind.DENIED
    percent = model.denied_forfeits_percent if denied else model.rejected_forfeits_percent
    risk = _risk(evidence, model)
    return percent * risk * risk


def _mildly_worse(today: Sums, evidence: Evidence, model: TrustModel) -> Sums:
    """Add a failure or a slip, as far as the day has room for them."""
    failed = evidence.kind is EvidenceKind.FAILED and evidence.risk >= model.proven_risk
    weight = model.slip
    if evidence.kind is EvidenceKind.FAILED or evidence.kind is EvidenceKind.CLAIMED_FAILED:
        weight = _weight(evidence, model.failed_percent, model) // (1 + today.run)
    run = 0 if failed else today.run
    room = (model.failed_a_day if failed else model.slips_a_day) - today.mild_today
    added = max(0, min(weight, room))
    if not added and run == today.run:
        return today
    bad = min(today.bad + added, model.bad_at_most)
    return replace(today, bad=bad, mild_today=today.mild_today + added, run=run)


def _weight(evidence: Evidence, percent: int, model: TrustModel) -> int:
    risk = _risk(evidence, model)
    return risk * risk * percent * UNIT // (100 * _SQUARE)


def _risk(evidence: Evidence, model: TrustModel) -> int:
    """Return the risk of an act. What a human forbids is not harmless, whatever it was judged to be."""
    if evidence.kind is EvidenceKind.REJECTED:
        return max(evidence.risk, model.assumed_risk)
    return model.assumed_risk if evidence.kind is EvidenceKind.APPROVED else evidence.risk


def _cited(cited: tuple[Cited, ...], evidence: Evidence) -> tuple[Cited, ...]:
    return (*cited[1 - CITED :], (evidence.seq, evidence.id))
