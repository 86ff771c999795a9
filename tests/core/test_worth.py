"""What a completed intent is worth is the operator's amount, under the guide's kind of value."""

from decimal import Decimal

import pytest

from gateway.core.intent.taxonomy import TAXONOMY, ValueType
from gateway.core.worth import NO_AMOUNTS, OTHER, Credit, amounts_of


def test_an_amount_in_units_is_exact_in_cents() -> None:
    """99.99 as a binary fraction times 100 is 9998.999…: nobody wants to find that cent."""
    units = {"billing.send_invoice": Decimal("99.99"), "sales.create_lead": Decimal("0.29")}
    amounts = amounts_of(TAXONOMY, "EUR", units)
    assert amounts.of("billing.send_invoice") == Credit(cents=9999, type="efficiency", currency="EUR")
    assert amounts.of("sales.create_lead") == Credit(cents=29, type="revenue", currency="EUR")
    assert amounts.of("support.create_ticket") is None


def test_each_type_has_the_kind_of_value_of_the_guide_or_other() -> None:
    """Metrics tell value by type; a type with a dash in the guide may still be given an amount."""
    amounts = amounts_of(TAXONOMY, "USD", dict.fromkeys(TAXONOMY.by_id, Decimal(1)))
    kinds = {credit.type for credit in amounts.credits.values()}
    assert kinds == {*map(str, ValueType), OTHER}
    refund = amounts.of("billing.process_refund")
    assert refund is not None
    assert refund.shown() == {"cents": 100, "type": "other", "currency": "USD"}


def test_a_type_that_does_not_exist_is_refused() -> None:
    """Settings refuse it with the nearest name before; a second reader must not get by without."""
    with pytest.raises(KeyError):
        amounts_of(TAXONOMY, "USD", {"billing.send_invoce": Decimal(1)})


def test_without_amounts_nothing_earns() -> None:
    """The default."""
    assert NO_AMOUNTS.of("billing.send_invoice") is None
