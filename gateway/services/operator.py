"""The operator at the command line: the principal that the operating system vouches for, and how a face learns of it.

Only `admin/` puts the key into an ASGI scope, behind a socket that looked at the peer's user; nothing that is sent over
a network can. A face that finds the key asks for no other credential.
"""

from typing import Final

from gateway.core.principal import CLI_CREDENTIAL, Principal, Role, Scope

__all__ = ["OPERATOR_KEY", "operator"]

OPERATOR_KEY: Final = "intended.operator"
"""The member of an ASGI scope that holds the operator's `Principal`."""


def operator(tenant: str) -> Principal:
    """Return the operator acting for `tenant`: every scope, role admin, no rate limit."""
    return Principal(
        tenant=tenant, agent=CLI_CREDENTIAL, credential=CLI_CREDENTIAL, scopes=frozenset(Scope), role=Role.ADMIN
    )
