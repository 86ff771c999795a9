"""Tiers from configuration: an agent's own by its name, within its tenant, or that of all."""

from gateway.core.decision import Thresholds
from gateway.core.principal import TrustTier
from gateway.core.tiers import ConfiguredTiers

CAPS = {tier: Thresholds(allow_below=20 + 10 * tier, deny_from=101) for tier in TrustTier}


def test_a_tier_is_the_agents_own_or_the_default() -> None:
    """Tiers are the operator's, by name."""
    tiers = ConfiguredTiers(default=TrustTier.T0, agents={"ci": TrustTier.T3}, thresholds=CAPS)
    assert (tiers.tier("default", "ci"), tiers.tier("default", "new")) == (TrustTier.T3, TrustTier.T0)
    assert tiers.caps("any", TrustTier.T1) == CAPS[TrustTier.T1]


def test_a_tier_is_given_to_an_agent_of_one_tenant() -> None:
    """Another tenant's program may call its agent what it likes, and gets no tier by it."""
    agents = {"ci": TrustTier.T3, "acme/ci": TrustTier.T2}
    tiers = ConfiguredTiers(default=TrustTier.T0, agents=agents, thresholds=CAPS)
    found = [tiers.tier(tenant, "ci") for tenant in ("default", "acme", "evil")]
    assert found == [TrustTier.T3, TrustTier.T2, TrustTier.T0]
