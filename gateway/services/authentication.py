"""Who is this? One credential → one principal, or a refusal. There is no fallback identity on any path.

1. Exactly one credential is presented, an API key or (by REST only) a portal session; several different ones, or one
   that proves nobody, are refused, in keyless mode too.
2. None at all is the agent `local` on the MCP front as long as there never was a key; anywhere else it is refused.
3. The request counts for the credential's rate limit.
4. A tenant that the request names must be the credential's. Only now: before, the answer would tell who exists.

Every path takes these steps in this order. What a principal may do is its scopes' business (`require_scope`).
"""

from typing import Protocol

from gateway.core.principal import KEYLESS, Principal, Scope
from gateway.errors import Forbidden, Unauthenticated
from gateway.services.ratelimit import RateLimits

__all__ = ["Authentication", "KeyDirectory", "SessionDirectory", "require_scope", "require_tenant"]

_NONE = (
    "No API key was sent. Send one as `Authorization: Bearer KEY` or `x-api-key: KEY`;"
    " an operator makes one with `intended keys create`."
)
_SEVERAL = "Two different credentials in one request; send one."
_UNKNOWN = (
    "Unknown credential. It may be mistyped, expired or revoked;"
    " an operator makes a new API key with `intended keys create`."
)


class KeyDirectory(Protocol):
    """The API keys (`services/keys.py`)."""

    def any(self) -> bool:
        """Return whether there is, or ever was, a key."""
        ...

    def resolve(self, presented: str) -> Principal | None:
        """Return whom a presented text proves now, or None where it proves nobody."""
        ...

    def stands(self, principal: Principal) -> bool:
        """Return whether a principal of one of the keys would still be proved by its credential."""
        ...


class SessionDirectory(Protocol):
    """The portal sessions (`services/people.py`)."""

    def resolve(self, text: str) -> Principal | None:
        """Return whom a presented session proves now, or None where it proves nobody."""
        ...


class Authentication:
    """Checks what a request presents against the credentials that exist: `identify`, then `admit`.

    They are two, because a face records what is refused in between as the principal's own.
    """

    def __init__(self, *, keys: KeyDirectory, limits: RateLimits, sessions: SessionDirectory | None = None) -> None:
        self._keys = keys
        self._limits = limits
        self._sessions = sessions

    def identify(self, presented: tuple[str, ...], *, session: str = "", keyless: bool = False) -> Principal:
        """Return whom the credentials prove; `admit` comes next. Raises Unauthenticated, and StoreError where unknown.

        `presented` holds every key of the request (`x-api-key` and bearer values), empty where there is none; `session`
        is its portal session. `keyless` says that the path knows keyless mode: the MCP front's does.
        """
        if len(presented) == 1 and not session:
            principal = self._keys.resolve(presented[0])
        elif not presented and not session:
            if keyless and not self._keys.any():
                return KEYLESS
            raise Unauthenticated(_NONE)
        elif (session and presented) or len(set(presented)) > 1:
            raise Unauthenticated(_SEVERAL)
        elif session:
            principal = None if self._sessions is None else self._sessions.resolve(session)
        else:
            principal = self._keys.resolve(presented[0])
        if principal is None:
            raise Unauthenticated(_UNKNOWN)
        return principal

    def admit(self, principal: Principal, *, tenant: str = "") -> None:
        """Count the request, and compare the tenant that it names, if any. Raises RateLimited and Forbidden."""
        self._limits.take(principal.credential, principal.per_minute, tenant=principal.tenant, plan=principal.plan)
        if tenant:
            require_tenant(principal, tenant)

    def stands(self, principal: Principal) -> bool:
        """Return whether what is open in this name (a session, a stream) may stay open."""
        if principal is KEYLESS:
            return not self._keys.any()
        return self._keys.stands(principal)


def require_tenant(principal: Principal, tenant: str) -> None:
    """Raise Forbidden where a request names another tenant than its credential's, in a header, path or body."""
    if tenant != principal.tenant:
        msg = "The credential belongs to another tenant than the request names."
        raise Forbidden(msg)


def require_scope(principal: Principal, scope: Scope) -> None:
    """Raise Forbidden where the credential may not be used for this."""
    if scope not in principal.scopes:
        msg = f"This credential lacks the scope `{scope}`."
        raise Forbidden(msg)
