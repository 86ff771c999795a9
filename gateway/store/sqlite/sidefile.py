"""A side file: a SQLite file beside the store that is worth nothing, since all of it can be made anew from the chain.

Owns the one rule for such files. A file of another version is deleted before it is used, one that proves damaged after
the question that found it, which is then asked once more of a new one. One that is locked, or has no room, is left as
it is: making it anew would not help. Whether what a file holds is of this very chain only its owner can tell, by the
hash of the last entry that it stands for (`hash_at`).

No rule for the outbox, which is worth something, nor for the store.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import anyio

from gateway.errors import StoreError
from gateway.store.sqlite.schema import read_only_address

__all__ = ["LOCK_S", "SideFile", "hash_at"]

LOCK_S: Final = 2.0

Answer = TypeVar("Answer")


class SideFile:
    """One side file, asked in threads. Its connections have the store attached as `log`, read-only."""

    def __init__(
        self,
        store: Path,
        name: str,
        *,
        version: int,
        tables: str,
        pragmas: Sequence[str],
        log_pragmas: Sequence[str] = (),
    ) -> None:
        """`tables` is the SQL that makes a file of that version, `pragmas` are for each connection."""
        self._store = store
        self._path = store.parent / name
        self._version = version
        self._tables = tables
        self._pragmas = (*pragmas, "trusted_schema=OFF")
        self._log_pragmas = log_pragmas

    async def ask(self, line: anyio.Lock, ask: Callable[[sqlite3.Connection], Answer], *, failed: str) -> Answer:
        """Ask in a thread, one at a time in that line; of a damaged file once more, after it was made anew.

        Raises:
            StoreError: there is no answer, and `failed` says what that means.
        """
        try:
            async with line:
                try:
                    return await anyio.to_thread.run_sync(self._answer, ask)
                except sqlite3.OperationalError:  # locked, or no room
                    raise
                except sqlite3.DatabaseError:
                    self._path.unlink(missing_ok=True)
                    return await anyio.to_thread.run_sync(self._answer, ask)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{failed} ({type(error).__name__})") from error

    # --- in a thread --------------------------------------------------------------------------------------------------

    def _answer(self, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        with closing(self._connect()) as connection:
            made = self._version_of(connection)
            if made in (0, self._version):
                return ask(self._prepared(connection, made))
        self._path.unlink()  # of another making
        with closing(self._connect()) as connection:
            return ask(self._prepared(connection, self._version_of(connection)))

    def _version_of(self, connection: sqlite3.Connection) -> int:
        """Return the version of a file; 0 where it was only just made."""
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def _prepared(self, connection: sqlite3.Connection, made: int) -> sqlite3.Connection:
        """Make what a new file is to have, all or nothing, and attach the store."""
        if made == 0:
            connection.executescript(f"BEGIN; {self._tables} PRAGMA user_version = {self._version}; COMMIT;")
        connection.execute("ATTACH DATABASE ? AS log", (read_only_address(self._store),))
        for pragma in self._log_pragmas:
            connection.execute(f"PRAGMA log.{pragma}").fetchall()
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path.resolve().as_uri(), uri=True, timeout=LOCK_S, isolation_level=None)
        try:
            for pragma in self._pragmas:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            self._path.chmod(0o600)
        except BaseException:
            connection.close()
            raise
        return connection


def hash_at(connection: sqlite3.Connection, tenant: str, seq: int) -> bytes | None:
    """Return the hash of an entry of the store; None where there is none: then it is another store, or one restored."""
    row = connection.execute("SELECT hash FROM log.entries WHERE tenant = ? AND seq = ?", (tenant, seq)).fetchone()
    return row[0] if row else None
