"""What is read off a gateway at the moment somebody asks for its metrics: gauges, and counts that services keep.

Owns the shape. Who reads is `services/metering.py`, who writes it as text `telemetry/metrics.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.accounts import AccountView
from gateway.core.principal import TrustTier

__all__ = ["AgentTrust", "Readings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTrust:
    """How far one agent is trusted now; `score` is 0 to 100."""

    agent: str
    tier: TrustTier
    score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One look. What could not be read is missing from its field, and counted in `unread`.

    By tenant, unless it says otherwise. `pending_intents` is by (tenant, agent, type). `chains` are the last
    verifications: whether the chain was whole, and when that was known, in seconds since 1970. `requests` is by
    (tenant, plan): how many, and how many of these were above the limit. `deliveries` is by (tenant, outcome) of an
    attempt. `jobs` are by name: how often each has run, and failed. `checks` are those of readiness. `budgets` are the
    accounts of budgets, the fullest first.
    """

    pending_intents: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    pending_approvals: Mapping[str, int] = field(default_factory=dict)
    trust: Mapping[str, tuple[AgentTrust, ...]] = field(default_factory=dict)
    budgets: Mapping[str, tuple[AccountView, ...]] = field(default_factory=dict)
    in_flight: int = 0
    held: Mapping[str, int] = field(default_factory=dict)
    chains: Mapping[str, tuple[bool, float]] = field(default_factory=dict)
    requests: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    deliveries: Mapping[tuple[str, str], int] = field(default_factory=dict)
    backlog: Mapping[str, int] = field(default_factory=dict)
    jobs: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    checks: Mapping[str, bool] = field(default_factory=dict)
    ready: bool = False
    reloaded: bool = False
    unread: int = 0
