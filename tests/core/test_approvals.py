"""The states of an approval: no no becomes a yes, nothing goes back to pending, and a yes answers what was asked."""

import pytest

from gateway.core.approvals import TRANSITIONS, ApprovalState, Granted, may_become, read_granted
from gateway.core.decision import Effect, MatchedRule

ASK = MatchedRule(id="ask", policy_set="p", effect=Effect.ESCALATE, reason="", digest="d1")
ALLOW = MatchedRule(id="yes", policy_set="p", effect=Effect.ALLOW, reason="", digest="d9")


def test_the_table_names_every_state() -> None:
    """A state without a row would be one that nobody has thought about."""
    assert set(TRANSITIONS) == set(ApprovalState)


@pytest.mark.parametrize("state", list(ApprovalState))
def test_nothing_leads_back_to_pending_and_no_no_becomes_a_yes(state: ApprovalState) -> None:
    """Whoever was refused must ask anew."""
    assert not may_become(state, ApprovalState.PENDING)
    assert may_become(state, ApprovalState.APPROVED) == (state is ApprovalState.PENDING)


def test_a_yes_that_was_not_used_can_fail_or_run_out() -> None:
    """It is decided again before it is used, and it is not good for ever."""
    assert may_become(ApprovalState.APPROVED, ApprovalState.FAILED)
    assert may_become(ApprovalState.APPROVED, ApprovalState.EXPIRED)
    assert not may_become(ApprovalState.DENIED, ApprovalState.EXPIRED)


def test_a_yes_covers_the_rules_that_it_was_given_for_as_they_were() -> None:
    """Allow rules ask nothing; an escalating one that is new or of another text asks anew."""
    yes = Granted(id="apr_1", rules=frozenset({("ask", "d1")}))
    assert yes.covers((ASK, ALLOW))
    assert yes.covers(())
    assert not yes.covers((MatchedRule(id="ask", policy_set="p", effect=Effect.ESCALATE, reason="", digest="d2"),))
    assert not yes.covers((ASK, MatchedRule(id="new", policy_set="p", effect=Effect.ESCALATE, reason="", digest="d1")))


def test_a_yes_is_read_as_it_was_recorded() -> None:
    """What JSON makes of it are lists."""
    assert read_granted({"id": "apr_1", "rules": [["ask", "d1"]]}) == Granted(
        id="apr_1", rules=frozenset({("ask", "d1")})
    )
