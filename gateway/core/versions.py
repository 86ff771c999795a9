"""The protocol versions of both eras, oldest first.

Owns the list only; which of them a message or an upstream speaks is read in `core/wire.py` and asked in `upstream`.
Versions are an enumerated set: nothing compares them as text.
"""

from typing import Final

__all__ = ["HANDSHAKE_VERSIONS", "KNOWN_VERSIONS", "MODERN_VERSIONS"]

HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Opened by `initialize`, kept in a session."""

MODERN_VERSIONS: Final = ("2026-07-28",)
"""Named on every request."""

KNOWN_VERSIONS: Final = HANDSHAKE_VERSIONS + MODERN_VERSIONS
