"""Intents in Ref's words."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.decision import Effect
from gateway.core.respite import Respite
from gateway.core.submission import IntentStatus, Outcome, Submission
from gateway.errors import AgentNotFound, Forbidden, NotFound
from gateway.services.intents import Submitted
from tests.api.house import ESCALATED, RECORD, House, opened

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BODY = {
    "action": "deploy application to production",
    "actor": "agent:github-actions",
    "system": "github",
    "metadata": {"repo": "acme/frontend", "branch": "main"},
}


async def submitted(house: House, body: object, path: str = "/intent") -> Submission:
    answer = await house.post(path, body)
    assert answer.status_code == 200, answer.text
    return house.intents.submissions[-1][1]


async def test_the_body_of_the_reference_is_submitted_as_it_is() -> None:
    """Free text, actor, system, and the metadata that a token is bound to; under both prefixes."""
    house = await opened()
    expected = Submission(agent="agent:github-actions", action=BODY["action"], system="github", params=BODY["metadata"])
    assert await submitted(house, BODY) == expected
    assert await submitted(house, BODY, "/v1/intent") == expected


@pytest.mark.parametrize(
    ("action", "metadata", "params"),
    [
        ({"type": "deploy.release", "params": {"a": 1}}, {"b": 2}, {"a": 1}),
        ({"type": "deploy.release", "params": {}}, {"b": 2}, {}),
        ({"type": "deploy.release"}, {"b": 2}, {"b": 2}),
        ({"type": "deploy.release", "params": None}, None, {}),
    ],
)
async def test_a_structured_action_declares_its_type(action: object, metadata: object, params: object) -> None:
    """The token is bound to its params; where it has none, to the metadata (contract, "Authority tokens")."""
    found = await submitted(await opened(), {"action": action, "actor": "bot", "metadata": metadata})
    assert (found.action, found.declared_type, found.params) == ("deploy.release", "deploy.release", params)


async def test_the_decision_has_every_field_of_the_contract() -> None:
    """The reference's example and what goes beyond it (contract, section 2)."""
    answer = (await (await opened()).post("/intent", BODY)).json()
    assert answer == {
        "intentId": "int_1",
        "decision": "ALLOW",
        "riskScore": 42,
        "confidence": 0.94,
        "reason": "Rule `allow-ci-deploy` allows it.",
        "reasonCode": "policy-allow",
        "token": "jws",
        "trace": {
            "policySet": "prod-deploy-v3",
            "triggeredRules": ["allow-ci-deploy"],
            "evaluatedAt": "2026-03-22T14:31:00.000Z",
        },
        "intentType": "deploy.release",
        "domain": "deploy",
        "agentId": "github-actions",
        "agent": "github-actions",
        "trustTier": "T0",
        "riskFactors": [{"code": "production", "points": 20, "evidence": "action"}],
        "policyDigest": "p" * 64,
    }


async def test_a_registered_agent_is_shown_by_its_id_and_its_slug() -> None:
    """Either is accepted wherever an agent is named (contract, "Agents")."""
    house = await opened()
    agent = (await house.post("/v1/agents", {"name": "GitHub Actions"})).json()["data"]
    answer = (await house.post("/intent", BODY)).json()
    assert (answer["agentId"], answer["agent"]) == (agent["id"], "github-actions")


async def test_an_escalation_names_the_approval_and_carries_no_token() -> None:
    """A token comes only with ALLOW; the link leads to the page on which a human answers."""
    house = await opened()
    house.intents.answers = Submitted(record=ESCALATED)
    answer = (await house.post("/intent", BODY)).json()
    assert (answer["decision"], answer["escalationId"]) == ("ESCALATE", "apr_1")
    assert answer["approvalUrl"] == "http://127.0.0.1:8787/approve/apr_1"
    assert "token" not in answer
    assert (await house.get("/v1/approvals/apr_1")).status_code == 200


@pytest.mark.parametrize(("at", "told"), [(NOW + timedelta(seconds=90), 90), (None, None)])
async def test_a_denial_for_what_was_spent_says_when_to_ask_again(at: datetime | None, told: int | None) -> None:
    """Where it is known: a program that waits blindly would be denied again, or wait for nothing."""
    house = await opened()
    house.intents.answers = Submitted(record=replace(RECORD, effect=Effect.DENY), respite=Respite(at=at, now=NOW))
    answer = (await house.post("/intent", BODY)).json()
    assert (answer["decision"], answer.get("retryAfterSeconds")) == ("DENY", told)


