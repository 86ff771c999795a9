"""A tenant's own audit trail: its entries by filter, page or cursor, and whether the chain is whole.

Owns who may ask about which chain: a principal about its own. The shape of an entry is `audit_query.shown`, the
verdict on a chain `core/audit/verify.py`.
"""

from collections import defaultdict
from dataclasses import dataclass

import anyio

from gateway.core.audit.verify import Report
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.ports import AuditReader, EntryFilter, Page, RecordIndex
from gateway.services.audit_query import shown, verify

__all__ = ["Trail"]


@dataclass(slots=True)
class _Turn:
    """The verification of one chain: who waits for one that begins later than it asked shares the result."""

    lock: anyio.Lock
    begun: int = 0
    report: Report | None = None


class Trail:
    """Reads of one tenant's chain."""

    def __init__(self, *, reader: AuditReader, index: RecordIndex) -> None:
        self._reader = reader
        self._index = index
        self._turns: defaultdict[str, _Turn] = defaultdict(lambda: _Turn(lock=anyio.Lock()))

    async def entries(
        self, principal: Principal, wanted: EntryFilter, *, page: int, page_size: int
    ) -> Page[JsonObject]:
        """Return a page of entries as `audit_query.shown`, newest first. Raises StoreError."""
        found = await self._index.entries(principal.tenant, wanted, page=page, page_size=page_size)
        return Page(items=tuple(map(shown, found.items)), total=found.total)

    async def verify(self, principal: Principal) -> Report:
        """Verify the whole chain. Raises StoreError.

        It costs time with the chain's length, so there is one verification of a chain at a time, and whoever asks
        while one runs shares the next.
        """
        turn = self._turns[principal.tenant]
        asked = turn.begun
        async with turn.lock:
            if turn.report is None or turn.begun == asked:
                turn.begun += 1
                turn.report = None  # should this one fail, who waits has nothing to share
                turn.report = await verify(self._reader, principal.tenant)
            return turn.report
