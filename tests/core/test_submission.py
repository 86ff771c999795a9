"""The statuses of an intent: what is decided, done or over stays so."""

import pytest

from gateway.core.submission import TRANSITIONS, IntentStatus, Outcome, may_become


def test_the_table_names_every_status() -> None:
    """A status without a row would be one that nobody has thought about."""
    assert set(TRANSITIONS) == set(IntentStatus)


@pytest.mark.parametrize("status", list(IntentStatus))
@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_outcome_is_taken_of_an_approved_intent_only(status: IntentStatus, outcome: Outcome) -> None:
    """The contract: what was not allowed was not done, and what was done is done once."""
    assert may_become(status, IntentStatus(outcome)) == (status is IntentStatus.APPROVED)


@pytest.mark.parametrize(
    "status", [IntentStatus.REJECTED, IntentStatus.COMPLETED, IntentStatus.FAILED, IntentStatus.EXPIRED]
)
def test_nothing_follows_an_end(status: IntentStatus) -> None:
    """Trust and value are counted from ends."""
    assert TRANSITIONS[status] == frozenset()


def test_a_yes_may_still_become_a_no_or_a_question() -> None:
    """It is decided again under the policy of the moment in which it is used."""
    assert may_become(IntentStatus.APPROVED, IntentStatus.REJECTED)
    assert may_become(IntentStatus.APPROVED, IntentStatus.PENDING)
    assert may_become(IntentStatus.PENDING, IntentStatus.APPROVED)
