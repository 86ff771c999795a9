"""The Ref dialect: the endpoints of the Intended API reference, and the gateway's own management in its shape.

Every path but those under `/.well-known` is served under `/v1` too.
"""

from dataclasses import replace
from typing import Final

from gateway.api.operation import Operation
from gateway.api.ref import audit, authority, connectors, evidence, intents, jwks, keys, people, switches, webhooks

__all__ = ["OPERATIONS"]

_MODULES: Final = (intents, authority, audit, evidence, connectors, keys, people, switches, webhooks)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *(replace(one, both_prefixes=True) for module in _MODULES for one in module.OPERATIONS),
    *jwks.OPERATIONS,
)
"""The intents come first: they are asked for most, and routes are looked through in this order."""
