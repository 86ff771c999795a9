"""Identifiers and secrets: the only randomness of the gateway. Implements `ports.Ids`.

ULIDs (https://github.com/ulid/spec): 48 bits of milliseconds and 80 random bits in Crockford's base 32. Made here, at
a tenth of the library's cost, because every call needs three; the library reads them in the tests.
"""

import os
import secrets
import time

__all__ = ["RandomIds"]

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
"""Ten bits at a time: 26 characters are 13 look-ups."""

SECRET_BYTES = 32


class RandomIds:
    """ULIDs from the system's clock and random source."""

    def new(self, prefix: str) -> str:
        """Return a fresh ULID behind `prefix` and `_`."""
        number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
        digits = [PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)]
        return f"{prefix}_{''.join(digits)}"

    def secret(self) -> str:
        """Return 256 random bits as URL-safe text."""
        return secrets.token_urlsafe(SECRET_BYTES)
