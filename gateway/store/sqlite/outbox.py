# ruff: noqa: S608 - every piece of SQL that is put together here is a constant of this file; values are bound
"""The outbox: what of the chain has become deliveries, and where each delivery stands, in a file of its own.

Off the path of a call: nothing is written here when an entry is. The chain itself is the durable record of what is to
be told, so that an append needs no row beside it. Each endpoint has a cursor, the last entry that was turned into
deliveries, and it moves in the very transaction that holds the deliveries which it stands for: a crash at any moment
leaves either both or neither, and no entry is passed over.

Commits are not synced one by one (WAL, `synchronous=NORMAL`). A crash of the process loses none; a power failure may
undo the last ones as a whole, cursor and all, and then the same deliveries are made again, with the same ids. Where
the file is lost, each endpoint begins again at the entry after which it was made; where the store is older than the
cursors, from a backup, they go back to its end.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import orjson

from gateway.core.audit.entry import EntryType
from gateway.core.jsonvalue import JsonObject
from gateway.core.webhooks import Delivery, DeliveryState, Told
from gateway.errors import StoreError
from gateway.ports import Page
from gateway.store.sqlite.schema import read_only_address

__all__ = ["FILE", "SqliteOutbox"]

FILE: Final = "webhooks.sqlite3"
LOCK_S: Final = 2.0

_OPEN: Final = "state IN ('pending', 'failed')"
_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS cursors (
    endpoint TEXT PRIMARY KEY, tenant TEXT NOT NULL, seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, endpoint TEXT NOT NULL, lane TEXT NOT NULL,
    event TEXT NOT NULL, intent_id TEXT NOT NULL, body BLOB NOT NULL, created TEXT NOT NULL, due TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL, status INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_of_endpoint ON deliveries (endpoint, n);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (endpoint, due) WHERE {_OPEN};
CREATE INDEX IF NOT EXISTS deliveries_in_order ON deliveries (endpoint, lane, n) WHERE {_OPEN};
"""
_COLUMNS: Final = (
    "id, tenant, endpoint, lane, event, intent_id, body, created, due, state, attempts, first, last, status, reason"
)
_DUE: Final = f"""
SELECT {_COLUMNS} FROM deliveries AS one
WHERE endpoint = ? AND {_OPEN} AND due <= ? AND NOT EXISTS (
    SELECT 1 FROM deliveries AS other
    WHERE other.endpoint = one.endpoint AND other.lane = one.lane AND other.n < one.n AND other.{_OPEN}
)
ORDER BY due, n LIMIT ?
"""
"""Of each lane only the oldest that is still open."""

_NEEDS_EARLIER: Final = frozenset({EntryType.CALL_DECIDED, EntryType.APPROVAL_RESOLVED, EntryType.CALL_COMPLETED})

Answer = TypeVar("Answer")


