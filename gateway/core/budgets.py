"""Budgets: what has been spent in a sliding window, what a call adds, and the state row of one account. Pure.

An account is one budget of one agent, upstream or tenant. It is kept in at most 61 buckets, each a 60th of the window
wide, and a bucket counts until it lies wholly outside of the window: what is spent counts for the window and up to a
60th of it longer, never shorter. Sums are whole millionths, so that adding makes no error (64 times 0.1 is 6.4).

Whether a call goes with its budgets is said by conditions (`core/decide.py`); that no two calls spend the same rest is
the transaction's (`services/budgets.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from hashlib import sha256
from math import isfinite
from typing import Final

from gateway.core.audit.entry import Unchanged
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.policy.bundle import Budget, Bundle, Plan
from gateway.core.policy.cel import Fault
from gateway.core.policy.model import PolicyInput
from gateway.core.principal import Principal
from gateway.core.value import value

__all__ = [
    "MILLIONTHS",
    "NOTHING",
    "Account",
    "Spent",
    "Tally",
    "Uncountable",
    "account_key",
    "amount_of",
    "charges",
    "hidden_key",
    "is_hidden",
    "is_live",
    "nothing_counted",
    "nothing_spent",
    "plain_key",
    "read_tally",
    "spend",
    "whose",
]

BUCKETS: Final = 60
"""Of one window."""

MILLIONTHS: Final = 10**6

MAX_AMOUNT: Final = 9 * 10**12
"""What one call may add; in millionths it is a whole number of 64 bits, as an entry's body holds it."""

MAX_PLAIN_CHARS: Final = 128
"""A longer name goes by its digest: agents are named by programs, and a key is written with every call."""

_DIGITS: Final = ".15g"
"""So many digits of a fraction are what somebody wrote; the two after them are what binary fractions make of it."""


# --- how much ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncountable:
    """What a call would add to this budget is no number that can be added."""

    budget: str


def amount_of(number: int | float | Fault) -> int | None:
    """Return the millionths of what one call adds, rounded up; None where it must not be added.

    A negative amount would give back what others have spent.
    """
    if isinstance(number, Fault) or not isfinite(number) or not 0 <= number <= MAX_AMOUNT:
        return None
    if isinstance(number, int) or number.is_integer():
        return int(number) * MILLIONTHS
    return int((Decimal(format(number, _DIGITS)) * MILLIONTHS).to_integral_value(ROUND_CEILING))


def charges(bundle: Bundle, given: PolicyInput, planned: Plan) -> Mapping[str, int] | Uncountable:
    """Return what the call adds to each budget that counts it, by name: 1 to a count, millionths to a sum."""
    if planned.charges is not None:
        return planned.charges
    found: dict[str, int] = {}
    for budget in planned.charged:
        if budget.amount is None:
            found[budget.name] = 1
            continue
        amount = None if bundle.engine is None else amount_of(bundle.engine.number(budget.amount, given))
        if amount is None:
            return Uncountable(budget=budget.name)
        found[budget.name] = amount
    return found


# --- what has been spent ----------------------------------------------------------------------------------------------


