"""What is given by configuration does not move."""

from gateway.core.principal import TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.services.trusted import Given
from tests.simulate.world import FakeClock


async def test_where_nothing_is_earned_tiers_are_the_configuration_s() -> None:
    """For a gateway without trust: in tests, and in what only asks what would be decided."""
    given = Given(ConfiguredTiers(default=TrustTier.T1, agents={"ci": TrustTier.T3}, thresholds={}))
    found = await given.trusted("default", "ci", FakeClock().now())
    assert (found.tier, found.score, found.grounds) == (TrustTier.T3, 75, None)
    assert given.tier("default", "other") == TrustTier.T1
