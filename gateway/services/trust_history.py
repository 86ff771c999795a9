"""How an agent's trust came about: its score and tier over time, and the entries that moved it, from the chain.

Owns what is shown of the past. Nothing is kept of it: whoever asks has the agent's entries folded once more.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from gateway.core.principal import TrustTier
from gateway.core.trust.deserved import Move, deserved_by, fold, move
from gateway.core.trust.evidence import Change, Evidence, change_of, evidence_of, read_chained
from gateway.core.trust.record import NEW, Record
from gateway.ports import Clock, RecordShelf
from gateway.services.trust import TrustTerms

__all__ = ["MOVES", "POINTS", "History", "Point", "TrustHistory"]

POINTS: Final = 60
"""Days of a plot: a terminal has 80 columns."""

MOVES: Final = 10
"""The last entries that moved the score or the tier."""

PAGE: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The end of one day."""

    day: str
    score: int
    tier: TrustTier


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Points from the first evidence to today, oldest first, and the last moves, newest first."""

    points: tuple[Point, ...] = ()
    moves: tuple[Move, ...] = ()


class TrustHistory:
    """Folds one agent's entries once more."""

    def __init__(self, *, shelf: RecordShelf, clock: Clock, terms: TrustTerms) -> None:
        self._shelf = shelf
        self._clock = clock
        self._terms = terms

    async def of(self, tenant: str, agent: str) -> History:
        """Return how an agent's trust came about. Raises StoreError."""
        days: dict[int, Record] = {}
        moves: deque[Move] = deque(maxlen=MOVES)
        record = NEW
        after, newest, more = 0, 0, True
        while more:
            page = await self._shelf.contents(tenant, after=after, limit=PAGE, agent=agent)
            for seq, _, content in page:
                told = _told(agent, seq, content)
                if told is None:
                    continue
                before, record = record, fold(record, told)
                newest = max(newest, told.day)
                days[newest] = record
                done = move(told, before, record, start=self._terms.start)
                if isinstance(told, Change) or done.score_before != done.score:
                    moves.append(done)
            more = len(page) == PAGE
            after = page[-1][0] if page else after
        return History(points=tuple(self._points(days)), moves=tuple(reversed(moves)))

    def _points(self, days: dict[int, Record]) -> Iterator[Point]:
        """Yield at most `POINTS` days, evenly apart, the last of them today."""
        if not days:
            return
        first, last = min(days), max(self._clock.now().toordinal(), *days)
        count = min(POINTS, last - first + 1)
        known = sorted(days)
        at = 0
        for number in range(count):
            day = last - (count - 1 - number) * (last - first) // max(count - 1, 1)
            while at + 1 < len(known) and known[at + 1] <= day:
                at += 1
            yield self._point(days[known[at]], day)

    def _point(self, record: Record, day: int) -> Point:
        moment = datetime.fromordinal(day).replace(tzinfo=self._clock.now().tzinfo)
        found = deserved_by(record, moment, ceiling=self._terms.ceiling, start=self._terms.start)
        return Point(day=moment.date().isoformat(), score=found.score, tier=min(found.tier, found.recorded))


def _told(agent: str, seq: int, content: bytes) -> Evidence | Change | None:
    """Return what an entry tells of the agent; nothing where it is another's, or says nothing of trust."""
    entry = read_chained(orjson.loads(content))
    if entry is None or entry.agent != agent:
        return None
    return evidence_of(entry, seq) or change_of(entry, seq)
