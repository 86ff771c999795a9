"""Reads of the store: the chain, open calls and state rows, through one read-only connection with a thread of its own.

Never writes, never checkpoints, and needs no lock, so the command line may use it while a gateway runs. No read holds
a transaction for longer than a page of entries, or the log could not be reset.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import orjson

from gateway.core.audit.chain import first_prev
from gateway.core.audit.entry import StoredEntry
from gateway.errors import StoreError, StoreRefused
from gateway.ports import OpenCall, StateRow
from gateway.store.sealing import Sealer
from gateway.store.sqlite.schema import check_schema, read_only_address

__all__ = ["SqliteReader", "open_reader"]

READ_S = 5.0
"""Longest wait for one page; a local file answers in milliseconds."""
LOCK_S = 0.5
PAGE_ROWS = 500

_ENTRY = """
SELECT e.tenant, e.seq, e.hash, e.content, e.salt, e.body, i.sealed
FROM entries AS e LEFT JOIN inputs AS i ON i.n = e.n
"""
_WITHOUT_INPUT = "SELECT e.tenant, e.seq, e.hash, e.content, e.salt, e.body, NULL FROM entries AS e"
_TENANTS = """
WITH RECURSIVE tenants (tenant) AS (
    SELECT min(tenant) FROM entries
    UNION ALL
    SELECT (SELECT min(tenant) FROM entries WHERE tenant > tenants.tenant) FROM tenants WHERE tenant IS NOT NULL
)
SELECT tenant FROM tenants WHERE tenant IS NOT NULL
"""


class SqliteReader:
    """Implements `AuditReader` and `StateStore`. Without a sealer every evaluation input reads as None."""

    def __init__(self, connection: aiosqlite.Connection, sealer: Sealer | None) -> None:
        self._connection = connection
        self._sealer = sealer

    async def aclose(self) -> None:
        """Close the connection and end its thread."""
        await self._connection.close()

    async def get(self, tenant: str, key: str) -> StateRow | None:
        """As `ports.StateStore.get`."""
        rows = await self._rows("SELECT key, version, value FROM state WHERE tenant = ? AND key = ?", tenant, key)
        return _state_row(rows[0]) if rows else None

    async def scan(self, tenant: str, prefix: str) -> Sequence[StateRow]:
        """As `ports.StateStore.scan`."""
        if not prefix:
            rows = await self._rows("SELECT key, version, value FROM state WHERE tenant = ? ORDER BY key", tenant)
        else:
            query = "SELECT key, version, value FROM state WHERE tenant = ? AND key >= ? AND key < ? ORDER BY key"
            rows = await self._rows(query, tenant, prefix, _behind(prefix))
        return [_state_row(row) for row in rows]

    async def page(self, tenant: str, prefix: str, *, after: str, limit: int) -> Sequence[StateRow]:
        """As `ports.StateStore.page`."""
        # One lower bound, since SQLite looks up no more than one of two.
        query = "SELECT key, version, value FROM state WHERE tenant = ? AND key > ? AND key < ? ORDER BY key LIMIT ?"
        rows = await self._rows(query, tenant, max(prefix, after), _behind(prefix), limit)
        return [_state_row(row) for row in rows]

    async def keys(self, tenant: str, prefix: str) -> Sequence[str]:
        """As `ports.StateStore.keys`."""
        query = "SELECT key FROM state WHERE tenant = ? AND key >= ? AND key < ? ORDER BY key"
        return [key for (key,) in await self._rows(query, tenant, prefix, _behind(prefix))]

    async def tenants(self) -> Sequence[str]:
        """As `ports.AuditReader.tenants`."""
        return [row[0] for row in await self._rows(_TENANTS)]

    async def head(self, tenant: str) -> tuple[int, bytes]:
        """As `ports.AuditReader.head`."""
        query = "SELECT seq, hash FROM entries WHERE tenant = ? ORDER BY seq DESC LIMIT 1"
        rows = await self._rows(query, tenant)
        return (rows[0][0], rows[0][1]) if rows else (0, first_prev(tenant))

    async def read(self, tenant: str, *, after: int = 0, inputs: bool = True) -> AsyncIterator[StoredEntry]:
        """As `ports.AuditReader.read`. Entries that are appended meanwhile are yielded too."""
        query = f"{_ENTRY if inputs else _WITHOUT_INPUT} WHERE e.tenant = ? AND e.seq > ? ORDER BY e.seq LIMIT ?"
        while True:
            rows = await self._rows(query, tenant, after, PAGE_ROWS)
            for row in rows:
                yield self._entry(row)
            if len(rows) < PAGE_ROWS:
                return
            after = rows[-1][1]

    async def last(self, tenant: str, count: int) -> Sequence[StoredEntry]:
        """As `ports.AuditReader.last`."""
        query = f"{_ENTRY} WHERE e.tenant = ? ORDER BY e.seq DESC LIMIT ?"
        return [self._entry(row) for row in reversed(await self._rows(query, tenant, max(count, 0)))]

    async def by_intent(
        self, tenant: str, intent_id: str, *, inputs: bool = True, seq: int | None = None
    ) -> Sequence[StoredEntry]:
        """As `ports.AuditReader.by_intent`."""
        query = f"{_ENTRY if inputs else _WITHOUT_INPUT} WHERE e.tenant = ? AND e.intent_id = ? AND e.intent_id <> ''"
        if seq is None:
            rows = await self._rows(f"{query} ORDER BY e.seq", tenant, intent_id)
        else:
            rows = await self._rows(f"{query} AND e.seq = ?", tenant, intent_id, seq)
        return [self._entry(row) for row in rows]

    async def open_calls(self) -> Sequence[OpenCall]:
        """As `ports.AuditReader.open_calls`."""
        rows = await self._rows("SELECT tenant, intent_id, seq FROM open_calls ORDER BY tenant, seq")
        return [OpenCall(tenant=tenant, intent_id=intent_id, seq=seq) for tenant, intent_id, seq in rows]

    async def uses(self) -> Mapping[str, str]:
        """As `ports.UseLog.uses`."""
        return dict(await self._rows("SELECT name, at FROM uses"))

    async def _rows(self, query: str, *values: object) -> list[Any]:
        """Run one query to its end. Raises StoreError."""
        try:
            with anyio.fail_after(READ_S):
                return list(await self._connection.execute_fetchall(query, values))
        except TimeoutError as error:
            raise StoreError(f"the audit store did not answer within {READ_S} s") from error
        except (sqlite3.Error, UnicodeError, ValueError) as error:  # ValueError: the connection is closed
            raise StoreError(f"the audit store cannot be read ({type(error).__name__})") from error

    def _entry(self, row: tuple[str, int, bytes, bytes, bytes, bytes, bytes | None]) -> StoredEntry:
        tenant, seq, hash_, content, salt, body, sealed = row
        return StoredEntry(
            tenant=tenant,
            seq=seq,
            hash=hash_,
            content=content,
            salt=salt,
            body=body,
            evaluation_input=self._unseal(tenant, content, sealed) if sealed is not None else None,
        )

    def _unseal(self, tenant: str, content: bytes, sealed: bytes) -> bytes | None:
        """Return the input, or None where it cannot be opened: what it would prove is then not to be had."""
        if self._sealer is None:
            return None
        try:
            fields = orjson.loads(content)
            return self._sealer.unseal(sealed, tenant=tenant, intent_id=fields["intentId"], entry_id=fields["id"])
        except (StoreError, ValueError, KeyError, TypeError):
            return None


async def open_reader(path: Path, *, sealer: Sealer | None = None) -> SqliteReader:
    """Open the store at `path` for reading, beside a running gateway or without one.

    Raises:
        StoreRefused: there is no store, it cannot be read, or it is foreign, newer or changed.
    """
    address = read_only_address(path)
    try:
        await anyio.to_thread.run_sync(_check, path, address)
        connection = await aiosqlite.connect(address, uri=True, timeout=LOCK_S, isolation_level=None)
        try:
            await _prepare(connection, ("query_only=ON", "trusted_schema=OFF"))
        except BaseException:
            with anyio.move_on_after(READ_S, shield=True):  # its thread would keep the process from ending
                await connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreRefused(
            f"the audit store {path} cannot be read ({error})",
            remedy="make its folder accessible for this user; reading needs the -wal and -shm files beside it",
        ) from error
    return SqliteReader(connection, sealer)


async def _prepare(connection: aiosqlite.Connection, pragmas: Iterable[str]) -> None:
    for pragma in pragmas:
        await connection.execute_fetchall(f"PRAGMA {pragma}")


def _check(path: Path, address: str) -> None:
    if not path.exists():
        raise StoreRefused(f"there is no audit store at {path}", remedy="name the gateway's data folder with `--data`")
    with closing(sqlite3.connect(address, uri=True, timeout=LOCK_S)) as connection:
        check_schema(connection)


def _behind(prefix: str) -> str:
    """Return the end of the keys with that prefix: they are compared byte by byte, and lie before its successor."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _state_row(row: tuple[str, int, bytes]) -> StateRow:
    return StateRow(key=row[0], version=row[1], value=row[2])
