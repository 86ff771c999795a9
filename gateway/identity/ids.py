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

RANDOM_BYTES = 10
DRAWN_AT_ONCE = 64
"""Each draw is a system call that lets go of the interpreter's lock, and a busy writer thread then keeps it."""

SECRET_BYTES = 32


class RandomIds:
    """ULIDs from the system's clock and random source. Used from one thread."""

    def __init__(self) -> None:
        self._random = b""

    def new(self, prefix: str) -> str:
        """Return a fresh ULID behind `prefix` and `_`."""
        if len(self._random) < RANDOM_BYTES:
            self._random = os.urandom(RANDOM_BYTES * DRAWN_AT_ONCE)
        chance, self._random = self._random[:RANDOM_BYTES], self._random[RANDOM_BYTES:]
        number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(chance, "big")
        digits = [PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)]
        return f"{prefix}_{''.join(digits)}"

    def secret(self) -> str:
        """Return 256 random bits as URL-safe text."""
        return secrets.token_urlsafe(SECRET_BYTES)
