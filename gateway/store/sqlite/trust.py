"""The shelf: records of trust, put by in a file of their own, so that a start need not fold the whole chain.

Off the path of a call: nothing is written here when an entry is. What is put by names the entry as of which it stands,
with its hash; of another chain, or one from a backup, nothing of it is taken. The file is worth nothing: deleted or
damaged it is made anew (`sidefile.py`), and `intended trust recompute` compares it with what the chain itself gives.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import anyio
import orjson

from gateway.errors import StoreError
from gateway.ports import Content, KeptRecords
from gateway.store.sqlite.schema import read_only_address
from gateway.store.sqlite.sidefile import LOCK_S, SideFile, hash_at

__all__ = ["FILE", "SqliteShelf", "read_kept"]

FILE: Final = "trust.sqlite3"
VERSION: Final = 2
"""Of the tables below, and of what stands beside a record: since 2 also whose doing its failures are. A file of another
version is made anew. That of the records is in each of them."""

Answer = TypeVar("Answer")

_TABLES: Final = """
CREATE TABLE kept (tenant TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records (
    tenant TEXT NOT NULL, agent TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (tenant, agent)
) STRICT, WITHOUT ROWID;
"""
_PAGE: Final = (
    "SELECT seq, hash, content FROM log.entries WHERE tenant = :tenant AND seq > :after {} ORDER BY seq LIMIT :limit"
)
_OF_AGENT: Final = "AND substr(content, 1, length(:begins)) = :begins"
"""The keys of an entry are in order, so that it begins with its agent; whoever asks looks at the name once more."""


class SqliteShelf:
    """Implements `ports.RecordShelf` beside the store at this path. Works in threads, one at a time.

    Who only looks at an agent's past waits in a line of its own: that reads the whole chain for one agent, and as long
    as the gateway itself waits to read what it missed, nobody has a tier.
    """

    def __init__(self, store: Path) -> None:
        # Synced: half a write must not pass for a record.
        self._file = SideFile(store, FILE, version=VERSION, tables=_TABLES, pragmas=("synchronous=NORMAL",))
        self._lock = anyio.Lock()
        self._looking = anyio.Lock()

    async def kept(self, tenant: str) -> KeptRecords | None:
        """As `ports.RecordShelf.kept`."""

        def ask(connection: sqlite3.Connection) -> KeptRecords | None:
            row = connection.execute("SELECT seq, hash FROM kept WHERE tenant = ?", (tenant,)).fetchone()
            if row is None or hash_at(connection, tenant, row[0]) != row[1]:
                return None
            records = dict(connection.execute("SELECT agent, record FROM records WHERE tenant = ?", (tenant,)))
            return KeptRecords(seq=row[0], hash=row[1], records=records)

        return await self._ask(ask)

    async def keep(self, tenant: str, kept: KeptRecords, *, since: int) -> bool:
        """As `ports.RecordShelf.keep`."""

        def ask(connection: sqlite3.Connection) -> bool:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if since:
                    there = connection.execute("SELECT seq FROM kept WHERE tenant = ?", (tenant,)).fetchone()
                    if there != (since,):
                        return False
                else:
                    connection.execute("DELETE FROM records WHERE tenant = ?", (tenant,))
                rows = ((tenant, agent, record) for agent, record in kept.records.items())
                connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", rows)
                connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (tenant, kept.seq, kept.hash))
            return True

        return await self._ask(ask)

    async def contents(self, tenant: str, *, after: int, limit: int, agent: str = "") -> Sequence[Content]:
        """As `ports.RecordShelf.contents`."""
        values: dict[str, object] = {"tenant": tenant, "after": after, "limit": limit}
        query = _PAGE.format("")
        if agent:
            query = _PAGE.format(_OF_AGENT)
            values["begins"] = b'{"agent":' + orjson.dumps(agent) + b","
        line = self._looking if agent else self._lock
        return await self._ask(lambda connection: connection.execute(query, values).fetchall(), line)

    async def _ask(self, ask: Callable[[sqlite3.Connection], Answer], line: anyio.Lock | None = None) -> Answer:
        failed = "the records of trust cannot be read or put by"
        return await self._file.ask(line or self._lock, ask, failed=failed)


def read_kept(store: Path, tenant: str) -> KeptRecords | None:
    """Return what was put by, whatever it belongs to, without making or changing a file. Raises StoreError."""
    path = store.parent / FILE
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(read_only_address(path), uri=True, timeout=LOCK_S)) as connection:
            if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
                return None
            connection.execute("BEGIN")
            row = connection.execute("SELECT seq, hash FROM kept WHERE tenant = ?", (tenant,)).fetchone()
            records = dict(connection.execute("SELECT agent, record FROM records WHERE tenant = ?", (tenant,)))
    except sqlite3.Error as error:
        raise StoreError(f"the records of trust cannot be read ({type(error).__name__})") from error
    return None if row is None else KeptRecords(seq=row[0], hash=row[1], records=records)
