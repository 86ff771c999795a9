"""The status of an intent follows from its entries, for whoever shows it."""

import pytest

from gateway.core.projection import status_after
from gateway.core.submission import IntentStatus


@pytest.mark.parametrize(
    ("entry", "effect", "reason", "status"),
    [
        ("call.decided", "ALLOW", "policy-allow", IntentStatus.APPROVED),
        ("call.decided", "DENY", "no-rule", IntentStatus.REJECTED),
        ("call.decided", "ESCALATE", "tier-escalate", IntentStatus.PENDING),
        ("approval.resolved", "", "approved", IntentStatus.APPROVED),
        ("approval.resolved", "", "pending", IntentStatus.PENDING),
        ("approval.resolved", "", "denied", IntentStatus.REJECTED),
        ("approval.resolved", "", "expired", IntentStatus.EXPIRED),
        ("call.completed", "", "ok", IntentStatus.COMPLETED),
        ("call.completed", "", "completed", IntentStatus.COMPLETED),
        ("call.completed", "", "in-doubt", IntentStatus.FAILED),
    ],
)
def test_an_entry_brings_its_intent_to_a_status(entry, effect, reason, status):
    """Contract, section 2: pending, approved, rejected, completed, failed, expired."""
    assert status_after(entry, effect=effect, reason=reason) is status


@pytest.mark.parametrize("entry", ["policy.loaded", "token.issued", "no such type"])
def test_an_entry_that_tells_something_else_changes_no_status(entry):
    """What is not in the table must not move an intent."""
    assert status_after(entry, effect="", reason="") is None


def test_an_effect_that_nobody_knows_is_no_status():
    """A damaged entry must not read as approved."""
    assert status_after("call.decided", effect="MAYBE", reason="") is None
