"""Agents as a tenant registers them: the value, its slug, and what its declarations restrict.

Owns the shape and the rule for slugs. Who may register one and where it is kept is `services/agents.py`.
"""

import re
import unicodedata
from dataclasses import dataclass

from gateway.core.value import value

__all__ = ["MAX_SLUG_CHARS", "Agent", "Restriction", "slug_of"]

MAX_SLUG_CHARS = 64
"""Of a slug: it is written into every entry of its agent."""

_NO_WORD = re.compile(r"[^a-z0-9]+")


@value
class Restriction:
    """The intents that an agent declared for itself; any other is denied. Empty restricts nothing (contract, 1)."""

    domains: frozenset[str] = frozenset()
    intent_types: frozenset[str] = frozenset()

    def permits(self, *, domain: str, intent_type: str) -> bool:
        """Return True where the intent is among the declared ones."""
        return (not self.domains or domain in self.domains) and (
            not self.intent_types or intent_type in self.intent_types
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A registered agent. `id` (`agt_…`) and `slug` both name it within its tenant; `created` is RFC 3339."""

    tenant: str
    id: str
    slug: str
    name: str
    description: str
    restriction: Restriction
    created: str


def slug_of(name: str) -> str:
    """Return the slug that a name makes (`Billing Agent` → `billing-agent`); empty where it has no letter or digit."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _NO_WORD.sub("-", plain).strip("-")[:MAX_SLUG_CHARS].strip("-")
