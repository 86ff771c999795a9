"""Who asks: the principal, as its credential proves it, what it may do here, and the trust tiers.

Owns identity as a value, and the tables of scopes and roles (contract, section 1). How a credential is checked is
`services/authentication.py`; a client's own claims (`clientInfo`, headers) never get here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

__all__ = [
    "CLI_CREDENTIAL",
    "DEFAULT_TENANT",
    "KEYLESS",
    "KEYLESS_AGENT",
    "PLAIN_ROLES",
    "ROLE_SCOPES",
    "SYSTEM_TENANT",
    "TIER_NAMES",
    "Principal",
    "Role",
    "Scope",
    "TrustTier",
]

DEFAULT_TENANT = "default"
"""The tenant of keyless mode and of a gateway that serves one organisation (contract, section 1)."""

SYSTEM_TENANT = "_system"
"""The tenant whose chain holds what belongs to no principal: refused strangers, start, stop (design, section 3)."""

KEYLESS_AGENT = "local"
"""The agent that keyless mode stands for (contract, section 1)."""


CLI_CREDENTIAL = "cli"
"""The credential of the operator at the command line: the operating system vouches for the user of the socket."""


class Scope(StrEnum):
    """What a credential may be used for, one word per kind of route (contract, section 1)."""

    INTENTS_WRITE = "intents:write"
    INTENTS_READ = "intents:read"
    AGENTS_WRITE = "agents:write"
    AGENTS_READ = "agents:read"
    APPROVALS_WRITE = "approvals:write"
    APPROVALS_READ = "approvals:read"
    AUDIT_READ = "audit:read"
    POLICIES_WRITE = "policies:write"
    POLICIES_READ = "policies:read"
    WEBHOOKS_WRITE = "webhooks:write"
    KEYS_WRITE = "keys:write"
    MCP_CALL = "mcp:call"


class Role(StrEnum):
    """A named group of scopes; also what a rule may ask of an approver."""

    VIEWER = "viewer"
    AGENT = "agent"
    OPERATOR = "operator"
    POLICY_ADMIN = "policy_admin"
    ADMIN = "admin"


_READ = frozenset({Scope.INTENTS_READ, Scope.AGENTS_READ, Scope.APPROVALS_READ, Scope.AUDIT_READ, Scope.POLICIES_READ})
_ACT = frozenset({Scope.INTENTS_WRITE, Scope.INTENTS_READ, Scope.AGENTS_READ, Scope.MCP_CALL})

ROLE_SCOPES: Mapping[Role, frozenset[Scope]] = {
    Role.VIEWER: _READ,
    Role.AGENT: _ACT,
    Role.OPERATOR: _READ | {Scope.INTENTS_WRITE, Scope.AGENTS_WRITE, Scope.APPROVALS_WRITE},
    Role.POLICY_ADMIN: _READ | {Scope.POLICIES_WRITE},
    Role.ADMIN: frozenset(Scope),
}
"""What each role may do. An agent cannot approve: approving its own kind would make the human a formality."""

PLAIN_ROLES: Final = frozenset({Role.VIEWER, Role.AGENT})
"""Roles that are their scopes and no more; any other counts by itself too, for example as an approver's."""


class TrustTier(IntEnum):
    """How far an agent is trusted, `T0` (new) to `T4` (proven): caps the risk that may be allowed without a human."""

    T0 = 0
    T1 = 1
    T2 = 2
    T3 = 3
    T4 = 4


TIER_NAMES: Final = tuple(tier.name for tier in TrustTier)
"""The name of each tier, by its number: an Enum's own `name` costs ten times that, and each call asks for some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom an authenticated credential of one tenant stands for.

    `agent` is the slug of the agent in whose name it acts on the MCP front. `bound` is True where the credential is
    that agent's alone: by REST it may then name no other. A credential that is not bound acts on MCP as an agent of
    its own, named by the credential's id.
    `credential` names the credential (`key_…`, `ps_…`, `keyless`, `cli`), never its secret. `human` is the `usr_…` of
    a portal session, else empty. `per_minute` is the rate limit in requests; None where there is none. `plan` names
    the rate plan, empty for the default one.
    `generation` counts the rotations of the key: what was opened with an old secret is not the new one's.
    """

    tenant: str
    agent: str
    credential: str
    scopes: frozenset[Scope] = frozenset()
    role: Role | None = None
    bound: bool = False
    human: str = ""
    per_minute: int | None = None
    generation: int = 0
    plan: str = ""

    @property
    def named(self) -> str:
        """The agent as policies name it: by its slug in the tenant `default`, as `TENANT/SLUG` in any other.

        Whoever chooses names in one tenant must not come under a rule that was written for another's agent.
        """
        return self.agent if self.tenant == DEFAULT_TENANT else f"{self.tenant}/{self.agent}"


KEYLESS = Principal(
    tenant=DEFAULT_TENANT, agent=KEYLESS_AGENT, credential="keyless", scopes=frozenset({Scope.MCP_CALL})
)
"""Whom a request without any credential stands for, while there never was a key, on the MCP front (contract, 1)."""
