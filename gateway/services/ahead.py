"""State rows as they will be once everything that is queued for the store is durable.

Many calls that read and change the same row need not wait for each other's sync: each takes the row as the one before
it will leave it, says so in its draft (`Unchanged`), and the store checks that in the transaction. Exactness rests on
that check alone; what is kept here only saves conflicts. Where a draft comes to nothing, those that went by it conflict
and start again from what is durable.

Whoever uses it must not let go of the event loop between `read` and the append of the draft that goes by it: else
another one comes between, and one of both conflicts.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from gateway.core.audit.entry import Unchanged
from gateway.ports import Appended, Conflict, StateStore

__all__ = ["Ahead", "Line", "Queued"]

LINES_KEPT: Final = 10_000
"""Rows remembered; those beyond are read from the store again. At a few KiB each this bounds memory."""

T = TypeVar("T")


class Line(Generic[T]):
    """One row: the bytes that it holds or will hold (None: it does not exist) and what they mean.

    `queued` counts the drafts on their way that change it.
    """

    __slots__ = ("held", "meaning", "queued")

    def __init__(self, held: bytes | None, meaning: T) -> None:
        self.held = held
        self.meaning = meaning
        self.queued = 0


class Queued(Generic[T]):
    """What one draft rests on and will write, from `Ahead.queue` to `Ahead.ended`."""

    __slots__ = ("changed", "rested", "tenant")

    def __init__(self, tenant: str, rested: dict[str, Line[T]], changed: list[Line[T]]) -> None:
        self.tenant = tenant
        self.rested = rested
        self.changed = changed


class Ahead(Generic[T]):
    """Keeps a few rows of the state ahead of the store."""

    def __init__(self, state: StateStore, meaning: Callable[[bytes | None], T]) -> None:
        """`meaning` reads a row's bytes; it raises StoreError where they are damaged."""
        self._state = state
        self._meaning = meaning
        self._lines: dict[tuple[str, str], Line[T]] = {}

    async def read(self, tenant: str, keys: Sequence[str]) -> list[Line[T]]:
        """Return the rows as they will all be at one moment: now, and until the caller lets go of the event loop.

        Raises:
            StoreError: a row cannot be read, or is damaged.
        """
        while True:
            lines = self._lines
            found = [line for key in keys if (line := lines.get((tenant, key))) is not None]
            if len(found) == len(keys):
                return found
            for key in keys:
                if (tenant, key) not in self._lines:
                    await self._load(tenant, key)

    def queue(
        self, tenant: str, rested: Sequence[Unchanged], changed: Sequence[tuple[str, bytes | None, T]]
    ) -> Queued[T]:
        """Take note of a draft that is queued right now: what it rests on, and what of that it leaves how.

        Of one that rests on what is out of date by now nothing is expected: it conflicts.
        """
        lines: dict[str, Line[T]] = {}
        for one in rested:
            line = self._lines.get((tenant, one.key))
            if line is None or line.held != one.value:
                return Queued(tenant, {}, [])
            lines[one.key] = line
        written = []
        for key, held, meaning in changed:
            line = lines[key]
            line.held = held
            line.meaning = meaning
            line.queued += 1
            written.append(line)
        return Queued(tenant, lines, written)

    def ended(self, queued: Queued[T], outcome: Appended | Conflict | None) -> None:
        """Take note of what became of a draft; None where nobody knows. What proved wrong is forgotten."""
        for line in queued.changed:
            line.queued -= 1
        if isinstance(outcome, Appended):
            return
        for key, line in queued.rested.items():
            if line in queued.changed or (outcome is not None and outcome.key == key):
                self._forget(queued.tenant, key, line)

    def _forget(self, tenant: str, key: str, line: Line[T]) -> None:
        """Drop a line, unless another one has taken its place already."""
        if self._lines.get((tenant, key)) is line:
            del self._lines[tenant, key]

    async def _load(self, tenant: str, key: str) -> None:
        row = await self._state.get(tenant, key)
        held = None if row is None else row.value
        line = Line(held, self._meaning(held))
        if len(self._lines) >= LINES_KEPT:
            self._lines = {place: one for place, one in self._lines.items() if one.queued}
        self._lines.setdefault((tenant, key), line)  # whoever was quicker may have gone on from there
