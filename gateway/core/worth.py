"""What a completed intent is worth: an operator's amounts by intent type, and what its completed entry keeps of them.

Owns the lookup and the shape on record. What kinds of value there are is the taxonomy's; when an intent has completed,
its services say. What was credited stands in the entry, so that a later change of the amounts rewrites no history.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from gateway.core.intent.taxonomy import Taxonomy
from gateway.core.jsonvalue import JsonObject

__all__ = ["CENTS", "NO_AMOUNTS", "OTHER", "Amounts", "Credit", "amounts_of"]

CENTS: Final = 100
"""Of one unit of a currency, also of one that has no cents: an amount has at most two decimals."""

OTHER: Final = "other"
"""The kind of value of a type for which the published guide names none, as `billing.process_refund`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What one completed intent earned: hundredths of a unit of the currency, and the kind of value."""

    cents: int
    type: str
    currency: str

    def shown(self) -> JsonObject:
        """Return what the body of the completed entry says under `value`, where the index of the store reads it."""
        return {"cents": self.cents, "type": self.type, "currency": self.currency}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The operator's amounts. A type without one earns nothing, and its entry says nothing of value."""

    currency: str = "USD"
    credits: Mapping[str, Credit] = field(default_factory=dict)

    def of(self, intent_type: str) -> Credit | None:
        """Return what a completed intent of that type earns."""
        return self.credits.get(intent_type)


NO_AMOUNTS: Final = Amounts()
"""Nothing earns anything."""


def amounts_of(taxonomy: Taxonomy, currency: str, units: Mapping[str, Decimal]) -> Amounts:
    """Return the amounts by type, in units of the currency with at most two decimals. Raises KeyError: no such type."""
    credits = {}
    for name, amount in units.items():
        kind = taxonomy.by_id[name].value
        cents = int(amount * CENTS)
        credits[name] = Credit(cents=cents, type=OTHER if kind is None else kind.value, currency=currency)
    return Amounts(currency=currency, credits=credits)
