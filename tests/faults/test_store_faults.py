"""Whatever happens to a running store's files or disk: refused within a second, unready, and a valid chain after."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from gateway.core.audit.entry import Put
from gateway.errors import AuditUnavailable, StoreRefused
from gateway.store.headcopy import Head, HeadCopy
from gateway.store.sqlite import writer as writer_module
from gateway.store.sqlite.store import SqliteStore
from tests.faults.disk import Limited, small_disk
from tests.simulate.embedded import SetClock, database, draft, opened, record, until, verified

ROOT = Path(__file__).parents[2]


async def refusal(store: SqliteStore) -> str:
    """Append, and return why that was refused; within a second, as promised."""
    start = time.monotonic()
    with pytest.raises(AuditUnavailable) as caught:
        await store.append(draft(tool="refused"))
    assert time.monotonic() - start < 1.0
    return str(caught.value)


async def refused_from_now_on(store: SqliteStore, word: str) -> None:
    """Appends are refused with a reason that names it, and readiness says the same."""
    assert word in await refusal(store)
    assert word in store.ready()
    assert word in await refusal(store)


# --- a full disk ---


async def fill_up(store: SqliteStore) -> int:
    """Append until it fails; returns how many were durable."""
    for number in range(10_000):
        try:
            await store.append(draft(body=b"x" * 8000, puts=(Put(key="count", value=b"%d" % number),)))
        except AuditUnavailable:
            return number
    pytest.fail("the disk never was full")


async def test_a_full_disk_refuses_and_recovers_by_itself(tmp_path: Path) -> None:
    """Security, section 4: nothing recorded by half, every call answered, ready again once there is space."""
    with small_disk(tmp_path / "disk") as disk:
        async with opened(disk.folder) as store:
            await record(store)
            disk.fill()
            durable = 1 + await fill_up(store)
            assert "full" in store.ready()
            for _ in range(3):
                await refusal(store)
            disk.free()
            await until(lambda: store.ready() == "")
            await record(store, body=b"x" * 8000)
            assert (await verified(store)).count == durable + 1
        async with opened(disk.folder) as store:
            assert (await verified(store)).count == durable + 1


async def test_a_disk_that_stays_full_stays_unready(tmp_path: Path) -> None:
    """Security, 0.5: BEGIN succeeds on a full disk, so that a probe which does not write would flap."""
    with small_disk(tmp_path / "disk") as disk:
        async with opened(disk.folder) as store:
            disk.fill()
            await fill_up(store)
            attempts = store._writer._times
            first = attempts.attempt
            await until(lambda: attempts.attempt > first + 0.5)
            assert store.ready() != ""
            await refusal(store)


async def test_a_start_on_a_full_disk_is_refused(tmp_path: Path) -> None:
    """Issue, "Audit": unwritable is refused at the start, not at the first call."""
    with small_disk(tmp_path / "disk") as disk:
        async with opened(disk.folder) as store:
            await record(store)
        disk.fill()
        with pytest.raises(StoreRefused) as caught:
            async with opened(disk.folder):
                pass
        assert caught.value.remedy
        disk.free()
        async with opened(disk.folder) as store:
            assert (await verified(store)).count == 1


async def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    """Ours: quotas and limits end in another error of SQLite and in the same refusal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1)
        with small_disk(tmp_path / "disk") as disk:
            assert isinstance(disk, Limited)
            async with opened(disk.folder) as store:
                await record(store)
                disk.fill()
                durable = 1 + await fill_up(store)
                await refusal(store)
                disk.free()
                await until(lambda: store.ready() == "")
                await record(store)
                assert (await verified(store)).count == durable + 1


# --- deleted, moved, replaced ---


def delete(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("moved-away"))


