"""What is left of a budget: only limits that leave no doubt, and never a moment too early."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from gateway.core.accounts import (
    AccountView,
    Limit,
    Named,
    account_view,
    counts_it,
    declared_limits,
    falling,
    limits,
)
from gateway.core.budgets import Tally
from gateway.core.decision import Effect
from gateway.core.policy.bundle import Budget, Bundle
from gateway.core.principal import TrustTier
from tests.core.policy.builders import bundle, rule

NOON = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
DAY = 86_400
REFUNDS = {"sum": "args.amount", "per": "agent", "window": "1d"}
CALLS = {"count": "calls", "per": "agent", "window": "1m"}


def policies(*rules: dict[str, Any], **budgets: Any) -> Bundle:
    return bundle(*rules, budgets=budgets or {"refunds": REFUNDS, "calls": CALLS})


def named(policy: Bundle, name: str) -> Budget:
    return next(one for one in policy.budgets if one.name == name)


def most(when: str, effect: str = "allow", name: str = "refunds") -> list[float]:
    policy = policies(rule("r", effect, when))
    return [one.most for one in limits(declared_limits(policy, named(policy, name)), Named())]


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "when", "limit"),
    [
        ("allow", "budget.refunds + double(args.amount) <= 1000.0", 1000),
        ("allow", "(double(args.amount) + budget.refunds) < 1e3", 1000),
        ("allow", "1000.005 >= (budget.refunds + args.amount)", 1000.005),
        ("allow", "budget.refunds < 50.0 && args.amount < 5 && (risk < 5)", 50),
        ("allow", "budget.refunds < 50.0 && budget.refunds + args.amount <= 20.0", 20),
        ("escalate", "budget.refunds + double(args.amount) > 1000.0", 1000),
        ("deny", "budget.refunds >= 10.0 || risk > 5", 10),
    ],
)
def test_a_sums_limit_is_read_from_a_plain_comparison(effect: str, when: str, limit: float) -> None:
    """An operator who wrote the number wants to see it beside what was spent."""
    assert most(when, effect) == [limit]


@pytest.mark.parametrize(
    ("effect", "when", "limit"),
    [
        ("allow", "count.calls < 60", 60),
        ("allow", "count.calls <= 60", 61),
        ("allow", "count.calls + 1 <= 60", 60),
        ("allow", "1 + count.calls < 60", 59),
        ("deny", "count.calls >= 60", 60),
        ("deny", "60 <= count.calls", 60),
        ("deny", "count.calls > 60", 61),
    ],
)
def test_a_counts_limit_is_how_many_calls_pass(effect: str, when: str, limit: int) -> None:
    """A condition reads what was counted before the call: at `<= 60` there is room for one more."""
    assert most(when, effect, "calls") == [limit]


@pytest.mark.parametrize(
    ("effect", "when"),
    [
        ("allow", "budget.refunds + double(args.tip) <= 1000.0"),
        ("allow", "budget.refunds * 2.0 <= 1000.0"),
        ("allow", "budget.refunds > 1000.0"),
        ("deny", "budget.refunds < 1000.0"),
        ("allow", "budget.refunds <= double(count.calls)"),
        ("allow", "budget.refunds < 5.0 || risk < 5"),
        ("deny", "budget.refunds > 5.0 && risk > 5"),
        ("allow", "risk < 5 ? budget.refunds < 5.0 : true"),
        ("deny", "args.note == ' || budget.refunds > 5.0 || '"),
        ("allow", "risk < 5 // && budget.refunds < 5.0 &&"),
        ("deny", "(risk > 5) || (budget.refunds > 5.0) == true"),
        ("allow", "!(budget.refunds < 5.0)"),
        ("allow", "(budget.refunds) + (5.0) < 10.0"),
    ],
)
def test_a_form_that_leaves_a_doubt_has_no_limit(effect: str, when: str) -> None:
    """A wrong number is worse than none: somebody would plan by it."""
    assert most(when, effect) == []


def test_another_budgets_limit_is_not_taken_for_its_own() -> None:
    """A name that begins as another is another budget."""
    policy = policies(rule("r", when="budget.refunds_2 < 5.0"), refunds=REFUNDS, refunds_2=REFUNDS)
    assert limits(declared_limits(policy, named(policy, "refunds")), Named()) == ()
    assert [one.most for one in limits(declared_limits(policy, named(policy, "refunds_2")), Named())] == [5]


def test_an_amount_that_is_a_double_already_is_known_in_both_ways() -> None:
    """The same amount is written with and without its conversion."""
    policy = policies(
        rule("r", when="budget.refunds + double(args.amount) < 5.0"), refunds={**REFUNDS, "sum": "double(args.amount)"}
    )
    assert [one.most for one in limits(declared_limits(policy, named(policy, "refunds")), Named())] == [5]


def test_the_lowest_limit_comes_first_and_says_whose_it_is() -> None:
    """Which one is met first is what an operator asks."""
    policy = policies(
        rule("high", when="budget.refunds < 100.0"),
        rule("none"),
        rule("low", "escalate", "budget.refunds >= 50.0"),
        rule("other", when="count.calls < 5"),
    )
    assert limits(declared_limits(policy, named(policy, "refunds")), Named()) == (
        Limit(rule="low", policy_set="test", effect=Effect.ESCALATE, most=50),
        Limit(rule="high", policy_set="test", effect=Effect.ALLOW, most=100),
    )


def test_rules_for_some_are_shown_where_one_of_them_is_looked_at() -> None:
    """They are no limit of the others, and name agents that may be another tenant's."""
    when = "budget.refunds < 5.0"
    policy = policies(
        rule("all", when=when, match={"agents": ["*"]}),
        rule("vip", when=when, match={"agents": ["acme/vip-*"]}),
        rule("new", when=when, match={"tiers": ["T0"]}),
        rule("shop", when=when, match={"upstreams": ["shop"]}),
    )

    def seen(**by: Any) -> list[str]:
        return [one.rule for one in limits(declared_limits(policy, named(policy, "refunds")), Named(**by))]

    assert seen() == ["all", "shop"]
    assert seen(agent="acme/vip-1", tier=TrustTier.T2) == ["all", "vip", "shop"]
    assert seen(agent="vip-1", tier=TrustTier.T0, upstream="files") == ["all", "new"]


