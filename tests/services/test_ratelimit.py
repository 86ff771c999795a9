"""Fixed windows that start at each whole minute, one count for each credential."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import RateLimited
from gateway.services.ratelimit import RATES, RateLimits
from tests.simulate.world import FakeClock


def clock_at(second: float) -> FakeClock:
    clock = FakeClock()
    clock.at = datetime(2026, 11, 22, 12, 30, tzinfo=UTC) + timedelta(seconds=second)
    return clock


def test_the_plans_are_those_of_the_contract() -> None:
    """Contract, "Rate limits"; `enterprise` has its own number."""
    assert RATES == {"": 1000, "free": 100, "pro": 500, "business": 2000}


def test_each_credential_has_its_own_count() -> None:
    """One agent's haste is not another's."""
    limits = RateLimits(clock_at(0))
    for _ in range(3):
        limits.take("key_1", 3)
    limits.take("key_2", 3)
    with pytest.raises(RateLimited):
        limits.take("key_1", 3)
    assert limits.counts() == {"key_1": 4, "key_2": 1}


def test_the_figures_since_the_start_are_by_tenant_and_plan() -> None:
    """The same counts that limit are those of the metrics; a new window takes nothing from them."""
    clock = clock_at(0)
    limits = RateLimits(clock)
    for credential, plan in (("key_1", "free"), ("key_2", "free"), ("key_3", "")):
        limits.take(credential, 1, tenant="acme", plan=plan)
    with pytest.raises(RateLimited):
        limits.take("key_1", 1, tenant="acme", plan="free")
    clock.advance(60)
    limits.take("key_1", 1, tenant="acme", plan="free")
    assert limits.totals == {("acme", "free"): (4, 1), ("acme", ""): (1, 0)}


@pytest.mark.parametrize(("second", "wait"), [(0, 60), (12.5, 48), (59, 1), (59.9, 1)])
def test_the_next_window_begins_with_the_minute(second: float, wait: int) -> None:
    """`Retry-After` is the time until then in whole seconds, never zero, and trying again then works."""
    clock = clock_at(second)
    limits = RateLimits(clock)
    limits.take("key_1", 1)
    with pytest.raises(RateLimited) as caught:
        limits.take("key_1", 1)
    assert caught.value.retry_after_s == wait
    clock.advance(wait)
    limits.take("key_1", 1)


def test_the_first_refusal_of_a_window_is_marked() -> None:
    """One entry a minute is what goes on record of somebody who keeps trying."""
    clock = clock_at(0)
    limits = RateLimits(clock)
    repeated = []
    for _ in range(2):
        limits.take("key_1", 1)
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                limits.take("key_1", 1)
            repeated.append(caught.value.repeated)
        clock.advance(60)
    assert repeated == [False, True, True] * 2


def test_without_a_number_there_is_no_limit_but_a_count() -> None:
    """No hidden default limit (contract, "Rate limits")."""
    limits = RateLimits(clock_at(0))
    for _ in range(5000):
        limits.take("keyless", None)
    assert limits.counts() == {"keyless": 5000}


def test_what_is_held_is_forgotten_with_the_minute() -> None:
    """Memory is bounded by the credentials of one minute."""
    clock = clock_at(30)
    limits = RateLimits(clock)
    for number in range(100):
        limits.take(f"key_{number}", 1)
    clock.advance(30)
    assert limits.counts() == {}
    limits.take("key_1", 1)
    assert limits.counts() == {"key_1": 1}


def test_a_wall_clock_that_is_set_back_stretches_no_window() -> None:
    """Else an agent could be locked out for hours."""
    clock = clock_at(30)
    limits = RateLimits(clock)
    limits.take("key_1", 1)
    clock.at -= timedelta(hours=5)
    clock.seconds += 30
    limits.take("key_1", 1)


def test_a_window_that_is_begun_just_before_the_minute_is_that_minutes() -> None:
    """The clocks differ by a little; two windows within it would double the limit."""
    clock = clock_at(30)
    limits = RateLimits(clock)
    limits.take("key_1", 1)
    clock.seconds += 30
    clock.at += timedelta(seconds=29.97)
    limits.take("key_1", 1)
    clock.advance(0.04)
    with pytest.raises(RateLimited) as caught:
        limits.take("key_1", 1)
    assert caught.value.retry_after_s == 60