class SqliteOutbox:
    """Implements `services/webhooks.py`'s `Outbox` beside the store at this path. Works in threads, one at a time."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._path = store.parent / FILE
        self._lock = anyio.Lock()
        self._connection: sqlite3.Connection | None = None

    async def unread(self, tenant: str, endpoint: str, *, after: int, limit: int) -> Sequence[Told]:
        """Return the next entries of the chain that the endpoint's cursor has not passed; it begins at `after`."""

        def ask(connection: sqlite3.Connection) -> Sequence[Told]:
            at = _cursor(connection, tenant, endpoint, after)
            found = connection.execute(
                "SELECT seq, content, body FROM log.entries WHERE tenant = ? AND seq > ? ORDER BY seq LIMIT ?",
                (tenant, at, limit),
            )
            return [_told(connection, tenant, row) for row in found.fetchall()]

        return await self._ask(ask)

    async def put(self, tenant: str, endpoint: str, deliveries: Iterable[Delivery], *, seq: int | None) -> None:
        """Keep deliveries, and with them move the endpoint's cursor to `seq` (None: not). One that is there stays."""
        rows = [_values(one) for one in deliveries]

        def ask(connection: sqlite3.Connection) -> None:
            places = ", ".join("?" * len(_COLUMNS.split(",")))
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    f"INSERT INTO deliveries ({_COLUMNS}) VALUES ({places}) ON CONFLICT (id) DO NOTHING", rows
                )
                if seq is not None:
                    connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (endpoint, tenant, seq))

        await self._ask(ask)

    async def due(self, endpoint: str, *, now: str, limit: int) -> Sequence[Delivery]:
        """Return deliveries whose time has come and that nothing in their lane is before, the longest due first."""
        return await self._ask(
            lambda connection: [_delivery(row) for row in connection.execute(_DUE, (endpoint, now, limit)).fetchall()]
        )

    async def settle(self, delivery: Delivery) -> None:
        """Keep where a delivery stands now."""

        def ask(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE deliveries SET due = ?, state = ?, attempts = ?, first = ?, last = ?, status = ?, reason = ?"
                " WHERE id = ? AND endpoint = ?",
                (
                    delivery.due,
                    delivery.state.value,
                    delivery.attempts,
                    delivery.first,
                    delivery.last,
                    delivery.status,
                    delivery.reason,
                    delivery.id,
                    delivery.endpoint,
                ),
            )

        await self._ask(ask)

    async def get(self, tenant: str, endpoint: str, delivery_id: str) -> Delivery | None:
        """Return a delivery of the tenant's endpoint."""
        query = f"SELECT {_COLUMNS} FROM deliveries WHERE id = ? AND endpoint = ? AND tenant = ?"

        def ask(connection: sqlite3.Connection) -> Delivery | None:
            row = connection.execute(query, (delivery_id, endpoint, tenant)).fetchone()
            return None if row is None else _delivery(row)

        return await self._ask(ask)

    async def list(
        self, tenant: str, endpoint: str, state: DeliveryState | None, *, page: int, page_size: int
    ) -> Page[Delivery]:
        """Return one page (from 1) of an endpoint's deliveries in that state (None: in any), newest first."""
        where = "WHERE tenant = ? AND endpoint = ?" + ("" if state is None else " AND state = ?")
        values = (tenant, endpoint) if state is None else (tenant, endpoint, state.value)

        def ask(connection: sqlite3.Connection) -> Page[Delivery]:
            total = connection.execute(f"SELECT count(*) FROM deliveries {where}", values).fetchone()[0]
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM deliveries {where} ORDER BY n DESC LIMIT ? OFFSET ?",
                (*values, page_size, (page - 1) * page_size),
            )
            return Page(items=tuple(map(_delivery, found.fetchall())), total=total)

        return await self._ask(ask)

    async def waiting(self) -> Mapping[str, int]:
        """Return how many deliveries of each tenant are still to be made."""
        query = f"SELECT tenant, count(*) FROM deliveries WHERE {_OPEN} GROUP BY tenant"
        return await self._ask(lambda connection: dict(connection.execute(query).fetchall()))

    async def purge(self, *, before: str, endpoints: Iterable[str]) -> None:
        """Drop what was settled before that time, and everything of endpoints that are not among these."""
        known = orjson.dumps(list(endpoints)).decode()

        def ask(connection: sqlite3.Connection) -> None:
            gone = "endpoint NOT IN (SELECT value FROM json_each(?))"
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"DELETE FROM cursors WHERE {gone}", (known,))
                connection.execute(
                    f"DELETE FROM deliveries WHERE {gone} OR (NOT {_OPEN} AND last < ?)", (known, before)
                )

        await self._ask(ask)

    async def aclose(self) -> None:
        """Close the file; the next question opens it again."""
        with anyio.CancelScope(shield=True):  # bounded by the deadline of the lock
            async with self._lock:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None

    async def _ask(self, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Answer in a thread. Raises StoreError."""
        try:
            async with self._lock:
                return await anyio.to_thread.run_sync(self._answer, ask)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the webhook outbox cannot be used ({type(error).__name__})") from error

    # --- in a thread --------------------------------------------------------------------------------------------------

    def _answer(self, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        if self._connection is None:
            self._connection = self._open()
        return ask(self._connection)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path.resolve().as_uri(), uri=True, timeout=LOCK_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._path.chmod(0o600)
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "trusted_schema=OFF"):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            connection.executescript(f"BEGIN; {_TABLES} COMMIT;")
            connection.execute("ATTACH DATABASE ? AS log", (read_only_address(self._store),))
        except BaseException:
            connection.close()
            raise
        return connection


def _cursor(connection: sqlite3.Connection, tenant: str, endpoint: str, after: int) -> int:
    row = connection.execute("SELECT seq FROM cursors WHERE endpoint = ?", (endpoint,)).fetchone()
    at = after if row is None else int(row[0])
    head = connection.execute("SELECT max(seq) FROM log.entries WHERE tenant = ?", (tenant,)).fetchone()[0] or 0
    if at > head:  # the store is from a backup: what comes next has numbers that were used before
        connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (endpoint, tenant, head))
        return int(head)
    return at


def _told(connection: sqlite3.Connection, tenant: str, row: tuple[int, bytes, bytes]) -> Told:
    seq, content, body = row
    read = _read(content, body)
    if read is None:
        return Told(seq=seq)
    entry = read[0]
    earlier = None
    if entry.get("type") in _NEEDS_EARLIER and entry.get("intentId"):
        earlier = _decided_before(connection, tenant, str(entry["intentId"]), seq)
    return Told(seq=seq, entry=entry, body=read[1], earlier=earlier)


def _decided_before(
    connection: sqlite3.Connection, tenant: str, intent_id: str, seq: int
) -> tuple[JsonObject, JsonObject] | None:
    """Return the last decided entry of an intent before one of its entries."""
    found = connection.execute(
        "SELECT content, body FROM log.entries WHERE tenant = ? AND intent_id = ? AND intent_id <> '' AND seq < ?"
        " ORDER BY seq DESC",
        (tenant, intent_id, seq),
    )
    for content, body in found.fetchall():
        read = _read(content, body)
        if read is not None and read[0].get("type") == EntryType.CALL_DECIDED:
            return read
    return None


def _read(content: bytes, body: bytes) -> tuple[JsonObject, JsonObject] | None:
    """Return an entry's two texts as objects; None where it is damaged."""
    try:
        found = orjson.loads(content), orjson.loads(body)
    except ValueError:
        return None
    return found if all(isinstance(one, dict) for one in found) else None


def _values(delivery: Delivery) -> tuple[Any, ...]:
    return tuple(getattr(delivery, name.strip()) for name in _COLUMNS.split(","))


def _delivery(row: Sequence[Any]) -> Delivery:
    found = Delivery(**dict(zip((name.strip() for name in _COLUMNS.split(",")), row, strict=True)))
    return replace(found, state=DeliveryState(found.state))
