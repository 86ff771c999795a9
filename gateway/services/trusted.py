"""What a decision is told of an agent's standing, and the standing that is given by configuration instead of earned.

Owns the value and nothing that changes. What is earned is `services/trust.py`.
"""

from datetime import datetime
from typing import Final

from gateway.core.audit.entry import Expect
from gateway.core.facts import Grounds
from gateway.core.principal import TrustTier
from gateway.core.value import value
from gateway.services.standing import Standing

__all__ = ["POINTS_PER_TIER", "Given", "Trusted", "given"]

POINTS_PER_TIER: Final = 25
"""A tier from configuration has no record behind it; its score is the lower end of its quarter of 0..100."""


@value
class Trusted:
    """An agent's standing. `grounds` are None where its tier is the configuration's, which nothing moves."""

    tier: TrustTier
    score: int
    failures_in_row: int = 0
    grounds: Grounds | None = None
    expects: tuple[Expect, ...] = ()


class Given:
    """Every agent's standing where nothing is earned."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    async def trusted(self, tenant: str, agent: str, now: datetime) -> Trusted:
        """Return an agent's standing for one decision."""
        return given(self._standing.tier(tenant, agent))

    def tier(self, tenant: str, agent: str) -> TrustTier:
        """Return an agent's tier."""
        return self._standing.tier(tenant, agent)


def given(tier: TrustTier, failures_in_row: int = 0) -> Trusted:
    """Return the standing that a tier from configuration stands for."""
    return Trusted(tier=tier, score=tier * POINTS_PER_TIER, failures_in_row=failures_in_row)
