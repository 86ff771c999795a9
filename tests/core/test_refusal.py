"""How a refusal reads: in a form that every client hands to its model."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.call import Call, Era
from gateway.core.refusal import (
    DECISION_META,
    Refusal,
    RefusalKind,
    next_leg_message,
    refusal_message,
    unknown_target_message,
)
from gateway.core.respite import Respite

TOOL = Call(method="tools/call", upstream="u", name="t", uri="", arguments={"k": "s3cret"}, arguments_digest="")
PROMPT = Call(method="prompts/get", upstream="u", name="p", uri="", arguments={}, arguments_digest="")
READ = Call(method="resources/read", upstream="u", name="", uri="x://1", arguments={}, arguments_digest="")


def refusal(kind: RefusalKind, **more: object) -> Refusal:
    return Refusal(kind=kind, intent_id="int_1", reason="policy-deny", explanation="Because.", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("era", list(Era))
@pytest.mark.parametrize("kind", list(RefusalKind))
def test_a_refused_tool_call_is_an_error_result_with_one_text(kind: RefusalKind, era: Era) -> None:
    """No `structuredContent`, no JSON-RPC error: the form that survives every client (protocol.md 3.1)."""
    result = refusal_message(TOOL, era, refusal(kind))["result"]
    assert result["isError"] is True
    assert [block["type"] for block in result["content"]] == ["text"]
    assert "structuredContent" not in result
    assert ("resultType" in result) is (era is Era.MODERN)
    assert result["_meta"][DECISION_META]["outcome"] == kind.value
    assert "s3cret" not in str(result)


def test_a_denial_says_not_to_repeat_the_call() -> None:
    """Frameworks turn errors into retries unless the text says otherwise."""
    result = refusal_message(TOOL, Era.MODERN, refusal(RefusalKind.DENY, rule="no-delete"))["result"]
    assert "Do not repeat this call" in result["content"][0]["text"]
    assert result["_meta"][DECISION_META] == {
        "outcome": "deny",
        "id": "int_1",
        "reason": "policy-deny",
        "rule": "no-delete",
        "retry": "never",
    }


@pytest.mark.parametrize(
    ("reason", "retry", "words"),
    [
        ("policy-deny", "never", "use a tool or arguments that the policy allows"),
        ("switched-off", "never", "a human has to release the switch first"),
        ("circuit-open", "later", "Do not repeat this call before then"),
        ("busy", "later", "before others have ended"),
        ("contention", "later", "at once"),
    ],
)
def test_a_denial_says_what_would_help(reason: str, retry: str, words: str) -> None:
    """No other arguments help an agent that is stopped, and a breaker closes by itself."""
    told = refusal_message(TOOL, Era.MODERN, replace(refusal(RefusalKind.DENY), reason=reason))["result"]
    assert words in told["content"][0]["text"]
    assert ("that the policy allows" in told["content"][0]["text"]) is (reason == "policy-deny")
    assert told["_meta"][DECISION_META]["retry"] == retry


NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("respite", "seconds", "words"),
    [
        (Respite(at=NOON + timedelta(seconds=90), now=NOON), 90, "before 2026-11-22T12:01:30.000Z (in 90 s)"),
        (Respite(at=None, now=NOON), None, "what was spent has to fall out of its window first"),
    ],
)
def test_a_denial_for_what_was_spent_says_when_to_ask_again(respite: Respite, seconds: int | None, words: str) -> None:
    """That asking again does not change the answer would be untrue, and an agent would give its task up."""
    told = refusal_message(TOOL, Era.MODERN, refusal(RefusalKind.DENY, respite=respite))["result"]
    text, record = told["content"][0]["text"], told["_meta"][DECISION_META]
    assert words in text
    assert "does not change the answer" not in text
    assert (record["retry"], record.get("retryAfterS")) == ("later", seconds)


def test_a_pending_call_says_that_nothing_was_executed() -> None:
    """The model must tell the user, not try again."""
    text = refusal_message(TOOL, Era.MODERN, refusal(RefusalKind.PENDING))["result"]["content"][0]["text"]
    assert text.startswith("Waiting for a human")
    assert "Nothing was executed" in text


@pytest.mark.parametrize(("ran", "words"), [(True, "It is not known whether"), (False, "Nothing was executed")])
def test_a_failure_says_whether_the_call_may_have_run(ran: bool, words: str) -> None:
    """Repeating a payment that may have run is the agent's worst mistake."""
    result = refusal_message(TOOL, Era.MODERN, refusal(RefusalKind.ERROR, may_have_run=ran))["result"]
    assert words in result["content"][0]["text"]
    assert result["_meta"][DECISION_META]["mayHaveRun"] is ran


