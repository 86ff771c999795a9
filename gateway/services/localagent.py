"""Who is this, in a gateway that a program embeds for one agent of its own: that agent, with or without its key.

The program that embeds a gateway has named tenant, agent and key, and the gateway binds loopback only. So a request
without a credential is that agent, on the MCP front alone, as in keyless mode; it does not end with the first key: the
program's word is no lack of configuration. Any other credential is looked up as everywhere.
"""

import hmac
from dataclasses import dataclass

from gateway.core.credentials import digest
from gateway.core.principal import Principal
from gateway.services.authentication import Authentication, KeyDirectory, SessionDirectory
from gateway.services.ratelimit import RateLimits

__all__ = ["LocalAgent", "LocalAuthentication"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAgent:
    """The one agent of an embedded gateway, and the digest of the key that stands for it."""

    principal: Principal
    key_digest: bytes

    def proved_by(self, presented: str) -> bool:
        """Return whether `presented` is the key."""
        return hmac.compare_digest(digest(presented), self.key_digest)


class LocalAuthentication(Authentication):
    """Knows the local agent beside the keys that the store holds."""

    def __init__(
        self, local: LocalAgent, *, keys: KeyDirectory, limits: RateLimits, sessions: SessionDirectory | None = None
    ) -> None:
        super().__init__(keys=keys, limits=limits, sessions=sessions)
        self._local = local

    def identify(self, presented: tuple[str, ...], *, session: str = "", keyless: bool = False) -> Principal:
        """Return whom the credentials prove. Raises Unauthenticated."""
        if not session:
            if keyless and not presented:
                return self._local.principal
            if len(set(presented)) == 1 and self._local.proved_by(presented[0]):
                return self._local.principal
        return super().identify(presented, session=session, keyless=False)

    def stands(self, principal: Principal) -> bool:
        """Return whether what is open in this name may stay open; the local agent's may until the gateway closes."""
        return principal is self._local.principal or super().stands(principal)
