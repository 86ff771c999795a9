"""Who waits for which approval in this process, and how they are woken at once.

Owns no truth: an approval stands as the store has it, and whoever is woken looks there. A wake-up is never lost to one
who takes `event` before looking.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

__all__ = ["Wakeups", "Watch"]


class Watch:
    """Everybody who waits for one approval."""

    __slots__ = ("event", "watchers")

    def __init__(self) -> None:
        self.event = anyio.Event()
        """Set at the next change; another one takes its place."""
        self.watchers = 0

    def wake(self) -> None:
        """Wake all who wait."""
        waited, self.event = self.event, anyio.Event()
        waited.set()


class Wakeups:
    """The watches of this process, by the approval's id."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}

    @contextmanager
    def watch(self, approval_id: str) -> Iterator[Watch]:
        """Wait for changes of one approval inside of the block."""
        watch = self._watches.setdefault(approval_id, Watch())
        watch.watchers += 1
        try:
            yield watch
        finally:
            watch.watchers -= 1
            if not watch.watchers:
                del self._watches[approval_id]

    def watched(self, approval_id: str) -> bool:
        """Return whether anybody waits for it."""
        return approval_id in self._watches

    def count(self, approval_id: str) -> int:
        """Return how many wait for it now."""
        watch = self._watches.get(approval_id)
        return 0 if watch is None else watch.watchers

    def wake(self, approval_id: str) -> None:
        """Wake all who wait for it: it has changed."""
        watch = self._watches.get(approval_id)
        if watch is not None:
            watch.wake()

    def wake_all(self) -> None:
        """Wake everybody."""
        for watch in self._watches.values():
            watch.wake()
