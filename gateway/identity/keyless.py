"""Keyless mode: no API key and no issuer is configured, so a request without a credential is the agent `local`.

The one exception to "no anonymous access" (contract, section 1): loopback only, MCP front only. A request that does
present a credential is refused, since there is none that it could be.
"""

from gateway.core.principal import DEFAULT_TENANT, KEYLESS_AGENT, Principal

__all__ = ["Keyless"]


class Keyless:
    """Implements `ports.Credentials` for a gateway that knows no key."""

    _LOCAL = Principal(tenant=DEFAULT_TENANT, agent=KEYLESS_AGENT, credential="keyless")

    async def resolve(self, presented: str) -> Principal | None:
        """Return None: no credential proves anybody here."""
        return None

    def keyless(self) -> Principal | None:
        """Return the agent `local` of tenant `default`."""
        return self._LOCAL
