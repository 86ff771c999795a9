"""Intents in Ops' words."""

import pytest

from gateway.core.submission import IntentStatus, Outcome, Submission
from gateway.errors import AgentNotFound, FieldProblem, InvalidRequest
from gateway.ports import IntentFilter
from gateway.services.intents import Submitted
from tests.api.house import ESCALATED, RECORD, opened

BODY = {
    "type": "billing.send_invoice",
    "domain": "billing",
    "agentId": "billing-agent",
    "params": {"customerId": "cust_123", "amount": 99.99},
    "description": "Send monthly subscription invoice",
    "justification": "It is the first of the month",
    "idempotencyKey": "invoice-cust_123-2024-01",
}


async def test_the_body_of_the_guide_is_submitted_as_it_is() -> None:
    """Every member of `CreateIntentRequest`."""
    house = await opened()
    assert (await house.post("/v1/intents", BODY)).status_code == 201
    [(principal, submission)] = house.intents.submissions
    assert principal.tenant == "acme"
    assert submission == Submission(
        agent="billing-agent",
        action="billing.send_invoice",
        declared_type="billing.send_invoice",
        domain="billing",
        params=BODY["params"],  # type: ignore[arg-type]
        description="Send monthly subscription invoice",
        justification="It is the first of the month",
        idempotency_key="invoice-cust_123-2024-01",
    )


async def test_creation_answers_what_the_guide_shows() -> None:
    """201 with intentId, status and createdAt (contract, section 2), and nothing else."""
    house = await opened()
    answer = await house.post("/v1/intents", BODY)
    assert answer.json() == {
        "data": {"intentId": "int_1", "status": "approved", "createdAt": "2026-03-22T14:30:00.000Z"}
    }
    house.intents.answers = Submitted(record=ESCALATED)
    answer = await house.post("/v1/intents", BODY)
    assert answer.json() == {
        "data": {"intentId": "int_1", "status": "pending", "createdAt": "2026-03-22T14:30:00.000Z"}
    }


async def test_the_validation_error_of_the_guide() -> None:
    """Word for word, and nothing is decided."""
    house = await opened()
    answer = await house.post("/v1/intents", {"domain": "billing"})
    assert (answer.status_code, answer.json()) == (
        400,
        {
            "error": {
                "code": "VALIDATION_ERROR",
                "message": "type: Intent type is required; agentId: Agent ID is required",
                "details": [
                    {"path": ["type"], "message": "Intent type is required"},
                    {"path": ["agentId"], "message": "Agent ID is required"},
                ],
            }
        },
    )
    assert house.intents.submissions == []


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (AgentNotFound("There is no agent 'x'."), 404, "AGENT_NOT_FOUND"),
        (InvalidRequest(FieldProblem(path=("type",), message="is not known")), 400, "VALIDATION_ERROR"),
    ],
)
async def test_what_the_core_refuses_is_told_in_the_guide_s_codes(fault: Exception, status: int, code: str) -> None:
    """The table "Common Error Codes"."""
    house = await opened()
    house.intents.fails = fault
    answer = await house.post("/v1/intents", BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_intents_are_listed_by_page_and_filter() -> None:
    """Items, total, page and pageSize; the client's parameters and more."""
    house = await opened()
    query = (
        "page=2&pageSize=50&status=approved&agentId=bot&domain=deploy&type=deploy.release"
        "&fromDate=2026-01-01&toDate=2026-02-01"
    )
    answer = (await house.get(f"/v1/intents?{query}")).json()["data"]
    assert (answer["total"], answer["page"], answer["pageSize"], len(answer["items"])) == (41, 2, 50, 1)
    wanted = IntentFilter(
        status="approved",
        agent="bot",
        domain="deploy",
        intent_type="deploy.release",
        since="2026-01-01T00:00:00.000Z",
        until="2026-02-01T00:00:00.000Z",
    )
    assert house.intents.filters == [(wanted, 2, 50)]
    await house.get("/v1/intents")
    assert house.intents.filters[1] == (IntentFilter(), 1, 20)


@pytest.mark.parametrize("query", ["status=done", "page=0", "pageSize=101", "agentId=", "fromDate=then"])
async def test_a_filter_that_cannot_be_read_is_refused(query: str) -> None:
    """A guess would show the wrong intents."""
    house = await opened()
    answer = await house.get(f"/v1/intents?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert house.intents.filters == []


async def test_an_intent_is_shown_with_its_id() -> None:
    """The guide's `Intent`, and what goes beyond it; a token once after a human's yes."""
    house = await opened()
    agent = (await house.post("/v1/agents", {"name": "GitHub Actions"})).json()["data"]
    house.intents.answers = Submitted(record=RECORD)
    shown = (await house.get("/v1/intents/int_1")).json()["data"]
    assert shown == {
        "id": "int_1",
        "type": "deploy.release",
        "domain": "deploy",
        "status": "approved",
        "agentId": agent["id"],
        "agent": "github-actions",
        "params": {"repo": "acme/frontend"},
        "description": "",
        "justification": "",
        "decision": "ALLOW",
        "reason": "Rule `allow-ci-deploy` allows it.",
        "riskScore": 42,
        "confidence": 0.94,
        "trustTier": "T0",
        "approvalId": None,
        "error": None,
        "createdAt": "2026-03-22T14:30:00.000Z",
        "updatedAt": "2026-03-22T14:30:00.000Z",
    }
    house.intents.answers = Submitted(record=RECORD, token="jws")
    assert (await house.get("/v1/intents/int_1")).json()["data"] == {**shown, "token": "jws"}


async def test_an_outcome_is_reported() -> None:
    """`completed` or `failed`, with the error."""
    house = await opened()
    answer = await house.post("/v1/intents/int_1/outcome", {"status": "completed"})
    assert answer.json()["data"]["status"] == IntentStatus.COMPLETED
    assert house.intents.outcomes == [("int_1", Outcome.COMPLETED, "")]
    wrong = await house.post("/v1/intents/int_1/outcome", {})
    assert wrong.json()["error"]["details"] == [{"path": ["status"], "message": "Status is required"}]
