"""Who asks by REST: the credential headers of a request → one principal, and whether it may do this.

Owns how credentials are presented here (contract, section 1). Whom they prove, the tenant header and the rate limit are
`services/authentication.py`. A query string and cookies are never looked at.
"""

from collections.abc import Iterable, MutableMapping
from typing import Any, Final

from gateway.core.principal import Principal, Role, Scope
from gateway.errors import Forbidden
from gateway.services.authentication import Authentication, require_scope
from gateway.services.operator import OPERATOR_KEY

__all__ = ["PRINCIPAL", "authenticate", "require"]

PRINCIPAL: Final = "gateway.api.principal"
"""The member of an ASGI scope that says who asks, also where the request is refused."""

_KEY: Final = b"x-api-key"
_AUTHORIZATION: Final = b"authorization"
_SESSION: Final = b"x-portal-session-id"
_TENANT: Final = b"x-tenant-id"
_BLANK: Final = " \t"
"""White space around a header's value is no part of it (RFC 9110, 5.5)."""


def authenticate(scope: MutableMapping[str, Any], authentication: Authentication) -> Principal:
    """Return who asks, and put it into the scope as soon as it is known.

    A header that comes twice is read as its values joined, which no key, session or tenant ever is.

    Raises:
        Unauthenticated: no credential, an unknown one, or two different ones.
        Forbidden: the credential is good, but of another tenant than `x-tenant-id` names.
        RateLimited: the credential has used up this minute.
        StoreError: it cannot be known.
    """
    operator = scope.get(OPERATOR_KEY)
    if isinstance(operator, Principal):
        scope[PRINCIPAL] = operator
        return operator
    keys, session, tenant = _presented(scope["headers"])
    principal = scope[PRINCIPAL] = authentication.identify(keys, session=session)
    authentication.admit(principal, tenant=tenant)
    return principal


def require(principal: Principal, scope: Scope | None, roles: frozenset[Role]) -> None:
    """Raise Forbidden where the principal may not use a route; None asks for no scope, no roles for no role."""
    if scope is not None:
        require_scope(principal, scope)
    if roles and principal.role not in roles:
        msg = f"This needs the role {' or '.join(sorted(f'`{role}`' for role in roles))}."
        raise Forbidden(msg)


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, ...], str, str]:
    """Return every key presented, the portal session and the tenant; empty where there is none."""
    keys: list[str] = []
    sessions: list[str] = []
    tenants: list[str] = []
    for name, value in headers:
        if name == _KEY:
            keys.append(_text(value))
        elif name == _AUTHORIZATION:
            keys.append(_bearer(_text(value)))
        elif name == _SESSION:
            sessions.append(_text(value))
        elif name == _TENANT:
            tenants.append(_text(value))
    return tuple(keys), ", ".join(sessions), ", ".join(tenants)


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip(_BLANK)


def _bearer(authorization: str) -> str:
    """Return the token of a Bearer header; another scheme is returned whole: presented, but nobody's."""
    scheme, _, token = authorization.partition(" ")
    return token.strip(_BLANK) if scheme.lower() == "bearer" else authorization
