"""An input goes when its time is over, and not because a clock was wrong for a while."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from gateway.core.ageing import SETTLE_S
from gateway.store.sqlite import inputs as module
from tests.simulate.embedded import SetClock, database, draft, opened, record, until, verified

DAY = 86_400


def timed(clock: SetClock) -> str:
    """Return the clock's time as entries have it."""
    return f"{clock.time:%Y-%m-%dT%H:%M:%S}.000Z"


def kept(folder: Path) -> list[int]:
    """Return when the inputs that are there were written, in their order."""
    with closing(sqlite3.connect(database(folder))) as connection:
        return [int(row[0]) for row in connection.execute("SELECT written FROM inputs ORDER BY n")]


async def looked(clock: SetClock, looks: list[int], seconds: float) -> None:
    """Let time pass, and wait for the next look at what is old."""
    before = len(looks)
    clock.advance(seconds)
    await until(lambda: len(looks) > before)


def counted(monkeypatch) -> list[int]:
    """Return the times by which inputs are looked at, from now on."""
    found: list[int] = []
    purge: Callable[..., bool] = module.purge

    def noted(connection: sqlite3.Connection, *, now: int, keep_s: int) -> bool:
        more = purge(connection, now=now, keep_s=keep_s)
        found.append(now)
        return more

    monkeypatch.setattr("gateway.store.sqlite.writer.purge", noted)
    return found


async def test_inputs_are_purged_when_their_time_is_over_and_nothing_else(tmp_path: Path) -> None:
    """Issue, "Audit": a setting for how long the encrypted input is kept; content is never touched."""
    clock = SetClock()
    async with opened(tmp_path, clock=clock, keep_input_days=2, wait_s=5) as store:
        for _ in range(module.PURGE_ROWS + 10):
            await record(store, evaluation_input=b"old")
        clock.advance(86_400)
        await record(store, evaluation_input=b"young")
        before = [entry async for entry in store.read("default")]
        assert all(entry.evaluation_input for entry in before)
        clock.advance(86_400 + 1)
        await record(store)

        await until(lambda: len(kept(tmp_path)) == 1)
        after = [entry async for entry in store.read("default")]
        assert [entry.content for entry in after[:-1]] == [entry.content for entry in before]
        assert [entry.body for entry in after[:-1]] == [entry.body for entry in before]
        assert [entry.evaluation_input for entry in after if entry.evaluation_input] == [b"young"]
        await verified(store)


async def test_a_clock_that_is_wrong_at_the_start_and_put_right_later_purges_nothing(
    tmp_path: Path, monkeypatch
) -> None:
    """Issue, "Audit": how long it is kept is a setting, and no clock's; the first look is made at the start."""
    clock = SetClock()
    async with opened(tmp_path, clock=clock, keep_input_days=2) as store:
        await store.append(draft(evaluation_input=b"live", time=timed(clock)))
    looks = counted(monkeypatch)
    clock.time += timedelta(days=365)
    async with opened(tmp_path, clock=clock, keep_input_days=2) as store:
        await until(lambda: len(looks) > 0)
        await looked(clock, looks, 60)
        assert len(kept(tmp_path)) == 1
        clock.time -= timedelta(days=365)
        await looked(clock, looks, 60)
        await store.append(draft(evaluation_input=b"young", time=timed(clock)))
        assert len(kept(tmp_path)) == 2
        await looked(clock, looks, 2 * DAY - 60)
        assert len(kept(tmp_path)) == 1


async def test_after_a_long_standstill_inputs_go_once_the_clock_has_settled(tmp_path: Path, monkeypatch) -> None:
    """What is to be kept for two days must not stay because nobody was there to remove it."""
    clock = SetClock()
    async with opened(tmp_path, clock=clock, keep_input_days=2) as store:
        await store.append(draft(evaluation_input=b"old", time=timed(clock)))
    looks = counted(monkeypatch)
    clock.time += timedelta(days=30)
    async with opened(tmp_path, clock=clock, keep_input_days=2):
        await until(lambda: len(looks) > 0)
        assert len(kept(tmp_path)) == 1
        await looked(clock, looks, SETTLE_S)
        assert kept(tmp_path) == []


async def test_inputs_from_the_future_go_with_those_after_them(tmp_path: Path, monkeypatch) -> None:
    """Written while the clock was a year ahead; by their own date they would stay, and keep all others from going."""
    clock = SetClock()
    looks = counted(monkeypatch)
    async with opened(tmp_path, clock=clock, keep_input_days=2) as store:
        clock.time += timedelta(days=365)
        for _ in range(module.PURGE_ROWS + 10):
            await record(store, evaluation_input=b"from the future")
        clock.time -= timedelta(days=365)
        await record(store, evaluation_input=b"old")
        await looked(clock, looks, DAY)
        await record(store, evaluation_input=b"young")
        assert len(kept(tmp_path)) == module.PURGE_ROWS + 12
        await looked(clock, looks, DAY + 60)
        await until(lambda: len(kept(tmp_path)) == 1)
        assert await verified(store)
