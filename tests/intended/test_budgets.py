"""What is left of a budget is read strictly: a wrong number would be spent."""

import pytest

from intended.budgets import BudgetAccount, BudgetEntry, BudgetStatement
from intended.reading import Fields, Nonsense
from tests.intended.routes_of_agents import BUDGET, SPENDING


@pytest.mark.parametrize(
    "wrong",
    [{"spent": "250.5"}, {"spent": -1}, {"spent": None}, {"left": "all"}, {"windowSeconds": 0.5}, {"budget": ""}],
)
def test_an_account_without_what_it_is_about_is_none(wrong: dict[str, object]) -> None:
    """A missing number is not zero."""
    with pytest.raises(Nonsense):
        BudgetAccount.read(Fields({**BUDGET, **wrong}))


@pytest.mark.parametrize("wrong", [{"amount": None}, {"entryId": ""}, {"backAt": 5}])
def test_an_entry_without_amount_or_place_is_none(wrong: dict[str, object]) -> None:
    """It could not be found again in the audit trail."""
    with pytest.raises(Nonsense):
        BudgetEntry.read(Fields({**SPENDING, **wrong}))


def test_a_statement_says_whether_it_is_whole() -> None:
    """Who adds its entries up has to know whether some are missing."""
    with pytest.raises(Nonsense):
        BudgetStatement.read(Fields({**BUDGET, "entries": []}))


def test_the_limits_by_rule_are_there_for_who_wants_them() -> None:
    """And take no room where the account is printed."""
    found = BudgetAccount.read(Fields(BUDGET))
    assert found.raw["limits"][0]["rule"] == "within"
    assert "limits" not in repr(found)
