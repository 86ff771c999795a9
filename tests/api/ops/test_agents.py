"""Agents in Ops' words."""

import pytest

from tests.api.house import opened

BODY = {
    "name": "Billing Agent",
    "description": "Handles billing operations",
    "domains": ["billing"],
    "intentTypes": ["billing.send_invoice", "billing.collect_payment"],
}


async def test_the_agent_of_the_guide_is_registered_and_found_by_id_and_slug() -> None:
    """201; `Billing Agent` → `billing-agent` (contract, "Agents")."""
    house = await opened()
    made = await house.post("/v1/agents", BODY)
    agent = made.json()["data"]
    assert (made.status_code, agent["slug"], agent["domains"]) == (201, "billing-agent", ["billing"])
    assert agent["intentTypes"] == ["billing.collect_payment", "billing.send_invoice"]
    for name in (agent["id"], "billing-agent"):
        assert (await house.get(f"/v1/agents/{name}")).json()["data"] == agent
    assert (await house.get("/v1/agents")).json()["data"]["items"] == [agent]


async def test_agents_are_listed_by_page() -> None:
    """Newest first; a page behind the last is empty."""
    house = await opened()
    for number in range(5):
        await house.post("/v1/agents", {"name": f"Agent {number}"})
    page = (await house.get("/v1/agents?page=2&pageSize=2")).json()["data"]
    assert [agent["slug"] for agent in page["items"]] == ["agent-2", "agent-1"]
    assert (page["total"], page["page"], page["pageSize"]) == (5, 2, 2)
    assert (await house.get("/v1/agents?page=9")).json()["data"]["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "BILLING agent"}, "name"),
        ({"name": "?!"}, "name"),
        ({"name": "x", "domains": ["nope"]}, "domains"),
        ({"name": "x", "domains": "billing"}, "domains"),
        ({"name": "x", "intentTypes": [5]}, "intentTypes"),
    ],
)
async def test_an_agent_that_cannot_be_registered_is_not(body: object, field: str) -> None:
    """A taken slug is VALIDATION_ERROR on `name` (contract, "Agents")."""
    house = await opened()
    await house.post("/v1/agents", BODY)
    answer = await house.post("/v1/agents", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"][0]["path"][0]) == (400, "VALIDATION_ERROR", field)
    assert (await house.get("/v1/agents")).json()["data"]["total"] == 1


async def test_what_an_agent_did_is_counted() -> None:
    """Every status is named; without amounts the value is 0."""
    house = await opened()
    agent = (await house.post("/v1/agents", BODY)).json()["data"]
    assert (await house.get("/v1/agents/billing-agent/metrics")).json()["data"] == {
        "agentId": agent["id"],
        "agent": "billing-agent",
        "intentsTotal": 0,
        "intentsToday": 0,
        "intentsByStatus": dict.fromkeys(("pending", "approved", "rejected", "completed", "failed", "expired"), 0),
        "intentsByType": {},
        "lastIntentAt": None,
        "valueGenerated": 0.0,
        "trustTier": "T0",
        "trustScore": 20,
    }


@pytest.mark.parametrize("path", ["/v1/agents/nope", "/v1/agents/nope/metrics"])
async def test_an_unknown_agent_has_its_own_code(path: str) -> None:
    """AGENT_NOT_FOUND; of another tenant too."""
    house = await opened()
    await house.post("/v1/agents", {"name": "nope"}, key=house.other)
    answer = await house.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "AGENT_NOT_FOUND")
