"""How many requests each credential has made in this minute, and when that is too many.

Owns the windows and their numbers: fixed, starting at each whole minute (contract, section 1, "Rate limits"). What a
credential may is in its `Principal`. In memory: one process serves all requests, and a restart begins a new window.
"""

import math
from collections.abc import Mapping
from typing import Final

from gateway.errors import RateLimited
from gateway.ports import Clock

__all__ = ["RATES", "RateLimits"]

RATES: Final[Mapping[str, int]] = {"": 1000, "free": 100, "pro": 500, "business": 2000}
"""Requests a minute by plan; the empty name is a key without one. `enterprise` has a number of its own per key."""

WINDOW_S: Final = 60.0
SLACK_S: Final = 0.05
"""A window that is begun so shortly before the whole minute was meant to begin with it: the two clocks differ a bit."""


class RateLimits:
    """Counts requests by credential. What it holds is bounded by the credentials that were used in one minute."""

    def __init__(self, clock: Clock) -> None:
        self._totals: dict[tuple[str, str], list[int]] = {}
        self._clock = clock
        self._counts: dict[str, int] = {}
        # On the monotonic clock: a wall clock that is set back must not stretch a window.
        self._ends = -math.inf

    def take(self, credential: str, per_minute: int | None, *, tenant: str = "", plan: str = "") -> None:
        """Count one request; None is no limit. `tenant` and `plan` are for the figures only.

        Raises:
            RateLimited: it is one too many. Only the first such error of a window is not `repeated`.
        """
        now = self._clock.monotonic()
        if now >= self._ends:
            self._begin(now)
        totals = self._totals.get((tenant, plan))
        if totals is None:
            totals = self._totals[tenant, plan] = [0, 0]
        totals[0] += 1
        count = self._counts[credential] = self._counts.get(credential, 0) + 1
        if per_minute is not None and count > per_minute:
            totals[1] += 1
            wait = max(1, math.ceil(self._ends - now))
            msg = f"Too many requests: the limit is {per_minute} a minute. Try again in {wait} s."
            raise RateLimited(msg, retry_after_s=wait, repeated=count > per_minute + 1)

    def counts(self) -> Mapping[str, int]:
        """Return how many requests each credential has made in the current minute, refused ones included."""
        return {} if self._clock.monotonic() >= self._ends else dict(self._counts)

    @property
    def totals(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """Requests since the start by (tenant, plan): how many, and how many of these were above their limit."""
        return {whose: (requests, refused) for whose, (requests, refused) in self._totals.items()}

    def _begin(self, now: float) -> None:
        left = WINDOW_S - self._clock.now().timestamp() % WINDOW_S
        self._ends = now + (left if left > SLACK_S else left + WINDOW_S)
        self._counts = {}
