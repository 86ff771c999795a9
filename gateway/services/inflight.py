"""How many calls may be in flight at once, per agent and per upstream. Counts only; never waits."""

from collections import Counter

from gateway.core.principal import Principal

__all__ = ["InFlight"]


class InFlight:
    """Two bounds on calls that have been taken on and not yet answered.

    Nothing queues here: a call above a bound is refused at once, so that one agent or one hung upstream cannot make
    the others wait (design, section 4, "Processes").
    """

    def __init__(self, *, per_agent: int, per_upstream: int) -> None:
        self._per_agent = per_agent
        self._per_upstream = per_upstream
        self._agents: Counter[tuple[str, str]] = Counter()
        self._upstreams: Counter[str] = Counter()

    def enter(self, principal: Principal, upstream: str) -> bool:
        """Take a place; False where a bound is reached. Whoever got True must `leave`."""
        agent = (principal.tenant, principal.agent)
        if self._agents[agent] >= self._per_agent or self._upstreams[upstream] >= self._per_upstream:
            return False
        self._agents[agent] += 1
        self._upstreams[upstream] += 1
        return True

    def leave(self, principal: Principal, upstream: str) -> None:
        """Give the place back."""
        agent = (principal.tenant, principal.agent)
        self._agents[agent] -= 1
        if not self._agents[agent]:
            del self._agents[agent]
        self._upstreams[upstream] -= 1

    @property
    def count(self) -> int:
        """Return how many calls are in flight, for a shutdown that waits for them."""
        return self._upstreams.total()
