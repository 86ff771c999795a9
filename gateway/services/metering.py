"""What the gateway tells of itself in numbers: reads what is to be read, and says who may see what of it.

Owns the readings and their bounds. What is counted as it happens is `telemetry/metrics.py`, the text
`telemetry/exposition.py`. A reading that cannot be had is left out and counted: when something is wrong is when the
other numbers are needed.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import anyio
import orjson

from gateway.core.accounts import AccountView
from gateway.core.agents import Agent
from gateway.core.audit.entry import EntryType, StoredEntry
from gateway.core.principal import SYSTEM_TENANT, TrustTier
from gateway.core.readings import AgentTrust, Readings
from gateway.core.submission import IntentStatus
from gateway.errors import StoreError
from gateway.ports import AuditReader, IntentFilter, RecordIndex
from gateway.services.readiness import OK, Readiness
from gateway.services.stats import OpenApprovals

__all__ = ["AgentTiers", "Meter", "Metering", "Sources"]

READ_S: Final = 3.0
"""For one reading of the store."""
ALL_S: Final = 8.0
"""For all of them; Prometheus itself waits ten seconds."""

AT_ONCE: Final = 100
"""Agents looked at before calls have their turn again."""

SWITCHES_ONLY: Final = 100
"""Entries that are looked through for one that is of no switch; whoever has as many is served, whatever they say."""

_Found = TypeVar("_Found")

_log = logging.getLogger(__name__)


class Meter(Protocol):
    """Writes metrics (`telemetry/exposition.py`)."""

    async def text(self, readings: Readings, *, tenant: str, accept: str) -> tuple[bytes, str]:
        """Return the text and its content type; with a `tenant` only what that one's admin may see."""
        ...


class KnownTrust(Protocol):
    """What is shown of an agent's trust."""

    @property
    def tier(self) -> TrustTier:
        """Its tier now."""
        ...

    @property
    def score(self) -> int:
        """0 to 100."""
        ...


class AgentTiers(Protocol):
    """Where the tiers of agents are known (`services/trust.py`)."""

    def agents(self, tenant: str) -> Sequence[str]:
        """Return the agents of whom there is a record, registered or not."""
        ...

    def shown(self, tenant: str, agent: str) -> KnownTrust:
        """Return an agent's tier and score, without waiting. Raises StoreError where they are not known now."""
        ...


class Registered(Protocol):
    """Where the registered agents are known (`services/agents.py`)."""

    def list(self, tenant: str) -> Sequence[Agent]:
        """Return a tenant's agents, newest first."""
        ...


class Budgeted(Protocol):
    """Where accounts of budgets are known (`services/accounts.py`)."""

    async def fullest(self, tenant: str) -> tuple[AccountView, ...]:
        """Return a tenant's accounts, the fullest first. Raises StoreError."""
        ...


class Backlog(Protocol):
    """Where webhooks wait (`services/delivering.py`)."""

    @property
    def attempts(self) -> Mapping[tuple[str, str], int]:
        """Attempts so far by (tenant, state of the delivery after it)."""
        ...

    async def backlog(self) -> Mapping[str, int]:
        """Return how many deliveries of each tenant are still to be made. Raises StoreError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the readings come from. What is a callable is asked anew each time."""

    reader: AuditReader
    index: RecordIndex
    approvals: OpenApprovals
    agents: Registered
    trust: AgentTiers
    budgets: Budgeted
    readiness: Readiness
    deliveries: Backlog
    in_flight: Callable[[], int]
    held: Callable[[], Mapping[str, int]]
    chains: Callable[[], Mapping[str, tuple[bool, float]]]
    requests: Callable[[], Mapping[tuple[str, str], tuple[int, int]]]
    jobs: Callable[[], Mapping[str, tuple[int, int]]]


