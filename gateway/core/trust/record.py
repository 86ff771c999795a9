"""What is known of one agent: a small value that entries fold into, and its one written form.

Owns the fields and the form; what changes them is `fold.py`.
"""

from dataclasses import field

import orjson

from gateway.core.jsonvalue import JsonValue
from gateway.core.principal import TrustTier
from gateway.core.trust.evidence import EvidenceKind
from gateway.core.trust.model import VERSION
from gateway.core.value import value

__all__ = ["CITED", "NEW", "Cited", "Record", "Sums", "read_record"]

Cited = tuple[int, str]
"""An entry by its place in the chain and its id."""

CITED = 4
"""Entries of each sort, good and bad, that a record names for a change to cite."""


@value
class Sums:
    """Faded evidence as of the UTC day number `day`, in millionths, and what that day has contributed so far.

    `proven` are successes of some risk that the gateway saw; `slight` harmless, claimed or repeated ones, and a human's
    yes. `days` are the separate days with a success that counts for T1 to T4. Of the day itself: `level`, the highest
    tier that it counts for already, and what it has added. `kinds` are the proven calls counted last, as checksums;
    `refused` the calls denied on this day, `run` the successes of some risk since the last failure.
    """

    day: int = 0
    proven: int = 0
    slight: int = 0
    bad: int = 0
    days: tuple[int, int, int, int] = (0, 0, 0, 0)
    level: int = 0
    proven_today: int = 0
    slight_today: int = 0
    mild_today: int = 0
    kinds: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    run: int = 0


@value
class Record:
    """The record of one agent.

    `tier` is that of the last change, None where there was none; `since` the day of that or of the first evidence,
    `barred` the first day on which it may be promoted again (0: at once); `ceiling` and `frozen` are a human's.
    `failures_in_row` are failed executions and denials since the last success, `failed_at` the time of the last one.
    `counts` are by `EvidenceKind`. `good` and `worst` are the last entries that moved the sums up and down.
    """

    sums: Sums = field(default_factory=Sums)
    tier: TrustTier | None = None
    since: int = 0
    barred: int = 0
    ceiling: TrustTier | None = None
    frozen: bool = False
    failures_in_row: int = 0
    failed_at: str = ""
    counts: tuple[int, ...] = (0,) * len(EvidenceKind)
    good: tuple[Cited, ...] = ()
    worst: tuple[Cited, ...] = ()

    def written(self) -> bytes:
        """Return the one written form: a JSON array, the version of the model first."""
        one = self.sums
        sums = (
            *(one.day, one.proven, one.slight, one.bad, one.days),
            *(one.level, one.proven_today, one.slight_today, one.mild_today, one.kinds, one.refused, one.run),
        )
        tier, ceiling = self.tier, self.ceiling
        return orjson.dumps(
            (
                *(VERSION, sums, None if tier is None else tier.name, self.since, self.barred),
                *(None if ceiling is None else ceiling.name, self.frozen, self.failures_in_row, self.failed_at),
                *(self.counts, self.good, self.worst),
            )
        )


NEW = Record()
"""Of an agent of whom nothing is known."""


def read_record(text: bytes) -> Record | None:
    """Return the record that was written so; None where another version of the model wrote it: fold the log anew."""
    version, *fields = orjson.loads(text)
    if version != VERSION:
        return None
    sums, tier, since, barred, ceiling, frozen, failures_in_row, failed_at, counts, good, worst = fields
    return Record(
        sums=_sums(*sums),
        tier=None if tier is None else TrustTier[tier],
        since=since,
        barred=barred,
        ceiling=None if ceiling is None else TrustTier[ceiling],
        frozen=frozen,
        failures_in_row=failures_in_row,
        failed_at=failed_at,
        counts=tuple(counts),
        good=tuple((seq, entry) for seq, entry in good),
        worst=tuple((seq, entry) for seq, entry in worst),
    )


def _sums(*fields: JsonValue) -> Sums:
    day, proven, slight, bad, days, level, proven_today, slight_today, mild_today, kinds, refused, run = fields
    first, second, third, fourth = days
    return Sums(
        day=day,
        proven=proven,
        slight=slight,
        bad=bad,
        days=(first, second, third, fourth),
        level=level,
        proven_today=proven_today,
        slight_today=slight_today,
        mild_today=mild_today,
        kinds=tuple(kinds),
        refused=tuple(refused),
        run=run,
    )
