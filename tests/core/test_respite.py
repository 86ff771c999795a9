"""When a denied call may be asked again: a time at which the ladder says something else, or none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.core.budgets import Account, Tally, plain_key
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.decide import decide
from gateway.core.decision import Decision, Effect, Reason, Stop, Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.model import EffectClass, Intent
from gateway.core.principal import Principal, TrustTier
from gateway.core.respite import Respite, by_budget, respite
from tests.core.policy.builders import bundle, rule

NOW = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)
ME = Principal(tenant="default", agent="me", credential="key")
INTENT = Intent(
    type="files.read", domain="files", effect_class=EffectClass.READ, confidence=0.9, evidence=(), risk=10, factors=()
)
REFUNDS = {"sum": "args.amount", "per": "agent", "window": "1d"}
CALLS = {"count": "calls", "per": "agent", "window": "1m"}
WITHIN = rule("within", when="budget.refunds + double(args.amount) <= 10.0")
FAST = rule("fast", "deny", "count.calls >= 3")


def call(arguments: Any) -> Call:
    return Call(method=INTENT_METHOD, upstream="u", name="t", uri="", arguments=arguments, arguments_digest="")


def asked(*rules: Any, **given: Any) -> Respite | None:
    """Return the respite of a call that is denied."""
    return respite(*denied(*rules, **given))


def denied(
    *rules: Any, refunds: Any = (), calls: Any = (), amount: float = 1, arguments: Any = None, **more: Any
) -> tuple[Call, Intent, Facts, Decision]:
    """Return a call and its denial; `refunds` and `calls` are (seconds ago, amount), oldest first."""
    policy = bundle(*rules, budgets={"refunds": REFUNDS, "calls": CALLS})
    accounts, budgets, counts = [], {}, {}
    for budget, charged, unit in zip(policy.budgets, (refunds, calls), (10**6, 1), strict=True):
        tally = Tally().at(int(NOW.timestamp()), budget.window_s)
        for ago, one in charged:
            at = int((NOW - timedelta(seconds=ago)).timestamp())
            tally = tally.at(at, budget.window_s).plus(at, one * unit)
        tally = tally.at(int(NOW.timestamp()), budget.window_s)
        accounts.append(Account(budget=budget, key=plain_key(budget, "me"), held=None, tally=tally))
        if budget.amount is None:
            counts[budget.name] = tally.total
        else:
            budgets[budget.name] = tally.total / 10**6
    facts = Facts(
        principal=ME,
        tier=TrustTier.T0,
        score=0,
        thresholds=Thresholds(allow_below=101, deny_from=101),
        bundle=policy,
        now=NOW,
        novel=False,
        budgets=budgets,
        counts=counts,
        accounts=accounts,
    )
    facts = replace(facts, **more)
    made = call(arguments or {"amount": amount})
    decision = decide(made, INTENT, facts)
    assert decision.effect is Effect.DENY
    return made, INTENT, facts, decision


def test_a_rate_passes_as_soon_as_enough_calls_are_out_of_the_window() -> None:
    """Three within the minute; one second after it the first does not count any more, and two are not three."""
    found = asked(rule("all"), FAST, calls=[(50, 1), (30, 1), (10, 1)])
    assert found == Respite(at=datetime(2026, 11, 22, 12, 0, 11, tzinfo=UTC), now=NOW)
    assert found.after_s == 11


def test_a_sum_passes_once_the_call_itself_fits() -> None:
    """A large call waits for longer than a small one; how long is the ladder's own word."""
    spent = [(80_000, 2), (40_000, 3), (20_000, 4)]
    small, large = asked(WITHIN, refunds=spent, amount=2), asked(WITHIN, refunds=spent, amount=5)
    assert small is not None
    assert large is not None
    assert (small.after_s, large.after_s) == (7200, 47_520)


def test_what_is_too_much_for_an_empty_budget_is_never_worth_another_try() -> None:
    """Asking again does not change the answer then, and the agent is told so."""
    assert asked(WITHIN, refunds=[(10, 2)], amount=11) is None


def test_a_denial_that_does_not_rest_on_what_was_spent_has_no_respite() -> None:
    """Ours: a rule that forbids forbids tomorrow, too."""
    assert asked(rule("all"), rule("no", "deny"), refunds=[(10, 2)]) is None


def test_nothing_spent_is_no_reason() -> None:
    """Ours: there is nothing that could come back."""
    assert asked(rule("no", "deny")) is None


