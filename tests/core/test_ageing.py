"""Nothing is old because a clock says so that may be wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.ageing import APART, SETTLE_S, Ageing

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
YEAR = timedelta(days=365)
HOUR = timedelta(hours=1)


def after(hours: float) -> float:
    """Return what the monotonic clock shows so many hours after the start."""
    return 1000.0 + hours * 3600.0


def started(*, newest: datetime | None = START, now: datetime = START) -> Ageing:
    return Ageing(newest=newest, now=now, monotonic=after(0))


@pytest.mark.parametrize("newest", [None, START, START - APART / 2])
def test_a_clock_that_agrees_with_the_chain_is_believed_at_once(newest: datetime | None) -> None:
    """Else nothing would ever go from a gateway that is restarted every day."""
    ageing = started(newest=newest)
    for hours in (0, 1, 100, 10_000):
        assert ageing.at(START + hours * HOUR, after(hours)) == START + hours * HOUR


def test_a_clock_that_is_ahead_at_the_start_and_put_right_later_has_made_nothing_old() -> None:
    """The first round is a minute after the start, which may be before the network is there."""
    ageing = started(now=START + YEAR)
    assert ageing.at(START + YEAR, after(0)) == START
    assert ageing.at(START + YEAR + HOUR, after(1)) == START + HOUR
    assert ageing.at(START + 2 * HOUR, after(2)) == START + 2 * HOUR
    assert ageing.at(START + 9 * HOUR, after(9)) == START + 9 * HOUR


def test_a_clock_that_jumps_ahead_while_the_process_runs_makes_nothing_old() -> None:
    """A minute of it would take the running windows of all budgets."""
    ageing = started()
    assert ageing.at(START + HOUR, after(1)) == START + HOUR
    assert ageing.at(START + YEAR, after(2)) == START + 2 * HOUR
    assert ageing.at(START + 3 * HOUR, after(3)) == START + 3 * HOUR


def test_a_clock_that_stays_ahead_is_believed_once_it_has_settled() -> None:
    """That is a standstill of a year, and what is to be kept for a month must go."""
    ageing = started(now=START + YEAR)
    settled = SETTLE_S / 3600
    assert ageing.at(START + YEAR, after(0)) == START
    assert ageing.at(START + YEAR + (settled - 1) * HOUR, after(settled - 1)) == START + (settled - 1) * HOUR
    assert ageing.at(START + YEAR + settled * HOUR, after(settled)) == START + YEAR + settled * HOUR
    assert ageing.at(START + YEAR + 9 * HOUR, after(9)) == START + YEAR + 9 * HOUR


@pytest.mark.parametrize("second", [YEAR / 2, 2 * YEAR])
def test_a_clock_that_is_set_anew_has_to_settle_anew(second: timedelta) -> None:
    """Corrected in steps, it was wrong until the last of them."""
    ageing = started(now=START + YEAR)
    for hours in (0, 5):
        assert ageing.at(START + YEAR + hours * HOUR, after(hours)) == START + hours * HOUR
    for hours in (7, 12):
        assert ageing.at(START + second + hours * HOUR, after(hours)) == START + hours * HOUR
    assert ageing.at(START + second + 13 * HOUR, after(13)) == START + second + 13 * HOUR


def test_being_ahead_counts_from_the_last_time_that_it_was_not() -> None:
    """Two short errors of the same size, hours apart, are no clock that has gone evenly."""
    ageing = started()
    assert ageing.at(START + YEAR, after(0)) == START
    assert ageing.at(START + HOUR, after(1)) == START + HOUR
    assert ageing.at(START + YEAR + 7 * HOUR, after(7)) == START + 7 * HOUR


def test_a_clock_that_is_behind_only_keeps_things_longer() -> None:
    """And when it is right again, what was accounted for is still known."""
    ageing = started()
    assert ageing.at(START - YEAR, after(1)) == START - YEAR
    assert ageing.at(START + 2 * HOUR, after(2)) == START + 2 * HOUR


def test_a_chain_from_the_future_makes_nothing_old() -> None:
    """A process that ran with a wrong clock has left entries with its time."""
    ageing = started(newest=START + YEAR)
    assert ageing.at(START, after(0)) == START
    assert ageing.at(START + YEAR, after(1)) == START + HOUR
