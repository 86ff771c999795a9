"""The PIP: gathers everything a decision may depend on, once, at the start of each attempt.

All reads of a decision are here, but for what was spent of budgets: which of these a call has to do with is known only
when it was judged what it is for (`services/budgets.py`). What cannot be read raises; nothing is replaced by a default.
"""

from datetime import datetime
from hashlib import sha256
from typing import Protocol

from gateway.core.agents import Restriction
from gateway.core.audit.entry import Expect
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.decide import hides
from gateway.core.decision import Stop, Thresholds
from gateway.core.facts import Facts
from gateway.core.principal import Principal, TrustTier
from gateway.core.switches import SWITCHES_KEY
from gateway.core.tiers import ConfiguredTiers
from gateway.ports import Clock, PolicySource, StateStore
from gateway.services.budgets import Budgets
from gateway.services.trusted import Given, Trusted

__all__ = ["Caps", "Circuits", "FactSource", "Restrictions", "Stops", "Trusting", "seen_key"]

SEEN_KEPT = 100_000
"""Rows of `seen_key` remembered as present; a miss is read from the store, so this only bounds memory."""

SEEN_CHARS = 256
"""A longer key is read from the store each time: agents choose names, and a hundred thousand long ones are too much."""


class Caps(Protocol):
    """What a tenant's tiers may do; kept in memory, since every decision asks."""

    def caps(self, tenant: str, tier: TrustTier) -> Thresholds:
        """Return the thresholds in force."""
        ...


class Restrictions(Protocol):
    """What agents have declared for themselves; kept in memory, since every decision asks."""

    def restriction(self, tenant: str, agent: str) -> Restriction | None:
        """Return the declaration of the agent of that slug, None where it declared nothing."""
        ...


class Trusting(Protocol):
    """What agents have earned; kept in memory, since every decision asks."""

    async def trusted(self, tenant: str, agent: str, now: datetime) -> Trusted:
        """Return how far an agent is trusted, for one decision. Raises StoreError where that is not known."""
        ...

    def tier(self, tenant: str, agent: str) -> TrustTier:
        """Return an agent's tier, for lists; the lowest where it is not known now."""
        ...


class Stops(Protocol):
    """What humans have switched off; kept in memory, since every decision asks."""

    def stop(self, tenant: str, agent: str, upstream: str) -> Stop | None:
        """Return why a call of this agent to this upstream is stopped; None where it is not."""
        ...

    def expects(self, tenant: str) -> tuple[Expect]:
        """Return what must still hold when a decision is recorded that rests on `stop`."""
        ...

    async def reread(self, tenant: str) -> None:
        """Bring memory to what is durable. Raises StoreError."""
        ...


class Circuits(Protocol):
    """Which agents stand still for a while (`services/breaker.py`)."""

    def stop(self, tenant: str, agent: str, upstream: str, now: datetime) -> Stop | None:
        """Return why the agent is stopped there; None where it is not. Raises StoreError where that is not known."""
        ...


class FactSource:
    """Reads policies, trust and state into the facts of one call."""

    def __init__(
        self,
        *,
        policies: PolicySource,
        state: StateStore,
        clock: Clock,
        tiers: ConfiguredTiers,
        trust: Trusting | None,
        stops: Stops | None,
        circuits: Circuits | None,
        thresholds: Caps | None = None,
        agents: Restrictions | None = None,
    ) -> None:
        """Without `thresholds` those of the configuration hold; without `agents` none has declared anything.

        Where `trust` is None nothing is earned: every tier is the configuration's. Where `stops` is None nothing is
        switched off, where `circuits` is no agent is stopped by its failures; whoever wants that has to say so.
        """
        self._policies = policies
        self._state = state
        self._clock = clock
        self._caps = thresholds or tiers
        self._agents = agents
        self._trust = trust or Given(tiers)
        self._stops = stops
        self._circuits = circuits
        self._seen: set[tuple[str, str]] = set()
        self.budgets = Budgets(state)

    async def gather(self, principal: Principal, call: Call) -> Facts:
        """Return the facts as they are now.

        Raises:
            StoreError: a fact could not be read; the call must be refused.
        """
        bundle = self._policies.current()
        now = self._clock.now()
        trusted = await self._trust.trusted(principal.tenant, principal.agent, now)
        key = seen_key(principal, call)
        return Facts(
            principal=principal,
            tier=trusted.tier,
            score=trusted.score,
            thresholds=self._caps.caps(principal.tenant, trusted.tier),
            bundle=bundle,
            now=now,
            restriction=None if self._agents is None else self._agents.restriction(principal.tenant, principal.agent),
            failures_in_row=trusted.failures_in_row,
            grounds=trusted.grounds,
            # Last of all that is read: nothing is waited for between the stop, what says that it still holds, and us.
            novel=(principal.tenant, key) not in self._seen and not await self._was_allowed(principal, call, key),
            stop=self._stop(principal, call, now),
            expects=trusted.expects if self._stops is None else trusted.expects + self._stops.expects(principal.tenant),
        )

    def stopped(self, principal: Principal, call: Call) -> Stop | None:
        """Return the switch that is in force against a call at this moment; None where there is none."""
        return None if self._stops is None else self._stops.stop(principal.tenant, principal.agent, call.upstream)

    async def outdated(self, tenant: str, key: str) -> None:
        """Take note that a row was not as the facts expected it, before they are gathered again. Raises StoreError."""
        if key == SWITCHES_KEY and self._stops is not None:
            await self._stops.reread(tenant)

    def _stop(self, principal: Principal, call: Call, now: datetime) -> Stop | None:
        """Return what forbids everything now: a human's switch before the agent's own failures."""
        stop = self.stopped(principal, call)
        if stop is not None or self._circuits is None:
            return stop
        return self._circuits.stop(principal.tenant, principal.agent, call.upstream, now)

    def hides(self, principal: Principal, call: Call, *, any_uri: bool = False) -> bool:
        """Return True where this principal can never have the target, whatever the arguments (`core.decide.hides`).

        Rests on the bundle and the tier in force alone, so that a list costs no read of the store.
        """
        return hides(
            call,
            bundle=self._policies.current(),
            agent=principal.named,
            tier=self._trust.tier(principal.tenant, principal.agent),
            any_uri=any_uri,
        )

    def remember(self, principal: Principal, call: Call) -> None:
        """Note that the row under `seen_key` is durable now, so that it need not be read again."""
        key = seen_key(principal, call)
        if len(key) > SEEN_CHARS:
            return
        if len(self._seen) >= SEEN_KEPT:
            self._seen.clear()
        self._seen.add((principal.tenant, key))

    async def _was_allowed(self, principal: Principal, call: Call, key: str) -> bool:
        """Return True where this agent was allowed this target before; rows are never taken back, so once is always."""
        if await self._state.get(principal.tenant, key) is None:
            return False
        self.remember(principal, call)
        return True


def seen_key(principal: Principal, call: Call) -> str:
    """Return the key of the state row that says: this agent was allowed this target before.

    Resources are taken together per upstream: their URIs are unbounded in number. The length makes the key say one
    thing only, whatever an agent is called. System and action of a submitted intent are a program's own words, of any
    length and perhaps secret: they go by their digest.
    """
    if call.method == INTENT_METHOD:
        words = sha256(f"{len(call.upstream)}:{call.upstream}:{call.action}".encode()).hexdigest()
        return f"seen:{len(principal.agent)}:{principal.agent}::{call.method}:{words}"
    return f"seen:{len(principal.agent)}:{principal.agent}:{call.upstream}:{call.method}:{call.name}"
