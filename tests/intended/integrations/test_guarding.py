"""What every guard does: ask, refuse in words, remember what waits for a human, report how it went."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import httpx
import pytest

from intended import AsyncIntendedClient, BlockedError, IntendedClient
from intended.integrations.guarding import MAX_WAITING, Guarding, guarded_function
from tests.intended.answering import ALLOW, BASE, KEY, again, says, without

DENY = without(ALLOW, "token") | {"decision": "DENY", "reason": "Rule `no-prod` denies it."}
ESCALATE = without(ALLOW, "token") | {
    "decision": "ESCALATE",
    "reason": "Rule `deploys` asks a human.",
    "escalationId": "apr_1",
}


class Desk:
    """A service whose next decision a test sets, with intents whose state it sets too; keeps what it was asked."""

    def __init__(self, decision: Any = ALLOW) -> None:
        self.decision = decision
        self.status = "pending"
        self.token = ""
        self.again: dict[str, Any] = {}
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.outcome_fails = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        if request.content:
            self.bodies.append(json.loads(request.content))
        if path == "/intent":
            return again(self.decision) if isinstance(self.decision, httpx.Response) else says(self.decision)
        if path.endswith("/outcome"):
            return httpx.Response(503) if self.outcome_fails else says(ALLOW | {"status": "completed"})
        shown = ESCALATE | {"status": self.status} | self.again
        return says(shown | {"token": self.token} if self.token else shown)


class Tool:
    """A tool that counts how often it ran."""

    def __init__(self, result: Any = "deployed") -> None:
        self.runs: list[dict[str, Any]] = []
        self.result = result

    def deploy(self, repo: str, branch: str = "main") -> Any:
        """Deploy."""
        self.runs.append({"repo": repo, "branch": branch})
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def deploy_awaited(self, repo: str, branch: str = "main") -> Any:
        """Deploy, awaited."""
        return self.deploy(repo, branch)


def blocking(desk: Desk) -> IntendedClient:
    return IntendedClient(KEY, base_url=BASE, retries=0, transport=httpx.MockTransport(desk))


def awaiting(desk: Desk) -> AsyncIntendedClient:
    return AsyncIntendedClient(KEY, base_url=BASE, retries=0, transport=httpx.MockTransport(desk))


def same(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return arguments


Call = Callable[..., Any]


def guarded(kind: str, tool: Tool, desk: Desk, **more: Any) -> Call:
    """Return the guarded tool as a plain function, whatever is awaited within."""
    client = awaiting(desk) if kind.endswith("awaiting client") else blocking(desk)
    guarding = Guarding(client, actor="release-agent", system="ci", **more)
    function = tool.deploy_awaited if kind.startswith("awaited") else tool.deploy
    wrapped = guarded_function(function, guarding, name="deploy", shown=same)
    if kind == "blocking tool, blocking client":
        return wrapped
    return lambda **arguments: anyio.run(lambda: wrapped(**arguments))


KINDS = (
    "blocking tool, blocking client",
    "blocking tool, awaiting client",
    "awaited tool, blocking client",
    "awaited tool, awaiting client",
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_an_allowed_tool_runs_once_and_its_outcome_is_reported(kind: str) -> None:
    """The policy sees the tool's name and its arguments, defaults included."""
    desk, tool = Desk(), Tool()
    assert guarded(kind, tool, desk)(repo="acme/site") == "deployed"
    assert tool.runs == [{"repo": "acme/site", "branch": "main"}]
    assert desk.asked == ["POST /intent", "POST /intent/int_abc123/outcome"]
    assert desk.bodies == [
        {
            "action": "deploy",
            "actor": "release-agent",
            "system": "ci",
            "metadata": {"repo": "acme/site", "branch": "main"},
        },
        {"status": "completed"},
    ]


