"""A store of another program, another version or another making is refused before anything is written to it."""

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import StoreRefused
from gateway.store.sqlite.schema import APPLICATION_ID, check_schema, connect, migrate, read_only_address, store_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fresh store, closed."""
    path = tmp_path / "with space & ?.db"
    path.touch()
    with closing(connect(path, wait_s=0.1)) as connection:
        migrate(connection)
    return path


def changed(path: Path, change: Callable[[sqlite3.Connection], object]) -> str:
    """Change the store, open it again, and return the refusal; the file must be as the change left it."""
    with closing(sqlite3.connect(path)) as connection:
        change(connection)
        connection.commit()
    before = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(StoreRefused) as caught, closing(connect(path, wait_s=0.1)) as connection:
        migrate(connection)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert caught.value.remedy
    return str(caught.value)


def test_a_fresh_file_becomes_a_store_once(path: Path) -> None:
    """Design, "Store": numbered migrations with digests; the second start changes nothing."""
    with closing(connect(path, wait_s=0.1)) as connection:
        name = store_id(connection)
        migrate(connection)
        assert store_id(connection) == name
        assert len(name) == 32
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        done = [(number, file, len(digest)) for number, file, digest in connection.execute("SELECT * FROM migrations")]
        assert done == [(1, "0001_audit.sql", 64), (2, "0002_uses.sql", 64)]


def test_an_older_store_is_read_as_it_is_and_brought_up_to_date_by_the_next_start(path: Path) -> None:
    """Ours: a new version of the program can look at the chain before it is started for the first time."""
    with closing(connect(path, wait_s=0.1)) as connection:
        connection.execute("DROP TABLE uses")
        connection.execute("DELETE FROM migrations WHERE number = 2")
        check_schema(connection)
        migrate(connection)
        assert connection.execute("SELECT count(*) FROM uses").fetchone() == (0,)


@pytest.mark.parametrize("which", ["number = 2", "true"])
def test_nothing_is_brought_up_to_date_that_is_not_as_it_was_left(path: Path, which: str) -> None:
    """Ours: the check comes before the first change, not after it."""
    statement = f"DELETE FROM migrations WHERE {which}"
    assert "changed by someone else" in changed(path, lambda connection: connection.execute(statement))


def test_the_file_of_another_program_is_refused(path: Path) -> None:
    """Issue, "Audit": foreign."""
    assert "not an audit store" in changed(path, lambda connection: connection.execute("PRAGMA application_id = 7"))


def test_a_database_without_a_name_is_refused_where_it_holds_something(tmp_path: Path) -> None:
    """Issue, "Audit": somebody's database is never turned into a store."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name)")
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match="not an audit store"):
        connect(path, wait_s=0.1)
    assert path.read_bytes() == before


def test_a_newer_store_is_refused(path: Path) -> None:
    """Issue: newer schema is refused, with the remedy to run the newer version."""
    statement = "INSERT INTO migrations VALUES (3, '0003_more.sql', 'ab')"
    assert "schema 3, this program knows up to 2" in changed(path, lambda connection: connection.execute(statement))


def test_a_store_of_an_edited_migration_is_refused(path: Path) -> None:
    """Design, "Store": the digest of each migration is in the store."""
    statement = "UPDATE migrations SET sha256 = 'ab'"
    assert "other migrations" in changed(path, lambda connection: connection.execute(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER quiet AFTER INSERT ON entries BEGIN DELETE FROM open_calls; END",
        "CREATE TABLE more (x)",
        "DROP INDEX entries_of_intent",
        "ALTER TABLE state ADD COLUMN more TEXT",
    ],
)
def test_a_schema_that_someone_changed_is_refused(path: Path, statement: str) -> None:
    """Ours: a trigger in the store would write in our name."""
    assert "changed by someone else" in changed(path, lambda connection: connection.execute(statement))


def test_a_store_without_its_id_is_refused(path: Path) -> None:
    """Ours: without it the copy of the heads could belong to anyone."""
    with closing(connect(path, wait_s=0.1)) as connection:
        connection.execute("DELETE FROM meta")
        with pytest.raises(StoreRefused, match="no id"):
            store_id(connection)


def test_a_reader_cannot_write(path: Path) -> None:
    """Security, 0.5: one writing and checkpointing connection."""
    with closing(sqlite3.connect(read_only_address(path), uri=True)) as connection:
        check_schema(connection)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM entries")
