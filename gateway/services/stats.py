"""The figures of a tenant and of one agent, counted from the records when asked: nothing is kept beside them.

Owns what is counted as what (contract, section 2). A value is what entries credit, in one currency: without amounts in
the operator's file it is 0.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from gateway.core.audit.body import timestamp
from gateway.core.principal import Principal
from gateway.core.submission import IntentStatus
from gateway.core.worth import CENTS, NO_AMOUNTS
from gateway.ports import Clock, IntentFilter, RecordIndex

__all__ = ["ACTIVE", "AgentFigures", "OpenApprovals", "Stats", "TenantFigures"]

ACTIVE: Final = timedelta(hours=24)
"""An agent that acted within this time counts as active."""


class OpenApprovals(Protocol):
    """Where the number of open approvals is known."""

    async def pending(self, tenant: str) -> int:
        """Return how many approvals of the tenant await a human. Raises StoreError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFigures:
    """What the dashboard shows. `value` is that of the intents that completed today, in units of the currency."""

    intents_today: int
    pending_approvals: int
    active_agents: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFigures:
    """What one agent did so far. `last` is the time of its newest intent, RFC 3339, or empty.

    `value` is what all of its intents earned, in units of the currency.
    """

    total: int
    today: int
    by_status: Mapping[str, int]
    by_type: Mapping[str, int]
    last: str
    value: float


class Stats:
    """Counts."""

    def __init__(
        self, *, index: RecordIndex, approvals: OpenApprovals, clock: Clock, currency: str = NO_AMOUNTS.currency
    ) -> None:
        """Only what was credited in `currency` is in a value: sums of several would be none."""
        self._index = index
        self._approvals = approvals
        self._clock = clock
        self._currency = currency

    async def tenant(self, principal: Principal) -> TenantFigures:
        """Return the tenant's figures as of now. Raises StoreError."""
        now = self._clock.now()
        today = await self._index.intent_counts(principal.tenant, IntentFilter(since=_midnight(now)))
        recent = await self._index.intent_counts(principal.tenant, IntentFilter(since=timestamp(now - ACTIVE)))
        return TenantFigures(
            intents_today=sum(today.values()),
            pending_approvals=await self._approvals.pending(principal.tenant),
            active_agents=len({agent for agent, _, _ in recent}),
            value=self._units(await self._index.earned(principal.tenant, since=_midnight(now))),
        )

    async def agent(self, principal: Principal, slug: str) -> AgentFigures:
        """Return the figures of one agent by its slug. Raises StoreError."""
        mine = IntentFilter(agent=slug)
        counts = await self._index.intent_counts(principal.tenant, mine)
        today = await self._index.intent_counts(
            principal.tenant, IntentFilter(agent=slug, since=_midnight(self._clock.now()))
        )
        newest = await self._index.intents(principal.tenant, mine, page=1, page_size=1)
        by_status: Counter[str] = Counter(dict.fromkeys(map(str, IntentStatus), 0))
        by_type: Counter[str] = Counter()
        for (_, intent_type, status), count in counts.items():
            by_status[status] += count
            by_type[intent_type] += count
        return AgentFigures(
            total=sum(counts.values()),
            today=sum(today.values()),
            by_status=by_status,
            by_type=by_type,
            last=newest.items[0].created if newest.items else "",
            value=self._units(await self._index.earned(principal.tenant, agent=slug)),
        )

    def _units(self, earned: Mapping[str, int]) -> float:
        return earned.get(self._currency, 0) / CENTS


def _midnight(now: datetime) -> str:
    """Return 00:00 UTC of today."""
    return timestamp(now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
