"""Trust as it lives: the record of every agent, folded from the entries of the chain as they become durable.

Owns the records in memory: that each stands for the whole chain up to its newest entry, or that nobody gets a tier. The
model is `core/trust`, a change of tier is written by `services/trust_changes.py`, and `services/trust_check.py` finds
out from the log alone whether all of this is true.

A tier is the lower one of two: what the last `trust.changed` entry says, and what the record deserves today. So a
demotion holds from the very entry that causes it, before anything else goes on, and a promotion only once it is on
record itself.

An append that failed may have become durable all the same; its entry is then not told. The store says when that may be
so, and the next `seq` shows it. Until the chain was read again, every call of that tenant is refused. A start takes the
records that were put by, and folds what came after.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import anyio
import anyio.lowlevel
import orjson

from gateway.core.audit.entry import EntryDraft, Expect
from gateway.core.facts import Grounds
from gateway.core.principal import SYSTEM_TENANT, TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.core.trust.deserved import Deserved, deserved_by, fold
from gateway.core.trust.evidence import Change, change_of, evidence_of, read_chained
from gateway.core.trust.failing import Failing, failing_after, failing_allowed, read_failing
from gateway.core.trust.record import NEW, Record, read_record
from gateway.errors import AuditUnavailable, StoreError
from gateway.ports import Appended, Clock, Followed, KeptRecords, RecordShelf, StateStore
from gateway.services.trusted import Trusted, given

__all__ = ["AT_ONCE", "ROWS", "HeldRecord", "Trust", "TrustTerms", "trust_key"]

PAGE: Final = 2_000
"""Entries folded without a pause, some 10 ms of the event loop."""

AT_ONCE: Final = 20
"""Records looked at without a pause: at most 14 ms of the event loop, where nothing has come for years."""

AGAIN_S: Final = 1.0
"""Between two attempts to read a chain that could not be read."""

KEEP_S: Final = 20.0
"""Between two times that records are put by; a crash costs the next start the fold of what came after."""

ROWS: Final = "trust:"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustTerms:
    """What configuration says of trust that is earned: `earned` False leaves everybody at the tier it begins with."""

    earned: bool = True
    start: TrustTier = TrustTier.T0
    ceiling: TrustTier = TrustTier.T2


class HeldRecord:
    """One agent's record as of `seq`, the last entry that moved it. `version` is its row's, None where not known.

    `failing` says whose doing its failures are, None where it has none. `deserved` and `trusted` are what was made of
    it on the day `day`. `changes` counts its changes in this process.
    """

    __slots__ = ("changes", "day", "deserved", "expects", "failing", "pinned", "record", "seq", "trusted", "version")

    def __init__(
        self, *, record: Record = NEW, seq: int = 0, pinned: TrustTier | None = None, failing: Failing | None = None
    ) -> None:
        self.record = record
        self.failing = failing
        self.seq = seq
        self.pinned = pinned
        self.changes = 0
        self.version: int | None = None
        self.expects: tuple[Expect, ...] = ()
        self.day = 0
        self.deserved: Deserved | None = None
        self.trusted: Trusted | None = None


class _Book:
    """The records of one tenant as of `seq`. `known` is the newest entry heard of; `ready`: none is missing.

    `lost` counts the times that entries may have got lost, `found` is that count when the chain was last read to its
    end. `kept` is the entry as of which records were put by, `dirty` whose have changed since.
    """

    __slots__ = ("agents", "dirty", "fault", "found", "hash", "kept", "known", "lost", "ready", "seq", "tenant")

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.seq = 0
        self.hash = b""
        self.known = 0
        self.lost = 0
        self.found = 0
        self.ready = True
        self.fault = ""
        self.agents: dict[str, HeldRecord] = {}
        self.dirty: set[str] = set()
        self.kept = 0

    def settle(self) -> None:
        """Say whether nothing is missing."""
        self.ready = not self.fault and self.lost == self.found and self.known <= self.seq

    def require(self) -> None:
        """Raise StoreError where nobody of the tenant has a tier now; AuditUnavailable after appends that failed."""
        if self.ready:
            return
        if not self.fault and self.lost != self.found:
            raise AuditUnavailable("trust is not known: appends failed, and the chain is being read again")
        raise StoreError(f"trust is not known: {self.fault or 'the chain is being read again'}")


class Trust:
    """The records of every tenant's agents."""

    def __init__(
        self,
        *,
        chain: Followed,
        shelf: RecordShelf,
        state: StateStore,
        clock: Clock,
        tiers: ConfiguredTiers,
        terms: TrustTerms,
    ) -> None:
        self.terms = terms
        self._pending: dict[tuple[str, str], None] = {}
        """(tenant, agent) whose tier is not what its last change says, in the order in which that was seen."""
        self._due = anyio.Event()
        """Set when there is one more of them."""
        self._shelf = shelf
        self._state = state
        self._clock = clock
        self._tiers = tiers
        self._books: dict[str, _Book] = {}
        self._behind = anyio.Event()
        self._newcomer = deserved_by(NEW, clock.now(), ceiling=terms.ceiling, start=terms.start)
        chain.follow(self._hear, self._lost)

    async def load(self, tenants: Iterable[str]) -> None:
        """Read what was put by and fold what came after; part of the start. Raises StoreError."""
        for tenant in tenants:
            if tenant == SYSTEM_TENANT:
                continue
            book = self._book(tenant)
            kept = await self._shelf.kept(tenant)
            if kept is not None:
                self._restore(book, kept)
            await self._catch_up(book)
            rows = {row.key: row.version for row in await self._state.scan(tenant, ROWS)}
            for agent, held in book.agents.items():
                held.version = rows.get(trust_key(agent), 0)
        await self.look()

    # --- what is asked ------------------------------------------------------------------------------------------------

    def ready(self) -> str:
        """Return an empty string while agents have tiers, else what is wrong, for strangers to see.

        A chain that cannot be read is its own tenant's misfortune (`degraded`), unless there is no other tenant.
        """
        again = sum(not book.ready and not book.fault for book in self._books.values())
        if again:
            return _without(again, "their chains are being read again")
        return self._unread() if self._books and all(book.fault for book in self._books.values()) else ""

    def degraded(self) -> str:
        """Return an empty string, or of how many tenants all calls are refused while those of others go on."""
        return "" if self.ready() else self._unread()

    def _unread(self) -> str:
        faulty = sum(bool(book.fault) for book in self._books.values())
        return _without(faulty, "a chain cannot be read; see the log") if faulty else ""

    async def trusted(self, tenant: str, agent: str, now: datetime) -> Trusted:
        """Return how far an agent is trusted, for one decision. Raises StoreError where that is not known."""
        book = self._books.get(tenant)
        held = None
        if book is not None:
            if not book.ready:
                book.require()
            held = book.agents.get(agent)
        if held is None:
            return self._of_new(tenant, agent)
        if held.trusted is not None and held.day == now.toordinal():
            return held.trusted
        if held.version is None:
            await self._learn(tenant, agent, held)
        return self._weighed(tenant, agent, held, now)

    def tier(self, tenant: str, agent: str) -> TrustTier:
        """Return an agent's tier, for lists, on which no decision rests; T0 while none is known."""
        book = self._books.get(tenant)
        return TrustTier.T0 if book is not None and not book.ready else self.shown(tenant, agent).tier

    def shown(self, tenant: str, agent: str) -> Trusted:
        """Return how far an agent is trusted, for people. Raises StoreError as `trusted`."""
        held = self.held(tenant, agent)
        return self._of_new(tenant, agent) if held is None else self._weighed(tenant, agent, held, self._clock.now())

    def held(self, tenant: str, agent: str) -> HeldRecord | None:
        """Return an agent's record; None where no entry says anything of it. Raises StoreError as `trusted`."""
        book = self._books.get(tenant)
        if book is None:
            return None
        book.require()
        return book.agents.get(agent)

    def agents(self, tenant: str) -> tuple[str, ...]:
        """Return the agents of whom there is a record, registered or not."""
        book = self._books.get(tenant)
        return () if book is None else tuple(book.agents)

    def failing(self, tenant: str, agent: str) -> Failing | None:
        """Return the failures of an agent, None where it has none. Raises StoreError as `trusted`."""
        held = self.held(tenant, agent)
        return None if held is None else held.failing

    def pinned(self, tenant: str, agent: str) -> TrustTier | None:
        """Return the tier that configuration gives an agent for good; None where it earns its own."""
        pinned = self._tiers.pinned(tenant, agent)
        return self.terms.start if pinned is None and not self.terms.earned else pinned

    async def version(self, tenant: str, agent: str) -> int:
        """Return the version of an agent's row, which rises with each change. Raises StoreError."""
        held = self.held(tenant, agent)
        if held is not None and held.version is None:
            await self._learn(tenant, agent, held)
        return 0 if held is None else held.version or 0

    # --- changes of tier that are due ---------------------------------------------------------------------------------

    @property
    def pending(self) -> tuple[tuple[str, str], ...]:
        """The agents (tenant, slug) whose records are due a change of tier that nobody has taken up yet."""
        return tuple(self._pending)

    def taken_up(self, tenant: str, agent: str) -> None:
        """Take note that somebody writes what is due to an agent now; what its record earns meanwhile is due anew."""
        self._pending.pop((tenant, agent), None)

    def still_due(self, tenant: str, agent: str) -> None:
        """Take note that a change is due to an agent, and wake whoever waits for one."""
        self._pending[tenant, agent] = None
        self._due.set()

    async def some_due(self) -> None:
        """Wait until a change has become due since this returned last; some may be due all the while."""
        await self._due.wait()
        self._due = anyio.Event()

    async def look(self) -> None:
        """Look through all records for tiers that are due a change: evidence fades without any entry.

        Records fade day by day: those of ten thousand names that somebody made up once, and never used again, take
        seconds each midnight, in which calls go on.
        """
        now = self._clock.now()
        every = [(tenant, agent, held) for tenant, book in self._books.items() for agent, held in book.agents.items()]
        for number, (tenant, agent, held) in enumerate(every, start=1):
            self._weigh(tenant, agent, held, now)
            if number % AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()

    # --- what is heard ------------------------------------------------------------------------------------------------

    def _hear(self, draft: EntryDraft, appended: Appended) -> None:
        """Fold one entry in, as `ports.Follower`; one that is not the next shows that some were missed."""
        if draft.tenant == SYSTEM_TENANT:
            return
        book = self._books.get(draft.tenant) or self._book(draft.tenant)
        if appended.seq == book.seq + 1:
            self._take(book, draft, appended.seq, appended.hash)
        elif appended.seq > book.seq:
            book.known = max(book.known, appended.seq)
            book.ready = False
            self._behind.set()

    def _lost(self) -> None:
        """Take note that appends failed which may be durable all the same: only the chain itself can tell."""
        for book in self._books.values():
            book.lost += 1
            book.ready = False
        self._behind.set()

    def _take(self, book: _Book, entry: EntryDraft | None, seq: int, hash_: bytes) -> None:
        """Take the next entry in. A fault leaves its tenant without tiers: what the entry says is not known."""
        try:
            if entry is not None:
                self._fold(book, entry, seq)
        except Exception as error:  # noqa: BLE001 - whatever it is, no tier may rest on the rest of the chain
            self._fail(book, f"entry {seq} of tenant {book.tenant} could not be taken in ({type(error).__name__})")
            return
        book.seq = seq
        book.hash = hash_

    def _fold(self, book: _Book, entry: EntryDraft, seq: int) -> None:
        told = evidence_of(entry, seq) or change_of(entry, seq)
        held = book.agents.get(entry.agent)
        if told is None:
            if held is not None and held.failing is not None:
                held.failing = failing_allowed(held.failing, entry)
                book.dirty.add(entry.agent)
            return
        if held is None:
            held = book.agents[entry.agent] = HeldRecord(pinned=self.pinned(book.tenant, entry.agent))
            held.version = 0
        before = held.record
        held.record = fold(before, told)
        held.seq = seq
        held.trusted = None
        if held.record.failures_in_row or held.failing is not None:
            held.failing = failing_after(held.failing, told, entry.upstream)
        book.dirty.add(entry.agent)
        if isinstance(told, Change):
            held.version = None
            held.expects = ()
            held.changes += 1
        elif held.record.sums is before.sums and held.deserved is not None:
            return  # a day that is full already: nothing is due that was not
        held.deserved = None
        self._weigh(book.tenant, entry.agent, held, self._clock.now())

    # --- what follows from a record -----------------------------------------------------------------------------------

    def _weigh(self, tenant: str, agent: str, held: HeldRecord, now: datetime) -> Deserved:
        """Return what the record deserves today, and note it down where that is due a change."""
        if held.deserved is None or held.day != now.toordinal():
            held.day = now.toordinal()
            held.trusted = None
            held.deserved = deserved_by(held.record, now, ceiling=self.terms.ceiling, start=self.terms.start)
            if held.deserved.tier != held.deserved.recorded and held.pinned is None:
                self.still_due(tenant, agent)
        return held.deserved

    def _weighed(self, tenant: str, agent: str, held: HeldRecord, now: datetime) -> Trusted:
        deserved = self._weigh(tenant, agent, held, now)
        if held.trusted is not None:
            return held.trusted
        record = held.record
        if held.pinned is not None:
            held.trusted = given(held.pinned, record.failures_in_row)
            return held.trusted
        if not held.expects and held.version is not None:
            held.expects = (Expect(key=trust_key(agent), version=held.version),)
        made = Trusted(
            tier=min(deserved.tier, deserved.recorded),
            score=deserved.score,
            failures_in_row=record.failures_in_row,
            grounds=Grounds(up_to=held.seq, start=self.terms.start, ceiling=self.terms.ceiling),
            expects=held.expects,
        )
        if held.expects:
            held.trusted = made  # else it is enough to be shown; a decision learns the version first
        return made

    def _of_new(self, tenant: str, agent: str) -> Trusted:
        """Return how far an agent is trusted of whom nothing is known."""
        pinned = self.pinned(tenant, agent)
        if pinned is not None:
            return given(pinned, 0)
        return Trusted(
            tier=self._newcomer.tier,
            score=self._newcomer.score,
            failures_in_row=0,
            grounds=Grounds(up_to=0, start=self.terms.start, ceiling=self.terms.ceiling),
            expects=(Expect(key=trust_key(agent), version=0),),
        )

    async def _learn(self, tenant: str, agent: str, held: HeldRecord) -> None:
        """Read the version of a row that has changed; the store has it in memory. Raises StoreError."""
        while held.version is None:
            changes = held.changes
            row = await self._state.get(tenant, trust_key(agent))
            if held.changes == changes:
                held.version = 0 if row is None else row.version

    # --- the chain, read ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read again what was missed, and put records by now and then; ends when cancelled."""
        kept = self._clock.monotonic()
        while True:
            with anyio.move_on_after(KEEP_S):
                await self._behind.wait()
            self._behind = anyio.Event()
            if not await self._caught_up():
                await anyio.sleep(AGAIN_S)
                self._behind.set()
            if self._clock.monotonic() - kept >= KEEP_S:
                kept = self._clock.monotonic()
                await self.keep()

    async def keep(self) -> None:
        """Put the records by that have changed. What fails is tried again the next time: nothing rests on it."""
        for book in tuple(self._books.values()):
            try:
                await self._keep(book)
            except StoreError as error:
                _log.warning("records of trust could not be put by; the next start takes longer: %s", error)

    async def _caught_up(self) -> bool:
        """Read what is missing and return whether nothing is missing any more that can be had."""
        for book in tuple(self._books.values()):
            if not book.ready and not book.fault:
                try:
                    await self._catch_up(book)
                except StoreError as error:
                    _log.warning("trust of tenant %s is not known yet: %s", book.tenant, error)
        return all(book.ready or book.fault for book in self._books.values())

    async def _catch_up(self, book: _Book) -> None:
        """Fold the chain from where the book stands to its end. Raises StoreError."""
        lost = book.lost
        more = True
        while more and not book.fault:
            page = await self._shelf.contents(book.tenant, after=book.seq, limit=PAGE)
            for seq, hash_, content in page:
                if seq == book.seq + 1:
                    self._take_content(book, seq, hash_, content)
                elif seq > book.seq and not book.fault:
                    self._fail(book, f"entry {book.seq + 1} of tenant {book.tenant} is not in the chain")
            more = len(page) == PAGE
        book.found = lost
        book.settle()

    def _take_content(self, book: _Book, seq: int, hash_: bytes, content: bytes) -> None:
        try:
            entry = read_chained(orjson.loads(content))
        except (ValueError, KeyError, TypeError):
            self._fail(book, f"entry {seq} of tenant {book.tenant} is damaged")
            return
        self._take(book, entry, seq, hash_)

    async def _keep(self, book: _Book) -> None:
        if book.fault or (not book.dirty and book.seq - book.kept < PAGE):
            return
        dirty, book.dirty = book.dirty, set()
        kept = _put_by(book, dirty)
        try:
            if not await self._shelf.keep(book.tenant, kept, since=book.kept):
                kept = _put_by(book, book.agents)
                await self._shelf.keep(book.tenant, kept, since=0)
        except StoreError:
            book.dirty |= dirty
            raise
        book.kept = kept.seq

    def _restore(self, book: _Book, kept: KeptRecords) -> None:
        """Take records that were put by; where another version of the model made one, the whole chain is folded."""
        agents = {}
        for agent, text in kept.records.items():
            seq, written, *more = orjson.loads(text)
            record = read_record(orjson.dumps(written))
            if record is None:
                return
            failing = read_failing(*more) if more else None
            agents[agent] = HeldRecord(record=record, seq=seq, pinned=self.pinned(book.tenant, agent), failing=failing)
        book.agents = agents
        book.seq = book.kept = kept.seq
        book.hash = kept.hash

    def _book(self, tenant: str) -> _Book:
        return self._books.setdefault(tenant, _Book(tenant))

    def _fail(self, book: _Book, fault: str) -> None:
        book.fault = fault
        book.settle()
        _log.error("nobody of tenant %s has a tier, and every call of it is refused: %s", book.tenant, fault)


def trust_key(agent: str) -> str:
    """Return the key of the state row that each change of an agent's trust writes."""
    return f"{ROWS}{agent}"


def _without(tenants: int, why: str) -> str:
    return f"the agents of {tenants} tenant(s) have no tier now: {why}"


def _put_by(book: _Book, agents: Iterable[str]) -> KeptRecords:
    return KeptRecords(seq=book.seq, hash=book.hash, records={one: _text(book.agents[one]) for one in agents})


def _text(held: HeldRecord) -> bytes:
    """Return one record as it is put by: its last entry, itself, and whose doing its failures are, if it has some."""
    failing = () if held.failing is None else (orjson.Fragment(held.failing.written()),)
    return orjson.dumps((held.seq, orjson.Fragment(held.record.written()), *failing))
