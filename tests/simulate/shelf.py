"""`ports.RecordShelf` over a store in memory. Set `unreadable` of the store to a reason and every question raises."""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from gateway.ports import Content, KeptRecords
from tests.simulate.store import MemoryStore

__all__ = ["MemoryShelf"]


class MemoryShelf:
    """Keeps what is put by as the adapter does; `asked` lists what was read of the chain: tenant and after."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.put_by: dict[str, KeptRecords] = {}
        self.asked: list[tuple[str, int]] = []

    async def kept(self, tenant: str) -> KeptRecords | None:
        """As `ports.RecordShelf.kept`."""
        kept = self.put_by.get(tenant)
        if kept is not None:
            async for entry in self._store.read(tenant, after=kept.seq - 1):
                return kept if entry.hash == kept.hash else None
        return None

    async def keep(self, tenant: str, kept: KeptRecords, *, since: int) -> bool:
        """As `ports.RecordShelf.keep`."""
        await self._store.head(tenant)
        there = self.put_by.get(tenant)
        if since and (there is None or there.seq != since):
            return False
        before = there.records if since and there is not None else {}
        self.put_by[tenant] = replace(kept, records={**before, **kept.records})
        return True

    async def contents(self, tenant: str, *, after: int, limit: int, agent: str = "") -> Sequence[Content]:
        """As `ports.RecordShelf.contents`."""
        self.asked.append((tenant, after))
        found = [entry async for entry in self._store.read(tenant, after=after)]
        wanted = [one for one in found if not agent or orjson.loads(one.content)["agent"] == agent]
        return [(one.seq, one.hash, one.content) for one in wanted[:limit]]
