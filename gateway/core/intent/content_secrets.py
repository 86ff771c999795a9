"""Secrets in text, by their shape, and names of where they are kept.

Searches for literals only, so its time is linear in the text.
"""

import re
from collections.abc import Iterator

from gateway.core.intent.naming import words_of

__all__ = ["hands_out_secrets", "names_secrets", "secret_shape"]

ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")

PREFIXES: tuple[tuple[str, int], ...] = (
    ("AKIA", 16), ("ASIA", 16), ("sk-", 20), ("sk_live_", 16), ("sk_test_", 16), ("rk_live_", 16), ("ghp_", 30),
    ("gho_", 30), ("ghu_", 30), ("ghs_", 30), ("ghr_", 30), ("github_pat_", 30), ("glpat-", 16), ("xoxb-", 16),
    ("xoxp-", 16), ("xoxa-", 16), ("xoxr-", 16), ("xoxs-", 16), ("xapp-", 16), ("AIza", 30), ("ya29.", 20),
        ("npm_", 30),
    ("pypi-AgE", 16), ("SG.", 20), ("hf_", 30), ("dop_v1_", 30), ("shpat_", 20), ("mrt_live_", 16), ("mrt_test_", 16),
    ("intendedops_", 20), ("whsec_", 20), ("lin_api_", 20), ("ntn_", 30), ("hvs.", 20), ("AGE-SECRET-KEY-", 20),
)  # fmt: skip
"""Beginnings of well-known keys, and how many characters of a key must follow."""


SHORTEST = 20
"""Characters of the shortest key that has a known beginning."""

PREFIX = re.compile("|".join(re.escape(prefix) for prefix, _ in PREFIXES))
"""Literals side by side: no repetition, so the search is linear."""


SECRET_WORDS = frozenset({"secret", "credential", "password", "passwd", "privatekey", "tlskey", "apikey", "sshkey"})
"""Words by which a folder, or a kind of resource, keeps secrets."""
KEY_FILES = (".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk", ".ovpn", ".asc")
SECRET_RESOURCES = frozenset({"token", "tokens", "accesstokens", "apitokens", "apikeys", "accesskeys", "sshkeys",
    "deploykeys", "env", "envvars", "configvars"})  # fmt: skip
"""Segments of an interface's path behind which tokens, keys or an environment are."""


def secret_shape(text: str) -> bool:
    """Return True where text, as it was sent, holds something of the shape of a secret."""
    if len(text) < SHORTEST and "://" not in text:
        return False
    if "-----BEGIN" in text and "PRIVATE KEY" in text:
        return True
    if "eyJ" in text and ".eyJ" in text:
        return True
    if PREFIX.search(text) and any(follows(text, prefix, count) for prefix, count in PREFIXES):
        return True
    return "://" in text and user_in_url(text)


def follows(text: str, prefix: str, count: int) -> bool:
    """Return True where as many characters of a key stand behind the prefix, and no word before it."""
    for at in begins(text, prefix):
        tail = text[at + len(prefix) : at + len(prefix) + count]
        if len(tail) == count and ALPHABET.issuperset(tail) and not (at and text[at - 1].isalnum()):
            return True
    return False


def begins(text: str, part: str) -> Iterator[int]:
    """Yield each place where `part` begins."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


def user_in_url(text: str) -> bool:
    """Return True for `scheme://user:password@host`."""
    for at in begins(text, "://"):
        user, mark, _ = text[at + 3 : at + 260].partition("@")
        name, colon, password = user.partition(":")
        if mark and colon and name and password and "/" not in user and " " not in user:
            return True
    return False


def names_secrets(text: str, folded: str) -> bool:
    """Return True where a short text names where secrets are kept: a folder, a kind of resource, a key file."""
    if text.isalpha() and text.islower() and not text.startswith(("secret", "credential", "passw")):
        return False
    if folded.endswith(KEY_FILES) or any(place in folded for place in ("login data", "system.users", "pg_shadow")):
        return True
    return ("secret" in folded or "credential" in folded or "passw" in folded or "key" in folded) and not (
        SECRET_WORDS.isdisjoint(words_of(text))
    )


def hands_out_secrets(folded: str) -> bool:
    """Return True where a path of an interface ends in, or goes through, what gives tokens or keys back."""
    return not SECRET_RESOURCES.isdisjoint(folded.partition("?")[0].replace("-", "").replace("_", "").split("/"))
