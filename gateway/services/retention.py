"""Removing the state rows of what was closed long ago, in small slices, while nobody waits.

Owns when that happens, and that no row goes but in the transaction of an entry which says so and rests on the row's
being as it was read: a crash between two slices leaves either, and what changes meanwhile stays. Which rows are dead is
`core/retention.py`'s. Nothing is forgotten by it: closed approvals and leases are told by that entry, intents by their
own. Rows are no part of the chain's verification.

By which time things are old, where the clock may be wrong, is `core/ageing.py`'s.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import anyio
import orjson

from gateway.core.ageing import Ageing
from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.jsonvalue import JsonObject
from gateway.core.lease_rows import LEASES, read_lease, uses_key
from gateway.core.outcomes import OUTCOMES, StoredOutcome, read_outcome
from gateway.core.policy.bundle import ACCOUNTS
from gateway.core.remote import REMOTE, read_pending
from gateway.core.retention import (
    APPROVAL,
    LEASE,
    account_is_dead,
    approval_is_dead,
    kept_approval,
    kept_lease,
    lease_is_dead,
)
from gateway.core.rows import (
    APPROVALS,
    IDEMPOTENCY,
    INTENTS,
    HeldApproval,
    IntentState,
    approval_key,
    asked_key,
    intent_key,
    read_approval,
    read_intent,
    read_used,
)
from gateway.errors import StoreError
from gateway.ports import AuditLog, AuditReader, Clock, Ids, StateRow, StateStore
from gateway.services.audit_query import shown
from gateway.services.intent_records import first_decided, state_of
from gateway.services.jobs import Jobs

__all__ = ["Retention"]

FIRST_S: Final = 60.0
"""After a start, so that it competes with nothing that the start brings about."""

EVERY_S: Final = 6 * 3600.0
"""Between two rounds. A round reads what may be dead, and of the rest the first row only, where rows lie by age."""

PAUSE_S: Final = 0.1
"""Between two slices: a backlog of years is worked off at a few hundred rows a second, and nobody notices."""

SLICE_ROWS: Final = 25
"""Of one transaction, some ms of the writer: each is two or three rows, and kept whole in the body of the entry."""

JOB: Final = "retention"


@dataclass(slots=True, kw_only=True)
class _Slice:
    """What goes in one transaction. `last`: whatever comes after these rows is too young."""

    expects: list[Expect] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    kept: list[JsonObject] = field(default_factory=list)
    last: bool = False

    def remove(self, row: StateRow, *others: str) -> None:
        """Remove a row, as long as it is as it was read, and others that only belong to it."""
        self.expects.append(Expect(key=row.key, version=row.version))
        self.puts += [Put(key=key, value=None) for key in (row.key, *others)]


_Judge = Callable[[str, Sequence[StateRow]], Awaitable[_Slice]]


class Retention:
    """Goes through the rows of every tenant, again and again."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        state: StateStore,
        reader: AuditReader,
        clock: Clock,
        ids: Ids,
        jobs: Jobs,
        speaks: Callable[[StoredOutcome], bool],
        keep_closed_days: int,
        newest: datetime | None = None,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`speaks` tells whether an outcome still says something to the same call (`CallDesk.speaks`).

        `newest` is the time of the newest entry that the start found.
        """
        self._audit = audit
        self._state = state
        self._reader = reader
        self._clock = clock
        self._ids = ids
        self._jobs = jobs
        self._speaks = speaks
        self._keep = timedelta(days=keep_closed_days)
        self._pause_s = pause_s
        self._ageing = Ageing(newest=newest, now=clock.now(), monotonic=clock.monotonic())
        self._kinds: tuple[tuple[str, str, _Judge], ...] = (
            (APPROVAL, APPROVALS, self._approvals),
            (LEASE, LEASES, self._leases),
            ("intent", INTENTS, self._intents),
            ("idempotency-key", IDEMPOTENCY, self._idempotency),
            ("outcome", OUTCOMES, self._outcomes),
            ("account", ACCOUNTS, self._accounts),
            ("remote-intent", REMOTE, self._remote),
        )

    async def run(self) -> None:
        """Remove what is dead, for ever; `app.py` owns the task."""
        await anyio.sleep(FIRST_S)
        while True:
            try:
                await self.round()
            except StoreError:  # what could not go now goes in the next round
                self._jobs.ran(JOB, well=False)
            else:
                self._jobs.ran(JOB)
            await anyio.sleep(EVERY_S)

    async def round(self) -> None:
        """Go through all rows once. Raises StoreError."""
        for tenant in await self._reader.tenants():
            for kind, prefix, judge in self._kinds:
                try:
                    await self._walk(tenant, kind, prefix, judge)
                except (ValueError, KeyError, TypeError) as error:
                    msg = f"a row of kind {kind!r} of tenant {tenant!r} is damaged ({type(error).__name__})"
                    raise StoreError(msg) from error

    async def _walk(self, tenant: str, kind: str, prefix: str, judge: _Judge) -> None:
        after = ""
        while True:
            rows = await self._state.page(tenant, prefix, after=after, limit=SLICE_ROWS)
            found = await judge(tenant, rows)
            if found.puts:
                # A conflict: one of them is in use again. Nothing has gone, and the next round looks anew.
                await self._audit.append(self._entry(tenant, kind, found))
            if found.last or len(rows) < SLICE_ROWS:
                return
            after = rows[-1].key
            await anyio.sleep(self._pause_s)

    def _entry(self, tenant: str, kind: str, found: _Slice) -> EntryDraft:
        body = {"kind": kind, "rows": len(found.puts), "kept": found.kept}
        return EntryDraft(
            tenant=tenant,
            id=self._ids.new("evt"),
            type=EntryType.ROWS_REMOVED,
            time=timestamp(self._clock.now()),
            reasons=(kind,),
            body=orjson.dumps(body),
            expects=tuple(found.expects),
            puts=tuple(found.puts),
        )

    def _now(self) -> datetime:
        """Return the time by which things are old."""
        return self._ageing.at(self._clock.now(), self._clock.monotonic())

    def _before(self) -> str:
        return timestamp(self._now() - self._keep)

    # --- kind by kind -------------------------------------------------------------------------------------------------

    async def _approvals(self, tenant: str, rows: Sequence[StateRow]) -> _Slice:
        """Of closed approvals: with the count of askings, and their intents as far as these wait for nothing else."""
        found, before = _Slice(), self._before()
        for row in rows:
            held = read_approval(tenant, row.value, row.version)
            if held.approval.created > before:
                found.last = True
                break
            if approval_is_dead(held, before):
                await self._let_go(found, tenant, row, held)
        return found

    async def _let_go(self, found: _Slice, tenant: str, row: StateRow, held: HeldApproval) -> None:
        one = held.approval
        intent = await self._state.get(tenant, intent_key(one.intent_id))
        state = None if intent is None else read_intent(intent.value, intent.version)
        if intent is not None and state is not None and state.approval_id == one.id:  # else it waits for a later one
            if state.submitted and await self._by_entries(tenant, one.intent_id) != state:
                return
            found.remove(intent)
        asked = await self._state.get(tenant, asked_key(one.id))
        found.remove(row, asked_key(one.id))
        found.kept.append(kept_approval(held, 0 if asked is None else int(asked.value)))

    async def _leases(self, tenant: str, rows: Sequence[StateRow]) -> _Slice:
        found, before = _Slice(), self._before()
        for row in rows:
            lease = read_lease(tenant, row.value, row.version)
            if lease.granted > before:
                found.last = True
                break
            if lease_is_dead(lease, before):
                used = await self._state.get(tenant, uses_key(lease.id))
                found.remove(row, uses_key(lease.id))
                found.kept.append(kept_lease(lease, 0 if used is None else int(used.value)))
        return found

    async def _intents(self, tenant: str, rows: Sequence[StateRow]) -> _Slice:
        """Of submitted intents that wait for no approval: their entries say the same (`intent_records.state_of`)."""
        found, before = _Slice(), self._before()
        for row in rows:
            state = read_intent(row.value, row.version)
            approval = await self._state.get(tenant, approval_key(state.approval_id)) if state.approval_id else None
            if approval is not None:
                found.last = read_approval(tenant, approval.value, approval.version).approval.created > before
            else:
                entries = await self._entries(tenant, row.key.removeprefix(INTENTS))
                first = first_decided(entries)
                found.last = first is not None and first["time"] > before
                if first is not None and not found.last and (not state.submitted or state_of(entries) == state):
                    found.remove(row)
            if found.last:
                break
        return found

    async def _idempotency(self, tenant: str, rows: Sequence[StateRow]) -> _Slice:
        found, now = _Slice(), timestamp(self._now())
        for row in rows:
            if read_used(row.value, row.version).expires <= now:
                found.remove(row)
        return found

    async def _outcomes(self, tenant: str, rows: Sequence[StateRow]) -> _Slice:
        found, now = _Slice(), timestamp(self._now())
        for row in rows:
            outcome = read_outcome(row.value, row.version)
            if outcome.until <= now and not self._speaks(outcome):
                found.remove(row)
        return found

    async def _accounts(self, tenant: str, rows: Sequence[StateRow]) -> _Slice:
        found = _Slice()
        for row in rows:
            if account_is_dead(row.value, self._now()):
                found.remove(row)
        return found

    async def _remote(self, tenant: str, rows: Sequence[StateRow]) -> _Slice:
        found, now = _Slice(), timestamp(self._now())
        for row in rows:
            if read_pending(row.value).until <= now:
                found.remove(row)
        return found

    async def _by_entries(self, tenant: str, intent_id: str) -> IntentState | None:
        return state_of(await self._entries(tenant, intent_id))

    async def _entries(self, tenant: str, intent_id: str) -> list[JsonObject]:
        return [shown(entry) for entry in await self._reader.by_intent(tenant, intent_id, inputs=False)]
