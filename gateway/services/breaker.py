"""The circuit breakers of agents: reads how many failures each has in a row, and keeps nothing durable itself.

Owns no rule, which is `core/breaker.py`'s, and no count, which is a projection of the chain. So a breaker holds after a
restart too, and what an agent did stops that agent only. Where the last failure lies ahead, since the clock was set
back, the while begins when that is seen first: else it would not end before the clock is there again.
"""

from datetime import datetime
from typing import Protocol

from gateway.core.breaker import BreakerTerms, Circuit, circuit
from gateway.core.decision import Stop
from gateway.ports import Clock

__all__ = ["Breakers", "Failures"]


class Failures(Protocol):
    """What is known of agents' failures (`services/trust.py`)."""

    def failures(self, tenant: str, agent: str) -> tuple[int, str]:
        """Return how many failures an agent has in a row, and when the last one was (RFC 3339; empty: never).

        Raises StoreError where that is not known.
        """
        ...


class Breakers:
    """The breaker of every agent."""

    def __init__(self, *, failures: Failures, clock: Clock, terms: BreakerTerms) -> None:
        self._failures = failures
        self._clock = clock
        self._terms = terms
        self._ahead: dict[tuple[str, str], tuple[int, datetime]] = {}

    def stop(self, tenant: str, agent: str, now: datetime) -> Stop | None:
        """Return why the agent is stopped; None where it is not. Raises StoreError where that is not known."""
        found = self._circuit(tenant, agent, now)
        return None if found is None else found.stop

    def circuit(self, tenant: str, agent: str) -> Circuit | None:
        """Return the agent's circuit where it is open now, for people. Raises StoreError where that is not known."""
        return self._circuit(tenant, agent, self._clock.now())

    def _circuit(self, tenant: str, agent: str, now: datetime) -> Circuit | None:
        if not self._terms.failures:  # never: then it need not be known how many there were
            return None
        failures, last = self._failures.failures(tenant, agent)
        at = datetime.fromisoformat(last) if last else None
        if at is not None and at > now:
            at = self._seen(tenant, agent, failures, now)
        return circuit(self._terms, failures=failures, last=at, now=now)

    def _seen(self, tenant: str, agent: str, failures: int, now: datetime) -> datetime:
        """Return when so many failures, the last of which lies ahead, were seen first."""
        known, first = self._ahead.get((tenant, agent), (0, now))
        if known != failures or first > now:
            first = now
        self._ahead[tenant, agent] = failures, first
        return first
