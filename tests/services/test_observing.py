"""Observers: they hear of every call, and none of them can harm one."""

from typing import Any, cast

import pytest

from gateway.services.judged import Judged, Outcome
from gateway.services.observing import DecisionsOnly, Observers

JUDGED = cast(Judged, object())
OUTCOME = cast(Outcome, object())


class Watching:
    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def decided(self, judged: Judged, *, evaluated_s: float, recorded_s: float) -> None:
        self.heard.append((judged, evaluated_s, recorded_s))

    def ended(self, judged: Judged, outcome: Outcome, *, upstream_s: float | None) -> None:
        self.heard.append((judged, outcome, upstream_s))


class Failing:
    def decided(self, judged: Judged, *, evaluated_s: float, recorded_s: float) -> None:
        raise ValueError("an argument of the call")

    def ended(self, judged: Judged, outcome: Outcome, *, upstream_s: float | None) -> None:
        raise KeyError("an argument of the call")


def tell(observers: Observers) -> None:
    observers.decided(JUDGED, evaluated_s=0.1, recorded_s=0.2)
    observers.ended(JUDGED, OUTCOME, upstream_s=0.3)


def test_each_observer_hears_of_both_ends() -> None:
    """Ours: lines, metrics and spans are made of the same two moments."""
    one, other = Watching(), Watching()
    tell(Observers(one, other))
    assert one.heard == other.heard == [(JUDGED, 0.1, 0.2), (JUDGED, OUTCOME, 0.3)]


def test_a_failing_observer_harms_nobody_and_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Promise 2 turned round: an ALLOW on record is forwarded and completed whatever watches it; no value is shown."""
    behind = Watching()
    observers = Observers(Failing(), behind)
    tell(observers)
    tell(observers)
    assert len(behind.heard) == 4
    assert [record.getMessage() for record in caplog.records] == [
        "an observer of calls failed and misses some: Failing, ValueError",
        "an observer of calls failed and misses some: Failing, KeyError",
    ]


def test_who_asks_for_decisions_only_hears_of_those() -> None:
    """Ours: the lines on the terminal tell decisions."""
    heard: list[Judged] = []
    tell(Observers(DecisionsOnly(heard.append)))
    assert heard == [JUDGED]
