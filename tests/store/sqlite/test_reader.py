"""Reading needs no lock, disturbs no writer, and leaves the log alone; what cannot be read is a StoreError."""

import hashlib
import sqlite3
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from gateway.core.audit.entry import Put
from gateway.errors import StoreError, StoreRefused
from gateway.services.audit_query import verify
from gateway.store.sealing import Sealer
from gateway.store.sqlite.reader import PAGE_ROWS, SqliteReader, open_reader
from tests.simulate.embedded import database, opened, record


async def chain(reader: SqliteReader) -> list[int]:
    return [entry.seq async for entry in reader.read("default")]


async def test_a_second_reader_reads_while_the_store_is_open(tmp_path: Path) -> None:
    """Issue: `intended audit …` while a gateway runs."""
    async with opened(tmp_path) as store:
        await record(store, 2)
        reader = await open_reader(database(tmp_path))
        assert await chain(reader) == [1, 2]
        await record(store)
        assert await chain(reader) == [1, 2, 3]
        await reader.aclose()
        await record(store)
        assert store.ready() == ""


async def test_a_closed_store_can_be_read(tmp_path: Path) -> None:
    """Ours: the command line needs no running gateway."""
    async with opened(tmp_path) as store:
        await record(store, 2)
    reader = await open_reader(database(tmp_path))
    assert (await verify(reader, "default")).valid
    await reader.aclose()


async def test_a_reader_never_checkpoints(tmp_path: Path) -> None:
    """Security, 0.5: a reader that is the last to close must leave log and database byte for byte."""
    async with opened(tmp_path) as store:
        await record(store, 2)
        copies = {}
        for name in ("audit.db", "audit.db-wal"):
            copies[name] = (tmp_path / "data" / name).read_bytes()
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name, content in copies.items():
        (crashed / name).write_bytes(content)
    reader = await open_reader(crashed / "audit.db")
    assert await chain(reader) == [1, 2]
    await reader.aclose()
    for name, content in copies.items():
        assert hashlib.sha256((crashed / name).read_bytes()).digest() == hashlib.sha256(content).digest()


async def test_a_chain_of_many_pages_is_read_in_order(tmp_path: Path) -> None:
    """Ours: no read holds a transaction for longer than a page."""
    async with opened(tmp_path) as store:
        count = PAGE_ROWS + 1
        for _ in range(count):
            await record(store)
        assert await chain(store) == list(range(1, count + 1))  # type: ignore[arg-type]


async def test_an_input_reads_as_none_without_the_key(tmp_path: Path) -> None:
    """Design, "Audit entry v1": where the input is gone, replay says so instead of failing."""
    key = bytes(32)
    async with opened(tmp_path, key=key) as store:
        await record(store, evaluation_input=b"whole", intent_id="int_1")
        for sealer, expected in ((Sealer(key), b"whole"), (Sealer(bytes(31) + b"x"), None), (None, None)):
            reader = await open_reader(database(tmp_path), sealer=sealer)
            (entry,) = await reader.last("default", 1)
            assert entry.evaluation_input == expected
            await reader.aclose()


async def test_where_there_is_no_store_reading_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """Ours: and no file is made by looking for one."""
    with pytest.raises(StoreRefused, match="no audit store") as caught:
        await open_reader(database(tmp_path))
    assert "--data" in caught.value.remedy
    assert not database(tmp_path).parent.exists()


async def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    """Ours: a reader checks what it reads, too."""
    path = tmp_path / "audit.db"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(StoreRefused, match="cannot be read"):
        await open_reader(path)


async def test_a_reader_that_cannot_be_made_leaves_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep the process from ending."""
    async with opened(tmp_path):

        async def broken(*_: object) -> None:
            raise sqlite3.OperationalError("told to fail")

        monkeypatch.setattr("gateway.store.sqlite.reader._prepare", broken)
        before = set(threading.enumerate())
        with pytest.raises(StoreRefused, match="cannot be read"):
            await open_reader(database(tmp_path))
        for thread in set(threading.enumerate()) - before:
            if "_connection_worker_thread" in thread.name:
                await anyio.to_thread.run_sync(thread.join, 5.0)
                assert not thread.is_alive()


async def test_a_read_that_fails_is_a_store_error(tmp_path: Path) -> None:
    """Ports: facts that cannot be read are an error and never a default."""
    async with opened(tmp_path) as store:
        await record(store, puts=(Put(key="k", value=b"1"),))
        reader = await open_reader(database(tmp_path))
        with pytest.raises(StoreError):
            await reader.get("default", "\ud800")
        await reader.aclose()
        with pytest.raises(StoreError):
            await reader.get("default", "k")
