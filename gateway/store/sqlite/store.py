"""The embedded store as the services see it, and the procedure by which it is opened.

Owns the order of the start: lock, files, schema, tail of each chain, copy of the heads, a real write. Implements
`AuditLog`, `StateStore`, `AuditReader` and `UseLog` by handing over to `writer.py` and `reader.py`.
"""

import json
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread

from gateway.core.audit.entry import EntryDraft, StoredEntry
from gateway.core.audit.verify import Verifier
from gateway.errors import StoreError, StoreRefused
from gateway.ports import Appended, Clock, Conflict, Follower, OpenCall, StateRow
from gateway.store.headcopy import HeadCopy, Heads, differences
from gateway.store.sealing import Sealer, data_key
from gateway.store.sqlite.files import FolderLock, StoreFiles, private_folder
from gateway.store.sqlite.reader import SqliteReader, open_reader
from gateway.store.sqlite.recorder import Recorder
from gateway.store.sqlite.schema import connect, migrate, store_id
from gateway.store.sqlite.writer import Changes, Unclaimed, Writer, probe

__all__ = ["DATABASE", "Opening", "SqliteStore", "StoreOptions", "open_store"]

DATABASE = "audit.db"
TAIL_ENTRIES = 1000
"""Entries of each chain that are hashed again at start: about 20 ms. `intended audit verify` takes them all."""
CLOSE_S = 5.0
"""Longest wait for the writer's end; what it has acknowledged is durable already."""
READER_CLOSE_S = 2.0
"""Longest wait for a read that is under way; nothing is lost with it, and the writer's end must not wait behind it."""
CACHED_ROWS = 50_000
"""State rows kept in memory, some 20 MB of small ones; beyond that the memory starts anew."""
CACHED_ROW_BYTES = 1024
"""Key and value of a row that is kept. Longer ones are read anew each time: agents and upstreams choose names and
definitions, and what the memory holds must be bounded in bytes too."""
_ACCEPT = "`intended store accept-head --reason TEXT` (with the same --data and --state)"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """Where the store lies and how it keeps things.

    `state` is the folder for the copy of the heads; it must not lie inside `data`. `key` is the data key, None to use
    the file `keys/data.key` in `data`. `wait_s` bounds every append. `keep_input_days` of 0 writes no inputs at all.
    """

    data: Path
    state: Path
    key: bytes | None = None
    keep_input_days: int = 30
    wait_s: float = 0.8

    @property
    def key_file(self) -> Path:
        """Where the data folder's own key lies."""
        return self.data / "keys" / "data.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What was found at the start.

    `head_copy` says whether a copy of the heads was there to check against: on the first start there is none, and
    later its absence means that nobody could have noticed a cut. `in_doubt` are the calls that were allowed and have
    no outcome: close each with an entry of type `call.completed`, reason `in-doubt` and `closes`. `accepted` are the
    differences that were passed over because the operator said so. `newest` is the time of the newest entry.
    """

    created: bool
    store_id: str
    head_copy: bool
    in_doubt: tuple[OpenCall, ...]
    accepted: tuple[str, ...] = ()
    newest: datetime | None = None


class SqliteStore:
    """Those four ports over one data folder. Made by `open_store`; ended by `aclose`."""

    def __init__(self, opening: Opening, *, reader: SqliteReader, lock: FolderLock) -> None:
        self.opening = opening
        self._reader = reader
        self._lock = lock
        self._writer: Writer
        self._rows: dict[tuple[str, str], StateRow | None] = {}
        self._changes = 0

    def append(self, draft: EntryDraft) -> Awaitable[Appended | Conflict]:
        """As `ports.AuditLog.append`; `writer.py` tells what happens to an append that is given up."""
        return self._writer.submit(draft)

    def ready(self) -> str:
        """As `ports.AuditLog.ready`."""
        return self._writer.problem()

    def head_copy_problem(self) -> str:
        """Return an empty string, or why the copy of the heads is behind; appends go on all the same."""
        return self._writer.head_copy_problem

    async def get(self, tenant: str, key: str) -> StateRow | None:
        """As `ports.StateStore.get`, from memory where the row was read or written before."""
        place = (tenant, key)
        if place in self._rows:
            return self._rows[place]
        changes = self._changes
        row = await self._reader.get(tenant, key)
        if place in self._rows:  # written meanwhile: what was read may be older
            return self._rows[place]
        if changes == self._changes:
            self._remember({place: row})
        return row

    async def scan(self, tenant: str, prefix: str) -> Sequence[StateRow]:
        """As `ports.StateStore.scan`."""
        return await self._reader.scan(tenant, prefix)

    async def page(self, tenant: str, prefix: str, *, after: str, limit: int) -> Sequence[StateRow]:
        """As `ports.StateStore.page`."""
        return await self._reader.page(tenant, prefix, after=after, limit=limit)

    async def keys(self, tenant: str, prefix: str) -> Sequence[str]:
        """As `ports.StateStore.keys`."""
        return await self._reader.keys(tenant, prefix)

    async def tenants(self) -> Sequence[str]:
        """As `ports.AuditReader.tenants`."""
        return await self._reader.tenants()

    async def head(self, tenant: str) -> tuple[int, bytes]:
        """As `ports.AuditReader.head`."""
        return await self._reader.head(tenant)

    def read(self, tenant: str, *, after: int = 0, inputs: bool = True) -> AsyncIterator[StoredEntry]:
        """As `ports.AuditReader.read`."""
        return self._reader.read(tenant, after=after, inputs=inputs)

    async def last(self, tenant: str, count: int) -> Sequence[StoredEntry]:
        """As `ports.AuditReader.last`."""
        return await self._reader.last(tenant, count)

    async def by_intent(
        self, tenant: str, intent_id: str, *, inputs: bool = True, seq: int | None = None
    ) -> Sequence[StoredEntry]:
        """As `ports.AuditReader.by_intent`."""
        return await self._reader.by_intent(tenant, intent_id, inputs=inputs, seq=seq)

    async def open_calls(self) -> Sequence[OpenCall]:
        """As `ports.AuditReader.open_calls`."""
        return await self._reader.open_calls()

    def follow(self, follower: Follower, lost: Callable[[], None] | None = None) -> None:
        """As `ports.Followed.follow`."""
        self._writer.follow(follower, lost)

    def note(self, name: str, at: str) -> None:
        """As `ports.UseLog.note`."""
        self._writer.note(name, at)

    async def uses(self) -> Mapping[str, str]:
        """As `ports.UseLog.uses`."""
        return await self._reader.uses()

    async def aclose(self) -> None:
        """Write what is queued, copy the heads, close; bounded in time, never raises.

        Where the writer hangs on its disk, the lock stays until the process ends: nobody else may open the store.
        """
        with anyio.move_on_after(READER_CLOSE_S, shield=True), suppress(StoreError, sqlite3.Error):
            await self._reader.aclose()
        self._writer.stop()
        with anyio.move_on_after(CLOSE_S + 1, shield=True):
            if await anyio.to_thread.run_sync(self._writer.join, CLOSE_S, abandon_on_cancel=True):
                self._lock.release()

    def attach(self, writer: Writer) -> None:
        """Take the writer, which needs the store to tell it of changes; part of `open_store`."""
        self._writer = writer

    def changed(self, changes: Changes | None) -> None:
        """Take over the state rows of a transaction, or forget everything where its outcome is not known."""
        self._changes += 1
        if changes is None:
            self._rows.clear()
        else:
            self._remember(changes)

    def _remember(self, rows: Changes) -> None:
        if len(self._rows) + len(rows) > CACHED_ROWS:
            self._rows.clear()
        for place, row in rows.items():
            if len(place[1]) + (0 if row is None else len(row.value)) > CACHED_ROW_BYTES:
                self._rows.pop(place, None)
            else:
                self._rows[place] = row


async def open_store(
    options: StoreOptions, clock: Clock, *, unclaimed: Unclaimed | None = None, accept_head: bool = False
) -> SqliteStore:
    """Open the store in `options.data`, or make it there.

    `unclaimed` is called on the event loop with every entry that became durable after its append had been given up or
    cancelled. `accept_head` passes over a head copy that the store falls short of; whoever uses it must append an
    entry of type `head.accepted` at once, with the operator's reason and `opening.accepted`. The copy is replaced only
    after that entry is durable.

    Raises:
        StoreRefused: the store must not be used as it is; nothing was changed.
    """
    async with AsyncExitStack() as cleanup:
        opened = await anyio.to_thread.run_sync(_open, options, accept_head)
        cleanup.callback(opened.close)
        reader = await open_reader(options.data / DATABASE, sealer=opened.sealer)
        cleanup.push_async_callback(reader.aclose)
        store = SqliteStore(opened.opening, reader=reader, lock=opened.lock)
        writer = Writer(
            connection=opened.connection,
            recorder=Recorder(opened.connection, opened.sealer if options.keep_input_days else None),
            files=opened.files,
            head_copy=opened.head_copy,
            store_id=opened.opening.store_id,
            clock=clock,
            keep_input_days=options.keep_input_days,
            newest=opened.opening.newest,
            wait_s=options.wait_s,
            changed=store.changed,
            unclaimed=unclaimed,
        )
        store.attach(writer)
        cleanup.pop_all()
    writer.start()
    return store


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """What the start procedure hands over."""

    lock: FolderLock
    files: StoreFiles
    connection: sqlite3.Connection
    sealer: Sealer
    head_copy: HeadCopy
    opening: Opening

    def close(self) -> None:
        self.connection.close()
        self.files.close()
        self.lock.release()


def _open(options: StoreOptions, accept_head: bool) -> _Opened:  # noqa: FBT001 - passed on by a thread's call
    """The start procedure. 1 lock · 2 file · 3 schema · 4 tails · 5 copy of the heads · 6 a real write · 7 in doubt."""
    if options.state.resolve().is_relative_to(options.data.resolve()):
        raise StoreRefused(
            f"the state folder {options.state} lies inside the data folder",
            remedy="choose another state folder: who replaces the data folder must not replace the copy with it",
        )
    path = options.data / DATABASE
    with ExitStack() as cleanup:
        # 1 One process only; everything below may rely on that.
        private_folder(options.data)
        lock = FolderLock.acquire(options.data)
        cleanup.callback(lock.release)
        sealer = Sealer(options.key if options.key is not None else data_key(options.key_file))
        # 2 A file that was there must not be made again.
        head_copy = HeadCopy(state=options.state, data=options.data)
        last_seen, short = _last_seen(head_copy, accept_head=accept_head)
        created = _file(path, may_create=last_seen is None or accept_head)
        try:
            files = StoreFiles(path)
            cleanup.callback(files.close)
            connection = connect(path, wait_s=min(0.5, options.wait_s * 0.6))
            cleanup.callback(connection.close)
            # 3 to 5 Is it ours, unchanged, and as long as it was?
            migrate(connection)
            _check_tails(connection)
            short += _shortfall(connection, head_copy, last_seen)
            if short and not accept_head:
                raise StoreRefused("; ".join(short), remedy=_SHORT.format(path=path))
            # 6 Written now, or refused now.
            probe(connection)
            # What a crash left in the log, or else it grows from crash to crash and each start reads all of it. As far
            # as that is possible now: the log is durable all the same.
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            opening = Opening(
                created=created,
                store_id=store_id(connection),
                head_copy=last_seen is not None,
                in_doubt=_open_calls(connection),
                accepted=tuple(short),
                newest=_newest(connection),
            )
            if not short:  # an accepted shortfall is copied after the entry that records it, and not without
                _copy_heads(head_copy, opening.store_id, Recorder(connection, None))
            problem = files.torn() or files.remember()
        except (sqlite3.Error, OSError) as error:
            raise _refusal(path, error) from error
        if problem:
            raise StoreRefused(problem, remedy="leave the data folder alone while the gateway starts")
        cleanup.pop_all()
    return _Opened(lock=lock, files=files, connection=connection, sealer=sealer, head_copy=head_copy, opening=opening)


_SHORT = (
    "put the newest copy of {path} back; if entries are really lost, for example after a restore, accept that with "
    + _ACCEPT
)


def _file(path: Path, *, may_create: bool) -> bool:
    """Make the database file where there is none yet; returns whether it did. Raises StoreRefused."""
    try:
        if path.exists() and path.stat().st_size > 0:
            path.chmod(0o600)
            return False
        if not may_create:
            raise StoreRefused(
                f"the audit store {path} is gone, but it was used from here before",
                remedy=f"put it back; to begin a new chain instead, accept that with {_ACCEPT}",
            )
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _refusal(path, error) from error
    return True


def _check_tails(connection: sqlite3.Connection) -> None:
    """Hash the last entries of each chain again. Raises StoreRefused where one is not what it was."""
    for tenant, head in Recorder(connection, None).heads().items():
        first = max(head.seq - TAIL_ENTRIES, 0)
        before = _hash_at(connection, tenant, first) if first else None
        verifier = Verifier(tenant, after=first, prev=before)
        query = "SELECT seq, hash, content, salt, body FROM entries WHERE tenant = ? AND seq > ? ORDER BY seq"
        for seq, hash_, content, salt, body in connection.execute(query, (tenant, first)):
            verifier.feed(StoredEntry(tenant=tenant, seq=seq, hash=hash_, content=content, salt=salt, body=body))
        breaks = verifier.report().breaks
        if breaks:
            raise StoreRefused(
                f"the chain of tenant {tenant!r} is broken at entry {breaks[0].seq} ({breaks[0].kind})",
                remedy="restore the data folder from a backup; `intended audit verify` lists every break",
            )


def _last_seen(head_copy: HeadCopy, *, accept_head: bool) -> tuple[Heads | None, list[str]]:
    """Read the copy of the heads; one that cannot be read is passed over only where the operator said so."""
    try:
        return head_copy.read(), []
    except StoreRefused as error:
        if not accept_head:
            raise
        return None, [str(error)]


def _shortfall(connection: sqlite3.Connection, head_copy: HeadCopy, last_seen: Heads | None) -> list[str]:
    """Return how the store falls short of the copy of its heads, in words.

    Where this folder has no copy yet, those that the same store left under other folders count.
    """
    name = store_id(connection)

    def hash_at(tenant: str, seq: int) -> bytes | None:
        return _hash_at(connection, tenant, seq)

    copies = [last_seen] if last_seen else head_copy.read_of_store(name)
    return [problem for copy in copies for problem in differences(copy, name, hash_at)]


def _hash_at(connection: sqlite3.Connection, tenant: str, seq: int) -> bytes | None:
    row = connection.execute("SELECT hash FROM entries WHERE tenant = ? AND seq = ?", (tenant, seq)).fetchone()
    return bytes(row[0]) if row else None


def _open_calls(connection: sqlite3.Connection) -> tuple[OpenCall, ...]:
    rows = connection.execute("SELECT tenant, intent_id, seq FROM open_calls ORDER BY tenant, seq")
    return tuple(OpenCall(tenant=tenant, intent_id=intent_id, seq=seq) for tenant, intent_id, seq in rows)


def _newest(connection: sqlite3.Connection) -> datetime | None:
    """Return the time of the newest entry, None where there is none that tells."""
    row = connection.execute("SELECT content FROM entries ORDER BY n DESC LIMIT 1").fetchone()
    try:
        return None if row is None else datetime.fromisoformat(json.loads(row[0])["time"]).astimezone(UTC)
    except (ValueError, TypeError, KeyError):
        return None


def _copy_heads(head_copy: HeadCopy, name: str, recorder: Recorder) -> None:
    """Write the first copy of this start. Raises StoreRefused: without it a cut could not be noticed."""
    try:
        head_copy.write(Heads(store_id=name, heads=recorder.heads()))
    except OSError as error:
        raise StoreRefused(
            f"the copy of the chain heads {head_copy.path} cannot be written: {error.strerror}",
            remedy="make the state folder writable for the gateway's user, or choose another (`state`)",
        ) from error


def _refusal(path: Path, error: sqlite3.Error | OSError) -> StoreRefused:
    """Say what an operator can do about what SQLite or the system reports."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StoreRefused(
            f"the audit store {path} is damaged or no database ({error})",
            remedy="restore the data folder from a backup",
        )
    if name.startswith("SQLITE_BUSY"):
        return StoreRefused(
            f"another program holds a lock on the audit store {path}", remedy="end that program, then start again"
        )
    return StoreRefused(
        f"the audit store {path} cannot be written ({error})",
        remedy="make its folder writable for the gateway's user and see that its disk has space",
    )
