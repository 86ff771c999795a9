"""The taxonomy: every intent type a call can be judged to be, as a value that an operator can extend.

Owns lookup and extension. The table itself is `taxonomy_data.py`; reading an operator's file is `policyfiles`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.core.intent.model import EffectClass
from gateway.core.intent.taxonomy_data import DOMAINS, TYPES

__all__ = ["TAXONOMY", "UNKNOWN_TYPE", "Domain", "IntentType", "Taxonomy", "TaxonomyError", "ValueType"]


class ValueType(StrEnum):
    """What an intent type is worth to the organisation (contract, section 2; "Typical Value" of the Ops guide)."""

    EFFICIENCY = "efficiency"
    REVENUE = "revenue"
    RISK_MITIGATION = "risk_mitigation"
    COST_SAVINGS = "cost_savings"


class TaxonomyError(ValueError):
    """A type that cannot join the taxonomy; the text says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentType:
    """One kind of intent.

    `value` is None where the published guide names none. `base_risk` replaces the points of the effect class.
    `words` are words of a tool's name that speak for this type among those of its domain and effect class.
    """

    id: str
    domain: str
    value: ValueType | None
    effect_class: EffectClass
    base_risk: int | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A family of intent types. `nouns` are the words of a tool's name or parameters that speak for it."""

    name: str
    description: str
    published: bool
    """True for the domains of the Ops guide."""
    nouns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Taxonomy:
    """All domains and types, in the order of their tables. Compared by identity, so that it can key a cache."""

    domains: tuple[Domain, ...]
    types: tuple[IntentType, ...]
    by_id: Mapping[str, IntentType] = field(init=False, repr=False)
    by_domain: Mapping[str, tuple[IntentType, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_id: dict[str, IntentType] = {}
        by_domain: dict[str, list[IntentType]] = {domain.name: [] for domain in self.domains}
        for intent_type in self.types:
            check_type(intent_type)
            if intent_type.id in by_id:
                raise TaxonomyError(f"intent type {intent_type.id!r} is declared twice; remove one")
            by_id[intent_type.id] = intent_type
            by_domain.setdefault(intent_type.domain, []).append(intent_type)
        if "unknown" not in by_id:
            raise TaxonomyError("the taxonomy has no type 'unknown', which stands for what cannot be classified")
        object.__setattr__(self, "by_id", by_id)
        object.__setattr__(self, "by_domain", {name: tuple(types) for name, types in by_domain.items()})

    def get(self, type_id: str) -> IntentType | None:
        """Return the type of that id, or None."""
        return self.by_id.get(type_id)

    def extended(self, extra: Sequence[IntentType]) -> "Taxonomy":
        """Return this taxonomy with an operator's types behind the shipped ones; new domains come with them.

        Raises:
            TaxonomyError: an id is taken or malformed, its domain differs, or its base risk is out of bounds.
        """
        known = {domain.name for domain in self.domains}
        added = tuple(
            Domain(name=name, description="declared by the operator", published=False)
            for name in dict.fromkeys(intent_type.domain for intent_type in extra)
            if name not in known
        )
        return Taxonomy(domains=self.domains + added, types=self.types + tuple(extra))


def check_type(intent_type: IntentType) -> None:
    """Refuse a type whose id does not name its domain, or whose base risk is no risk."""
    domain, dot, name = intent_type.id.partition(".")
    if intent_type.id != "unknown" and not (dot and is_word(domain) and is_word(name)):
        raise TaxonomyError(f"intent type {intent_type.id!r}: expected `domain.name` in a-z, 0-9 and _")
    if domain != intent_type.domain:
        raise TaxonomyError(f"intent type {intent_type.id!r}: its domain is {domain!r}, not {intent_type.domain!r}")
    if intent_type.base_risk is not None and not 0 <= intent_type.base_risk <= 100:
        raise TaxonomyError(f"intent type {intent_type.id!r}: base_risk must be 0 to 100")


def is_word(text: str) -> bool:
    """Return True for lower-case ASCII words with digits and underscores."""
    return text.isascii() and text.replace("_", "a").isalnum() and text == text.lower()


def shipped_types(rows: Iterable[tuple[str, str, str, int | None, str]]) -> tuple[IntentType, ...]:
    """Read the rows of `taxonomy_data.TYPES`."""
    return tuple(
        IntentType(
            id=type_id,
            domain=type_id.partition(".")[0],
            value=ValueType(value) if value else None,
            effect_class=EffectClass(effect),
            base_risk=base_risk,
            words=tuple(words.split()),
        )
        for type_id, value, effect, base_risk, words in rows
    )


TAXONOMY = Taxonomy(
    domains=tuple(
        Domain(name=name, description=description, published=published, nouns=tuple(nouns.split()))
        for name, description, published, nouns in DOMAINS
    ),
    types=shipped_types(TYPES),
)
"""The shipped taxonomy."""

UNKNOWN_TYPE = TAXONOMY.by_id["unknown"]
"""What cannot be classified."""
