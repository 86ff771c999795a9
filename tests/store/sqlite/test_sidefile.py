"""What is worth nothing is made anew where it cannot be used, and only there."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.errors import StoreError
from gateway.store.sqlite import sidefile as module
from gateway.store.sqlite.sidefile import SideFile, hash_at
from gateway.store.sqlite.store import DATABASE, SqliteStore, StoreOptions, open_store
from tests.simulate.world import FakeClock

TABLES = "CREATE TABLE words (word TEXT PRIMARY KEY) STRICT;"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(StoreOptions(data=tmp_path / "data", state=tmp_path / "state"), FakeClock())
    await opened.append(EntryDraft(tenant="acme", id="evt_1", type=EntryType.TOOL_PINNED, time="2026-11-22T12:00:00Z"))
    yield opened
    await opened.aclose()


def made(tmp_path: Path, *, version: int = 1, tables: str = TABLES) -> SideFile:
    return SideFile(
        tmp_path / "data" / DATABASE,
        "words.sqlite3",
        version=version,
        tables=tables,
        pragmas=("synchronous=OFF",),
        log_pragmas=("cache_size=-64",),
    )


def words(connection: sqlite3.Connection) -> list[str]:
    connection.execute("INSERT OR IGNORE INTO words VALUES (?)", (f"after {len(_words(connection))}",))
    return _words(connection)


def _words(connection: sqlite3.Connection) -> list[str]:
    return [word for (word,) in connection.execute("SELECT word FROM words ORDER BY word")]


async def ask(file: SideFile) -> list[str]:
    return await file.ask(anyio.Lock(), words, failed="no words")


async def test_a_file_is_made_where_there_is_none_and_is_its_owners_alone(store: SqliteStore, tmp_path: Path) -> None:
    """What it holds is found again; nobody else on the machine reads it."""
    assert await ask(made(tmp_path)) == ["after 0"]
    assert await ask(made(tmp_path)) == ["after 0", "after 1"]
    assert (tmp_path / "data" / "words.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be looked at" * 100, b"SQLite format 3\0"]
)
async def test_a_damaged_file_is_made_anew(store: SqliteStore, tmp_path: Path, content: bytes) -> None:
    """The question that found it is answered all the same."""
    await ask(made(tmp_path))
    (tmp_path / "data" / "words.sqlite3").write_bytes(content)
    assert await ask(made(tmp_path)) == ["after 0"]


async def test_a_file_of_another_version_is_made_anew(store: SqliteStore, tmp_path: Path) -> None:
    """Of an earlier release or a later one."""
    await ask(made(tmp_path, version=2))
    assert await ask(made(tmp_path, version=1)) == ["after 0"]
    with closing(sqlite3.connect(tmp_path / "data" / "words.sqlite3")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


async def test_a_file_that_is_locked_is_an_error_and_stays(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making it anew would not help, and somebody is using it."""
    monkeypatch.setattr(module, "LOCK_S", 0.01)
    await ask(made(tmp_path))
    with closing(sqlite3.connect(tmp_path / "data" / "words.sqlite3", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"^no words \(OperationalError\)$"):
            await ask(made(tmp_path))
    assert await ask(made(tmp_path)) == ["after 0", "after 1"]


async def test_a_file_that_cannot_be_made_leaves_nothing_half_made(store: SqliteStore, tmp_path: Path) -> None:
    """The next attempt begins with nothing."""
    with pytest.raises(StoreError):
        await ask(made(tmp_path, tables=TABLES + "CREATE TABLE words (again TEXT);"))
    assert await ask(made(tmp_path)) == ["after 0"]


async def test_the_store_is_read_and_never_written(store: SqliteStore, tmp_path: Path) -> None:
    """An entry's hash tells whose chain a side file was made from."""
    _, head = await store.head("acme")

    def look(connection: sqlite3.Connection) -> tuple[bytes | None, bytes | None, int]:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM log.entries")
        kept = connection.execute("PRAGMA log.cache_size").fetchone()[0]
        return hash_at(connection, "acme", 1), hash_at(connection, "acme", 2), kept

    assert await made(tmp_path).ask(anyio.Lock(), look, failed="no words") == (head, None, -64)
