"""The accounts of budgets: read for a decision, and changed by what it allows.

Owns that any number of calls at the limit are decided one after the other on what is left (`services/ahead.py`), and
that no account is read that a decision does not need. What counts and how much is `core/budgets.py`'s.

What was allowed stays spent, whatever becomes of the call: an amount that came back could be spent twice.
"""

from typing import Final

from gateway.core.budgets import MILLIONTHS, Account, Spent, Tally, account_key, read_tally, spend
from gateway.core.call import Call
from gateway.core.facts import Facts
from gateway.core.intent.model import Intent
from gateway.core.policy.bundle import ACCOUNTS
from gateway.core.policy.evaluate import plan
from gateway.errors import StoreError
from gateway.ports import Appended, Conflict, StateStore
from gateway.services.ahead import Ahead, Queued
from gateway.services.judged import Judged

__all__ = ["OVERTAKEN", "Budgets", "is_account"]

OVERTAKEN: Final = 20
"""How often a call is decided again because one before it, whose spending it had counted in, came to nothing."""


def is_account(key: str) -> bool:
    """Return whether a row is an account."""
    return key.startswith(ACCOUNTS)


class Budgets:
    """Reads accounts, and takes note of what is spent."""

    def __init__(self, state: StateStore) -> None:
        self._ahead = Ahead(state, _meaning)

    async def read(self, call: Call, intent: Intent, facts: Facts) -> Facts:
        """Return the facts with all that this decision may read of its budgets, or add to; the same where that is none.

        Whoever decides by them must not let go of the event loop before the decision is queued for the store.

        Raises:
            StoreError: an account cannot be read, or is damaged.
        """
        principal = facts.principal
        budgets = plan(facts.bundle, call, intent, principal, facts.tier).read
        if not budgets and not facts.accounts:
            return facts
        keys = [account_key(budget, principal, call) for budget in budgets]
        lines = await self._ahead.read(principal.tenant, keys)
        now_s = int(facts.now.timestamp())
        accounts: list[Account] = []
        spent: dict[str, float] = {}
        counts: dict[str, int] = {}
        for budget, key, line in zip(budgets, keys, lines, strict=True):
            tally = line.meaning.at(now_s, budget.window_s)
            accounts.append(Account(budget=budget, key=key, held=line.held, tally=tally))
            if budget.amount is None:
                counts[budget.name] = tally.total
            else:
                spent[budget.name] = tally.total / MILLIONTHS
        return facts.spent(accounts, budgets=spent, counts=counts)

    def spend(self, judged: Judged) -> tuple[Spent, Queued[Tally]]:
        """Return what an allowed call rests on and leaves; its draft is queued for the store right now."""
        spent = spend(judged.facts.accounts, judged.decision.charges, judged.facts.now)
        return spent, self._ahead.queue(judged.principal.tenant, spent.unchanged, spent.after)

    def ended(self, queued: Queued[Tally], outcome: Appended | Conflict | None) -> None:
        """Take note of what became of the draft; None where nobody knows."""
        self._ahead.ended(queued, outcome)


def _meaning(held: bytes | None) -> Tally:
    try:
        return read_tally(held)
    except ValueError as error:
        raise StoreError("a budget's account is damaged") from error
