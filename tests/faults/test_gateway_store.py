"""Whatever happens to the store of a running gateway: nothing is forwarded unrecorded, and every call is answered."""

import array
import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from gateway.store.headcopy import HeadCopy
from tests.faults.agent import Agent, Answer
from tests.faults.disk import Limited, small_disk
from tests.faults.gated import Gate, JournalProcess, Nursery, journal, ledger, polled, run_arguments
from tests.faults.ledger import Ledger
from tests.faults.load import Load, calling, check

ANSWER_S = 1.0
"""Issue, "Audit": every call is answered within a second."""
NOTICED_S = 5.0


@dataclass(frozen=True, slots=True)
class World:
    """A gateway under load, and all that can be known about it from outside."""

    gate: Gate
    upstream: JournalProcess
    load: Load
    ledger: Ledger
    database: Path

    async def readiness(self, status: int) -> None:
        await run_sync(polled, lambda: self.gate.get("/readyz") == status, NOTICED_S, self.gate.talk)

    async def refuses(self, count: int = 30) -> list[Answer]:
        """The gateway is unready and gives no call anything but an error; returns what it said."""
        await self.readiness(503)
        await self.load.more(6)  # what was on its way when readiness fell
        answers = await self.load.more(count)
        assert {answer.effect for answer in answers} == {"ERROR"}
        assert self.gate.get("/health") == 503
        assert self.gate.get("/livez") == 200
        return answers

    async def serves(self, count: int = 30) -> None:
        await self.readiness(200)
        await self.load.more(6)
        assert "ERROR" not in {answer.effect for answer in await self.load.more(count)}


@asynccontextmanager
async def under_load(nursery: Nursery, folder: Path, data: Path | None = None) -> AsyncIterator[World]:
    """Run a gateway under load; at the end nothing may be executed that is not in `ledger` as an ALLOW."""
    data = data or folder / "data"
    with journal(folder) as upstream, nursery.gate(folder, upstream.url, data=data) as running:
        await run_sync(running.wait_ready)
        async with calling(running.url) as load:
            await load.more(20)
            yield World(running, upstream, load, ledger(folder, data), data / "audit.db")
        assert load.cut == 0
        assert load.slowest_s() < ANSWER_S
        assert running.alive()


def verify(nursery: Nursery, folder: Path, data: Path) -> int:
    """Return the exit code of `intended audit verify`."""
    return nursery.command(folder, "audit", "verify", *run_arguments(folder, data=data)[3:]).wait()


@pytest.mark.parametrize("limited", [False, True], ids=["full disk", "limit on file sizes"])
async def test_a_full_disk_stops_all_calls_and_space_starts_them_again(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limited: bool
) -> None:
    """Security, section 4: nothing without ALLOW, all answered in a second, unready while full, no restart needed."""
    if limited:
        monkeypatch.setattr(os, "geteuid", lambda: 1)
    with small_disk(tmp_path / "disk") as disk:
        data = disk.folder / "data"
        async with under_load(nursery, tmp_path, data) as world:
            if isinstance(disk, Limited):
                disk.pid = world.gate.pid
            await run_sync(disk.fill)
            for answer in await world.refuses():
                assert answer.decision["reason"] == "audit-unavailable"
            await run_sync(disk.free)
            await world.serves()
        effects = check(world.load, world.upstream.executed(), world.ledger.read_on())
        assert effects["ERROR"] >= 30
        assert (world.ledger.broken, verify(nursery, tmp_path, data)) == ([], 0)


async def test_a_store_that_another_process_locks_refuses_and_goes_on_after(nursery: Nursery, tmp_path: Path) -> None:
    """Security, section 4: held at most the configured time, then refused; nothing turns up later out of order."""
    async with under_load(nursery, tmp_path) as world:
        with locked(world.database):
            await world.refuses(60)
        await world.serves()
    check(world.load, world.upstream.executed(), world.ledger.read_on())
    assert (world.ledger.broken, world.ledger.open) == ([], {})


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_the_very_first_call_is_answered_in_a_second_too(nursery: Nursery, memory: Path, era: str) -> None:
    """Issue, "Audit": before it the tools have to be listed and pinned, and that waits for the store as well."""
    with journal(memory) as upstream, nursery.gate(memory, upstream.url) as gate:
        await run_sync(gate.wait_ready)
        with locked(memory / "data" / "audit.db"):
            async with Agent(gate.url, era) as agent:
                answers = [await agent.effect("ALLOW", f"first-{number}-ALLOW") for number in range(3)]
        assert max(answer.took_s for answer in answers) < ANSWER_S
        assert all(answer.effect == "ERROR" and "Nothing was executed" in answer.text for answer in answers), answers
        assert upstream.executed() == []


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLDER, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            holder.communicate(timeout=5)


async def test_a_store_that_becomes_read_only_refuses_until_it_is_not(nursery: Nursery, tmp_path: Path) -> None:
    """Security, section 4: as after a remount, which the kernel refuses under open files."""
    async with under_load(nursery, tmp_path) as world:
        with read_only(world.database, world.gate.pid):
            await world.refuses()
        await world.serves()
    check(world.load, world.upstream.executed(), world.ledger.read_on())
    assert world.ledger.broken == []


@contextmanager
def read_only(database: Path, pid: int) -> Iterator[None]:
    """Make the store's files immutable; where the file system knows no such thing, forbid the process to write."""
    paths = [database, database.with_name("audit.db-wal")]
    try:
        for path in paths:
            immutable(path, on=True)
    except OSError:
        disk = Limited(database.parent)
        disk.pid = pid
        disk.fill()
        yield
        disk.free()
        return
    try:
        yield
    finally:
        for path in paths:
            immutable(path, on=False)


