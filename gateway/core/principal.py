"""Who asks: the principal, as its credential proves it, and the trust tiers.

Owns identity as a value. How a credential is checked is `services/authentication.py`; a client's own claims
(`clientInfo`, headers) never get here.
"""

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["DEFAULT_TENANT", "KEYLESS_AGENT", "SYSTEM_TENANT", "Principal", "TrustTier"]

DEFAULT_TENANT = "default"
"""The tenant of keyless mode and of a gateway that serves one organisation (contract, section 1)."""

SYSTEM_TENANT = "_system"
"""The tenant whose chain holds what belongs to no principal: refused strangers, start, stop (design, section 3)."""

KEYLESS_AGENT = "local"
"""The agent that keyless mode stands for (contract, section 1)."""


class TrustTier(IntEnum):
    """Standing of an agent, `T0` (new) to `T4` (proven). It caps the risk that may be allowed without a human."""

    T0 = 0
    T1 = 1
    T2 = 2
    T3 = 3
    T4 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated agent of one tenant.

    `credential` names the credential (a key id, or `keyless`), never its secret.
    """

    tenant: str
    agent: str
    credential: str