class Metering:
    """Answers questions for the metrics."""

    def __init__(self, meter: Meter, sources: Sources) -> None:
        self._meter = meter
        self._sources = sources
        self._for_operator = anyio.Lock()
        self._for_tenants = anyio.Lock()
        self._served: set[str] = set()
        """Tenants that are known to be more than a name at which switches were thrown; nothing takes that back."""

    async def all(self, *, accept: str) -> tuple[bytes, str]:
        """Return everything, for the operator."""
        return await self._text("", accept)

    async def of(self, tenant: str, *, accept: str) -> tuple[bytes, str]:
        """Return what a tenant's admin may see: everything, where the gateway serves no other tenant."""
        return await self._text(tenant, accept)

    async def _text(self, tenant: str, accept: str) -> tuple[bytes, str]:
        # One after another, so that many who ask cost no more than one; and no tenant holds up the operator.
        async with self._for_tenants if tenant else self._for_operator:
            readings, alone = await self._read(tenant)
            return await self._meter.text(readings, tenant="" if alone else tenant, accept=accept)

    async def _read(self, tenant: str) -> tuple[Readings, bool]:
        """Return the readings of that tenant, or of all, and whether it is known to be the only one that is served."""
        sources, look, report = self._sources, _Look(), self._sources.readiness.report()
        tenants = await look.at(sources.reader.tenants())
        asked = (tenant,) if tenant else tuple(one for one in tenants or () if one != SYSTEM_TENANT)
        intents: dict[tuple[str, str, str], int] = {}
        approvals: dict[str, int] = {}
        alone = bool(tenant and tenants is not None and await look.at(self._only(tenant, tenants)))
        trust: dict[str, tuple[AgentTrust, ...]] = {}
        budgets: dict[str, tuple[AccountView, ...]] = {}
        for one in asked:
            trust[one] = await look.at(self._trust(one)) or ()
            budgets[one] = await look.at(sources.budgets.fullest(one)) or ()
            counts = await look.at(sources.index.intent_counts(one, _PENDING))
            intents |= {(one, agent, kind): count for (agent, kind, _), count in (counts or {}).items()}
            waiting = await look.at(sources.approvals.pending(one))
            approvals |= {} if waiting is None else {one: waiting}
        readings = Readings(
            pending_intents=intents,
            pending_approvals=approvals,
            trust=trust,
            budgets=budgets,
            in_flight=sources.in_flight(),
            held=sources.held(),
            chains=sources.chains(),
            requests=sources.requests(),
            deliveries=sources.deliveries.attempts,
            backlog=await look.at(sources.deliveries.backlog()) or {},
            jobs=sources.jobs(),
            checks={name: check == OK for name, check in report.checks.items()},
            ready=report.ready,
            reloaded=report.checks["policies"] == OK,
            unread=look.missing,
        )
        return readings, alone

    async def _only(self, tenant: str, tenants: Sequence[str]) -> bool:
        """Say whether no other tenant is served: one of which there is more on record than switches.

        A switch may be thrown at a tenant before its first call, and at one that was mistyped. Raises StoreError.
        """
        for other in tenants:
            if other in (tenant, SYSTEM_TENANT):
                continue
            if other not in self._served:
                last = await self._sources.reader.last(other, SWITCHES_ONLY)
                if len(last) < SWITCHES_ONLY and all(_of_switch(entry) for entry in last):
                    continue
                self._served.add(other)
            return False
        return True

    async def _trust(self, tenant: str) -> tuple[AgentTrust, ...]:
        """Return how far the tenant's agents are trusted: the registered ones, the oldest first, then the others.

        Raises StoreError where that is not known now.
        """
        known, found = self._sources.trust, []
        registered = [one.slug for one in reversed(self._sources.agents.list(tenant))]
        for number, agent in enumerate(dict.fromkeys((*registered, *known.agents(tenant)))):
            shown = known.shown(tenant, agent)
            found.append(AgentTrust(agent=agent, tier=shown.tier, score=shown.score))
            if number % AT_ONCE == AT_ONCE - 1:
                await anyio.lowlevel.checkpoint()
        return tuple(found)


def _of_switch(entry: StoredEntry) -> bool:
    return bool(orjson.loads(entry.content)["type"] == EntryType.SWITCH_CHANGED)


class _Look:
    """Reads one thing after another, each within its time, and counts what it did not get."""

    def __init__(self) -> None:
        self.missing = 0
        self._until = anyio.current_time() + ALL_S

    async def at(self, answer: Awaitable[_Found]) -> _Found | None:
        try:
            with anyio.fail_after(min(READ_S, self._until - anyio.current_time())):
                return await answer
        except (StoreError, TimeoutError) as error:
            self.missing += 1
            _log.warning("a reading for the metrics is missing: %s", str(error) or "no answer in time")
            return None


_PENDING: Final = IntentFilter(status=IntentStatus.PENDING)
