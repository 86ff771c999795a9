"""Questions about many records, answered from projections of the chain."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gateway.core.audit.entry import StoredEntry

__all__ = [
    "ChainRows",
    "Content",
    "EntryFilter",
    "HeldFilter",
    "HeldRow",
    "IntentFilter",
    "IntentRow",
    "KeptRecords",
    "Page",
    "RecordIndex",
    "RecordShelf",
]

Item = TypeVar("Item")
Folded = TypeVar("Folded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """One page of a list and how many items there are in all."""

    items: tuple[Item, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentFilter:
    """Which intents; an empty field asks for all. `since` and `until` are RFC 3339, inclusive and exclusive."""

    status: str = ""
    agent: str = ""
    domain: str = ""
    intent_type: str = ""
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries; an empty field asks for all. `since` and `until` are RFC 3339, inclusive and exclusive.

    `before` is a sequence number: only earlier entries (0: no bound).
    """

    type: str = ""
    agent: str = ""
    upstream: str = ""
    since: str = ""
    until: str = ""
    before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRow:
    """What the index knows of one intent."""

    id: str
    agent: str
    domain: str
    type: str
    status: str
    effect: str
    risk: int
    created: str
    updated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFilter:
    """Which approvals, or which leases (`kind`, as `core/retention.py` names them); an empty field asks for all."""

    kind: str
    state: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """What the index knows of one approval or lease. `kept` is what was kept of its rows, None while they are there."""

    id: str
    kept: bytes | None = None


class RecordIndex(Protocol):
    """Answers about many records, newest first. A projection of the chain: whatever is durable is in the answer.

    Every method raises StoreError where it cannot be known.
    """

    async def intents(self, tenant: str, wanted: IntentFilter, *, page: int, page_size: int) -> Page[IntentRow]:
        """Return one page (from 1) of intents."""
        ...

    async def entries(self, tenant: str, wanted: EntryFilter, *, page: int, page_size: int) -> Page[StoredEntry]:
        """Return one page (from 1) of audit entries."""
        ...

    async def intent_counts(self, tenant: str, wanted: IntentFilter) -> Mapping[tuple[str, str, str], int]:
        """Return how many intents there are by (agent, type, status)."""
        ...

    async def earned(self, tenant: str, *, agent: str = "", since: str = "") -> Mapping[str, int]:
        """Return what completed intents were credited with, in hundredths by currency; `since`: completed from then on.

        It is what their entries say: today's amounts change nothing.
        """
        ...

    async def held(self, tenant: str, wanted: HeldFilter, *, page: int, page_size: int) -> Page[HeldRow]:
        """Return one page (from 1) of approvals or leases, open and closed, whether or not their rows are there."""
        ...

    async def held_one(self, tenant: str, kind: str, *, id: str = "", intent_id: str = "") -> HeldRow | None:
        """Return the approval or lease of that id, or the newest of that intent; None where there never was one.

        Nor is there one of no id and no intent.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecords:
    """Records of one tenant's agents, by slug and as they are written, as of the entry `seq` of its chain."""

    seq: int
    hash: bytes
    records: Mapping[str, bytes]


Content = tuple[int, bytes, bytes]
"""What the chain has hashed of an entry: seq, hash, content."""


class ChainRows(Protocol):
    """The chain as a stream of what was hashed, for whoever computes over much of it."""

    async def fold(self, tenant: str, *, after: int, up_to: int, fold: Callable[[Iterator[Content]], Folded]) -> Folded:
        """Return what `fold` makes of the entries behind `after` up to `up_to`, in order. Raises StoreError.

        It runs in a thread of its own, must not touch what others change, and is given up after a bounded time.
        """
        ...


class RecordShelf(Protocol):
    """Where records of trust are put by beside the chain, and the chain read without what lies beside its entries.

    What is put by is no evidence: deleted, it is made anew from the chain. Every method raises StoreError.
    """

    async def kept(self, tenant: str) -> KeptRecords | None:
        """Return what was put by, where its entry is in the chain as it was then."""
        ...

    async def keep(self, tenant: str, kept: KeptRecords, *, since: int) -> bool:
        """Add to the records as of `since`, or (0) put these in place of all; False where others are there."""
        ...

    async def contents(self, tenant: str, *, after: int, limit: int, agent: str = "") -> Sequence[Content]:
        """Return the next entries of the chain; with `agent` only that agent's."""
        ...