async def test_an_approval_that_has_its_answer_is_not_shown_as_open() -> None:
    """`escalationId` and `approvalUrl` where one is open."""
    house = await opened()
    house.intents.answers = Submitted(record=replace(ESCALATED, status=IntentStatus.APPROVED), token="jws")
    answer = (await house.get("/intent/int_1")).json()
    assert "escalationId" not in answer
    assert (answer["decision"], answer["status"], answer["token"]) == ("ESCALATE", "approved", "jws")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/intent", {"action": "x", "actor": "agt_nobody"}),
        ("/agent-intent", {"proposedAction": "x", "actor": {"id": "agt_nobody"}}),
    ],
)
async def test_an_agent_that_is_named_by_an_id_must_be_there(path: str, body: object) -> None:
    """A name is registered; an id is nobody's to choose. The document has this answer too."""
    house = await opened()
    house.intents.fails = AgentNotFound("There is no agent 'agt_nobody'.")
    answer = await house.post(path, body)
    assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")


async def test_the_details_of_an_intent() -> None:
    """`GET /intent/:id`: details and decision trace."""
    house = await opened()
    house.intents.answers = Submitted(record=replace(RECORD, error="it broke"))
    answer = (await house.get("/v1/intent/int_1")).json()
    shown = {name: answer[name] for name in ("status", "front", "action", "actor", "system", "metadata", "error")}
    assert shown == {
        "status": "approved",
        "front": "rest",
        "action": "deploy application to production",
        "actor": "github-actions",
        "system": "github",
        "metadata": {"repo": "acme/frontend"},
        "error": "it broke",
    }
    assert answer["trace"]["triggeredRules"] == ["allow-ci-deploy"]


async def test_an_intent_of_nobody_here_is_not_found() -> None:
    """Whether another tenant has it is not told."""
    house = await opened()
    house.intents.fails = NotFound("There is no such intent.")
    answer = await house.get("/intent/int_x")
    assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, "action: Action is required; actor: Actor is required"),
        ({"action": "", "actor": ""}, "action: Action is required; actor: Actor is required"),
        ({"action": 5, "actor": "a"}, "action: must be a text"),
        ({"action": {"params": {}}, "actor": "a"}, "action.type: This field is required"),
        ({"action": "x", "actor": "a", "metadata": []}, "metadata: must be an object"),
        ({"action": "x", "actor": "a", "idempotencyKey": 5}, "idempotencyKey: must be a text"),
    ],
)
async def test_what_is_empty_or_ill_typed_is_no_intent(body: object, fields: str) -> None:
    """400 INVALID_INTENT, and nothing is decided."""
    house = await opened()
    answer = await house.post("/intent", body)
    assert (answer.status_code, answer.json()["error"], answer.json()["message"]) == (400, "INVALID_INTENT", fields)
    assert house.intents.submissions == []


async def test_the_published_client_is_answered_in_its_words() -> None:
    """PyPI's `intended` 0.2.1: its body, and what it reads of the answer."""
    house = await opened()
    body = {
        "tenantId": "acme",
        "actor": {"id": "python-sdk", "type": "service"},
        "proposedAction": "deploy to production",
        "metadata": {"repo": "x", "system": "github"},
    }
    found = await submitted(house, body, "/agent-intent")
    assert found == Submission(
        agent="python-sdk", action="deploy to production", system="github", params=body["metadata"]
    )
    house.intents.answers = Submitted(record=ESCALATED)
    answer = await house.post(
        "/v1/agent-intent", {"actor": {"id": "a"}, "proposedAction": "x", "metadata": {"system": 5}}
    )
    assert answer.json() == {
        "intentId": "int_1",
        "authorityDecision": {"decision": "ESCALATE", "riskScore": 42, "confidence": 0.94},
        "authorityDecisionToken": None,
        "escalationId": "apr_1",
        "explanation": "Rule `allow-ci-deploy` allows it.",
    }
    assert house.intents.submissions[-1][1].system == ""


async def test_an_outcome_is_reported() -> None:
    """Executed or failed, with the reason."""
    house = await opened()
    answer = await house.post("/intent/int_1/outcome", {"status": "failed", "error": "no disk"})
    assert (answer.json()["status"], answer.json()["error"]) == ("failed", "no disk")
    assert house.intents.outcomes == [("int_1", Outcome.FAILED, "no disk")]
    wrong = await house.post("/intent/int_1/outcome", {"status": "maybe"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "INVALID_INTENT")
    house.intents.fails = Forbidden("Another agent submitted it.")
    assert (await house.post("/intent/int_1/outcome", {"status": "completed"})).status_code == 403
