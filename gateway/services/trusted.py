"""How far an agent is trusted, as a decision is told it; also where configuration says so and nothing is earned.

Owns the value and nothing that changes. What is earned is `services/trust.py`.
"""

from datetime import datetime
from typing import Final

from gateway.core.audit.entry import Expect
from gateway.core.facts import Grounds
from gateway.core.principal import TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.core.value import value

__all__ = ["POINTS_PER_TIER", "Given", "Trusted", "given"]

POINTS_PER_TIER: Final = 25
"""A tier from configuration has no record behind it; its score is the lower end of its quarter of 0..100."""


@value
class Trusted:
    """How far an agent is trusted. `grounds` are None where its tier is the configuration's, which nothing moves."""

    tier: TrustTier
    score: int
    failures_in_row: int = 0
    grounds: Grounds | None = None
    expects: tuple[Expect, ...] = ()


class Given:
    """How far every agent is trusted where nothing is earned."""

    def __init__(self, tiers: ConfiguredTiers) -> None:
        self._tiers = tiers

    async def trusted(self, tenant: str, agent: str, now: datetime) -> Trusted:
        """Return how far an agent is trusted, for one decision."""
        return given(self._tiers.tier(tenant, agent))

    def tier(self, tenant: str, agent: str) -> TrustTier:
        """Return an agent's tier."""
        return self._tiers.tier(tenant, agent)


def given(tier: TrustTier, failures_in_row: int = 0) -> Trusted:
    """Return how far an agent is trusted whose tier is the configuration's."""
    return Trusted(tier=tier, score=tier * POINTS_PER_TIER, failures_in_row=failures_in_row)