def test_a_denied_tool_does_not_run_and_the_model_is_told(kind: str) -> None:
    """In words that keep it from trying again."""
    desk, tool = Desk(DENY), Tool()
    text = guarded(kind, tool, desk)(repo="acme/site")
    assert text == (
        "Not executed: denied. Rule `no-prod` denies it. Do not repeat this call; it would be denied again."
        " (int_abc123)"
    )
    assert tool.runs == []


def test_a_tool_that_is_denied_for_what_was_spent_may_be_asked_for_again(kind: str) -> None:
    """That it would be denied again is not true then, and the model would give its task up."""
    desk, tool = Desk(DENY | {"retryAfterSeconds": 90}), Tool()
    text = guarded(kind, tool, desk)(repo="acme/site")
    assert text == (
        "Not executed: denied. Rule `no-prod` denies it. Do not repeat this call within 90 s; by then enough of what"
        " was spent counts no more. (int_abc123)"
    )
    assert tool.runs == []


def test_an_escalated_tool_does_not_run_and_the_model_is_told_what_to_do(kind: str) -> None:
    """A human must hear of it, and the call may be made again."""
    desk, tool = Desk(ESCALATE), Tool()
    text = guarded(kind, tool, desk)(repo="acme/site")
    assert "a human must approve this call first" in text
    assert "Approval apr_1." in text
    assert "exactly the same arguments" in text
    assert tool.runs == []


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(200, html="<html>"),
        says({"error": "UNAUTHORIZED", "message": "Unknown API key."}, 401),
        says({"error": "RATE_LIMITED", "message": "Too many requests"}, 429),
        says(without(ALLOW, "token")),
    ],
    ids=lambda answer: f"{answer.status_code}-{len(answer.content)}",
)
def test_without_a_decision_the_tool_does_not_run(kind: str, answer: httpx.Response) -> None:
    """A run with a wrong key must neither act nor break the agent."""
    desk, tool = Desk(answer), Tool()
    text = guarded(kind, tool, desk)(repo="acme/site")
    assert text.startswith("Not executed: no decision could be made.")
    assert KEY not in text
    assert tool.runs == []


def test_arguments_that_cannot_be_shown_are_not_run_with(kind: str) -> None:
    """What the policy cannot see it cannot have allowed."""
    for value in (object(), float("nan"), {1, 2}):
        desk, tool = Desk(), Tool()
        assert "cannot be shown to the policy" in guarded(kind, tool, desk)(repo=value)
        assert (tool.runs, desk.asked) == ([], [])


def test_a_refusal_can_be_raised_instead(kind: str) -> None:
    """For programs in which no model reads results."""
    desk, tool = Desk(DENY), Tool()
    with pytest.raises(BlockedError, match="denied") as caught:
        guarded(kind, tool, desk, on_block="raise")(repo="acme/site")
    assert (caught.value.verdict, caught.value.intent_id, tool.runs) == ("DENY", "int_abc123", [])


def test_a_call_that_waits_is_asked_about_and_not_submitted_again(kind: str) -> None:
    """Each submission would open an approval of its own."""
    desk, tool = Desk(ESCALATE), Tool()
    call = guarded(kind, tool, desk)
    call(repo="acme/site")
    assert "a human must approve" in call(repo="acme/site")
    assert desk.asked == ["POST /intent", "GET /intent/int_abc123"]
    desk.status, desk.token = "approved", "a.b.c"
    assert call(repo="acme/site") == "deployed"
    assert tool.runs == [{"repo": "acme/site", "branch": "main"}]
    assert desk.asked[2:] == ["GET /intent/int_abc123", "POST /intent/int_abc123/outcome"]
    call(repo="acme/site")
    assert desk.asked[4:] == ["POST /intent"], "an approval works once"


def test_another_call_does_not_profit_from_the_approval(kind: str) -> None:
    """A human said yes to other arguments."""
    desk, tool = Desk(ESCALATE), Tool()
    call = guarded(kind, tool, desk)
    call(repo="acme/site")
    desk.status, desk.token = "approved", "a.b.c"
    call(repo="acme/payments")
    assert desk.asked == ["POST /intent", "POST /intent"]
    assert tool.runs == []