def test_only_budgets_that_count_whom_is_looked_at_are_about_it() -> None:
    """What never counts an agent's calls is nothing that it could spend."""
    match = {"agents": ["bot-*"], "upstreams": ["shop"]}
    policy = policies(rule("r"), some={**REFUNDS, "match": match}, every=REFUNDS)

    def seen(**by: Any) -> list[str]:
        return [one.name for one in policy.budgets if counts_it(one, Named(**by))]

    assert seen() == seen(agent="bot-1") == seen(upstream="shop", agent="bot-2") == ["some", "every"]
    assert seen(agent="other") == seen(upstream="files") == ["every"]


# --- accounts ---------------------------------------------------------------------------------------------------------


def tally(*charged: tuple[int, int], window_s: int = DAY) -> Tally:
    found = Tally().at(NOON, window_s)
    for at, amount in charged:
        found = found.at(at, window_s).plus(at, amount)
    return found


def test_an_account_says_what_is_left_and_when_more_is() -> None:
    """The first question of an operator: how much is left, and when is it renewed."""
    policy = policies(rule("r", when="budget.refunds + args.amount <= 1000.1"))
    budget = named(policy, "refunds")
    spent = tally((NOON, 300_200_000), (NOON + 3600, 100_000_000))
    view = account_view(budget, "bot", spent, limits(declared_limits(policy, budget), Named()))
    assert (view.spent, view.limit, view.left, view.next_amount) == (400.2, 1000.1, 599.9, 300.2)
    assert view.share == pytest.approx(0.4, abs=0.001)
    assert view.next_at == datetime(2026, 11, 23, 12, 24, tzinfo=UTC)
    assert view.clear_at == datetime(2026, 11, 23, 13, 12, tzinfo=UTC)


def test_an_account_of_which_nothing_is_spent_has_all_of_it() -> None:
    """Nothing comes back, since nothing is gone; a count is a whole number."""
    policy = policies(rule("r", "deny", "count.calls >= 60"))
    budget = named(policy, "calls")
    view = account_view(budget, "bot", Tally(), limits(declared_limits(policy, budget), Named()))
    assert (view.spent, view.left, view.share, view.next_at, view.clear_at) == (0, 60, 0.0, None, None)


def test_without_a_limit_nothing_is_said_to_be_left() -> None:
    """A budget that no rule compares with a number limits nothing that could be shown."""
    budget = named(policies(rule("r")), "calls")
    view = account_view(budget, "bot", tally((NOON, 3), window_s=60), ())
    assert (view.spent, view.limit, view.left, view.share) == (3, None, None, 0.0)


@pytest.mark.parametrize(("spent", "limit", "left", "share"), [(7, 5, 0, 1.4), (0, 0, 0, 1.0)])
def test_more_than_the_limit_leaves_nothing(spent: int, limit: int, left: int, share: float) -> None:
    """An approved call may go beyond; a limit of zero is always full."""
    budget = named(policies(rule("r")), "calls")
    found = Limit(rule="r", policy_set="test", effect=Effect.DENY, most=limit)
    view = AccountView(budget=budget, whose="bot", spent=spent, limits=(found,))
    assert (view.left, view.share) == (left, share)


@forall(
    st.lists(st.tuples(st.integers(0, 2 * DAY), st.integers(1, 10**9)), min_size=1, max_size=20),
    st.sampled_from([60, 90, 3600, DAY]),
)
def test_what_is_said_to_come_back_does_so_at_that_second_and_not_before(
    charged: list[tuple[int, int]], window_s: int
) -> None:
    """A caller that comes back too early is denied once more, and was lied to."""
    spent = tally(*[(NOON + offset, amount) for offset, amount in sorted(charged)], window_s=window_s)
    left = spent.total
    for end, amount in falling(spent, window_s):
        assert spent.at(end - 1, window_s).total == left
        left -= amount
        assert spent.at(end, window_s).total == left
    assert left == 0