GET_FLAGS, SET_FLAGS, IMMUTABLE = 0x80086601, 0x40086602, 0x10


def immutable(path: Path, *, on: bool) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        flags = array.array("i", [0])
        fcntl.ioctl(handle, GET_FLAGS, flags, True)
        flags[0] = (flags[0] & ~IMMUTABLE) | (IMMUTABLE if on else 0)
        fcntl.ioctl(handle, SET_FLAGS, flags)
    finally:
        os.close(handle)


def delete(database: Path, older: Path) -> None:
    database.unlink()


def delete_folder(database: Path, older: Path) -> None:
    shutil.rmtree(database.parent)


def put_an_older_copy_over_it(database: Path, older: Path) -> None:
    shutil.copyfile(older, database)


def put_an_older_copy_in_its_place(database: Path, older: Path) -> None:
    for path in database.parent.glob("audit.db*"):
        path.unlink()
    shutil.copyfile(older, database)


@pytest.mark.parametrize("change", [delete, delete_folder, put_an_older_copy_over_it, put_an_older_copy_in_its_place])
async def test_a_store_that_is_no_longer_the_same_stops_all_calls_for_good(
    nursery: Nursery, tmp_path: Path, change: object
) -> None:
    """Security, section 4: no call forwarded after the next append; SQLite itself would go on and lose the rows."""
    assert callable(change)
    older = tmp_path / "older"
    async with under_load(nursery, tmp_path) as world:
        with closing(sqlite3.connect(world.database)) as source, closing(sqlite3.connect(older)) as copy:
            source.backup(copy)
        await world.load.more(20)
        world.ledger.read_on()
        await run_sync(change, world.database, older)
        await world.refuses()
        ran = len(world.upstream.executed())
        await world.refuses()
        assert world.upstream.executed() == []
        assert ran > 0
    assert {answer.effect for answer in list(world.load.answers.values())[-30:]} == {"ERROR"}


# --- before a start ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def used(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a gateway that ran twice, with a copy of its store from between as `older`."""
    folder = tmp_path_factory.mktemp("used")

    async def calls(url: str, name: str) -> None:
        async with Agent(url, "modern") as agent:
            for number in range(3):
                await agent.effect("ALLOW", f"{name}-{number}-ALLOW")

    with journal(folder) as upstream:
        for name in ("first", "second"):
            with nursery.gate(folder, upstream.url) as running:
                running.wait_ready()
                anyio.run(calls, running.url, name)
                assert running.end() == 0
            if name == "first":
                shutil.copyfile(folder / "data" / "audit.db", folder / "older")
    return folder


def cut(data: Path, used: Path) -> None:
    with closing(sqlite3.connect(data / "audit.db")) as store:
        store.execute("DELETE FROM entries WHERE n > (SELECT max(n) - 2 FROM entries)")
        store.commit()


def cut_file(data: Path, used: Path) -> None:
    os.truncate(data / "audit.db", (data / "audit.db").stat().st_size // 2)


def changed(data: Path, used: Path) -> None:
    with closing(sqlite3.connect(data / "audit.db")) as store:
        store.execute("UPDATE entries SET content = CAST(replace(CAST(content AS TEXT), 'ALLOW', 'DENY') AS BLOB)")
        store.commit()


def rolled_back(data: Path, used: Path) -> None:
    shutil.copyfile(used / "older", data / "audit.db")


def foreign(data: Path, used: Path) -> None:
    """A database of another program."""
    (data / "audit.db").unlink()
    with closing(sqlite3.connect(data / "audit.db")) as store:
        store.execute("CREATE TABLE entries (n INTEGER)")


def no_database(data: Path, used: Path) -> None:
    (data / "audit.db").write_bytes(b"no database " * 1000)


def gone(data: Path, used: Path) -> None:
    (data / "audit.db").unlink()


def unwritable(data: Path, used: Path) -> None:
    (data / "lock").unlink()
    (data / "lock").mkdir()


@pytest.mark.parametrize("harm", [cut, cut_file, changed, rolled_back, foreign, no_database, gone, unwritable])
def test_a_start_on_a_store_that_is_not_whole_is_refused(
    nursery: Nursery, used: Path, tmp_path: Path, harm: object
) -> None:
    """Issue, "Audit": the start refuses, says why and what to do, and nothing is served or changed."""
    assert callable(harm)
    shutil.copytree(used / "data", tmp_path / "data")
    before = HeadCopy(state=used / "state", data=used / "data").path
    copied = HeadCopy(state=tmp_path / "state", data=tmp_path / "data").path
    copied.parent.mkdir(parents=True)
    shutil.copyfile(before, copied)
    harm(tmp_path / "data", used)
    harmed = (tmp_path / "data" / "audit.db").read_bytes() if (tmp_path / "data" / "audit.db").exists() else b""
    start = nursery.command(tmp_path, *run_arguments(tmp_path, "http://127.0.0.1:9/mcp"))
    assert start.wait() == 4, start.talk()
    assert "fix:" in start.talk()
    assert "Traceback" not in start.talk()
    assert "agent URL" not in start.talk()
    after = (tmp_path / "data" / "audit.db").read_bytes() if (tmp_path / "data" / "audit.db").exists() else b""
    assert after == harmed
    print(harm.__name__, start.talk())
