"""The start refuses a store that is not what it was, and says what to do; everything else it opens as it is."""

import json
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.core.audit.entry import EntryType, Expect, Put
from gateway.errors import StoreRefused
from gateway.ports import Conflict, OpenCall, StateRow
from gateway.store.sqlite import store as store_module
from tests.simulate.embedded import database, draft, opened, options, record, verified


def alter(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(database(folder))) as connection:
        connection.execute(statement)
        connection.commit()


async def refused(folder: Path, **more: object) -> StoreRefused:
    with pytest.raises(StoreRefused) as caught:
        async with opened(folder, **more):  # type: ignore[arg-type]
            pass
    assert caught.value.remedy
    return caught.value


async def test_what_was_recorded_is_there_after_a_restart(tmp_path: Path) -> None:
    """Issue, "Audit": chain, rows and open calls go on where they were."""
    async with opened(tmp_path) as store:
        assert (store.opening.created, store.opening.head_copy) == (True, False)
        name = store.opening.store_id
        await record(store, puts=(Put(key="k", value=b"1"),), opens=True, intent_id="int_1")
        await record(store, puts=(Put(key="gone", value=b"1"),))
        await record(store, puts=(Put(key="gone", value=None),))
        head = await store.head("default")
    async with opened(tmp_path) as store:
        opening = store.opening
        assert (opening.created, opening.head_copy, opening.store_id) == (False, True, name)
        assert opening.in_doubt == (OpenCall(tenant="default", intent_id="int_1", seq=1),)
        assert await store.head("default") == head
        assert await store.get("default", "k") == StateRow(key="k", version=1, value=b"1")
        assert isinstance(await store.append(draft(expects=(Expect(key="k", version=2),))), Conflict)
        await record(store, puts=(Put(key="gone", value=b"2"),), expects=(Expect(key="gone", version=0),))
        row = await store.get("default", "gone")
        assert row is not None
        assert row.version > 1
        assert (await verified(store)).count == 4


async def test_everything_in_the_data_folder_is_private(tmp_path: Path) -> None:
    """Issue, "Audit": modes 0600 and 0700, the files that SQLite makes included."""
    async with opened(tmp_path) as store:
        await record(store, evaluation_input=b"whole")
        for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
            wanted = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path


async def test_a_second_gateway_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    """Design, "Store": one process; the refusal names the other."""
    async with opened(tmp_path) as store:
        assert "process" in str(await refused(tmp_path))
        await record(store)
        assert store.ready() == ""
    async with opened(tmp_path) as store:
        assert (await verified(store)).count == 1


async def test_a_state_folder_inside_the_data_folder_is_refused(tmp_path: Path) -> None:
    """Design, "The head outside the store": who replaces the data folder must not replace the copy with it."""
    with pytest.raises(StoreRefused, match="inside the data folder"):
        store_module._open(options(tmp_path).__class__(data=tmp_path, state=tmp_path / "state"), False)


async def filled(folder: Path, count: int = 5) -> None:
    async with opened(folder) as store:
        for number in range(count):
            await record(store, body=b"%d" % number)


CUTS: dict[str, Callable[[Path], object]] = {
    "a cut tail": lambda folder: alter(folder, "DELETE FROM entries WHERE seq > 3"),
    "an emptied chain": lambda folder: alter(folder, "DELETE FROM entries"),
    "a rewritten last entry": lambda folder: alter(folder, "UPDATE entries SET hash = zeroblob(32) WHERE seq = 5"),
}


@pytest.mark.parametrize("cut", CUTS)
async def test_a_store_that_was_cut_is_refused(tmp_path: Path, cut: str) -> None:
    """Security, section 2: a restart never re-seeds from a shorter chain."""
    await filled(tmp_path)
    CUTS[cut](tmp_path)
    await refused(tmp_path)
    await refused(tmp_path)


async def test_an_older_copy_of_the_store_is_refused(tmp_path: Path) -> None:
    """Security, section 4: replaced by an older copy before a restart."""
    await filled(tmp_path)
    shutil.copytree(tmp_path / "data", tmp_path / "older")
    await filled(tmp_path)
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "older").rename(tmp_path / "data")
    error = await refused(tmp_path)
    assert "ends before entry 10" in str(error)
    assert "accept-head" in error.remedy


