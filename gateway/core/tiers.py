"""The trust tiers that configuration gives: to agents by their name, to all others, and what each tier may do.

Owns what is written down before anybody acts. What an agent earns is `core/trust`; the thresholds that a tenant's
administrators set are `services/thresholds.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.decision import Thresholds
from gateway.core.principal import DEFAULT_TENANT, TrustTier

__all__ = ["ConfiguredTiers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredTiers:
    """The trust tiers from configuration: of single agents by name, of all others, and what each tier may do.

    A plain name is that of an agent of the tenant `default`, `TENANT/AGENT` that of another tenant's: whoever chooses
    names in one tenant must not get the tier that was given in another.
    """

    default: TrustTier
    agents: Mapping[str, TrustTier]
    thresholds: Mapping[TrustTier, Thresholds]

    def tier(self, tenant: str, agent: str) -> TrustTier:
        """Return the tier of an agent where none is earned."""
        found = self.pinned(tenant, agent)
        return self.default if found is None else found

    def pinned(self, tenant: str, agent: str) -> TrustTier | None:
        """Return the tier that an agent has by its name, for good; None where it is not named."""
        found = self.agents.get(f"{tenant}/{agent}")
        if found is None and tenant == DEFAULT_TENANT:
            found = self.agents.get(agent)
        return found

    def caps(self, tenant: str, tier: TrustTier) -> Thresholds:
        """Return what the tier may do in every tenant that has no thresholds of its own."""
        return self.thresholds[tier]
