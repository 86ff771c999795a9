"""A circuit breaker: open from so many failures in a row on, for a while after the last."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.breaker import BreakerTerms, Circuit, circuit
from gateway.core.decision import Reason

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TERMS = BreakerTerms(failures=3, cool_down_s=60)


@pytest.mark.parametrize(
    ("failures", "ago", "left"),
    [
        (2, 0, None),  # not yet
        (3, 0, 60),
        (3, 59.9, 0.1),
        (3, 60, None),  # may try again
        (4, 0, 60),  # the try has failed
        (4, 61, None),
        (0, 0, None),  # a call went well
        (3, -100, 60),  # the clock was set back
    ],
)
def test_a_circuit_is_open_for_a_while_after_the_last_failure(failures: int, ago: float, left: float | None) -> None:
    """Long enough that a loop ends, short enough that a human need not be called."""
    found = circuit(TERMS, failures=failures, last=NOON - timedelta(seconds=ago), now=NOON)
    until = None if left is None else NOON + timedelta(seconds=left)
    assert found == (None if until is None else Circuit(until=until, failures=failures))


def test_no_failures_means_no_breaker() -> None:
    """Zero is how an operator says that there is none."""
    terms = BreakerTerms(failures=0)
    assert circuit(terms, failures=10_000, last=NOON, now=NOON) is None


def test_failures_without_a_time_stop_nobody() -> None:
    """A record that knows of no failure cannot say until when."""
    assert circuit(TERMS, failures=3, last=None, now=NOON) is None


def test_a_stopped_call_is_told_until_when() -> None:
    """The agent should wait, not try again at once."""
    stop = Circuit(until=NOON, failures=7).stop
    assert stop.reason is Reason.CIRCUIT_OPEN
    assert stop.explanation.startswith("The last 7 calls of this agent were denied, or failed by its own report")
    assert "until 2026-11-22T12:00:00.000Z" in stop.explanation
    assert stop.until == NOON


@given(
    failures=st.integers(0, 50),
    ago=st.floats(-1e6, 1e6),
    terms=st.builds(BreakerTerms, failures=st.integers(0, 30), cool_down_s=st.floats(0, 3600)),
)
def test_nobody_is_stopped_for_longer_than_the_while(failures: int, ago: float, terms: BreakerTerms) -> None:
    """Whatever the clock did: an operator reads in the settings how long an agent stands still at most."""
    found = circuit(terms, failures=failures, last=NOON - timedelta(seconds=ago), now=NOON)
    if found is not None:
        assert failures >= terms.failures > 0
        assert NOON < found.until <= NOON + timedelta(seconds=terms.cool_down_s)