async def test_a_store_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    """Security, section 2: delete all; the start refuses instead of beginning a new chain."""
    await filled(tmp_path)
    shutil.rmtree(tmp_path / "data")
    assert "is gone" in str(await refused(tmp_path))
    assert not database(tmp_path).exists()


async def test_another_store_in_its_place_is_refused(tmp_path: Path) -> None:
    """Issue, "Audit": foreign."""
    await filled(tmp_path)
    await filled(tmp_path / "other", count=9)
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(tmp_path / "other" / "data", tmp_path / "data")
    assert "another store" in str(await refused(tmp_path))


async def test_a_store_that_moved_is_still_held_to_its_copy(tmp_path: Path) -> None:
    """Ours: moving the folder must not hide a cut."""
    await filled(tmp_path)
    shutil.copytree(tmp_path / "data", tmp_path / "moved")
    with closing(sqlite3.connect(tmp_path / "moved" / "audit.db")) as connection:
        connection.execute("DELETE FROM entries WHERE seq > 3")
        connection.commit()
    with pytest.raises(StoreRefused, match="ends before entry 5"):
        store_module._open(store_module.StoreOptions(data=tmp_path / "moved", state=tmp_path / "state"), False)


async def test_a_store_without_a_copy_opens_and_says_so(tmp_path: Path) -> None:
    """Ours: a lost state folder stops nobody, but the operator must learn that nothing could be checked."""
    await filled(tmp_path)
    shutil.rmtree(tmp_path / "state")
    async with opened(tmp_path) as store:
        assert (store.opening.created, store.opening.head_copy) == (False, False)


async def test_an_edited_entry_near_the_end_is_found_at_the_start(tmp_path: Path) -> None:
    """Issue, "Audit": start-up verifies the tail."""
    await filled(tmp_path)
    alter(tmp_path, "UPDATE entries SET body = x'00' WHERE seq = 4")
    assert "broken at entry 4 (body-mismatch)" in str(await refused(tmp_path))


async def test_the_tail_is_linked_to_the_entry_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue, "Audit": an exchanged part of the chain does not hide behind the number of entries looked at."""
    await filled(tmp_path)
    monkeypatch.setattr(store_module, "TAIL_ENTRIES", 2)
    async with opened(tmp_path):
        pass
    alter(tmp_path, "UPDATE entries SET hash = zeroblob(32) WHERE seq = 3")
    assert "broken at entry 4 (broken-link)" in str(await refused(tmp_path))


async def test_a_damaged_head_copy_is_refused(tmp_path: Path) -> None:
    """Ours: who can write the copy must not be able to switch the check off by breaking it."""
    await filled(tmp_path)
    (copy,) = (tmp_path / "state" / "heads").iterdir()
    copy.write_bytes(b"{")
    assert "cannot be read" in str(await refused(tmp_path))
    async with opened(tmp_path, accept_head=True) as store:
        assert len(store.opening.accepted) == 1
        await record(store, type=EntryType.HEAD_ACCEPTED)
    async with opened(tmp_path):
        pass


async def test_an_accepted_head_is_copied_only_once_it_is_recorded(tmp_path: Path) -> None:
    """Design, "The head outside the store": accepted with a reason, as an entry; without the entry nothing changes."""
    await filled(tmp_path)
    alter(tmp_path, "DELETE FROM entries WHERE seq > 3")
    async with opened(tmp_path, accept_head=True) as store:
        (difference,) = store.opening.accepted
        assert "ends before entry 5" in difference
    await refused(tmp_path)
    async with opened(tmp_path, accept_head=True) as store:
        await record(store, type=EntryType.HEAD_ACCEPTED, tenant="_system")
    async with opened(tmp_path) as store:
        assert (await verified(store)).count == 3


async def test_a_new_chain_can_be_accepted_after_everything_was_lost(tmp_path: Path) -> None:
    """Ours: the way on that the refusal names."""
    await filled(tmp_path)
    shutil.rmtree(tmp_path / "data")
    async with opened(tmp_path, accept_head=True) as store:
        assert "another store" in store.opening.accepted[0]
        await record(store, type=EntryType.HEAD_ACCEPTED)
    async with opened(tmp_path) as store:
        assert (await verified(store)).count == 1


async def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    """Ours: what happened and what to do, not a trace of SQLite."""
    await filled(tmp_path)
    content = database(tmp_path).read_bytes()
    database(tmp_path).write_bytes(b"not a database at all" * 100)
    assert "damaged or no database" in str(await refused(tmp_path))
    database(tmp_path).write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    await refused(tmp_path)


async def test_a_store_locked_by_another_program_is_refused(tmp_path: Path) -> None:
    """Ours: someone has the database open in a shell, with a transaction."""
    await filled(tmp_path)
    with closing(sqlite3.connect(database(tmp_path), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "holds a lock" in str(await refused(tmp_path, wait_s=0.1))
        other.execute("ROLLBACK")
    async with opened(tmp_path):
        pass


async def test_a_state_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Ours: without the copy a cut could not be noticed."""
    (tmp_path / "state").write_bytes(b"a file")
    assert "cannot be" in str(await refused(tmp_path))


