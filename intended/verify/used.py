"""Which tokens were used already: single use is a promise of whoever accepts them."""

import heapq
import math
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["MemoryUsedIds", "UsedIds"]


class UsedIds(Protocol):
    """Remembers which tokens were used. Servers that share an audience must share one."""

    def use(self, token_id: str, *, issued: float, expires: float) -> bool:
        """Record the id in one step and return True; False where it may be there already. Whatever it raises refuses.

        `issued` and `expires` are the token's times, in seconds since 1970.
        """
        ...


class MemoryUsedIds:
    """For one process. It never forgets an id early: full of ids that have not expired it takes no more.

    A token from before the process began may have been used in the one before, so that it counts as used.
    """

    GRACE_S: Final = 60
    """Kept beyond their expiry, in case the clock is set back."""

    def __init__(self, capacity: int = 100_000, *, now: Callable[[], float] = time.time) -> None:
        self._capacity = capacity
        self._now = now
        self._since = math.floor(now())  # tokens tell whole seconds
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._queue: list[tuple[float, str]] = []

    def use(self, token_id: str, *, issued: float, expires: float) -> bool:
        """Record the id. Raises OverflowError where there is no room."""
        with self._lock:
            if token_id in self._ids or issued < self._since:
                return False
            over = self._now() - self.GRACE_S
            while self._queue and self._queue[0][0] <= over:
                self._ids.discard(heapq.heappop(self._queue)[1])
            if len(self._ids) >= self._capacity:
                raise OverflowError("no room for more used ids")
            self._ids.add(token_id)
            heapq.heappush(self._queue, (expires, token_id))
            return True
