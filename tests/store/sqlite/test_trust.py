"""Records that are put by save a start its reading; they are no evidence, and worth nothing elsewhere."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.errors import StoreError
from gateway.ports import Appended, KeptRecords
from gateway.store.sqlite.store import DATABASE, SqliteStore, StoreOptions, open_store
from gateway.store.sqlite.trust import FILE, SqliteShelf, read_kept
from gateway.telemetry.clock import SystemClock


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_store(StoreOptions(data=tmp_path / "data", state=tmp_path / "state"), SystemClock())
    yield opened
    await opened.aclose()


@pytest.fixture
def shelf(tmp_path: Path, store: SqliteStore) -> SqliteShelf:
    return SqliteShelf(tmp_path / "data" / DATABASE)


async def appended(store: SqliteStore, *, agent: str = "bot", tenant: str = "acme") -> Appended:
    draft = EntryDraft(
        tenant=tenant, id="evt_1", type=EntryType.CALL_COMPLETED, time="2026-01-01T00:00:00.000Z", agent=agent
    )
    done = await store.append(draft)
    assert isinstance(done, Appended)
    return done


def kept(place: Appended, **records: bytes) -> KeptRecords:
    return KeptRecords(seq=place.seq, hash=place.hash, records=records)


async def test_what_is_put_by_is_found_again(store, shelf, tmp_path) -> None:
    """By another process, of each tenant its own; what is added stands beside the rest."""
    assert await shelf.kept("acme") is None
    first = await appended(store)
    assert await shelf.keep("acme", kept(first, bot=b"1", other=b"2"), since=0)
    second = await appended(store)
    assert await shelf.keep("acme", kept(second, bot=b"3"), since=first.seq)
    found = await SqliteShelf(tmp_path / "data" / DATABASE).kept("acme")
    assert found == kept(second, bot=b"3", other=b"2")
    assert await shelf.kept("default") is None
    assert read_kept(tmp_path / "data" / DATABASE, "acme") == found
    assert (tmp_path / "data" / FILE).stat().st_mode & 0o777 == 0o600
    assert await shelf.keep("acme", kept(second, bot=b"4"), since=0)
    assert await shelf.kept("acme") == kept(second, bot=b"4")


async def test_nothing_is_added_to_what_is_not_there(store, shelf) -> None:
    """Else some records would be missing, and nobody would know."""
    place = await appended(store)
    assert not await shelf.keep("acme", kept(place, bot=b"1"), since=7)
    assert await shelf.kept("acme") is None


async def test_records_of_another_chain_are_not_found(store, shelf, tmp_path) -> None:
    """Of a store that was replaced, or one from a backup; whoever compares still sees them."""
    place = await appended(store)
    for other in (replace(place, hash=b"another"), replace(place, seq=9)):
        await shelf.keep("acme", kept(other, bot=b"1"), since=0)
        assert await shelf.kept("acme") is None
        assert read_kept(tmp_path / "data" / DATABASE, "acme") == kept(other, bot=b"1")


async def test_the_chain_is_read_in_its_order_as_it_was_hashed(store, shelf) -> None:
    """By page, of one agent where that is asked; an agent whose name begins alike is another."""
    places = [await appended(store, agent=agent) for agent in ("bot", "bottle", "bot", 'b"ot')]
    await appended(store, tenant="default")
    found = await shelf.contents("acme", after=0, limit=10)
    assert [(seq, hash_) for seq, hash_, _ in found] == [(one.seq, one.hash) for one in places]
    entries = [entry async for entry in store.read("acme")]
    assert [content for _, _, content in found] == [entry.content for entry in entries]
    assert [seq for seq, _, _ in await shelf.contents("acme", after=1, limit=2)] == [2, 3]
    assert [seq for seq, _, _ in await shelf.contents("acme", after=0, limit=10, agent="bot")] == [1, 3]
    assert [seq for seq, _, _ in await shelf.contents("acme", after=0, limit=10, agent='b"ot')] == [4]


async def test_whoever_looks_at_a_past_holds_up_nobody_who_reads_what_was_missed(store, shelf, monkeypatch) -> None:
    """As long as the chain is not read again nobody has a tier, and each key that may look at agents could delay it."""
    await appended(store)
    looking, done = threading.Event(), threading.Event()
    answer = shelf._file._answer

    def slow(ask):
        if not looking.is_set():
            looking.set()
            assert done.wait(5)
        return answer(ask)

    monkeypatch.setattr(shelf._file, "_answer", slow)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(shelf.contents, "acme", after=0, limit=9, agent="bot"))
            await anyio.to_thread.run_sync(looking.wait, 5)
            try:
                assert len(await shelf.contents("acme", after=0, limit=9)) == 1
            finally:
                done.set()


async def test_a_file_that_cannot_be_used_is_made_anew(store, shelf, tmp_path) -> None:
    """Damaged, or of another version: the chain has everything."""
    place = await appended(store)
    path = tmp_path / "data" / FILE
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        read_kept(tmp_path / "data" / DATABASE, "acme")
    assert await shelf.kept("acme") is None
    await shelf.keep("acme", kept(place, bot=b"1"), since=0)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert read_kept(tmp_path / "data" / DATABASE, "acme") is None
    assert await shelf.kept("acme") is None


async def test_what_cannot_be_read_is_an_error(store, shelf, tmp_path) -> None:
    """A lock that stays; nothing is deleted for it."""
    place = await appended(store)
    await shelf.keep("acme", kept(place, bot=b"1"), since=0)
    with closing(sqlite3.connect(tmp_path / "data" / FILE, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError):
            await shelf.kept("acme")
    assert await shelf.kept("acme") == kept(place, bot=b"1")


async def test_where_nothing_was_put_by_nothing_is_made(store, tmp_path) -> None:
    """Who only compares leaves no trace."""
    assert read_kept(tmp_path / "data" / DATABASE, "acme") is None
    assert not (tmp_path / "data" / FILE).exists()