async def test_the_copy_names_the_heads_after_a_stop(tmp_path: Path) -> None:
    """Design, "The head outside the store": written at shutdown."""
    async with opened(tmp_path) as store:
        outcome = await record(store, 3)
        name = store.opening.store_id
    (copy,) = (tmp_path / "state" / "heads").iterdir()
    document = json.loads(copy.read_bytes())
    assert document["storeId"] == name
    assert document["heads"] == {"default": {"seq": 3, "hash": outcome.hash.hex()}}


async def test_a_stopped_store_leaves_one_database_file(tmp_path: Path) -> None:
    """Ours: what an operator backs up is one file, and the lock is free."""
    await filled(tmp_path)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["audit.db", "keys", "lock"]


async def test_a_start_that_fails_late_gives_everything_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the lock of a start that failed must not outlive it."""

    async def broken(*_: object, **__: object) -> None:
        raise StoreRefused("no reader", remedy="none")

    monkeypatch.setattr(store_module, "open_reader", broken)
    assert "no reader" in str(await refused(tmp_path))
    monkeypatch.undo()
    async with opened(tmp_path) as store:
        await record(store)


async def test_a_reader_that_cannot_be_closed_does_not_keep_the_writer_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the heads are not copied and the folder stays locked."""
    async with opened(tmp_path) as store:
        await record(store)
        real = store._reader.aclose

        async def broken() -> None:
            await real()
            raise sqlite3.OperationalError("told to fail")

        monkeypatch.setattr(store._reader, "aclose", broken)
    async with opened(tmp_path) as store:
        assert (store.opening.head_copy, (await store.head("default"))[0]) == (True, 1)


async def test_rows_that_are_long_are_read_anew(tmp_path: Path) -> None:
    """Names and definitions are strangers' texts: the memory for them is bounded in bytes, and never stale."""
    async with opened(tmp_path) as store:
        await record(store, puts=(Put(key="k", value=b"1"), Put(key="n" * 2000, value=b"1")))
        await record(store, puts=(Put(key="k", value=b"2" * 2000),))
        assert store._rows == {}
        assert [row and row.value for row in (await store.get("default", "k"), await store.get("default", "n" * 2000))]
        found = await store.get("default", "k")
        assert found == StateRow(key="k", version=2, value=b"2" * 2000)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, None),
        (b'{"time":"2026-11-22T08:00:00.000Z"}', datetime(2026, 11, 22, 8, tzinfo=UTC)),
        (b"no json", None),
        (b"[]", None),
        (b"{}", None),
        (b'{"time":"yesterday"}', None),
    ],
)
def test_the_time_of_the_newest_entry_is_told_where_it_can_be(content: bytes | None, told: datetime | None) -> None:
    """By it a start knows how far its clock can be believed; whether the entry is sound is said elsewhere."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE entries (n INTEGER PRIMARY KEY, content BLOB)")
        if content is not None:
            connection.execute("INSERT INTO entries VALUES (2, ?)", (content,))
            connection.execute("INSERT INTO entries VALUES (1, 'older')")
        assert store_module._newest(connection) == told


async def test_a_start_tells_how_far_the_chain_has_come(tmp_path: Path) -> None:
    """Of several chains the entry that was written last counts."""
    async with opened(tmp_path) as store:
        assert store.opening.newest is None
        await record(store, time="2026-11-22T09:00:00.000Z")
        await record(store, tenant="other", time="2026-11-22T08:30:00.000Z")
    async with opened(tmp_path) as store:
        assert store.opening.newest == datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
