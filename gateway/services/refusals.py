"""Records what was refused before any decision: each refusal of a known principal, and strangers in summary.

A stranger must not be able to fill the disk: refusals without a principal are counted, and one entry per source,
reason and minute tells the count (design, section 3, "Which traffic makes entries").
"""

from collections import Counter

import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import SYSTEM_TENANT, Principal
from gateway.core.wire import Rejection
from gateway.errors import StoreError
from gateway.ports import AuditLog, Clock, Ids

__all__ = ["Refusals"]

SOURCES_KEPT = 1000
"""Distinct (source, reason) pairs counted in one minute; all further ones share one row named `others`."""

PERIOD_S = 60.0


class Refusals:
    """Turns rejections into audit entries."""

    def __init__(self, *, audit: AuditLog, clock: Clock, ids: Ids) -> None:
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._strangers: Counter[tuple[str, str]] = Counter()
        self._since = clock.monotonic()

    async def record(self, principal: Principal | None, source: str, rejection: Rejection) -> None:
        """Record one refusal. The refusal stands whether or not it can be recorded, so a failing store is passed over.

        `source` is the peer's address.
        """
        await self.note(principal, source, code=rejection.code, status=rejection.status)

    async def note(self, principal: Principal | None, source: str, *, code: int | str, status: int) -> None:
        """Record a refusal by its code and HTTP status, as `record` does. Without a principal it is only counted."""
        if principal is None:
            await self._count(source, str(code))
            return
        draft = EntryDraft(
            tenant=principal.tenant,
            id=self._ids.new("evt"),
            type=EntryType.REQUEST_REFUSED,
            time=timestamp(self._clock.now()),
            agent=principal.agent,
            reasons=(str(code),),
            body=orjson.dumps({"code": code, "status": status, "source": source}),
        )
        try:
            await self._audit.append(draft)
        except StoreError:
            return

    async def flush(self) -> None:
        """Write the summary of the strangers refused since the last one, if any.

        What is cut off or fails in the middle keeps the rest for the next time: whoever is refused waits only so long.
        """
        counted, self._strangers = self._strangers, Counter()
        self._since = self._clock.monotonic()
        try:
            while counted:
                (source, reason), count = counted.popitem()
                await self._audit.append(
                    EntryDraft(
                        tenant=SYSTEM_TENANT,
                        id=self._ids.new("evt"),
                        type=EntryType.STRANGERS_REFUSED,
                        time=timestamp(self._clock.now()),
                        reasons=(reason,),
                        body=orjson.dumps({"source": source, "reason": reason, "count": count}),
                    )
                )
        except StoreError:
            self._add(source, reason, count)
        finally:
            for (source, reason), count in counted.items():
                self._add(source, reason, count)

    async def _count(self, source: str, reason: str) -> None:
        """Count one stranger; the first one after a full minute writes the minute's summary."""
        self._add(source, reason, 1)
        if self._clock.monotonic() - self._since >= PERIOD_S:
            await self.flush()

    def _add(self, source: str, reason: str, count: int) -> None:
        key = (source, reason)
        if key not in self._strangers and len(self._strangers) >= SOURCES_KEPT:
            key = ("others", "any")
        self._strangers[key] += count