@pytest.mark.parametrize("call", [PROMPT, READ])
def test_other_methods_get_an_error_outside_of_the_reserved_range(call: Call) -> None:
    """They have no `isError`."""
    error = refusal_message(call, Era.HANDSHAKE, refusal(RefusalKind.DENY))["error"]
    assert error["code"] == 40301
    assert error["data"][DECISION_META]["outcome"] == "deny"


@pytest.mark.parametrize(
    ("call", "era", "error"),
    [
        (TOOL, Era.MODERN, {"code": -32602, "message": "Unknown tool: t"}),
        (PROMPT, Era.MODERN, {"code": -32602, "message": "Unknown prompt: p"}),
        (READ, Era.MODERN, {"code": -32602, "message": "Resource not found", "data": {"uri": "x://1"}}),
        (READ, Era.HANDSHAKE, {"code": -32002, "message": "Resource not found", "data": {"uri": "x://1"}}),
    ],
)
def test_a_hidden_target_reads_like_one_that_does_not_exist(call: Call, era: Era, error: object) -> None:
    """Whoever may not have it must not learn that it is there."""
    assert unknown_target_message(call, era) == {"error": error}


def test_a_pending_call_is_told_with_the_approval_that_it_waits_for() -> None:
    """The agent can name it to its person, and learns that the same call may be made again after the yes."""
    waiting = Refusal(
        kind=RefusalKind.PENDING, intent_id="int_1", reason="policy-escalate", explanation="Money.", approval_id="apr_1"
    )
    call = Call(method="tools/call", upstream="u", name="t", uri="", arguments={}, arguments_digest="")
    result = refusal_message(call, Era.HANDSHAKE, waiting)["result"]
    assert result["_meta"][DECISION_META]["approval"] == "apr_1"
    assert "apr_1" in result["content"][0]["text"]
    alone = refusal_message(call, Era.HANDSHAKE, replace(waiting, approval_id=""))["result"]
    assert "approval" not in alone["_meta"][DECISION_META]


def test_a_pending_call_names_its_approval_and_the_command_that_gives_it() -> None:
    """The model can tell its user what to do, and learns that the same call then is the way."""
    result = refusal_message(TOOL, Era.MODERN, refusal(RefusalKind.PENDING, approval_id="apr_1"))["result"]
    assert "`intended approvals approve apr_1`" in result["content"][0]["text"]
    assert result["_meta"][DECISION_META]["approval"] == "apr_1"


def test_a_pending_call_names_the_page_on_which_a_human_answers() -> None:
    """The link is the shortest way for a person who reads the model's words; without one there is the command."""
    url = "https://gate.example.org/approve/apr_1"
    waiting = refusal(RefusalKind.PENDING, approval_id="apr_1", approval_url=url)
    result = refusal_message(TOOL, Era.MODERN, waiting)["result"]
    assert f"({url} or `intended approvals approve apr_1`)" in result["content"][0]["text"]
    assert result["_meta"][DECISION_META]["approvalUrl"] == url


@pytest.mark.parametrize("kind", [RefusalKind.RUNNING, RefusalKind.DONE])
def test_a_repeated_call_is_told_that_it_is_executed_once_only(kind: RefusalKind) -> None:
    """What an agent sends twice must not seem to have happened twice."""
    text = refusal_message(TOOL, Era.MODERN, refusal(kind))["result"]["content"][0]["text"]
    assert ("once only" in text, "Nothing was executed for this repetition" in text) in ((True, False), (False, True))


def test_the_next_leg_carries_the_state_and_asks_nothing() -> None:
    """It is legal for every client and needs no capability (protocol.md 3.4)."""
    result = next_leg_message("sealed", refusal(RefusalKind.PENDING, approval_id="apr_1"))["result"]
    assert (result["resultType"], result["requestState"], "inputRequests" in result) == (
        "input_required",
        "sealed",
        False,
    )
    assert result["_meta"][DECISION_META]["outcome"] == "pending"


def test_a_client_that_opens_pages_is_asked_to_open_the_approvals() -> None:
    """A notification of its user; what the client answers to it decides nothing."""
    told = refusal(RefusalKind.PENDING, approval_id="apr_1")
    result = next_leg_message("sealed", told, page="https://gate.test/approve/apr_1")["result"]
    (asked,) = result["inputRequests"].values()
    assert asked["method"] == "elicitation/create"
    assert (asked["params"]["mode"], asked["params"]["url"], asked["params"]["elicitationId"]) == (
        "url",
        "https://gate.test/approve/apr_1",
        "apr_1",
    )
