"""What is left of budgets, as people are shown it: the limits that rules name, when what was spent comes back. Pure.

A budget has no limit of its own: conditions compare what was spent with one. Read here are those whose form leaves no
doubt (`budget.refunds + double(args.amount) <= 1000.0`, `count.calls_1m >= 60`); any other is left out, not guessed.
Nothing is decided by it: which rule has the last word on a call is `core/decide.py`'s.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.core.budgets import MILLIONTHS, Tally
from gateway.core.decision import Effect
from gateway.core.policy.bundle import Budget, Bundle, Match
from gateway.core.principal import TrustTier

__all__ = [
    "NOBODY",
    "AccountView",
    "Declared",
    "Limit",
    "Named",
    "account_view",
    "counts_it",
    "declared_limits",
    "falling",
    "in_units",
    "limits",
]

NOBODY: Final = ""
"""Whose the account is that stands for a budget of which nobody has spent anything."""


# --- limits -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Whose calls are looked at: an agent as policies name it, with its tier, and an upstream; empty: anyone's."""

    agent: str = ""
    upstream: str = ""
    tier: TrustTier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The most that may be spent as far as one rule goes: beyond it the rule denies, escalates, or allows no more."""

    rule: str
    policy_set: str
    effect: Effect
    most: float


Declared = tuple[tuple[Match, Limit], ...]


def declared_limits(bundle: Bundle, budget: Budget) -> Declared:
    """Return every limit that rules name for a budget, the lowest first, with the calls that the rule is about."""
    found = []
    for rule in bundle.rules:
        condition, matched = rule.condition, rule.matched
        if condition is None or budget.name not in condition.facts:
            continue
        most = _most(condition.text, matched.effect, budget)
        if most is not None:
            limit = Limit(rule=matched.id, policy_set=matched.policy_set, effect=matched.effect, most=most)
            found.append((rule.match, limit))
    return tuple(sorted(found, key=lambda one: one[1].most))


def limits(declared: Declared, named: Named) -> tuple[Limit, ...]:
    """Return those of a budget's limits that are about whose calls are looked at, the lowest first.

    Rules for some agents or tiers are among them only where that agent is named: they say nothing of the others, and
    another tenant's agent is nobody's business.
    """
    return tuple([limit for match, limit in declared if _is_about(match, named)])


def counts_it(budget: Budget, named: Named) -> bool:
    """Return whether calls of whom, or to what, is named can count into the budget."""
    match = budget.match
    if match.agents is not None and named.agent and not match.agents.match(named.agent):
        return False
    return match.upstreams is None or not named.upstream or match.upstreams.match(named.upstream)


def _is_about(match: Match, named: Named) -> bool:
    if match.agents is not None and not match.agents.match(named.agent):
        return False
    if match.tiers is not None and named.tier not in match.tiers:
        return False
    return match.upstreams is None or not named.upstream or match.upstreams.match(named.upstream)


def _most(text: str, effect: Effect, budget: Budget) -> float | None:
    """Return the limit that a condition sets, None where it sets none or its form leaves a doubt.

    What an allow rule asks for besides (`&&`) leaves the limit as it is; so does what a deny rule is content with
    instead (`||`). The other way round the limit would be one under conditions.
    """
    joint = "&&" if effect is Effect.ALLOW else "||"
    found = [_of_comparison(part, effect, budget) for part in _parts(text, joint)]
    return min((most for most in found if most is not None), default=None)


_DOUBTFUL: Final = re.compile(r"[\"'?]|//")
"""Texts, comments and choices: what stands in them is not what it looks like to a reader that knows no CEL."""


def _parts(text: str, joint: str) -> Iterator[str]:
    """Yield what `joint` joins in a condition, outside of parentheses; nothing where that is in doubt."""
    if _DOUBTFUL.search(text) or (joint == "&&" and "||" in text):
        return
    depth = start = 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and text.startswith(joint, at):
            yield text[start:at]
            start = at + len(joint)
    yield text[start:]


_COMPARISON: Final = re.compile(r"([^<>=!&|]+)(<=|>=|<|>)([^<>=!&|]+)")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MIRRORED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_OPPOSITE: Final = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


def _of_comparison(part: str, effect: Effect, budget: Budget) -> float | None:
    """Return the most that a rule leaves where `part` compares what was spent with a number and does nothing else."""
    plain = _bare("".join(part.split()))
    found = _COMPARISON.fullmatch(plain)
    if found is None:
        return None
    left, operator, right = _bare(found[1]), found[2], _bare(found[3])
    if _NUMBER.fullmatch(left):
        left, operator, right = right, _MIRRORED[operator], left
    if not _NUMBER.fullmatch(right):
        return None
    passing = operator if effect is Effect.ALLOW else _OPPOSITE[operator]
    name = f"{'count' if budget.amount is None else 'budget'}.{budget.name}"
    sums = {joined for cost in _costs(budget) for joined in (f"{name}+{cost}", f"{cost}+{name}")}
    if passing not in ("<", "<=") or left not in {name, *sums}:
        return None
    if budget.amount is not None:
        return float(right)
    # Without the call itself, `count <= 9` is still true at nine: the tenth call passes.
    return int(right) + (passing == "<=") - (left != name)


def _costs(budget: Budget) -> set[str]:
    """Return how a condition may write what the call itself adds."""
    if budget.amount is None:
        return {"1"}
    adds = "".join(budget.amount.text.split())
    inner = adds.removeprefix("double(").removesuffix(")") if adds.startswith("double(") else adds
    return {adds, inner, f"double({inner})"}


def _bare(text: str) -> str:
    """Return a text without parentheses around the whole of it."""
    while text.startswith("(") and text.endswith(")") and _closes_last(text):
        text = text[1:-1]
    return text


def _closes_last(text: str) -> bool:
    """Return whether the first parenthesis is closed by the last character."""
    depth = 0
    for char in text[:-1]:
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return False
    return True


# --- accounts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """One budget's account now.

    `whose` is the agent, upstream or tenant whose account it is; `#` and a digest where the name is kept from records;
    empty where nobody has spent anything. `submitted`: the upstream is what programs name a system so in intents.
    `spent` is in calls, or in what the budget adds up. `next_at` is when the oldest part of it comes back
    (`next_amount`), `clear_at` when all of it has; None where nothing is spent.
    """

    budget: Budget
    whose: str
    spent: float
    submitted: bool = False
    limits: tuple[Limit, ...] = ()
    next_at: datetime | None = None
    next_amount: float = 0
    clear_at: datetime | None = None

    @property
    def limit(self) -> float | None:
        """The lowest limit; None where no rule names one."""
        return self.limits[0].most if self.limits else None

    @property
    def left(self) -> float | None:
        """What may still be spent before that; None where there is no limit."""
        if self.limit is None:
            return None
        return in_units(self.budget, max(0, _exact(self.budget, self.limit) - _exact(self.budget, self.spent)))

    @property
    def share(self) -> float:
        """How much of the limit is spent, 1 being all of it; 0 where there is no limit."""
        if self.limit is None:
            return 0.0
        return self.spent / self.limit if self.limit > 0 else 1.0


def account_view(budget: Budget, whose: str, tally: Tally, found: tuple[Limit, ...]) -> AccountView:
    """Return what there is to say of an account whose tally is that of now."""
    parts = list(falling(tally, budget.window_s))
    if not parts:
        return AccountView(budget=budget, whose=whose, spent=in_units(budget, 0), limits=found)
    return AccountView(
        budget=budget,
        whose=whose,
        spent=in_units(budget, tally.total),
        limits=found,
        next_at=_moment(parts[0][0]),
        next_amount=in_units(budget, parts[0][1]),
        clear_at=_moment(parts[-1][0]),
    )


def falling(tally: Tally, window_s: int) -> Iterator[tuple[int, int]]:
    """Yield when each bucket lies outside of the window, in seconds since 1970, and what is in it; the oldest first.

    The tally is one of this window (`Tally.at`).
    """
    for number, amount in tally.buckets():
        yield (number + 1) * tally.width_s + window_s, amount


def in_units(budget: Budget, amount: int) -> float:
    """Return an amount of a tally as conditions see it: calls, or what the budget adds up."""
    return amount if budget.amount is None else amount / MILLIONTHS


def _exact(budget: Budget, amount: float) -> int:
    """Return an amount as a tally has it, so that what is left is no binary fraction beside it."""
    return round(amount) if budget.amount is None else round(amount * MILLIONTHS)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