def test_several_budgets_have_to_have_room_at_once() -> None:
    """The later of both times is the one that helps."""
    found = asked(WITHIN, FAST, refunds=[(43_200, 10)], calls=[(5, 3)])
    assert found is not None
    assert found.after_s is not None
    assert 43_200 <= found.after_s <= 43_200 + 24 * 60


def test_a_rule_that_goes_by_the_hour_leaves_the_time_open() -> None:
    """Less is spent then, but it is another hour: to name that time would be a lie."""
    today = rule("all", when="now < timestamp('2026-11-22T13:00:00Z')")
    found = asked(today, rule("much", "deny", "budget.refunds >= 5.0"), refunds=[(100, 5)])
    assert found == Respite(at=None, now=NOW)
    assert found.after_s is None


def test_a_denial_is_for_a_budget_where_it_would_not_be_with_nothing_spent() -> None:
    """To forbid by a rule and to be at a limit are two things, and only one is held against an agent."""
    spent = {"refunds": [(10, 10)], "calls": [(10, 3)]}
    assert by_budget(*denied(WITHIN, **spent))
    assert by_budget(*denied(rule("all"), FAST, **spent))
    assert by_budget(*denied(rule("ask", "escalate"), FAST, **spent)), "a human would have been asked"
    assert by_budget(*denied(rule("all"), FAST, arguments={"amount": 1, "more": LARGE["many items"]}, **spent))


def test_a_denial_is_not_for_a_budget_where_anything_else_forbids_the_call() -> None:
    """Else an agent that has spent its budget could try what is forbidden at no cost."""
    spent = {"refunds": [(10, 10)], "calls": [(10, 3)]}
    assert not by_budget(*denied(rule("all"), rule("no", "deny"), FAST, **spent))
    assert not by_budget(*denied(WITHIN, refunds=[(10, 2)], amount=11)), "too much for an empty budget"
    assert not by_budget(*denied(FAST, **spent)), "and no rule allows it"
    risky = Thresholds(allow_below=5, deny_from=10)
    assert not by_budget(*denied(rule("all"), FAST, thresholds=risky, **spent))
    assert not by_budget(*denied(rule("all"), rule("odd", "deny", "args.missing > 1"), **spent))
    warm = rule("warm", "deny", "count.calls < 5")
    assert not by_budget(*denied(rule("all"), warm, **spent)), "too little was spent"
    assert not by_budget(*denied(rule("no", "deny"))), "nothing was"
    stop = Stop(reason=Reason.SWITCHED_OFF, explanation="stopped")
    assert not by_budget(*denied(rule("all"), FAST, stop=stop, **spent))


def test_other_denials_are_not_put_down_to_budgets() -> None:
    """A condition that errs, a risk too high: both stay as they are."""
    assert asked(rule("all"), rule("odd", "deny", "args.missing > 1"), refunds=[(10, 2)]) is None


def test_an_open_circuit_closes_when_its_stop_says() -> None:
    """The breaker knows its own time; it is told in seconds, as a spent budget is."""
    until = NOW + timedelta(seconds=30)
    found = asked(rule("all"), stop=Stop(reason=Reason.CIRCUIT_OPEN, explanation="stopped", until=until))
    assert found == Respite(at=until, now=NOW)
    assert found.after_s == 30


@pytest.mark.parametrize(("wait", "seconds"), [(0.2, 1), (1.0, 1), (1.5, 2)])
def test_a_wait_is_told_in_whole_seconds_and_never_too_short(wait: float, seconds: int) -> None:
    """Who rounds down sends the agent back too early."""
    assert Respite(at=NOW + timedelta(seconds=wait), now=NOW).after_s == seconds


LARGE = {
    "many items": [{"a": "x"}] * 300,
    "many keys": {f"k{number}": 1 for number in range(600)},
    "a long text": "x" * 20_000,
    "a long key": {"k" * 20_000: 1},
}


@pytest.mark.parametrize("more", LARGE.values(), ids=LARGE)
def test_large_arguments_are_not_looked_through_again_and_again(more: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that has spent everything must not make its denials cost ten times a decision."""
    looks = []

    def look(*given: Any) -> Any:
        looks.append(given)
        return decide(*given)

    monkeypatch.setattr("gateway.core.respite.decide", look)
    refunds = [(seconds, 1) for seconds in range(80_000, 0, -2_000)]
    small = asked(WITHIN, refunds=refunds)
    assert small is not None
    assert small.at is not None
    assert len(looks) > 4
    looks.clear()
    assert asked(WITHIN, refunds=refunds, arguments={"amount": 1, "more": more}) == Respite(at=None, now=NOW)
    assert len(looks) == 1, "that it is for a budget"
