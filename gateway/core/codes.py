"""The JSON-RPC error codes of both eras and the HTTP status of each.

Owns the numbers only. They are the specification's (2026-07-28, "Error codes"), written here and not imported from the
SDK: its types cost a third of a second of start-up, which every command would pay. A test compares them with it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = [
    "GATEWAY_REFUSED",
    "HEADER_MISMATCH",
    "HTTP_STATUS",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "MISSING_CLIENT_CAPABILITY",
    "PARSE_ERROR",
    "RESOURCE_NOT_FOUND",
    "UNSUPPORTED_VERSION",
    "status_of",
]

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
RESOURCE_NOT_FOUND: Final = -32002
"""Handshake era only; the modern era says INVALID_PARAMS and forbids this one."""
HEADER_MISMATCH: Final = -32020
MISSING_CLIENT_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022
GATEWAY_REFUSED: Final = 40301
"""Our own, outside the reserved range: a decision refused what has no `isError` form (protocol research, 3.2)."""

HTTP_STATUS: Final[Mapping[int, int]] = MappingProxyType(
    {
        PARSE_ERROR: 400,
        INVALID_REQUEST: 400,
        INVALID_PARAMS: 400,
        HEADER_MISMATCH: 400,
        MISSING_CLIENT_CAPABILITY: 400,
        UNSUPPORTED_VERSION: 400,
        METHOD_NOT_FOUND: 404,
    }
)
"""Modern era. What is missing here is answered with 200; the handshake era answers every read request with 200."""


def status_of(code: int) -> int:
    """Return the HTTP status of the modern era for an error code, 200 where the specification names none."""
    return HTTP_STATUS.get(code, 200)
