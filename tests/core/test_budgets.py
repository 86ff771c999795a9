"""Budgets in numbers: nothing falls out of a window early, nothing is lost in adding, and nothing is given back."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from math import inf, nan

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from gateway.core import budgets as module
from gateway.core.audit.entry import Unchanged
from gateway.core.budgets import (
    BUCKETS,
    MAX_AMOUNT,
    NOTHING,
    Account,
    Spent,
    Tally,
    Uncountable,
    account_key,
    amount_of,
    hidden_key,
    is_hidden,
    is_live,
    nothing_counted,
    nothing_spent,
    plain_key,
    read_tally,
    spend,
    whose,
)
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.policy.bundle import Bundle
from gateway.core.policy.cel import Fault
from gateway.core.policy.evaluate import plan
from gateway.core.policy.model import PolicyInput
from gateway.core.principal import Principal
from tests.core.policy.builders import bundle, given, rule

DAY = 86_400
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON = int(NOW.timestamp())
ME = Principal(tenant="default", agent="me", credential="key")
CALL = Call(method="tools/call", upstream="shop", name="refund", uri="", arguments={}, arguments_digest="")


def budgets(**declared: dict[str, object]) -> Bundle:
    return bundle(rule("all"), budgets=declared)


def charges(policies: Bundle, asked: PolicyInput) -> object:
    planned = plan(policies, asked.call, asked.intent, asked.principal, asked.tier)
    return module.charges(policies, asked, planned)


REFUNDS = {"sum": "args.amount", "per": "agent", "window": "1d", "match": {"tools": ["refund"]}}
CALLS = {"count": "calls", "per": "agent", "window": "1m"}


# --- how much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "millionths"),
    [
        (0, 0),
        (-0.0, 0),
        (1, 1_000_000),
        (0.1, 100_000),
        (0.1 + 0.2, 300_000),
        (19.99, 19_990_000),
        (1e-6, 1),
        (1e-7, 1),
        (0.0000011, 2),
        (1.2345678, 1_234_568),
        (5e-324, 1),
        (1e12, 10**18),
        (MAX_AMOUNT, 9 * 10**18),
    ],
)
def test_an_amount_is_millionths_and_rounded_up(number: float, millionths: int) -> None:
    """Ours: what somebody wrote as 0.1 is a tenth, and many amounts that are next to nothing add up to something."""
    assert amount_of(number) == millionths


@pytest.mark.parametrize("number", [-1, -1e-9, nan, inf, -inf, 1e300, MAX_AMOUNT + 1, 2**53, Fault("no")])
def test_what_cannot_be_added_is_no_amount(number: float | Fault) -> None:
    """Ours: a negative amount would give back what others have spent, and one beyond bounds would spend it all."""
    assert amount_of(number) is None


@forall(st.lists(st.integers(0, 10**7), max_size=50))
def test_cents_add_up_exactly(cents: list[int]) -> None:
    """Ours: a sum of prices is the sum that the operator's bookkeeping has."""
    total = sum(amount_of(one / 100) or 0 for one in cents)
    assert total == sum(cents) * 10_000


def test_each_budget_that_counts_a_call_is_charged() -> None:
    """Ours: what counts is said by a budget's own match; whether it is read is the rules'."""
    policies = budgets(refunds=REFUNDS, calls=CALLS, other={**CALLS, "match": {"tools": ["other"]}})
    assert charges(policies, given({"amount": 12.5}, name="refund")) == {"refunds": 12_500_000, "calls": 1}
    assert charges(policies, given({}, name="read")) == {"calls": 1}
    assert charges(policies, given({}, method="resources/read", uri="file:///x")) == {}


@pytest.mark.parametrize("arguments", [{}, {"amount": "12"}, {"amount": None}, {"amount": -1}, {"amount": True}])
def test_an_amount_that_cannot_be_computed_names_its_budget(arguments: dict[str, object]) -> None:
    """Ours: what cannot be counted must not run uncounted."""
    assert charges(budgets(refunds=REFUNDS), given(arguments, name="refund")) == Uncountable(budget="refunds")


def test_an_amount_that_no_condition_may_see_cannot_be_computed() -> None:
    """The engine would cut a text at NUL; it is asked nothing then."""
    arguments = {"amount": 1, "note": "a\0b"}
    assert charges(budgets(refunds=REFUNDS), given(arguments, name="refund")) == Uncountable(budget="refunds")


def test_without_an_engine_no_amount_can_be_computed() -> None:
    """Ours: a bundle that was put together by hand counts nothing by accident."""
    policies = replace(budgets(refunds=REFUNDS), engine=None)
    assert charges(policies, given({"amount": 1}, name="refund")) == Uncountable(budget="refunds")


# --- the window -------------------------------------------------------------------------------------------------------


def spent(*spendings: tuple[int, int], window_s: int = DAY) -> Tally:
    tally = Tally()
    for at, amount in spendings:
        tally = tally.at(at, window_s).plus(at, amount)
    return tally


