"""The audit store: the chain, the rows of state that entries read and change, and what is kept beside them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.audit.entry import EntryDraft, StoredEntry
from gateway.core.value import value

__all__ = [
    "Appended",
    "AuditLog",
    "AuditReader",
    "Conflict",
    "Followed",
    "Follower",
    "OpenCall",
    "StateRow",
    "StateStore",
    "UseLog",
    "Vault",
]


@value
class Appended:
    """The entry is durable at this place of its tenant's chain."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Nothing was written: the row under `key` is no longer as the draft expects."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """One row of state that entries read and change.

    `version` counts its changes from 1; after a deletion from a higher number, so that no version ever comes back.
    """

    key: str
    version: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A decided ALLOW that has no completed entry yet."""

    tenant: str
    intent_id: str
    seq: int


class AuditLog(Protocol):
    """The hash-chained, durable record."""

    def append(self, draft: EntryDraft) -> Awaitable[Appended | Conflict]:
        """Return only once the entry is on disk (fsync). A caller MUST NOT act on a decision before this returns.

        Cancelling the wait does not undo the write: the entry may be there or not.

        Raises:
            AuditUnavailable: it is not certain that the entry is durable; act as if it were not.
        """
        ...

    def ready(self) -> str:
        """Return an empty string while entries can be made durable, else the reason why not."""
        ...


Follower = Callable[[EntryDraft, Appended], None]
"""Hears of one durable entry, on the event loop. It must be quick, must not wait, and ought not to raise."""


class Followed(Protocol):
    """A chain whose entries can be followed as they come."""

    def follow(self, follower: Follower, lost: Callable[[], None] | None = None) -> None:
        """Tell `follower` of every entry from now on, in the order of its chain.

        That is after the state rows it puts can be read, and before whoever waits for the append goes on. An entry
        whose append failed although it became durable is not told: the next one's `seq` then leaves a gap. `lost` is
        called, before whoever waits is told, each time that appends have failed of which that may be so.
        """
        ...


class StateStore(Protocol):
    """Reads of the state rows that `EntryDraft.puts` write."""

    async def get(self, tenant: str, key: str) -> StateRow | None:
        """Return the row as last committed. Raises StoreError where it cannot be known."""
        ...

    async def scan(self, tenant: str, prefix: str) -> Sequence[StateRow]:
        """Return all rows whose key begins with `prefix`, in key order. Raises StoreError."""
        ...

    async def page(self, tenant: str, prefix: str, *, after: str, limit: int) -> Sequence[StateRow]:
        """Return the next rows whose key is `prefix` and more, and comes after `after`, in key order.

        Raises StoreError.
        """
        ...

    async def keys(self, tenant: str, prefix: str) -> Sequence[str]:
        """Return all keys that begin with `prefix`, in order; no row is read. Raises StoreError."""
        ...


class Vault(Protocol):
    """Keeps from the reader of the store what only this gateway may read: whole arguments, while they are needed."""

    def seal(self, plain: bytes, *, tenant: str, intent_id: str, entry_id: str) -> bytes:
        """Return `plain` encrypted, and bound to what it belongs to."""
        ...

    def unseal(self, sealed: bytes, *, tenant: str, intent_id: str, entry_id: str) -> bytes:
        """Return what was sealed. Raises StoreError where it does not open."""
        ...


class AuditReader(Protocol):
    """Reads of the chain; never writes and never checkpoints."""

    async def tenants(self) -> Sequence[str]:
        """Return the tenants that have a chain, sorted."""
        ...

    async def head(self, tenant: str) -> tuple[int, bytes]:
        """Return sequence number and hash of the last entry; (0, the first `prev`) for an empty chain."""
        ...

    def read(self, tenant: str, *, after: int = 0, inputs: bool = True) -> AsyncIterator[StoredEntry]:
        """Yield the entries with `seq > after` in order, streaming; without `inputs` as `by_intent`."""
        ...

    async def last(self, tenant: str, count: int) -> Sequence[StoredEntry]:
        """Return the last `count` entries, oldest first."""
        ...

    async def by_intent(
        self, tenant: str, intent_id: str, *, inputs: bool = True, seq: int | None = None
    ) -> Sequence[StoredEntry]:
        """Return the entries of one intent, oldest first; with `seq` that one only.

        Without `inputs` the evaluation inputs are not read: each may be as large as a message, and an agent that asks
        for the same call again and again has thousands of them in one intent.
        """
        ...

    async def open_calls(self) -> Sequence[OpenCall]:
        """Return the decided ALLOWs without a completed entry, of all tenants."""
        ...


class UseLog(Protocol):
    """When credentials were last used: kept beside the chain, since an entry for each use would drown it."""

    def note(self, name: str, at: str) -> None:
        """Keep that `name` was used at this time (RFC 3339), for good within about two seconds.

        Never waits and never fails. A crash, or a store that cannot be written, may lose what was not kept yet.
        """
        ...

    async def uses(self) -> Mapping[str, str]:
        """Return name → time of everything that was kept. Raises StoreError."""
        ...
