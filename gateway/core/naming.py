"""Names across several upstreams: how a tool or prompt of one is called on a path that serves many, and back.

An upstream id has no underscore, so the first `__` of an exposed name ends it. Policy, audit and digests never see
these names (design, section 4, "Upstreams and names").
"""

import hashlib
from collections.abc import Iterable

__all__ = ["EXPOSED_NAME_CHARS", "exposed_name", "own_name", "split_name"]

SEPARATOR = "__"

EXPOSED_NAME_CHARS = 64
"""Model providers refuse tool names that are longer."""

HASH_CHARS = 8


def exposed_name(upstream: str, name: str) -> str:
    """Return the name under which agents see `name` of `upstream`; longer ones end in a digest of the whole."""
    exposed = upstream + SEPARATOR + name
    if len(exposed) <= EXPOSED_NAME_CHARS:
        return exposed
    mark = hashlib.sha256(exposed.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARS]
    return f"{exposed[: EXPOSED_NAME_CHARS - HASH_CHARS - 1]}-{mark}"


def split_name(exposed: str) -> tuple[str, str]:
    """Return upstream id and the rest of an exposed name; two empty strings where it is none."""
    upstream, separator, rest = exposed.partition(SEPARATOR)
    return (upstream, rest) if separator else ("", "")


def own_name(upstream: str, exposed: str, known: Iterable[str]) -> str:
    """Return the upstream's own name behind an exposed one.

    `known` are the names that the upstream listed: a shortened name is found among them, compared as a whole.
    """
    rest = split_name(exposed)[1]
    if len(exposed) < EXPOSED_NAME_CHARS:
        return rest
    return next((name for name in known if exposed_name(upstream, name) == exposed), rest)
