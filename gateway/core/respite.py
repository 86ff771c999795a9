"""Whether a call was denied for what had been spent alone, and when a denied call may be asked again. Pure.

Nothing here allows anything. Of what was spent the ladder itself is asked: would it still deny the call if nothing had
been spent, or at that time, when less of it counts? So no form of a condition has to be understood, and the time told
is one at which the answer is another, as long as nothing more is spent and nothing else changes. A call that is denied
whatever was spent has none.

It costs a few more looks at the rules: some ten, and only where a call was denied after its budgets had been read. Each
look goes through the call's arguments again, so that of large ones it is only said that asking again may help, not
when: else an agent that has spent everything could make its denials cost ten times a decision.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from operator import sub
from typing import Final

from gateway.core.accounts import falling
from gateway.core.budgets import MILLIONTHS, Account
from gateway.core.call import Call
from gateway.core.decide import decide
from gateway.core.decision import Decision, Effect, Reason
from gateway.core.facts import Facts
from gateway.core.intent.model import Intent
from gateway.core.jsonvalue import JsonValue
from gateway.core.policy.bundle import Budget

__all__ = ["Respite", "by_budget", "respite"]

LIGHT: Final = 500
"""Keys, items and stretches of text in the arguments of a call whose time to come back is looked for: some 5 ms."""

STRETCH_CHARS: Final = 32
"""Of text, which costs as much as a key or an item."""

_BY_RULES: Final = frozenset({Reason.POLICY_DENY, Reason.NO_RULE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Respite:
    """A denial that passes by itself: at that time, None where it is not known when; `now` is when it was denied."""

    at: datetime | None
    now: datetime

    @property
    def after_s(self) -> int | None:
        """Whole seconds until then, at least one."""
        return None if self.at is None else max(1, -((self.now - self.at) // _SECOND))


_SECOND: Final = timedelta(seconds=1)


def by_budget(call: Call, intent: Intent, facts: Facts, decision: Decision) -> bool:
    """Return whether a call was denied for what had been spent of its budgets, and would not be with nothing spent.

    Rests on recorded facts alone, so that it can be asked again of a recorded decision.
    """
    if decision.reason not in _BY_RULES or not (any(facts.budgets.values()) or any(facts.counts.values())):
        return False
    budgets, counts = dict.fromkeys(facts.budgets, 0.0), dict.fromkeys(facts.counts, 0)
    return decide(call, intent, replace(facts, budgets=budgets, counts=counts)).effect is not Effect.DENY


def respite(call: Call, intent: Intent, facts: Facts, decision: Decision) -> Respite | None:
    """Return when a denied call may be asked again; None where asking again is no use, or nobody knows.

    It may be that less is spent then and the call is denied all the same, for what a rule makes of the hour: then there
    is a respite without a time. So there is for a call whose arguments are too large to be looked through many times.
    """
    if decision.reason is Reason.CIRCUIT_OPEN and facts.stop is not None:
        return Respite(at=facts.stop.until, now=facts.now)
    accounts = [_Falling.of(account) for account in facts.accounts if account.tally.total]
    ends = sorted({end for one in accounts for end in one.ends})
    if not ends or not by_budget(call, intent, facts, decision):
        return None

    def denied(at_s: int, seen: datetime) -> bool:
        return decide(call, intent, _spent_at(facts, accounts, at_s, seen)).effect is Effect.DENY

    if not _is_light(call) or denied(ends[-1], _moment(ends[-1])):
        return Respite(at=None, now=facts.now)
    first, last = 0, len(ends) - 1
    while first < last:
        middle = (first + last) // 2
        if denied(ends[middle], _moment(ends[middle])):
            first = middle + 1
        else:
            last = middle
    return Respite(at=_moment(ends[last]), now=facts.now)


def _is_light(call: Call) -> bool:
    """Return whether a call's arguments are small enough to be looked through some ten times."""
    left = LIGHT
    stack: list[JsonValue] = [call.arguments, call.answers]
    while stack and left >= 0:
        one = stack.pop()
        if isinstance(one, str):
            left -= len(one) // STRETCH_CHARS
        elif isinstance(one, dict | list):
            left -= len(one)
            if left >= 0:
                stack.extend([*one, *one.values()] if isinstance(one, dict) else one)
    return left >= 0


@dataclass(frozen=True, slots=True)
class _Falling:
    """What of an account still counts from each of the times on at which a part of it falls out."""

    budget: Budget
    ends: tuple[int, ...]
    left: tuple[int, ...]

    @classmethod
    def of(cls, account: Account) -> "_Falling":
        parts = list(falling(account.tally, account.budget.window_s))
        left = accumulate((amount for _, amount in parts), sub, initial=account.tally.total)
        return cls(account.budget, tuple([end for end, _ in parts]), tuple(left))

    def at(self, at_s: int) -> int:
        """Return what counts then."""
        return self.left[bisect_right(self.ends, at_s)]


def _spent_at(facts: Facts, accounts: Sequence[_Falling], at_s: int, seen: datetime) -> Facts:
    """Return the facts with what counts of their accounts at that time; `seen` is the time that conditions see."""
    budgets, counts = dict(facts.budgets), dict(facts.counts)
    for account in accounts:
        budget = account.budget
        if budget.amount is None:
            counts[budget.name] = account.at(at_s)
        else:
            budgets[budget.name] = account.at(at_s) / MILLIONTHS
    return replace(facts, now=seen, budgets=budgets, counts=counts)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
