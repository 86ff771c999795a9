"""A store in memory: `AuditLog`, `StateStore`, `AuditReader` and `UseLog`, which breaks when it is told to.

It passes `tests/contracts/test_store.py` like every real store, so what a service sees here is what it will see there.
Not durable, bound to one event loop, and in no hurry: every append passes a checkpoint of the loop.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import anyio
import anyio.lowlevel

from gateway.core.audit.chain import SALT_BYTES, first_prev, seal
from gateway.core.audit.entry import Count, EntryDraft, Put, StoredEntry
from gateway.errors import AuditUnavailable, CanonicalError, StoreError
from gateway.ports import Appended, Conflict, Follower, OpenCall, StateRow

__all__ = ["MemoryStore", "Moment"]


class Moment(StrEnum):
    """When an append breaks: with nothing recorded, or recorded without the caller ever learning of it."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(kw_only=True)
class _Break:
    moment: Moment
    where: Callable[[EntryDraft], bool]
    skip: int
    times: int


@dataclass(kw_only=True)
class MemoryStore:
    """`drafts` lists what was recorded, in order over all tenants; `attempts` also what was not.

    Set `down` to a reason and every append fails before recording, and `ready()` says why. Set `unreadable` to a
    reason and every read raises StoreError. Set `held` to an event and appends wait for it before they record.
    `rows_read` counts the state rows that were read.
    """

    down: str = ""
    unreadable: str = ""
    held: anyio.Event | None = None
    rows_read: int = 0
    drafts: list[EntryDraft] = field(default_factory=list)
    attempts: list[EntryDraft] = field(default_factory=list)
    _breaks: list[_Break] = field(default_factory=list)
    _chains: dict[str, list[StoredEntry]] = field(default_factory=dict)
    _rows: dict[tuple[str, str], StateRow] = field(default_factory=dict)
    _open: dict[tuple[str, str], OpenCall] = field(default_factory=dict)
    _floor: int = 0
    _uses: dict[str, str] = field(default_factory=dict)
    _followers: list[Follower] = field(default_factory=list)
    _on_loss: list[Callable[[], None]] = field(default_factory=list)

    def break_append(
        self,
        moment: Moment = Moment.BEFORE,
        *,
        where: Callable[[EntryDraft], bool] = lambda draft: True,
        skip: int = 0,
        times: int = 1,
    ) -> None:
        """Make appends fail: of those that `where` names, let `skip` pass and break the `times` after them."""
        self._breaks.append(_Break(moment=moment, where=where, skip=skip, times=times))

    # --- AuditLog ---

    async def append(self, draft: EntryDraft) -> Appended | Conflict:
        """As `ports.AuditLog.append`."""
        self.attempts.append(draft)
        await anyio.lowlevel.checkpoint()
        if self.held is not None:
            await self.held.wait()
        if self.down:
            raise AuditUnavailable(self.down)
        moment = self._breaking(draft)
        if moment is Moment.BEFORE:
            raise AuditUnavailable("told to fail before recording")
        outcome = self._record(draft)
        if moment is Moment.AFTER:
            for lost in self._on_loss:
                lost()
            raise AuditUnavailable("told to fail after recording")
        if isinstance(outcome, Appended):
            for follower in self._followers:
                follower(draft, outcome)
        return outcome

    def follow(self, follower: Follower, lost: Callable[[], None] | None = None) -> None:
        """As `ports.Followed.follow`."""
        self._followers.append(follower)
        if lost is not None:
            self._on_loss.append(lost)

    def ready(self) -> str:
        """As `ports.AuditLog.ready`."""
        return self.down

    def _breaking(self, draft: EntryDraft) -> Moment | None:
        for one in self._breaks:
            if not one.where(draft) or one.times == 0:
                continue
            if one.skip:
                one.skip -= 1
                continue
            one.times -= 1
            return one.moment
        return None

    def _record(self, draft: EntryDraft) -> Appended | Conflict:
        try:
            "".join((draft.tenant, *(one.key for one in (*draft.expects, *draft.unchanged, *draft.puts)))).encode()
        except UnicodeEncodeError as error:
            raise AuditUnavailable("the entry cannot be recorded: a key is no Unicode text") from error
        for expect in draft.expects:
            row = self._rows.get((draft.tenant, expect.key))
            if (row.version if row else 0) != expect.version:
                return Conflict(key=expect.key)
        for one in draft.unchanged:
            row = self._rows.get((draft.tenant, one.key))
            if (None if row is None else row.value) != one.value:
                return Conflict(key=one.key)
        try:
            counted = [self._counted(draft.tenant, count) for count in draft.counts]
        except ValueError as error:
            raise AuditUnavailable("the entry cannot be recorded: a row holds no number") from error
        for put, count in zip(counted, draft.counts, strict=True):
            if int(put.value or b"") > count.most:
                return Conflict(key=count.key)
        chain = self._chains.get(draft.tenant, [])
        prev = chain[-1].hash if chain else first_prev(draft.tenant)
        seq = len(chain) + 1
        salt = len(self.drafts).to_bytes(SALT_BYTES, "big")
        try:
            content, hash_ = seal(draft, seq=seq, prev=prev, salt=salt)
        except CanonicalError as error:
            raise AuditUnavailable(f"the entry cannot be recorded: {error}") from error
        entry = StoredEntry(
            tenant=draft.tenant,
            seq=seq,
            hash=hash_,
            content=content,
            salt=salt,
            body=draft.body,
            evaluation_input=draft.evaluation_input,
        )
        self._chains.setdefault(draft.tenant, []).append(entry)
        self.drafts.append(draft)
        self._change(draft, seq, (*draft.puts, *counted))
        return Appended(seq=seq, hash=hash_)

    def _counted(self, tenant: str, count: Count) -> Put:
        row = self._rows.get((tenant, count.key))
        return Put(key=count.key, value=b"%d" % ((int(row.value) if row else 0) + 1))

    def _change(self, draft: EntryDraft, seq: int, puts: Sequence[Put]) -> None:
        for put in puts:
            place = (draft.tenant, put.key)
            row = self._rows.get(place)
            if put.value is not None:
                version = (row.version if row else self._floor) + 1
                self._rows[place] = StateRow(key=put.key, version=version, value=put.value)
            elif row:
                self._floor = max(self._floor, row.version)
                del self._rows[place]
        call = (draft.tenant, draft.intent_id)
        if draft.opens:
            self._open[call] = OpenCall(tenant=draft.tenant, intent_id=draft.intent_id, seq=seq)
        if draft.closes:
            self._open.pop(call, None)

    def row(self, tenant: str, key: str) -> StateRow | None:
        """Return a row without reading it, as tests look at them."""
        return self._rows.get((tenant, key))

    # --- StateStore ---

    async def get(self, tenant: str, key: str) -> StateRow | None:
        """As `ports.StateStore.get`."""
        await self._readable()
        self.rows_read += 1
        return self._rows.get((tenant, key))

    async def scan(self, tenant: str, prefix: str) -> Sequence[StateRow]:
        """As `ports.StateStore.scan`."""
        await self._readable()
        found = [row for (owner, key), row in self._rows.items() if owner == tenant and key.startswith(prefix)]
        self.rows_read += len(found)
        return sorted(found, key=lambda row: row.key.encode())

    async def page(self, tenant: str, prefix: str, *, after: str, limit: int) -> Sequence[StateRow]:
        """As `ports.StateStore.page`."""
        start = max(prefix, after).encode()
        keys = [key for key in await self.keys(tenant, prefix) if key.encode() > start][:limit]
        self.rows_read += len(keys)
        return [self._rows[tenant, key] for key in keys]

    async def keys(self, tenant: str, prefix: str) -> Sequence[str]:
        """As `ports.StateStore.keys`."""
        await self._readable()
        found = [key for owner, key in self._rows if owner == tenant and key.startswith(prefix)]
        return sorted(found, key=str.encode)

    # --- AuditReader ---

    async def tenants(self) -> Sequence[str]:
        """As `ports.AuditReader.tenants`."""
        await self._readable()
        return sorted(self._chains)

    async def head(self, tenant: str) -> tuple[int, bytes]:
        """As `ports.AuditReader.head`."""
        await self._readable()
        chain = self._chains.get(tenant)
        return (chain[-1].seq, chain[-1].hash) if chain else (0, first_prev(tenant))

    async def read(self, tenant: str, *, after: int = 0, inputs: bool = True) -> AsyncIterator[StoredEntry]:
        """As `ports.AuditReader.read`."""
        await self._readable()
        for entry in self._chains.get(tenant, [])[after:]:
            yield entry if inputs else replace(entry, evaluation_input=None)

    async def last(self, tenant: str, count: int) -> Sequence[StoredEntry]:
        """As `ports.AuditReader.last`."""
        await self._readable()
        return self._chains.get(tenant, [])[-count:] if count > 0 else []

    async def by_intent(
        self, tenant: str, intent_id: str, *, inputs: bool = True, seq: int | None = None
    ) -> Sequence[StoredEntry]:
        """As `ports.AuditReader.by_intent`."""
        await self._readable()
        if not intent_id:
            return []
        needle = b'"intentId":"' + intent_id.encode() + b'"'
        found = [one for one in self._chains.get(tenant, []) if needle in one.content and seq in (None, one.seq)]
        return found if inputs else [replace(one, evaluation_input=None) for one in found]

    async def open_calls(self) -> Sequence[OpenCall]:
        """As `ports.AuditReader.open_calls`."""
        await self._readable()
        return sorted(self._open.values(), key=lambda call: (call.tenant, call.seq))

    # --- UseLog ---

    def note(self, name: str, at: str) -> None:
        """As `ports.UseLog.note`."""
        self._uses[name] = at

    async def uses(self) -> Mapping[str, str]:
        """As `ports.UseLog.uses`."""
        await self._readable()
        return dict(self._uses)

    async def _readable(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.unreadable:
            raise StoreError(self.unreadable)
