"""The system's clocks."""

from datetime import timedelta

from gateway.telemetry.clock import SystemClock


def test_wall_clock_time_is_aware_and_utc() -> None:
    """Entries are in UTC whatever the machine's zone."""
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_the_monotonic_clock_never_goes_back() -> None:
    """Deadlines rest on it."""
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
