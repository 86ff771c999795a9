"""Identifiers and secrets: the only randomness of the gateway. Implements `ports.Ids`.

ULIDs (https://github.com/ulid/spec): 48 bits of milliseconds and 80 random bits in Crockford's base 32. Made here, at a
twentieth of the library's cost, because every call needs three; the library reads them in the tests.
"""

import os
import secrets
import time

__all__ = ["RandomIds"]

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TRIPLES = [a + b + c for a in ALPHABET for b in ALPHABET for c in ALPHABET]
"""Fifteen bits at a time: 16 random characters are five look-ups and one."""

RANDOM_BYTES = 10
DRAWN_AT_ONCE = 64
"""Each draw is a system call that lets go of the interpreter's lock, and a busy writer thread then keeps it."""

SECRET_BYTES = 32


class RandomIds:
    """ULIDs from the system's clock and random source. Used from one thread."""

    def __init__(self) -> None:
        self._chances: list[bytes] = []
        self._millisecond = -1
        self._time = ""

    def new(self, prefix: str) -> str:
        """Return a fresh ULID behind `prefix` and `_`."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            high = TRIPLES[millisecond >> 30 & 32767] + TRIPLES[millisecond >> 15 & 32767]
            self._time = ALPHABET[millisecond >> 45] + high + TRIPLES[millisecond & 32767]
        if not self._chances:
            drawn = os.urandom(RANDOM_BYTES * DRAWN_AT_ONCE)
            self._chances = [drawn[at : at + RANDOM_BYTES] for at in range(0, len(drawn), RANDOM_BYTES)]
        chance = int.from_bytes(self._chances.pop(), "big")
        return (
            f"{prefix}_{self._time}"
            f"{TRIPLES[chance >> 65]}{TRIPLES[chance >> 50 & 32767]}{TRIPLES[chance >> 35 & 32767]}"
            f"{TRIPLES[chance >> 20 & 32767]}{TRIPLES[chance >> 5 & 32767]}{ALPHABET[chance & 31]}"
        )

    def secret(self) -> str:
        """Return 256 random bits as URL-safe text."""
        return secrets.token_urlsafe(SECRET_BYTES)
