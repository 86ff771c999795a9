"""By which time things are old, where the clock may be wrong. Pure: the clocks' readings arrive as arguments.

Whatever is removed by its age is gone for good, while a clock is put right: minutes after a boot, as soon as there is a
network. So only time counts that can be accounted for: what the chain had reached when the process started, and how
long the process has run since. A clock that is ahead of that is believed once it has gone on evenly for `SETTLE_S`,
and not before; after a long standstill things are removed that much later. One that is behind is believed at once, for
it only keeps things longer.

What is *not* owned: what holds until a time that was promised, such as an approval or a session. That ends by the clock
as it is, since to end early is to refuse.
"""

from datetime import datetime, timedelta
from typing import Final

__all__ = ["APART", "SETTLE_S", "Ageing"]

SETTLE_S: Final = 6 * 3600.0
"""Whoever sets a machine's clock has done so by then; a laptop is awake that long now and then."""

APART: Final = timedelta(minutes=1)
"""By so much the clock may differ from what is accounted for: it is corrected a little all the time."""


class Ageing:
    """Remembers what time is accounted for. Used from one thread."""

    def __init__(self, *, newest: datetime | None, now: datetime, monotonic: float) -> None:
        """`newest` is the time of the newest entry of the chain at the start, None where there was none."""
        self._known = now if newest is None else min(newest, now)
        self._since = monotonic
        self._ahead: tuple[datetime, float] | None = None

    def at(self, now: datetime, monotonic: float) -> datetime:
        """Return the time by which things are old, of what both clocks say now: never later than the first."""
        lived = self._known + timedelta(seconds=monotonic - self._since)
        if now <= lived + APART:
            if now >= lived - APART:
                self._known, self._since = now, monotonic
            self._ahead = None
            return now
        if self._ahead is None or not self._even(*self._ahead, now, monotonic):
            self._ahead = (now, monotonic)
        elif monotonic - self._ahead[1] >= SETTLE_S:
            self._known, self._since, self._ahead = now, monotonic, None
            return now
        return lived

    @staticmethod
    def _even(then: datetime, then_monotonic: float, now: datetime, monotonic: float) -> bool:
        """Return whether the clock has gone as far as time has."""
        return abs(now - then - timedelta(seconds=monotonic - then_monotonic)) <= APART
