"""Rows of what was closed long ago go by time that has passed, and not by what a clock says."""

from datetime import timedelta

from gateway.services.jobs import Jobs
from gateway.services.retention import Retention
from tests.services.test_retention import DAY, closed, keys, world


async def test_a_clock_that_jumps_makes_nothing_older() -> None:
    """Ahead for a minute, it would take the running windows of all budgets; back, it only keeps more."""
    made = world()
    await closed(made)
    for days in (400, -800):
        made.clock.advance(0)
        made.clock.at += timedelta(days=days)
        await made.retention.round()
        assert keys(made)["approval"] == 7
        assert keys(made)["budget"] == 1
    made.clock.at += timedelta(days=400)
    made.clock.advance(60 * DAY)
    await made.retention.round()
    assert keys(made) == {}


async def test_a_clock_that_is_wrong_at_the_start_and_put_right_later_removes_nothing() -> None:
    """The first round comes a minute after the start, which may be before anybody has set the machine's clock."""
    made = world()
    await closed(made)
    newest = made.clock.now()
    made.clock.at += timedelta(days=400)
    started = Retention(
        audit=made.store,
        state=made.store,
        reader=made.store,
        clock=made.clock,
        ids=made.ids,
        jobs=Jobs(),
        speaks=made.desk.speaks,
        keep_closed_days=30,
        newest=newest,
        pause_s=0,
    )
    for _ in range(2):
        await started.round()
        assert keys(made)["approval"] == 7
        assert keys(made)["budget"] == 1
        made.clock.advance(60)
    made.clock.at -= timedelta(days=400)
    made.clock.advance(60 * DAY)
    await started.round()
    assert keys(made) == {}
