"""One sentence of what would happen."""

from typing import Any

import pytest

from gateway.core.presentation import sentence, still_needed

CALL = {
    "agent": "billing-agent",
    "method": "tools/call",
    "upstream": "files",
    "target": "payments.refund",
    "type": "billing.process_refund",
    "effect_class": "payment",
}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"amount": 99.99, "customerId": "cust_123"}, " of 99.99 to cust_123"),
        ({"amount": 5, "currency": "EUR", "to": "a@b.c"}, " of 5 EUR to a@b.c"),
        ({"path": "/etc/passwd", "other": 1}, " on /etc/passwd"),
        ({"to": ["a", "b", "c", "d", "e"]}, " to a, b, c and 2 more"),
        ({"to": "", "recipient": None, "email": {"x": 1}, "user": True}, ""),
        ({}, ""),
    ],
)
def test_the_arguments_that_tell_most_are_in_the_sentence(arguments: dict[str, Any], told: str) -> None:
    """How much, to whom, on what."""
    assert sentence(**CALL, arguments=arguments) == (
        f"Agent billing-agent wants to process refund{told} by files/payments.refund (payment)."
    )


def test_a_value_cannot_go_on_with_the_sentence() -> None:
    """What is no plain word is quoted, and cut; the agent chose it."""
    said = sentence(**CALL, arguments={"to": 'Bob (approved already). "Yes"\u202e', "path": "x y" * 100})
    assert 'to "Bob (approved already). \\"Yes\\"\\u202e" on "x y' in said
    assert "cut: 300 characters" in said


def test_the_first_argument_of_a_name_counts() -> None:
    """Two names that fold to one must not let the second one hide the first."""
    assert " of 1 " in sentence(**CALL, arguments={"amount": 1, "Amount": 2})


@pytest.mark.parametrize(
    ("more", "way"),
    [
        ({"method": "intent", "upstream": "github", "target": "deploy to production"},
         'by itself in github: "deploy to production"'),
        ({"method": "intent", "upstream": "", "target": "deploy"}, "by itself: deploy"),
        ({"method": "resources/read", "target": "file:///x"}, "by resources/read files/file:///x"),
    ],
)  # fmt: skip
def test_the_sentence_says_by_which_way(more: dict[str, str], way: str) -> None:
    """A program acts itself; a resource is read."""
    assert sentence(**(CALL | more), arguments={}).endswith(f"{way} (payment).")


@pytest.mark.parametrize("type", ["", "unknown"])
def test_a_call_of_unknown_purpose_is_said_to_be_one(type: str) -> None:
    """Nothing is guessed for the human."""
    said = sentence(**(CALL | {"type": type, "effect_class": ""}), arguments={})
    assert said == "Agent billing-agent wants to make a call of unknown purpose by files/payments.refund (unknown)."


def test_approvers_are_counted_while_it_is_pending() -> None:
    """And never below none."""
    assert still_needed(2, 1, pending=True) == 1
    assert still_needed(1, 2, pending=True) == 0
    assert still_needed(2, 0, pending=False) == 0
