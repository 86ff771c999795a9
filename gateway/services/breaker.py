"""The circuit breakers of agents: reads how many failures each has in a row, and keeps nothing durable itself.

Owns no rule, which is `core/breaker.py`'s, and no count, which is a projection of the chain. So a breaker holds after a
restart too, and what an agent did stops that agent only. What an upstream answers closes the way to that upstream; an
agent is stopped everywhere by what it did itself. Where the last failure lies ahead, since the clock was set back, the
while begins when that is seen first: else it would not end before the clock is there again.
"""

from datetime import datetime
from typing import Protocol

from gateway.core.breaker import BreakerTerms, Circuit, circuit
from gateway.core.decision import Stop
from gateway.core.trust.failing import Failing, Row
from gateway.ports import Clock

__all__ = ["Breakers", "Failures"]


class Failures(Protocol):
    """What is known of agents' failures (`services/trust.py`)."""

    def failing(self, tenant: str, agent: str) -> Failing | None:
        """Return an agent's failures; None where it has none. Raises StoreError where that is not known."""
        ...


class Breakers:
    """The breaker of every agent."""

    def __init__(self, *, failures: Failures, clock: Clock, terms: BreakerTerms) -> None:
        self._failures = failures
        self._clock = clock
        self._terms = terms
        self._ahead: dict[tuple[str, str, str], tuple[int, datetime]] = {}

    def stop(self, tenant: str, agent: str, upstream: str, now: datetime) -> Stop | None:
        """Return why the agent is stopped there; None where it is not. Raises StoreError where that is not known."""
        if not self._terms.failures:  # never: then it need not be known how many there were
            return None
        failing = self._failures.failing(tenant, agent)
        if failing is None:
            return None
        found = self._everywhere(tenant, agent, failing, now)
        if found is None and upstream in failing.at:
            found = self._circuit((tenant, agent, upstream), failing.at[upstream], now)
        return None if found is None else found.stop

    def circuit(self, tenant: str, agent: str) -> Circuit | None:
        """Return the circuit of the agent everywhere, for people, where it is open now; None where it is not.

        Raises StoreError where that is not known.
        """
        failing = self._failures.failing(tenant, agent) if self._terms.failures else None
        return None if failing is None else self._everywhere(tenant, agent, failing, self._clock.now())

    def _everywhere(self, tenant: str, agent: str, failing: Failing, now: datetime) -> Circuit | None:
        return self._circuit((tenant, agent, ""), failing.own(), now)

    def _circuit(self, whose: tuple[str, str, str], row: Row, now: datetime) -> Circuit | None:
        failures, last = row
        at = datetime.fromisoformat(last) if last else None
        if at is not None and at > now:
            at = self._seen(whose, failures, now)
        return circuit(self._terms, failures=failures, last=at, now=now, upstream=whose[2])

    def _seen(self, whose: tuple[str, str, str], failures: int, now: datetime) -> datetime:
        """Return when so many failures, the last of which lies ahead, were seen first."""
        known, first = self._ahead.get(whose, (0, now))
        if known != failures or first > now:
            first = now
        self._ahead[whose] = failures, first
        return first
