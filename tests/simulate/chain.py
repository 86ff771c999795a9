"""`ports.ChainRows` over a store in memory. Set `unreadable` of the store to a reason and every question raises."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from gateway.ports import Content
from tests.simulate.store import MemoryStore

__all__ = ["MemoryChain"]

Folded = TypeVar("Folded")


class MemoryChain:
    """Reads what the store holds now; `asked` lists (after, up to) of each reading."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.asked: list[tuple[int, int]] = []

    async def fold(self, tenant: str, *, after: int, up_to: int, fold: Callable[[Iterator[Content]], Folded]) -> Folded:
        """As `ports.ChainRows.fold`."""
        self.asked.append((after, up_to))
        found = [entry async for entry in self._store.read(tenant, after=after) if entry.seq <= up_to]
        return fold(iter([(one.seq, one.hash, one.content) for one in found]))
