"""Who watches calls go by: an observer hears of each decision and each end, and can change neither.

Owns the protocol and its composition. What is heard is durable already; what is made of it (lines, metrics, spans) is
the business of `telemetry`. An observer that fails is told of in the log, once for each kind of fault: the call it
failed on goes on, since an ALLOW that is on record must be forwarded and completed.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from gateway.services.judged import Judged, Outcome

__all__ = ["DecisionsOnly", "Observer", "Observers"]

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Hears of calls, on the event loop, between their steps: it must be quick and must not wait."""

    def decided(self, judged: Judged, *, evaluated_s: float, recorded_s: float) -> None:
        """Take note of a decision that is durable now: seconds to reach it, and seconds to make it durable."""
        ...

    def ended(self, judged: Judged, outcome: Outcome, *, upstream_s: float | None) -> None:
        """Take note of how an allowed call ended. `upstream_s` is how long the upstream took, None if not asked."""
        ...


class DecisionsOnly:
    """An observer that passes decisions to a callable and ignores the rest."""

    def __init__(self, note: Callable[[Judged], None]) -> None:
        self._note = note

    def decided(self, judged: Judged, *, evaluated_s: float, recorded_s: float) -> None:
        """As `Observer.decided`."""
        self._note(judged)

    def ended(self, judged: Judged, outcome: Outcome, *, upstream_s: float | None) -> None:
        """As `Observer.ended`: nothing to do."""


class Observers:
    """Several observers as one, none of which can harm a call or keep another from hearing of it."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers
        self._told: set[tuple[type[Observer], type[Exception]]] = set()

    def decided(self, judged: Judged, *, evaluated_s: float, recorded_s: float) -> None:
        """As `Observer.decided`, for each."""
        for one in self._observers:
            try:
                one.decided(judged, evaluated_s=evaluated_s, recorded_s=recorded_s)
            except Exception as error:  # noqa: BLE001 - whatever it is, the call is not its observer's to stop
                self._failed(one, error)

    def ended(self, judged: Judged, outcome: Outcome, *, upstream_s: float | None) -> None:
        """As `Observer.ended`, for each."""
        for one in self._observers:
            try:
                one.ended(judged, outcome, upstream_s=upstream_s)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other observers hear of it
                self._failed(one, error)

    def _failed(self, observer: Observer, error: Exception) -> None:
        """Tell of a fault without its words, which may quote a call."""
        kind = (type(observer), type(error))
        if kind not in self._told:
            self._told.add(kind)
            _log.error("an observer of calls failed and misses some: %s, %s", kind[0].__name__, kind[1].__name__)