def test_a_humans_no_is_told_and_forgotten(kind: str) -> None:
    """The next call is a new question."""
    desk, tool = Desk(ESCALATE), Tool()
    call = guarded(kind, tool, desk)
    call(repo="acme/site")
    desk.status = "rejected"
    assert "A human said no." in call(repo="acme/site")
    call(repo="acme/site")
    assert desk.asked == ["POST /intent", "GET /intent/int_abc123", "POST /intent"]
    assert tool.runs == []


def test_a_no_of_the_policy_after_a_yes_is_told_as_its_own(kind: str) -> None:
    """Who said yes must not be told that they said no."""
    desk, tool = Desk(ESCALATE), Tool()
    call = guarded(kind, tool, desk)
    call(repo="acme/site")
    desk.status, desk.again = "rejected", {"decision": "DENY", "reason": "Rule 'freeze' denies it."}
    told = call(repo="acme/site")
    assert ("Rule 'freeze' denies it." in told, "A human said no." in told) == (True, False)
    assert tool.runs == []


@pytest.mark.parametrize("status", ["expired", "approved", "completed"])
def test_an_approval_that_is_gone_is_asked_for_anew(kind: str, status: str) -> None:
    """Expired, or used by somebody else: `approved` without a token permits nothing."""
    desk, tool = Desk(ESCALATE), Tool()
    call = guarded(kind, tool, desk)
    call(repo="acme/site")
    desk.status = status
    assert "a human must approve" in call(repo="acme/site")
    assert desk.asked == ["POST /intent", "GET /intent/int_abc123", "POST /intent"]
    assert tool.runs == []


def test_a_failed_tool_is_reported_by_the_kind_of_its_error(kind: str) -> None:
    """The text of an error may hold anything that the tool saw."""
    desk, tool = Desk(), Tool(ValueError("secret"))
    with pytest.raises(ValueError, match="secret"):
        guarded(kind, tool, desk)(repo="acme/site")
    assert desk.bodies[-1] == {"status": "failed", "error": "ValueError"}


def test_a_report_that_fails_changes_nothing_about_what_was_done(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """The tool ran; to say otherwise would be to invite a second run."""
    desk, tool = Desk(), Tool()
    desk.outcome_fails = True
    with caplog.at_level(logging.WARNING):
        assert guarded(kind, tool, desk)(repo="acme/site") == "deployed"
    assert "could not be reported" in caplog.text


def test_the_action_can_be_named(kind: str) -> None:
    """Where a tool's name says too little."""
    desk = Desk()
    guarded(kind, Tool(), desk, action="deploy to production")(repo="acme/site")
    assert desk.bodies[0]["action"] == "deploy to production"


def test_a_tool_that_blocks_cannot_ask_an_awaiting_client() -> None:
    """There is no loop to await on."""
    guarding = Guarding(awaiting(Desk()), actor="a", system="s")
    with pytest.raises(TypeError, match="IntendedClient"):
        guarding.permit("deploy", dict)


def test_only_so_many_waiting_calls_are_remembered() -> None:
    """An agent must not fill the memory of its own guard."""
    guarding = Guarding(blocking(Desk(ESCALATE)), actor="a", system="s")
    for number in range(MAX_WAITING + 5):
        guarding.permit("deploy", lambda number=number: {"n": number})
    assert len(guarding._waiting) == MAX_WAITING


def test_wrong_arguments_are_the_callers_error() -> None:
    """As without the guard."""
    desk = Desk()
    with pytest.raises(TypeError):
        guarded(KINDS[0], Tool(), desk)(nothing=1)
    assert desk.asked == []


def test_the_signature_stays() -> None:
    """Frameworks make the tool's schema from it."""
    wrapped = guarded_function(
        Tool().deploy, Guarding(blocking(Desk()), actor="a", system="s"), name="deploy", shown=same
    )
    assert wrapped.__name__ == "deploy"
    assert wrapped.__doc__ == "Deploy."
