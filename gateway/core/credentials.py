"""What an API key looks like: its formats, how one is made and how it is read.

Owns the text only (contract, section 1, "Authentication"): `intendedops_<tenantId>_<secret>`, `mrt_live_<secret>` and
`mrt_test_<secret>`. A secret is base62 and begins after the last underscore. Whether a key is anybody's is
`services/keys.py`; what is kept of it is its digest alone. Portal sessions are `services/people.py`.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "MAX_CHARS",
    "SECRET_CHARS",
    "KeyFormat",
    "PresentedKey",
    "digest",
    "is_tenant_id",
    "make_key",
    "parse",
]

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

SECRET_CHARS: Final = 43
"""Of a secret that is made here: 256 bits."""
LEAST_SECRET_CHARS: Final = 22
"""128 bits; what is shorter is no key."""
MOST_SECRET_CHARS: Final = 128
MAX_CHARS: Final = len("intendedops_") + 63 + 1 + MOST_SECRET_CHARS
"""Of a whole credential; what is longer is not even looked at."""

_TENANT = "[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
_SECRET = f"[A-Za-z0-9]{{{LEAST_SECRET_CHARS},{MOST_SECRET_CHARS}}}"
_TENANT_ID = re.compile(_TENANT)
_KEY = re.compile(f"(?:intendedops_(?P<tenant>{_TENANT})|mrt_(?P<mode>live|test))_{_SECRET}")
"""The secret has no underscore, so the tenant's last one is found without a doubt."""


class KeyFormat(StrEnum):
    """In which form a key is issued. It says nothing about what the key may do; `test` is a label for people."""

    INTENDEDOPS = "intendedops"
    MRT_LIVE = "mrt_live"
    MRT_TEST = "mrt_test"


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedKey:
    """What the text of a key says about itself; a claim until the whole of it is found. `tenant` may be empty."""

    format: KeyFormat
    tenant: str


def parse(text: str) -> PresentedKey | None:
    """Return what a presented text says, or None where it has the form of no key."""
    found = _KEY.fullmatch(text) if len(text) <= MAX_CHARS else None
    if found is None:
        return None
    mode: str | None = found["mode"]
    if mode is None:
        return PresentedKey(format=KeyFormat.INTENDEDOPS, tenant=found["tenant"])
    return PresentedKey(format=KeyFormat(f"mrt_{mode}"), tenant="")


def make_key(format_: KeyFormat, tenant: str, chance: str) -> str:
    """Return a new key of `tenant`. `chance` holds at least 128 unguessable bits and is used for nothing else.

    Raises:
        ValueError: `tenant` is no tenant id.
    """
    if not is_tenant_id(tenant):
        msg = "not a tenant id"
        raise ValueError(msg)
    prefix = f"{format_}_{tenant}" if format_ is KeyFormat.INTENDEDOPS else str(format_)
    return f"{prefix}_{_secret(chance)}"


def is_tenant_id(text: str) -> bool:
    """Return whether a text has the form of a tenant id."""
    return len(text) <= MAX_CHARS and _TENANT_ID.fullmatch(text) is not None


def digest(text: str) -> bytes:
    """Return the SHA-256 of a whole presented text: all that is ever kept of it.

    A plain hash suffices: the secret is random and far too long to be guessed, unlike a password.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _secret(chance: str) -> str:
    """Spread what is unguessable over the alphabet, always at the same length."""
    number = int.from_bytes(hashlib.sha256(chance.encode()).digest(), "big")
    digits = []
    for _ in range(SECRET_CHARS):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
