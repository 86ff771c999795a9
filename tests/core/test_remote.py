"""What a remote authority is asked, and what its answers mean."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.audit.canonical import digest
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.call import Told as Said
from gateway.core.decision import Effect, Reason
from gateway.core.remote import (
    MAX_TEXT_CHARS,
    Pending,
    Question,
    Told,
    Verdict,
    fact_of,
    question_of,
    read_decision,
    read_pending,
    read_remote,
    remote_key,
    unavailable,
)

ARGUMENTS: dict[str, Any] = {"amount": 5}
CALL = Call(
    method="tools/call",
    upstream="payments",
    name="transfer",
    uri="",
    arguments=ARGUMENTS,
    arguments_digest=digest(ARGUMENTS),
)
ANSWER: dict[str, Any] = {"intentId": "int_1", "decision": "ALLOW", "reason": "fine", "token": "a.b.c"}
WAITS = {
    **ANSWER,
    "decision": "ESCALATE",
    "escalationId": "apr_1",
    "approvalUrl": "https://there.example/approve/apr_1",
}


def test_a_tool_call_is_an_intent_whose_action_is_the_tool_on_the_system_that_is_the_upstream() -> None:
    """So that the token is bound to upstream, tool and the very arguments that are forwarded."""
    asked = question_of(CALL, "bot", "int_9")
    assert asked.body() == {
        "action": {"type": "transfer", "params": ARGUMENTS},
        "actor": "bot",
        "system": "payments",
        "idempotencyKey": "int_9",
    }
    assert (asked.audience, digest(asked.params)) == ("payments", CALL.arguments_digest)


@pytest.mark.parametrize(
    ("call", "action", "params"),
    [
        (
            replace(CALL, method="resources/read", name="", uri="notes://1", arguments={}),
            "resources/read",
            {"uri": "notes://1", "arguments": {}},
        ),
        (
            replace(CALL, method="prompts/get", name="greet"),
            "prompts/get",
            {"name": "greet", "arguments": ARGUMENTS},
        ),
        (
            replace(CALL, answers={"q": 1}),
            "transfer",
            {"arguments": ARGUMENTS, "inputResponses": {"q": 1}},
        ),
        (
            replace(CALL, method=INTENT_METHOD, told=Said(action="a long text")),
            "a long text",
            ARGUMENTS,
        ),
    ],
    ids=["resource", "prompt", "answers", "intent"],
)
def test_everything_that_goes_to_the_other_side_is_asked_about(call: Call, action: str, params: object) -> None:
    """What the authority does not see it cannot deny."""
    asked = question_of(call, "bot", "int_9")
    assert (asked.action, asked.params) == (action, params)


def test_an_intent_without_a_system_has_none() -> None:
    """Its token is for nobody in particular then."""
    asked = question_of(replace(CALL, method=INTENT_METHOD, upstream=""), "bot", "k")
    assert ("system" in asked.body(), asked.audience) == (False, "so.intended")


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.ALLOW),
        ({"decision": "DENY"}, Verdict.DENY),
        ({**WAITS, "decision": "ESCALATE"}, Verdict.PENDING),
        ({**WAITS, "status": "pending"}, Verdict.PENDING),
        ({**WAITS, "status": "rejected"}, Verdict.DENY),
        ({**WAITS, "status": "expired"}, Verdict.OVER),
        ({**WAITS, "status": "approved"}, Verdict.OVER),
        ({"status": "approved"}, Verdict.ALLOW),
        ({"status": "completed"}, Verdict.OVER),
        ({"status": "failed"}, Verdict.OVER),
    ],
    ids=str,
)
def test_an_answer_says_one_thing(changes: dict[str, Any], verdict: Verdict) -> None:
    """The status of an intent that is shown is later than its decision; a yes without ALLOW was not decided again."""
    told = read_decision({**ANSWER, **changes})
    assert (told.verdict, told.intent_id, told.text) == (verdict, "int_1", "fine")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "ALLOW",
        {},
        {**ANSWER, "decision": "allow"},
        {**ANSWER, "decision": None},
        {**ANSWER, "decision": ["ALLOW"]},
        {**ANSWER, "reason": None},
        {**ANSWER, "intentId": "../keys"},
        {**ANSWER, "intentId": ""},
        {**ANSWER, "intentId": 1},
        {**ANSWER, "token": None},
        {**ANSWER, "status": "waiting"},
        {**ANSWER, "status": ["pending"]},
        {**WAITS, "escalationId": ""},
        {**WAITS, "escalationId": "a b"},
        {**WAITS, "approvalUrl": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_what_is_no_decision_is_none(answer: object) -> None:
    """Nothing of an answer is guessed."""
    with pytest.raises(ValueError, match=r"^it "):
        read_decision(answer)


def test_a_text_is_one_line_of_bounded_length_and_a_token_is_not_shown() -> None:
    """It is told to agents, and lands in logs."""
    told = read_decision({**ANSWER, "reason": "one\ntwo\x1b[31m " + "x" * 1000})
    assert told.text.startswith("one two?[31m x")
    assert len(told.text) == MAX_TEXT_CHARS
    assert "a.b.c" not in repr(told)


@pytest.mark.parametrize(
    ("told", "effect", "reason", "said"),
    [
        (Told(verdict=Verdict.ALLOW, token_id="tok_1"), Effect.ALLOW, Reason.AUTHORITY_ALLOW, "allows"),
        (Told(verdict=Verdict.DENY, text="No."), Effect.DENY, Reason.AUTHORITY_DENY, "denies it: No."),
        (Told(verdict=Verdict.OVER), Effect.DENY, Reason.AUTHORITY_DENY, "is over"),
        (unavailable("gone"), Effect.DENY, Reason.AUTHORITY_UNAVAILABLE, "cannot be asked: gone."),
        (
            Told(verdict=Verdict.PENDING, text="Look.", approval_id="apr_1"),
            Effect.ESCALATE,
            Reason.AUTHORITY_ESCALATE,
            "Look. It waits there, not here, for the approval apr_1. After",
        ),
        (
            Told(verdict=Verdict.PENDING, text="Look.", approval_id="apr_1", url="https://there/x"),
            Effect.ESCALATE,
            Reason.AUTHORITY_ESCALATE,
            "apr_1 (https://there/x).",
        ),
    ],
    ids=str,
)
def test_each_answer_is_a_fact_that_can_be_read_back(told: Told, effect: Effect, reason: Reason, said: str) -> None:
    """A verdict is recomputed from what was recorded."""
    fact = fact_of(told)
    assert (fact.effect, fact.reason) == (effect, reason)
    assert said in fact.explanation
    assert read_remote(fact.written()) == fact


def test_what_a_call_waits_for_can_be_read_back() -> None:
    """It outlives the process."""
    pending = Pending(intent_id="int_1", approval_id="apr_1", url="", until="2026-11-22T12:00:00.000Z")
    assert read_pending(pending.written()) == pending
    assert remote_key("approval-key:abc") == "remote:abc"


def test_a_question_is_what_it_was_made_of() -> None:
    """Two with the same key would be taken for one."""
    assert question_of(CALL, "bot", "a") == Question(
        key="a", agent="bot", action="transfer", system="payments", params=ARGUMENTS
    )