def test_what_was_spent_counts_for_the_window_and_at_most_a_60th_longer() -> None:
    """Ours: the limit errs on the strict side, and by a known amount."""
    tally = spent((NOON, 5))
    assert tally.at(NOON + DAY, DAY).total == 5
    assert tally.at(NOON + DAY + DAY // BUCKETS, DAY).total == 0


def test_the_window_slides() -> None:
    """Ours: there is no midnight at which everything may be spent again."""
    tally = spent((NOON, 1), (NOON + 6 * 3600, 2), (NOON + 12 * 3600, 4), window_s=DAY)
    assert [tally.at(NOON + hours * 3600, DAY).total for hours in (12, 24, 25, 31, 37)] == [7, 7, 6, 4, 0]


@forall(
    st.integers(60, 31 * DAY),
    st.lists(st.tuples(st.integers(0, 40 * DAY), st.integers(1, 10**12)), min_size=1, max_size=80),
)
def test_a_tally_is_never_below_what_the_window_holds(window_s: int, spendings: list[tuple[int, int]]) -> None:
    """Ours: nothing that was spent within the window is forgotten, and nothing older than a 60th beyond it is kept."""
    spendings.sort()
    tally = spent(*((NOON + at, amount) for at, amount in spendings), window_s=window_s)
    now = spendings[-1][0]
    within = sum(amount for at, amount in spendings if at > now - window_s)
    longest = window_s + -(-window_s // BUCKETS)
    beyond = sum(amount for at, amount in spendings if at > now - longest)
    assert within <= tally.total <= beyond
    assert len(list(tally.buckets())) <= BUCKETS + 1
    assert tally.total == sum(amount for _, amount in tally.buckets())
    assert read_tally(tally.written()) == tally


def test_what_comes_late_counts_in_the_newest_bucket() -> None:
    """Ours: two calls that overtake each other must not make anything count for a shorter time."""
    tally = spent((NOON + 60, 1), (NOON, 2), window_s=60)
    assert list(tally.buckets()) == [(NOON + 60, 3)]


def test_a_clock_that_was_set_back_does_not_lock_a_budget_for_ever() -> None:
    """Ours: what was spent in the future counts as of now, so that it is over after a window."""
    tally = spent((NOON + 2 * DAY, 1), (NOON + 2 * DAY + DAY // BUCKETS, 2))
    assert tally.at(NOON, DAY).total == 3
    assert tally.at(NOON, DAY).at(NOON + DAY + DAY // BUCKETS, DAY).total == 0
    near = spent((NOON + DAY, 1))
    assert near.at(NOON, DAY) is near


@pytest.mark.parametrize(("window_s", "total"), [(60, 4), (3600, 7), (7 * DAY, 7)])
def test_a_budget_of_another_window_goes_on_from_what_it_has(window_s: int, total: int) -> None:
    """Ours: an edit of the policy is no way to spend again what was spent."""
    tally = spent((NOON, 1), (NOON + 1800, 2), (NOON + 3600, 4))
    now = NOON + 3600
    changed = tally.at(now, window_s)
    assert changed.total == total
    assert changed.width_s == -(-window_s // BUCKETS)
    assert changed.at(now + 7 * DAY + DAY, window_s).total == 0
    assert Tally().at(now, window_s).total == 0


# --- the row ----------------------------------------------------------------------------------------------------------


def test_a_row_is_read_as_it_was_written() -> None:
    """Ours: a restart must not change what is left."""
    tally = spent((NOON, 10**30), (NOON + 3600, 2))
    assert tally.written() == b"1 1440 %d:%d %d:2" % (NOON // 1440, 10**30, (NOON + 3600) // 1440)
    assert read_tally(tally.written()) == tally
    assert read_tally(None) == Tally()


@pytest.mark.parametrize(
    "held", [b"", b"1", b"2 60 1:1", b"1 0 1:1", b"1 60 1", b"1 60 2:1 1:1", b"1 60 1:1 1:1", b"1 60 1:-1", b"1 x 1:1"]
)
def test_a_damaged_row_is_not_read(held: bytes) -> None:
    """Ours: a budget that cannot be read is no empty one."""
    with pytest.raises(ValueError, match=r".*"):
        read_tally(held)


def test_a_row_without_buckets_is_empty() -> None:
    """Ours: nothing was spent where nothing stands."""
    assert read_tally(b"1 60") == Tally(width_s=60)


def test_before_the_first_call_nothing_was_spent() -> None:
    """Ours: cases and trials begin there, each value of the type that conditions read."""
    policies = budgets(refunds=REFUNDS, calls=CALLS)
    assert nothing_spent(policies) == {"refunds": 0.0}
    assert nothing_counted(policies) == {"calls": 0}


# --- accounts ---------------------------------------------------------------------------------------------------------


INTENT = replace(CALL, method="intent")


@pytest.mark.parametrize(
    ("per", "call", "key"),
    [
        ("agent", CALL, "budget:b:count:agent:me"),
        ("agent", INTENT, "budget:b:count:agent:me"),
        ("upstream", CALL, "budget:b:count:upstream:shop"),
        ("upstream", INTENT, f"budget:b:count:upstream#{sha256(b'shop').hexdigest()}"),
        ("tenant", CALL, "budget:b:count:tenant"),
    ],
)
def test_an_account_is_one_budget_of_whom_it_is_for(per: str, call: Call, key: str) -> None:
    """Ours: both fronts of an agent share it; what a program calls its system is its own word, and perhaps secret."""
    (one,) = budgets(b={**CALLS, "per": per}).budgets
    assert account_key(one, ME, call) == key


def test_a_sum_and_a_count_of_one_name_are_two_accounts_and_a_long_name_goes_by_its_digest() -> None:
    """Ours: calls are no millions, and a key is written with every call."""
    (summed,) = budgets(b={**REFUNDS}).budgets
    assert account_key(summed, ME, CALL) == "budget:b:sum:agent:me"
    long = account_key(summed, replace(ME, agent="x" * 129), CALL)
    assert long.startswith("budget:b:sum:agent#")
    assert len(long) < 100


def test_an_allowed_call_rests_on_all_that_was_read_and_adds_to_what_counts_it() -> None:
    """Ours: a decision on what another has changed meanwhile is made again."""
    policies = budgets(refunds=REFUNDS, calls=CALLS)
    refunds, calls = policies.budgets
    tally = spent((NOON, 5 * 10**6))
    accounts = (
        Account(budget=refunds, key="r", held=tally.written(), tally=tally),
        Account(budget=calls, key="c", held=None, tally=Tally().at(NOON, 60)),
    )
    all_of_it = spend(accounts, {"refunds": 10**6, "calls": 1}, NOW)
    unchanged = (Unchanged(key="r", value=tally.written()), Unchanged(key="c", value=None))
    assert all_of_it.unchanged == unchanged
    assert [(key, row, after.total) for key, row, after in all_of_it.after] == [
        ("r", b"1 1440 %d:6000000" % (NOON // 1440), 6 * 10**6),
        ("c", b"1 1 %d:1" % NOON, 1),
    ]
    assert all(after.written() == row for _, row, after in all_of_it.after)
    assert spend(accounts, {"refunds": 0}, NOW) == Spent(unchanged=unchanged, after=())
    assert spend((), {}, NOW) == NOTHING


@forall(
    st.lists(st.tuples(st.integers(0, 2 * DAY), st.integers(1, 10**9)), min_size=1, max_size=5),
    st.sampled_from([60, 90, 3600, DAY]),
    st.sampled_from([60, 100, 3600, DAY]),
    st.integers(0, 4 * DAY),
)
def test_a_row_is_live_as_long_as_anything_of_it_counts(
    charged: list[tuple[int, int]], window_s: int, after_s: int, later: int
) -> None:
    """Also where the window has another length since; the newest bucket alone tells."""
    written = spent(*[(NOON + offset, amount) for offset, amount in sorted(charged)], window_s=window_s).written()
    now_s = NOON + 2 * DAY + later
    assert is_live(written, now_s, after_s) is bool(read_tally(written).at(now_s, after_s).total)


@pytest.mark.parametrize("held", [b"", b"1 60", b"1 x 5:1", b"1 60 x:1"])
def test_a_damaged_row_is_not_taken_for_an_empty_one(held: bytes) -> None:
    """It denies calls, so that somebody has to hear of it."""
    with pytest.raises(ValueError, match=r".*"):
        is_live(held, NOON, DAY)


@pytest.mark.parametrize("name", ["shop", "s" * 129])
@pytest.mark.parametrize("per", ["agent", "upstream", "tenant"])
@pytest.mark.parametrize("method", ["tools/call", INTENT_METHOD])
def test_an_account_is_looked_for_where_calls_charge_it(name: str, per: str, method: str) -> None:
    """Two ways to a key must be one: else something is spent that nobody sees."""
    (budget,) = budgets(b={**CALLS, "per": per}).budgets
    call = Call(method=method, upstream=name, name="t", uri="", arguments={}, arguments_digest="")
    key = account_key(budget, Principal(tenant="acme", agent=name, credential=""), call)
    program = per == "upstream" and method == INTENT_METHOD
    digest = f"#{sha256(name.encode()).hexdigest()}"
    if per == "tenant":
        assert (key, is_hidden(budget, key), whose(budget, key, "acme")) == (budget.place, False, "acme")
    elif program or name != "shop":
        expected = hidden_key(budget, name)
        assert (key, is_hidden(budget, key), whose(budget, key, "acme")) == (expected, True, digest)
        assert program or plain_key(budget, name) == expected
    else:
        assert (key, is_hidden(budget, key), whose(budget, key, "acme")) == (plain_key(budget, name), False, "shop")
