"""The client of the Intended authority service: `from intended import IntendedClient`.

Nothing here is imported from `gateway`: a program that asks for decisions needs no server. Names are loaded when they
are first used, so that `intended.verify`, which a guarded server imports, does not bring an HTTP client along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from intended.aio import AsyncIntendedClient
    from intended.client import IntendedClient
    from intended.errors import (
        ApiError,
        AuthenticationError,
        BlockedError,
        ConflictError,
        ForbiddenError,
        IntendedError,
        NotFoundError,
        RateLimitedError,
        ServiceUnavailableError,
        ValidationError,
    )
    from intended.ops import IntendedOpsClient
    from intended.results import Approval, Decision, Intent, Page

__all__ = [
    "ApiError",
    "Approval",
    "AsyncIntendedClient",
    "AuthenticationError",
    "BlockedError",
    "ConflictError",
    "Decision",
    "ForbiddenError",
    "IntendedClient",
    "IntendedError",
    "IntendedOpsClient",
    "Intent",
    "NotFoundError",
    "Page",
    "RateLimitedError",
    "ServiceUnavailableError",
    "ValidationError",
    "__version__",
]

_HOMES = {
    "AsyncIntendedClient": "intended.aio",
    "IntendedClient": "intended.client",
    "IntendedOpsClient": "intended.ops",
    "Approval": "intended.results",
    "Decision": "intended.results",
    "Intent": "intended.results",
    "Page": "intended.results",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for; every name without another home is an error class."""
    if name not in __all__:
        raise AttributeError(f"module 'intended' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "intended.errors")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
