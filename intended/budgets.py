"""What is left of the budgets that policies declare, as the service tells it.

Owns the values; what counts into a budget is the service's to say (`docs/budgets.md`).
"""

from dataclasses import dataclass, field
from typing import Final

from intended.reading import Fields, JsonObject

__all__ = ["BudgetAccount", "BudgetEntry", "BudgetStatement"]

_MOST: Final = 1e18


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetAccount:
    """One account of a budget: what is spent of it, what is left, and when more is.

    `per` says whose it is, an `agent`, an `upstream` or the `tenant`, and `account` which one; empty where nobody has
    spent anything. `limit` is the lowest number that a rule compares with, `left` what is left up to it; both are None
    where no rule names one. At `next_at` (RFC 3339) `next_amount` falls out of the window, at `clear_at` all of it has;
    empty where nothing is spent. `raw` holds the limits by rule, and where the budget is declared.
    """

    budget: str
    per: str
    spent: float
    window_s: int
    account: str = ""
    counts: str = "calls"
    limit: float | None = None
    left: float | None = None
    next_at: str = ""
    next_amount: float = 0
    clear_at: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "BudgetAccount":
        """Read it from an answer."""
        return cls(
            budget=fields.text("budget"),
            per=fields.text("per"),
            spent=fields.number("spent", least=0, most=_MOST),
            window_s=fields.count("windowSeconds"),
            account=fields.text_or("account"),
            counts=fields.text_or("counts", "calls"),
            limit=fields.number_or("limit"),
            left=fields.number_or("left"),
            next_at=fields.text_or("nextAt"),
            next_amount=fields.number_or("nextAmount") or 0,
            clear_at=fields.text_or("clearAt"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetEntry:
    """An allowed call that counts, by its entry in the audit trail, until `back_at`."""

    entry_id: str
    sequence: int
    at: str
    amount: float
    back_at: str
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "BudgetEntry":
        """Read it from an answer."""
        return cls(
            entry_id=fields.text("entryId"),
            sequence=fields.count("seq"),
            at=fields.text("at"),
            amount=fields.number("amount", least=0, most=_MOST),
            back_at=fields.text("backAt"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatement:
    """One account with what counts into it, newest first; not `complete` where the audit trail may have more."""

    account: BudgetAccount
    entries: tuple[BudgetEntry, ...]
    complete: bool

    @classmethod
    def read(cls, fields: Fields) -> "BudgetStatement":
        """Read it from an answer."""
        return cls(
            account=BudgetAccount.read(fields),
            entries=fields.each("entries", BudgetEntry.read),
            complete=fields.flag("entriesComplete"),
        )
