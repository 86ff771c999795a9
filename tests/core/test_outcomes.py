"""What is kept of an escalated call after its human has spoken."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.core.approvals import Approval, ApprovalState
from gateway.core.decision import ApprovalTerms
from gateway.core.outcomes import StoredOutcome, StoredState, outcome_key, read_outcome, refused, until

DONE = StoredOutcome(
    state=StoredState.DONE,
    approval_id="apr_1",
    intent_id="int_1",
    until="2026-11-22T12:10:00.000Z",
    attempt="a",
    answered=True,
    reason="ok",
    explanation="fine",
    may_have_run=True,
    sealed=b"\x00\xff",
    version=7,
)


@pytest.mark.parametrize("outcome", [DONE, replace(DONE, sealed=None, answered=False)])
def test_an_outcome_is_read_as_it_was_written(outcome: StoredOutcome) -> None:
    """It has to survive the process that wrote it."""
    assert read_outcome(outcome.written(), 7) == outcome


def test_an_outcome_lies_beside_the_pointer_to_its_approval() -> None:
    """Both are found by the same call, and by no other one."""
    assert outcome_key("approval-key:abc") == "outcome:abc"


def test_what_is_kept_is_kept_for_ten_minutes() -> None:
    """Contract, section 3: the same call is a new intent after that."""
    assert until(datetime(2026, 11, 22, 12, tzinfo=UTC)) == "2026-11-22T12:10:00.000Z"


def test_a_no_stands_from_the_moment_that_it_was_said() -> None:
    """A human is not asked the same thing again a second later."""
    approval = Approval(
        id="apr_1",
        tenant="t",
        intent_id="int_1",
        agent="a",
        requested_by="key_1",
        state=ApprovalState.DENIED,
        reason="",
        terms=ApprovalTerms(),
        created="2026-11-22T11:00:00.000Z",
        expires="2026-11-22T12:00:00.000Z",
        resolved="2026-11-22T11:30:00.000Z",
    )
    kept = refused(approval)
    assert (kept.state, kept.until) == (StoredState.REFUSED, "2026-11-22T11:40:00.000Z")
