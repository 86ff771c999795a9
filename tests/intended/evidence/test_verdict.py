"""What the verifier derives is what the gateway's own tables say (the ladder: `tests/core/test_rejudge.py`)."""

import pytest

from gateway.core.projection import ANY, STATUS_AFTER
from intended.evidence.verdict import status_of

CASES = [(str(kind), word, str(status)) for kind, words in STATUS_AFTER.items() for word, status in words.items()]


@pytest.mark.parametrize(("kind", "word", "status"), CASES)
def test_each_entry_brings_the_status_that_the_projection_has(kind: str, word: str, status: str) -> None:
    """Two tables, written apart."""
    word = "something-else" if word == ANY else word
    effect, reasons = (word, []) if kind == "call.decided" else ("", [word])
    before = {"type": "call.decided", "effect": "ALLOW", "reasons": []}
    assert status_of([before, {"type": kind, "effect": effect, "reasons": reasons}]) == status


def test_what_says_nothing_of_an_intent_changes_nothing() -> None:
    """A token that was handed out, a lease that was granted."""
    decided = {"type": "call.decided", "effect": "DENY", "reasons": []}
    assert status_of([decided, {"type": "token.issued", "effect": "", "reasons": ["x"]}]) == "rejected"
    assert status_of([]) == ""
    assert status_of([decided, {"type": "call.completed", "effect": "", "reasons": []}]) == "failed"
