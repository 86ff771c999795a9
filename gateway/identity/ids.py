"""Identifiers and secrets: the only randomness of the gateway. Implements `ports.Ids`.

ULIDs (https://github.com/ulid/spec): 48 bits of milliseconds and 80 random bits in Crockford's base 32. Made here, at a
twentieth of the library's cost, because every call needs three; the library reads them in the tests.
"""

import os
import secrets
import time

__all__ = ["RandomIds"]

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_CHARS = 16
CHAR_OF_BYTE = (ALPHABET * 8).encode()
"""A random byte picks one of 32 characters; 256 is eight times that, so each is as likely as any other."""

LOW_BITS = 10
LOW_MASK = (1 << LOW_BITS) - 1
LOW = [high + low for high in ALPHABET for low in ALPHABET]
"""The last two characters of the time. The eight before them stay the same for a second (of 1024 ms)."""

DRAWN_AT_ONCE = 256
"""Each draw is a system call that lets go of the interpreter's lock, and a busy writer thread then keeps it."""

SECRET_BYTES = 32


class RandomIds:
    """ULIDs from the system's clock and random source. Used from one thread."""

    def __init__(self) -> None:
        self._chances: list[str] = []
        self._second = -1
        self._high = ""

    def new(self, prefix: str) -> str:
        """Return a fresh ULID behind `prefix` and `_`."""
        millisecond = time.time_ns() // 1_000_000
        second = millisecond >> LOW_BITS
        if second != self._second:
            self._second = second
            self._high = "".join([ALPHABET[second >> shift & 31] for shift in range(35, -1, -5)])
        if not self._chances:
            drawn = os.urandom(RANDOM_CHARS * DRAWN_AT_ONCE).translate(CHAR_OF_BYTE).decode("ascii")
            self._chances = [drawn[at : at + RANDOM_CHARS] for at in range(0, len(drawn), RANDOM_CHARS)]
        return f"{prefix}_{self._high}{LOW[millisecond & LOW_MASK]}{self._chances.pop()}"

    def secret(self) -> str:
        """Return 256 random bits as URL-safe text."""
        return secrets.token_urlsafe(SECRET_BYTES)
