"""The database file: connections as the store needs them, numbered migrations with their ledger, and what is foreign.

Owns the pragmas and the schema. Says no to a file that is not ours, is newer than this program, or whose schema is not
what the migrations make: a trigger that someone added would write in our name.
"""

import hashlib
import secrets
import sqlite3
from collections.abc import Container, Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from gateway.errors import StoreRefused

__all__ = ["APPLICATION_ID", "check_schema", "connect", "migrate", "read_only_address", "store_id"]

APPLICATION_ID = 0x534F4931
"""`SOI1`, in the header of the file; `file(1)` and other programs tell from it whose it is."""
PREPARED = 256
"""Statements that are kept compiled: those of `recorder.py` for each number of rows, some 3 MB when all were used."""
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",  # NORMAL may lose what was acknowledged when the power fails
    "fullfsync=ON",  # where plain fsync does not reach the medium (macOS); nothing elsewhere
    "wal_autocheckpoint=0",  # the writer does it when nobody waits
    "secure_delete=ON",  # a purged input must not linger in free pages
    "trusted_schema=OFF",
    "temp_store=MEMORY",  # what the writer's connection has of its own needs no file
)
_MIGRATIONS = files("gateway.store") / "migrations" / "sqlite"
_LEDGER = "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL) STRICT"


def connect(path: Path, *, wait_s: float) -> sqlite3.Connection:
    """Open the database for the one writer. `wait_s` bounds the wait for a lock.

    Raises:
        StoreRefused: the file belongs to another program; not a byte of it was changed.
        sqlite3.Error: it cannot be opened.
    """
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw",
        uri=True,
        timeout=wait_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=PREPARED,
    )
    try:
        if _application_id(connection) != APPLICATION_ID and not _is_fresh(connection):
            raise _foreign()
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def read_only_address(path: Path) -> str:
    """Return the address under which a reader opens the database; it can neither write nor checkpoint."""
    return f"{path.resolve().as_uri()}?mode=ro"


def store_id(connection: sqlite3.Connection) -> str:
    """Return the random name that the store was given when it was made."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'store-id'").fetchone()
    if row is None:
        raise StoreRefused("the store has no id", remedy="restore the data folder from a backup")
    return str(row[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Check the schema, bring it up to date, each migration in a transaction of its own, and check it again.

    Raises:
        StoreRefused: as `check_schema`.
        sqlite3.Error: the file cannot be written.
    """
    if _is_fresh(connection):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_LEDGER)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    check_schema(connection)  # before anything is changed in what may not be as we left it
    done = _ledger(connection)
    for number, name, text in _migrations():
        if number not in done:
            _apply(connection, number, name, text)
    if connection.execute("SELECT count(*) FROM meta WHERE key = 'store-id'").fetchone() == (0,):
        connection.execute("INSERT INTO meta VALUES ('store-id', ?)", (secrets.token_hex(16),))
    check_schema(connection)


def check_schema(connection: sqlite3.Connection) -> None:
    """Check that the file is a store with exactly the schema that its migrations make, and that they are ours.

    An older store passes: it can be read as it is, and the next start of the gateway brings it up to date.

    Raises:
        StoreRefused: it is foreign, newer, of an edited migration, or has a schema of another making.
    """
    done = _ledger(connection)
    known = {number: hashlib.sha256(text.encode()).hexdigest() for number, _, text in _migrations()}
    if any(number not in known for number in done):
        raise StoreRefused(
            f"the store has schema {max(done)}, this program knows up to {max(known)}",
            remedy="run the newer version of the gateway that wrote it",
        )
    if any(known[number] != digest for number, digest in done.items()):
        raise StoreRefused(
            "the store was made by other migrations than this program has",
            remedy="run the version of the gateway that wrote it, or restore the data folder from a backup",
        )
    if _objects(connection) != _expected(done):
        raise StoreRefused(
            "the schema of the store was changed by someone else",
            remedy="restore the data folder from a backup, or look with `sqlite3` what was added or removed",
        )


def _ledger(connection: sqlite3.Connection) -> dict[int, str]:
    """Return number → SHA-256 of the migrations that were applied. Raises StoreRefused where the file is foreign."""
    if _application_id(connection) != APPLICATION_ID:
        raise _foreign()
    return dict(connection.execute("SELECT number, sha256 FROM migrations"))


def _is_fresh(connection: sqlite3.Connection) -> bool:
    return _application_id(connection) == 0 and not _objects(connection)


def _foreign() -> StoreRefused:
    return StoreRefused(
        "the database in the data folder is not an audit store of this gateway",
        remedy="choose another folder with `--data`, or move the file away if nobody needs it",
    )


def _migrations() -> Iterator[tuple[int, str, str]]:
    for path in sorted(_MIGRATIONS.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".sql"):
            yield int(path.name[:4]), path.name, path.read_text("utf-8")


def _apply(connection: sqlite3.Connection, number: int, name: str, text: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _statements(text):
        connection.execute(statement)
    digest = hashlib.sha256(text.encode()).hexdigest()
    connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, digest))
    connection.execute("COMMIT")


def _statements(text: str) -> Iterator[str]:
    """Split a script, since `executescript` would commit the transaction that it is to be part of."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _application_id(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def _objects(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    query = "SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2"
    return connection.execute(query).fetchall()


def _expected(done: Container[int]) -> list[tuple[str, str, str]]:
    """Return the schema that these migrations make, by making it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(_LEDGER)
        for number, name, text in _migrations():
            if number in done:
                _apply(connection, number, name, text)
        return _objects(connection)
