"""Calls in flight are bounded per agent and per upstream, without a queue."""

from gateway.core.principal import Principal
from gateway.services.inflight import InFlight

A = Principal(tenant="t", agent="a", credential="k")
B = Principal(tenant="t", agent="b", credential="k")


def test_an_agent_is_bounded_apart_from_others() -> None:
    """One agent cannot use up what another may."""
    flights = InFlight(per_agent=1, per_upstream=10)
    assert flights.enter(A, "u")
    assert not flights.enter(A, "v")
    assert flights.enter(B, "u")


def test_an_upstream_is_bounded_over_all_agents() -> None:
    """A hung upstream does not collect calls without end."""
    flights = InFlight(per_agent=10, per_upstream=1)
    assert flights.enter(A, "u")
    assert not flights.enter(B, "u")


def test_a_place_that_is_left_can_be_taken_again() -> None:
    """The count comes back to nothing."""
    flights = InFlight(per_agent=2, per_upstream=2)
    assert flights.enter(A, "u")
    assert flights.enter(A, "u")
    assert flights.count == 2
    flights.leave(A, "u")
    flights.leave(A, "u")
    assert flights.count == 0
    assert flights.enter(A, "u")