@value
class Tally:
    """What one account has spent, by buckets; those that are empty are left out.

    `closed` are the buckets before the newest, oldest first, with their number since 1970 and what is in them; `before`
    is their sum and `text` how a row keeps them. `last` is the number of the newest bucket, `spent` what is in it.
    """

    width_s: int = 1
    closed: tuple[tuple[int, int], ...] = ()
    before: int = 0
    text: bytes = b""
    last: int = 0
    spent: int = 0

    @property
    def total(self) -> int:
        """The sum of all buckets."""
        return self.before + self.spent

    def at(self, now_s: int, window_s: int) -> "Tally":
        """Return what of it counts at this time in a window of this length.

        A window of another length than before takes over what there is: each bucket counts as if all of it had come at
        its end. What lies further ahead than a window, since the clock was set back, counts as of now.
        """
        width_s = -(-window_s // BUCKETS)
        tally = self if self.width_s == width_s else _of(width_s, _rebucketed(self, width_s))
        newest = now_s // width_s
        first = (now_s - window_s) // width_s
        oldest = tally.closed[0][0] if tally.closed else tally.last
        if first <= oldest and tally.last <= newest + BUCKETS:
            return tally
        return _of(width_s, [(min(bucket, newest), spent) for bucket, spent in tally.buckets() if bucket >= first])

    def plus(self, now_s: int, amount: int) -> "Tally":
        """Return it with an amount that is spent at this time."""
        bucket = now_s // self.width_s
        if bucket <= self.last or not self.total:
            return Tally(
                width_s=self.width_s,
                closed=self.closed,
                before=self.before,
                text=self.text,
                last=max(bucket, self.last),
                spent=self.spent + amount,
            )
        return Tally(
            width_s=self.width_s,
            closed=(*self.closed, (self.last, self.spent)),
            before=self.before + self.spent,
            text=b"%b %d:%d" % (self.text, self.last, self.spent),
            last=bucket,
            spent=amount,
        )

    def buckets(self) -> Iterator[tuple[int, int]]:
        """Yield number and amount of each bucket, oldest first."""
        yield from self.closed
        if self.spent:
            yield self.last, self.spent

    def written(self) -> bytes:
        """Return the row's value."""
        return b"1 %d%b %d:%d" % (self.width_s, self.text, self.last, self.spent)


def read_tally(held: bytes | None) -> Tally:
    """Return what a row keeps. Raises ValueError where that is damaged."""
    if held is None:
        return Tally()
    version, width_s, *buckets = held.split(b" ")
    pairs = [(int(number), int(amount)) for number, amount in (bucket.split(b":") for bucket in buckets)]
    numbers = [number for number, _ in pairs]
    if version != b"1" or int(width_s) < 1 or numbers != sorted(set(numbers)) or any(one < 0 for _, one in pairs):
        raise ValueError("no tally")
    return _of(int(width_s), pairs)


def is_live(held: bytes, now_s: int, window_s: int) -> bool:
    """Return whether anything in a row counts now, by its newest bucket alone: whole rows are read where it matters.

    Raises ValueError where that is damaged.
    """
    _, width_s, *_, newest = held.split(b" ")
    end = (int(newest.partition(b":")[0]) + 1) * int(width_s)
    width = -(-window_s // BUCKETS)
    return -(-end // width) * width + window_s > now_s  # in a window of another length than before, as `Tally.at`


def _of(width_s: int, buckets: Iterable[tuple[int, int]]) -> Tally:
    """Return the tally of some buckets in their order; those of the same number become one."""
    merged: dict[int, int] = {}
    for number, amount in buckets:
        merged[number] = merged.get(number, 0) + amount
    if not merged:
        return Tally(width_s=width_s)
    *closed, (last, spent) = merged.items()
    return Tally(
        width_s=width_s,
        closed=tuple(closed),
        before=sum(amount for _, amount in closed),
        text=b"".join(b" %d:%d" % one for one in closed),
        last=last,
        spent=spent,
    )


def _rebucketed(tally: Tally, width_s: int) -> Iterator[tuple[int, int]]:
    """Yield the amounts in buckets of another width, each where its own bucket ended."""
    for number, amount in tally.buckets():
        yield ((number + 1) * tally.width_s - 1) // width_s, amount


def nothing_spent(bundle: Bundle) -> dict[str, float]:
    """Return the declared sums before the first call."""
    return {budget.name: 0.0 for budget in bundle.budgets if budget.amount is not None}


def nothing_counted(bundle: Bundle) -> dict[str, int]:
    """Return the declared counts before the first call."""
    return {budget.name: 0 for budget in bundle.budgets if budget.amount is None}


# --- one account as a decision sees it --------------------------------------------------------------------------------


@value
class Account:
    """One budget's account as a decision read it: the key of its row, what that holds, and what of it counts now."""

    budget: Budget
    key: str
    held: bytes | None
    tally: Tally


@value
class Spent:
    """What an allowed call rests on, and what it leaves: `after` is key, row and meaning of each account it adds to."""

    unchanged: tuple[Unchanged, ...]
    after: tuple[tuple[str, bytes, Tally], ...]


NOTHING: Final = Spent(unchanged=(), after=())


def account_key(budget: Budget, principal: Principal, call: Call) -> str:
    """Return the key of the account that the call's budget is about."""
    if budget.per == "agent":
        who, free = principal.agent, False
    elif budget.per == "upstream":
        who, free = call.upstream, call.method == INTENT_METHOD  # a program's own words, and perhaps secret
    else:
        return budget.place
    if free or len(who) > MAX_PLAIN_CHARS:
        return hidden_key(budget, who)
    return f"{budget.place}:{who}"


def plain_key(budget: Budget, name: str) -> str:
    """Return the key of the account of an agent or upstream of this name."""
    return hidden_key(budget, name) if len(name) > MAX_PLAIN_CHARS else f"{budget.place}:{name}"


def hidden_key(budget: Budget, name: str) -> str:
    """Return the key of the account of a name that is kept from records: a system as a program's intent names it."""
    return f"{budget.place}#{sha256(name.encode()).hexdigest()}"


def is_hidden(budget: Budget, key: str) -> bool:
    """Return whether a key has a digest in the place of a name."""
    return key.startswith(f"{budget.place}#")


def whose(budget: Budget, key: str, tenant: str) -> str:
    """Return whose account is under a key; a name that is kept from records as `#` and its digest."""
    return tenant if key == budget.place else key[len(budget.place) :].removeprefix(":")


def spend(accounts: Sequence[Account], charged: Mapping[str, int], now: datetime) -> Spent:
    """Return what an allowed call does to the accounts that its decision has read."""
    now_s = int(now.timestamp())
    after = []
    for account in accounts:
        amount = charged.get(account.budget.name)
        if amount:
            tally = account.tally.plus(now_s, amount)
            after.append((account.key, tally.written(), tally))
    return Spent(
        unchanged=tuple([Unchanged(key=account.key, value=account.held) for account in accounts]), after=tuple(after)
    )
