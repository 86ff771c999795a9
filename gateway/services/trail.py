"""A tenant's own audit trail: its entries by filter, page or cursor, and whether the chain is whole.

Owns who may ask about which chain: a principal about its own; and that a break which is found is told: an entry of its
own for each, from which webhooks tell it. The shape of an entry is `audit_query.shown`, the verdict on a chain
`core/audit/verify.py`.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.canonical import digest
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.audit.verify import Break, Report
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.errors import StoreError
from gateway.ports import AuditLog, AuditReader, Clock, EntryFilter, Ids, Page, RecordIndex
from gateway.services.audit_query import shown, verify

__all__ = ["Trail"]

BREAKS_TOLD: Final = 16
"""Of one verification: a chain that was rewritten is broken everywhere."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Turn:
    """The verification of one chain: who waits for one that begins later than it asked shares the result."""

    lock: anyio.Lock
    begun: int = 0
    report: Report | None = None


class Trail:
    """Reads of one tenant's chain."""

    def __init__(self, *, reader: AuditReader, index: RecordIndex, audit: AuditLog, clock: Clock, ids: Ids) -> None:
        self._reader = reader
        self._index = index
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._verified: dict[str, tuple[bool, float]] = {}
        self._turns: defaultdict[str, _Turn] = defaultdict(lambda: _Turn(lock=anyio.Lock()))

    async def entries(
        self, principal: Principal, wanted: EntryFilter, *, page: int, page_size: int
    ) -> Page[JsonObject]:
        """Return a page of entries as `audit_query.shown`, newest first. Raises StoreError."""
        found = await self._index.entries(principal.tenant, wanted, page=page, page_size=page_size)
        return Page(items=tuple(map(shown, found.items)), total=found.total)

    @property
    def verified(self) -> Mapping[str, tuple[bool, float]]:
        """The last verification of each chain since the start: whether it was whole, and when (seconds since 1970)."""
        return dict(self._verified)

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
                self._verified[principal.tenant] = (turn.report.valid, self._clock.now().timestamp())
                await self._tell(turn.report)
            return turn.report

    async def _tell(self, report: Report) -> None:
        """Record each break once. Where that is impossible the report stands all the same."""
        try:
            for found in report.breaks[:BREAKS_TOLD]:
                await self._audit.append(self._draft(report.tenant, found))
        except StoreError as error:
            _log.error("a break in the chain of tenant %s is not on record: %s", report.tenant, error)

    def _draft(self, tenant: str, found: Break) -> EntryDraft:
        told = {"sequence": found.seq, "kind": found.kind, "expected": found.expected, "found": found.found}
        now, key = timestamp(self._clock.now()), f"chain-break:{digest(told)}"
        return EntryDraft(
            tenant=tenant,
            id=self._ids.new("evt"),
            type=EntryType.CHAIN_BROKEN,
            time=now,
            body=orjson.dumps(told),
            expects=(Expect(key=key, version=0),),  # a conflict: it has been told
            puts=(Put(key=key, value=now.encode()),),
        )