def replace_by_a_copy(path: Path) -> None:
    shutil.copyfile(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


def overwrite_by_a_copy(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["audit.db", "audit.db-wal"])
@pytest.mark.parametrize("change", [delete, move, replace_by_a_copy, overwrite_by_a_copy])
async def test_a_store_whose_file_is_no_longer_the_same_refuses_for_good(
    tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    """Security, 0.5: SQLite would go on without an error, and the rows would be lost."""
    async with opened(tmp_path) as store:
        await record(store, 3)
        change(tmp_path / "data" / name)
        await refusal(store)
        assert "restart" in store.ready()
        await refused_from_now_on(store, "restart")
        assert (tmp_path / "data" / name).exists() == (change not in (delete, move))


async def test_what_was_acknowledged_just_before_the_log_was_taken_away_will_be_missed(tmp_path: Path) -> None:
    """The copy of the heads is up to a second behind, unless it is written when the trouble is noticed."""
    copy = HeadCopy(state=tmp_path / "state", data=tmp_path / "data")
    async with opened(tmp_path) as store:
        last = await record(store, 3)
        delete(tmp_path / "data" / "audit.db-wal")
        await refusal(store)
    heads = copy.read()
    assert heads is not None
    assert heads.heads["default"] == Head(seq=3, hash=last.hash)


async def test_a_log_that_is_cut_while_a_commit_runs_is_noticed_within_a_second(tmp_path: Path) -> None:
    """The commit writes behind the cut, and then the size is right again: what it follows is lost with the log."""
    clock = SetClock()
    async with opened(tmp_path, clock=clock) as store:
        await record(store, 3)
        clock.advance(1.0)
        await until(lambda: store._writer._times.heads_written)
        log = tmp_path / "data" / "audit.db-wal"
        os.truncate(log, 8192)
        assert store._writer._files.remember() == "", "as if by the commit"
        last = await record(store)
        clock.advance(1.0)
        await until(lambda: "cut" in store.ready())
        await refusal(store)
    copy = HeadCopy(state=tmp_path / "state", data=tmp_path / "data").read()
    assert copy is not None
    assert copy.heads["default"].seq == last.seq


async def test_a_log_that_begins_anew_is_none_that_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a checkpoint SQLite writes the log from its beginning, over frames that it had."""
    monkeypatch.setattr(writer_module, "CHECKPOINT_COMMITS", 5)
    clock = SetClock()
    async with opened(tmp_path, clock=clock) as store:
        for _ in range(30):
            await record(store)
            clock.advance(1.0)
            await until(lambda: store._writer._times.heads_written)
        assert store.ready() == ""


async def test_a_deleted_index_file_is_noticed(tmp_path: Path) -> None:
    """Ours: without it a second process would not see our locks."""
    async with opened(tmp_path) as store:
        await record(store)
        delete(tmp_path / "data" / "audit.db-shm")
        await refused_from_now_on(store, "deleted")


async def test_a_deleted_folder_is_noticed_without_a_call(tmp_path: Path) -> None:
    """Issue, "Audit": readiness goes false; nobody need call first, and nothing is made anew."""
    async with opened(tmp_path) as store:
        await record(store)
        shutil.rmtree(tmp_path / "data")
        await until(lambda: "deleted" in store.ready())
        await refusal(store)
    assert not (tmp_path / "data").exists()


async def test_an_older_copy_put_in_place_is_refused_while_running_and_at_the_next_start(tmp_path: Path) -> None:
    """Security, section 4: cp of an older copy, while running and before a restart; nothing of it is harmed."""
    async with opened(tmp_path) as store:
        await record(store, 3)
    older = database(tmp_path).read_bytes()
    async with opened(tmp_path) as store:
        await record(store, 3)
    async with opened(tmp_path) as store:
        await record(store)
        for path in (tmp_path / "data").glob("audit.db*"):
            path.unlink()
        database(tmp_path).write_bytes(older)
        await refusal(store)
    assert database(tmp_path).read_bytes() == older
    with pytest.raises(StoreRefused, match="ends before entry"):
        async with opened(tmp_path):
            pass


async def test_a_log_that_belongs_to_someone_else_is_not_deleted_at_the_end(tmp_path: Path) -> None:
    """Ours: SQLite deletes its log by path when it closes; a backup put in place has one, too."""
    async with opened(tmp_path) as store:
        await record(store)
        for name in ("audit.db", "audit.db-wal"):
            replace_by_a_copy(tmp_path / "data" / name)
        log = (tmp_path / "data" / "audit.db-wal").read_bytes()
        await refusal(store)
    assert (tmp_path / "data" / "audit.db-wal").read_bytes() == log


# --- read-only, locked, shared ---


async def test_a_store_that_cannot_be_written_any_more_recovers_when_it_can(tmp_path: Path) -> None:
    """Security, section 4: read-only. The kernel refuses to remount under open files, so SQLite is told instead."""
    async with opened(tmp_path) as store:
        await record(store)
        store._writer._connection.execute("PRAGMA query_only = ON")
        await refused_from_now_on(store, "readonly")
        store._writer._connection.execute("PRAGMA query_only = OFF")
        await until(lambda: store.ready() == "")
        await record(store)
        assert (await verified(store)).count == 2


async def test_a_start_on_a_read_only_disk_is_refused(tmp_path: Path) -> None:
    """Issue, "Audit": unwritable, with a remedy."""
    with small_disk(tmp_path / "disk") as disk:
        async with opened(disk.folder) as store:
            await record(store)
        remount = ["mount", "-o", "remount,ro", str(disk.folder)]
        if isinstance(disk, Limited):  # no mount allowed, so we are not root and modes count
            remount = ["chmod", "-R", "a-w", str(disk.folder / "data")]
        await anyio.run_process(remount)
        with pytest.raises(StoreRefused, match="cannot be") as caught:
            async with opened(disk.folder):
                pass
        assert caught.value.remedy
        await anyio.run_process(["chmod", "-R", "u+w", str(disk.folder)], check=False)


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
"""


@contextmanager
def another_process(code: str, argument: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run `code` until its first line, and to its end when the block ends."""
    command = [sys.executable, "-c", code, str(argument)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.communicate(timeout=5)


async def test_a_lock_of_another_process_refuses_within_a_second_and_recovers(tmp_path: Path) -> None:
    """Security, section 4: held at most the configured time, then refused; nothing of it turns up later."""
    async with opened(tmp_path) as store:
        await record(store)
        with another_process(HOLDER, database(tmp_path)):
            await refused_from_now_on(store, "locked")
        await until(lambda: store.ready() == "")
        await record(store)
        assert (await verified(store)).count == 2


GATEWAY = """
import sys
from pathlib import Path
from gateway.store.sqlite.files import FolderLock
FolderLock.acquire(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
"""


async def test_a_second_gateway_in_another_process_is_refused_by_its_number(tmp_path: Path) -> None:
    """Design, "Store": two gateways on one store; the second names the process that has it."""
    async with opened(tmp_path) as store:
        await record(store)
    with another_process(GATEWAY, tmp_path / "data") as first, pytest.raises(StoreRefused, match=str(first.pid)):
        async with opened(tmp_path):
            pass
    async with opened(tmp_path) as store:
        await record(store)


async def test_a_corrupt_database_refuses_for_good(tmp_path: Path) -> None:
    """Ours: what SQLite calls malformed cannot become right by waiting."""
    async with opened(tmp_path) as store:
        await record(store)
        connection = store._writer._connection
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorname = "SQLITE_CORRUPT"

        class Broken:
            in_transaction = False

            def execute(self, *_: object) -> None:
                raise error

            executescript = commit = execute

            def close(self) -> None:
                connection.close()

        store._writer._connection = Broken()  # type: ignore[assignment]
        await refused_from_now_on(store, "malformed")
        assert "restart" in store.ready()


BACKUP = """
import sqlite3, sys
source, copy = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[1] + "-backup")
source.backup(copy)
copy.close()
source.close()
print("done", flush=True)
sys.stdin.readline()
"""


async def test_a_backup_beside_a_running_store_disturbs_nothing(tmp_path: Path) -> None:
    """README of the store: `sqlite3 audit.db ".backup FILE"` is the way; it must not look like someone else's write."""
    async with opened(tmp_path) as store:
        await record(store, 3)
        with another_process(BACKUP, database(tmp_path)):
            await record(store)
        await record(store)
        assert store.ready() == ""
        assert (await verified(store)).count == 5
    other = tmp_path / "restored"
    (other / "data").mkdir(parents=True)
    database(tmp_path).with_name("audit.db-backup").rename(database(other))
    async with opened(other) as store:
        assert (await verified(store)).count == 3


async def test_the_log_does_not_grow_from_crash_to_crash(tmp_path: Path) -> None:
    """Ours: a gateway that is killed again and again never gets to move its log; each start would read all of it."""
    sizes = []
    for number in range(4):
        folder, crashed = tmp_path / str(number), tmp_path / str(number + 1)
        async with opened(folder) as store:
            await record(store, 20, body=b"x" * 8000)
            shutil.copytree(folder / "data", crashed / "data")  # as a crash would leave it
        sizes.append((crashed / "data" / "audit.db-wal").stat().st_size)
    async with opened(crashed) as store:
        assert (await verified(store)).count == 80
    assert max(sizes) < 1.5 * sizes[0]
