"""The one writer: groups, bounded waits, what becomes of an append that is given up, and what it does now and then."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from gateway.core.audit.entry import EntryDraft, Put
from gateway.errors import AuditUnavailable
from gateway.ports import Appended, StateRow
from gateway.store.sqlite import writer as writer_module
from gateway.store.sqlite.recorder import Recorder
from tests.simulate.embedded import SetClock, database, draft, opened, record, until, verified


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the database as another program would."""
    with closing(sqlite3.connect(database(folder), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def test_appends_that_wait_together_share_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Design, "Store": group commit; the sync is paid once for all that are queued."""
    sizes: list[int] = []
    real = Recorder.record

    def counted(self: Recorder, drafts: list[EntryDraft], *, now: int) -> object:
        sizes.append(len(drafts))
        return real(self, drafts, now=now)

    monkeypatch.setattr(Recorder, "record", counted)
    async with opened(tmp_path) as store:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for _ in range(300):
                    group.start_soon(record, store)
        assert sum(sizes) == 300
        assert len(sizes) < 50
        assert max(sizes) <= writer_module.MAX_BATCH
        assert (await verified(store)).count == 300


async def test_after_many_appends_at_once_more_are_waited_for_and_after_few_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: a busy loop has more on the way, which shares the sync; a single call must not pay for that."""
    many, turns = writer_module.GATHER_FROM, writer_module.GATHER_TURNS
    sizes: list[int] = []
    late: list[writer_module._Ticket] = []
    queued = threading.Event()
    real = Recorder.record

    def counted(self: Recorder, drafts: list[EntryDraft], *, now: int) -> object:
        sizes.append(len(drafts))
        queued.wait(5)
        return real(self, drafts, now=now)

    def gathered(seconds: float) -> None:
        assert seconds == writer_module.GATHER_S
        store._writer._queue.put(late.pop())

    monkeypatch.setattr(Recorder, "record", counted)
    monkeypatch.setattr(writer_module.time, "sleep", gathered)
    async with opened(tmp_path) as store:
        first = store._writer.submit(draft())
        await until(lambda: sizes == [1])
        others = [store._writer.submit(draft()) for _ in range(many)]
        queued.set()
        for waiting in (first, *others):
            assert isinstance(await waiting, Appended)
        assert sizes == [1, many]
        late += [
            writer_module._Ticket(draft(tool="late"), store._writer._loop.create_future(), 0.0) for _ in range(turns)
        ]
        futures = [ticket.future for ticket in late]
        for waiting in (store._writer.submit(draft()), *futures):
            assert isinstance(await waiting, Appended)
        assert sizes == [1, many, 1 + turns]
        await record(store)
        assert sizes == [1, many, 1 + turns, 1]


async def test_an_append_that_is_given_up_before_the_lock_is_never_written(tmp_path: Path) -> None:
    """Issue, "Audit": what was told not recorded must not turn up later; and the store goes on afterwards."""
    unclaimed: list[EntryDraft] = []
    async with opened(tmp_path, wait_s=0.2, unclaimed=lambda given, _: unclaimed.append(given)) as store:
        with locked(tmp_path):
            with pytest.raises(AuditUnavailable, match="locked"):
                await store.append(draft(tool="given-up"))
            await until(lambda: "locked" in store.ready())
            with anyio.fail_after(0.1), pytest.raises(AuditUnavailable, match="locked"):
                await store.append(draft(tool="refused-at-once"))
        await until(lambda: store.ready() == "")
        await record(store, tool="after")
        (entry,) = await store.last("default", 10)
        assert json.loads(entry.content)["tool"] == "after"
        await verified(store)
    assert unclaimed == []


async def test_one_that_is_given_up_within_the_transaction_is_taken_out_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the writer looks again before it commits, and the others of the group are written."""
    rounds: list[int] = []
    real = Recorder.record

    async with opened(tmp_path) as store:
        waiting = store._writer._waiting

        def slow(self: Recorder, drafts: list[EntryDraft], *, now: int) -> object:
            rounds.append(len(drafts))
            recorded = real(self, drafts, now=now)
            for ticket in list(waiting):
                ticket.given_up = ticket.given_up or ticket.draft.tool == "slow"
            return recorded

        monkeypatch.setattr(Recorder, "record", slow)
        async with anyio.create_task_group() as group:
            with anyio.move_on_after(0.1):
                async with anyio.create_task_group() as given_up:
                    given_up.start_soon(partial(record, store, tool="slow"))
                    group.start_soon(partial(record, store, tool="quick"))
                    await anyio.sleep_forever()
        assert rounds == [2, 1]
        assert [json.loads(entry.content)["tool"] for entry in await store.last("default", 9)] == ["quick"]
        await verified(store)


async def test_an_append_that_became_durable_too_late_is_handed_to_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the one way in which a failed append can be in the chain; somebody must close its call."""
    unclaimed: list[tuple[EntryDraft, Appended]] = []
    late = draft(opens=True, intent_id="int_1")
    async with opened(tmp_path, wait_s=0.05, unclaimed=lambda *given: unclaimed.append(given)) as store:
        release = threading.Event()
        real = store._writer._files.remember

        def slow(*, checkpointed: bool = False) -> str:  # after the commit; its answer is held back until it is late
            release.wait(5)
            return real(checkpointed=checkpointed)

        monkeypatch.setattr(store._writer._files, "remember", slow)
        with pytest.raises(AuditUnavailable, match=r"not durable within 0\.05 s"):
            await store.append(late)
        release.set()
        await until(lambda: len(unclaimed) == 1)
        assert unclaimed == [(late, Appended(seq=1, hash=(await store.head("default"))[1]))]
        assert [call.intent_id for call in await store.open_calls()] == ["int_1"]


async def test_a_cancelled_append_is_written_and_handed_over(tmp_path: Path) -> None:
    """Security, section 1 (Vault): a caller that hangs up cannot suppress its entry."""
    unclaimed: list[EntryDraft] = []
    async with opened(tmp_path, unclaimed=lambda given, _: unclaimed.append(given)) as store:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(record, store, tool="cancelled"))
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        await until(lambda: len(unclaimed) == 1)
        assert len(await store.last("default", 9)) == 1


async def test_a_follower_that_fails_keeps_nobody_waiting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: the entry is durable whatever is made of it, other followers hear of it, and no value is shown."""
    heard: list[str] = []

    def failing(given: EntryDraft, _: Appended) -> None:
        raise ValueError(given.tool)

    async with opened(tmp_path) as store:
        store.follow(failing)
        store.follow(lambda given, _: heard.append(given.tool))
        with anyio.fail_after(5):
            assert isinstance(await store.append(draft(tool="secret")), Appended)
    assert heard == ["secret"]
    assert [record.getMessage() for record in caplog.records] == [
        "a follower of the chain failed at an entry: ValueError"
    ]


async def test_followers_are_told_that_entries_may_be_lost_before_anybody_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: an append that failed may be durable all the same, and nobody may rest on its absence meanwhile."""
    order: list[str] = []

    def broken(self: Recorder, drafts: list[EntryDraft], *, now: int) -> object:
        raise ZeroDivisionError

    async with opened(tmp_path) as store:
        store.follow(lambda *_: order.append("heard"), lambda: order.append("lost"))
        await record(store)
        monkeypatch.setattr(Recorder, "record", broken)
        with pytest.raises(AuditUnavailable):
            await store.append(draft())
        order.append("refused")
    assert order == ["heard", "lost", "refused"]


async def test_the_queue_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Security, section 4: no queue without bound; beyond it the answer comes at once."""
    monkeypatch.setattr(writer_module, "MAX_WAITING", 3)
    failed: list[AuditUnavailable] = []

    async def one() -> None:
        try:
            await store.append(draft())
        except AuditUnavailable as error:
            failed.append(error)

    async with opened(tmp_path) as store:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(one)
        assert len(failed) == 7
        assert "3 appends are waiting" in str(failed[0])
        assert (await verified(store)).count == 3


async def test_those_who_were_refused_take_no_place_in_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a store that is ready again goes on refusing for as long as they would have waited."""
    monkeypatch.setattr(writer_module, "MAX_WAITING", 3)
    async with opened(tmp_path) as store:
        with closing(sqlite3.connect(database(tmp_path), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for waiting in [store.append(draft()) for _ in range(3)]:
                with pytest.raises(AuditUnavailable, match="locked"):
                    await waiting
            other.execute("ROLLBACK")
        await until(lambda: store.ready() == "")
        await record(store)


async def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    """Ours: after the end nothing can be durable."""
    async with opened(tmp_path) as store:
        pass
    assert store.ready() == "the store is closed"
    with pytest.raises(AuditUnavailable, match="closed"):
        await store.append(draft())


async def test_what_is_queued_when_the_store_closes_is_written(tmp_path: Path) -> None:
    """Security, section 4: SIGTERM under load loses no audit in flight."""
    outcomes: list[object] = []

    async def one() -> None:
        outcomes.append(await store.append(draft()))

    async with anyio.create_task_group() as group, opened(tmp_path) as store:
        for _ in range(50):
            group.start_soon(one)
        await anyio.lowlevel.checkpoint()
    assert len(outcomes) == 50
    async with opened(tmp_path) as again:
        assert (await verified(again)).count == 50


async def test_a_writer_that_fails_unexpectedly_stops_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: a bug in the writer must end in refusals, never in silence."""

    def broken(self: Recorder, drafts: list[EntryDraft], *, now: int) -> object:
        raise ZeroDivisionError

    async with opened(tmp_path) as store:
        monkeypatch.setattr(Recorder, "record", broken)
        with pytest.raises(AuditUnavailable, match="ZeroDivisionError"):
            await store.append(draft())
        assert "ZeroDivisionError" in store.ready()
        with pytest.raises(AuditUnavailable):
            await store.append(draft())


async def test_what_is_durable_when_the_time_is_up_is_delivered_even_after_a_stall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: a loop that was held up looks at its timers first; what is recorded must not be called unrecorded then."""
    handed_over = threading.Event()
    async with opened(tmp_path) as store:
        writer = store._writer
        hand_over = writer._on_loop

        def noticed(*given: object) -> None:
            hand_over(*given)  # type: ignore[arg-type]
            handed_over.set()

        monkeypatch.setattr(writer, "_on_loop", noticed)
        waiting = writer.submit(draft())
        assert handed_over.wait(5)  # the loop stands still meanwhile
        writer._waiting[0].deadline = 0.0
        writer._time_is_up()
        assert isinstance(await waiting, Appended)


async def test_the_heads_are_copied_at_most_once_a_second(tmp_path: Path) -> None:
    """Design, "The head outside the store": after commits, at most once a second."""
    clock = SetClock()
    async with opened(tmp_path, clock=clock) as store:
        (copy,) = (tmp_path / "state" / "heads").iterdir()

        def copied() -> int:
            return json.loads(copy.read_bytes())["heads"].get("default", {"seq": 0})["seq"]

        await record(store)
        await record(store)
        assert copied() == 0
        clock.advance(1.0)
        await until(lambda: copied() == 2)
        await record(store)
        assert copied() == 2
        clock.advance(1.0)
        await until(lambda: copied() == 3)


async def test_a_copy_that_cannot_be_written_is_told_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: the copy is a check of the past; no decision rests on it."""
    clock = SetClock()
    async with opened(tmp_path, clock=clock) as store:
        heads = tmp_path / "state" / "heads"
        heads.rename(tmp_path / "elsewhere")
        heads.write_bytes(b"a file in its place")
        clock.advance(1.0)
        await record(store)
        await until(lambda: "cannot be written" in store.head_copy_problem())
        assert store.ready() == ""
        clock.advance(1.0)
        await record(store)
        heads.unlink()
        clock.advance(1.0)
        await record(store)
        await until(lambda: store.head_copy_problem() == "")
    assert [line.levelname for line in caplog.records if "cannot be written" in line.message] == ["WARNING"]


async def test_with_no_days_to_keep_an_input_is_never_written(tmp_path: Path) -> None:
    """Issue, "Audit": 0 days."""
    async with opened(tmp_path, keep_input_days=0) as store:
        await record(store, evaluation_input=b"whole-arguments")
        (entry,) = await store.last("default", 1)
        assert entry.evaluation_input is None


async def test_an_input_is_in_no_file_in_the_clear(tmp_path: Path) -> None:
    """Design, "Audit entry v1": encrypted under the data key."""
    async with opened(tmp_path) as store:
        await record(store, evaluation_input=b"whole-arguments")
        for path in (tmp_path / "data").iterdir():
            if path.is_file():
                assert b"whole-arguments" not in path.read_bytes()
        (entry,) = await store.last("default", 1)
        assert entry.evaluation_input == b"whole-arguments"


async def test_the_log_is_moved_into_the_database_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the log stays small, by the writer's own checkpoints."""
    monkeypatch.setattr(writer_module, "CHECKPOINT_COMMITS", 5)
    async with opened(tmp_path) as store:
        before = database(tmp_path).stat().st_size
        await record(store, 40, body=b"x" * 4000)
        await until(lambda: database(tmp_path).stat().st_size > before + 100_000)
        assert database(tmp_path).with_name("audit.db-wal").stat().st_size < 1_000_000
        await record(store)
        await verified(store)


async def test_a_row_is_read_from_memory_as_it_was_committed_last(tmp_path: Path) -> None:
    """Ports: `get` returns the row as last committed, whoever read it when."""
    async with opened(tmp_path) as store:
        assert await store.get("default", "k") is None
        for number in range(1, 4):
            await record(store, puts=(Put(key="k", value=b"%d" % number),))
            assert await store.get("default", "k") == StateRow(key="k", version=number, value=b"%d" % number)
        await record(store, puts=(Put(key="k", value=None),))
        assert await store.get("default", "k") is None


async def test_a_read_that_was_overtaken_by_a_write_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: a stale row in memory would make every later call conflict."""
    async with opened(tmp_path) as store:
        await record(store, puts=(Put(key="k", value=b"1"), Put(key="other", value=b"1")))
        store.changed(None)
        real = store._reader.get

        async def overtaken(tenant: str, key: str) -> StateRow | None:
            row = await real(tenant, key)
            await record(store, puts=(Put(key="k", value=b"2"),))
            return row

        monkeypatch.setattr(store._reader, "get", overtaken)
        assert await store.get("default", "k") == StateRow(key="k", version=2, value=b"2")
        assert await store.get("default", "other") == StateRow(key="other", version=1, value=b"1")
        monkeypatch.setattr(store._reader, "get", real)
        assert await store.get("default", "k") == StateRow(key="k", version=3, value=b"2")


async def test_the_memory_of_rows_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a principal that makes many rows must not fill the memory."""
    monkeypatch.setattr("gateway.store.sqlite.store.CACHED_ROWS", 10)
    async with opened(tmp_path) as store:
        for number in range(50):
            await record(store, puts=(Put(key=f"k{number}", value=b""),))
        assert len(store._rows) <= 10
        assert await store.get("default", "k0") == StateRow(key="k0", version=1, value=b"")


async def test_notes_are_kept_over_a_stop(tmp_path: Path) -> None:
    """Ours: the last use of a key is shown after a restart."""
    async with opened(tmp_path, clock=SetClock()) as store:
        store.note("key_1", "then")
    async with opened(tmp_path) as store:
        assert dict(await store.uses()) == {"key_1": "then"}


async def test_notes_that_cannot_be_written_harm_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: nothing rests on them, so neither an append nor the store's health may."""
    failed = threading.Event()
    async with opened(tmp_path, clock=SetClock(), wait_s=0.2) as store:
        monkeypatch.setattr(store._writer, "_roll_back", failed.set)
        with locked(tmp_path):
            store.note("key_1", "lost")
            await until(failed.is_set)
        await record(store)
        assert store.ready() == ""
        assert dict(await store.uses()) == {}


async def test_notes_never_go_into_a_file_of_someone_else(tmp_path: Path) -> None:
    """Ours: as the entries do not."""
    async with opened(tmp_path) as store:
        await record(store)
        writer = store._writer
        before = database(tmp_path).read_bytes()
        database(tmp_path).rename(tmp_path / "moved")
        database(tmp_path).write_bytes(before)
        store.note("key_1", "then")
        writer._write_notes(0.0)
        assert list(writer._notes) == [("key_1", "then")]
        await until(lambda: store.ready() != "")
        assert database(tmp_path).read_bytes() == before
