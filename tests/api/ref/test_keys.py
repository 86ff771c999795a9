"""API keys in Ref's shape."""

import pytest

from gateway.core.principal import Principal, Role, Scope
from tests.api.house import opened


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_a_key_is_shown_once_and_then_works(prefix: str) -> None:
    """Contract, "Authentication"."""
    house = await opened()
    made = await house.post(f"{prefix}/keys", {"name": "ci", "role": "viewer", "expires": "2027-01-01T00:00:00Z"})
    assert made.status_code == 201
    key = made.json()["key"]
    assert key.startswith("intendedops_acme_")
    assert (await house.get("/v1/stats", key=key)).status_code == 200
    listed = await house.get(f"{prefix}/keys")
    assert [one["name"] for one in listed.json()["keys"]] == ["test", "ci"]
    assert key not in listed.text
    assert made.json()["expires"] == "2027-01-01T00:00:00.000Z"


async def test_a_key_is_made_in_each_format_with_scopes_plan_and_agent() -> None:
    """Every field that the command line has."""
    house = await opened()
    body = {
        "tenantId": "acme",
        "name": "bot",
        "scopes": ["intents:write"],
        "agent": "Billing Agent",
        "plan": "enterprise",
        "perMinute": 7,
        "format": "mrt_test",
    }
    made = (await house.post("/keys", body)).json()
    assert made["key"].startswith("mrt_test_")
    assert (made["agent"], made["scopes"], made["perMinute"], made["plan"]) == (
        "billing-agent",
        ["intents:write"],
        7,
        "enterprise",
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x", "scope": ["intents:write"]},
        {"name": "x", "scopes": ["everything"]},
        {"name": "x", "scopes": "intents:write"},
        {"name": "x", "role": "root"},
        {"name": "x", "format": "jwt"},
        {"name": "x", "expires": "tomorrow"},
        {"name": "x", "expires": "2020-01-01T00:00:00Z"},
        {"name": "x", "expires": "2027-01-01T00:00:00"},
        {"name": "x", "perMinute": "5"},
    ],
)
async def test_a_key_that_cannot_be_made_as_asked_is_not_made(body: object) -> None:
    """A misspelt member is refused here: a key without the scopes that were meant could be a wider one."""
    house = await opened()
    answer = await house.post("/keys", body)
    assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_INTENT")
    assert len((await house.get("/keys")).json()["keys"]) == 1


async def test_a_key_for_an_id_that_no_agent_has_is_not_made() -> None:
    """A typing mistake must not register an agent, nor make a key for one that nobody is."""
    house = await opened()
    agents = house.services.agents

    async def bind(by: Principal, name: str) -> str:
        return (await agents.acting(by, name, known=False, field="agent")).slug

    house.services.keys._bind_agent = bind
    answer = await house.post("/keys", {"name": "ci", "agent": "agt_nobody"})
    assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")
    assert [one["name"] for one in (await house.get("/keys")).json()["keys"]] == ["test"]


async def test_a_rotated_key_has_a_new_secret_and_a_revoked_one_none() -> None:
    """From the next request on."""
    house = await opened()
    made = (await house.post("/keys", {"name": "ci", "role": "viewer"})).json()
    rotated = await house.post(f"/keys/{made['id']}/rotate")
    assert (rotated.status_code, rotated.json()["id"]) == (200, made["id"])
    assert (await house.get("/v1/stats", key=made["key"])).status_code == 401
    again = await house.post(f"/v1/keys/{made['id']}/rotate", {"overlapSeconds": 60})
    assert (await house.get("/v1/stats", key=rotated.json()["key"])).status_code == 200
    revoked = await house.post(f"/v1/keys/{made['id']}/revoke")
    assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    assert (await house.get("/v1/stats", key=again.json()["key"])).status_code == 401


async def test_another_tenant_s_key_is_not_there() -> None:
    """Two tenants never change each other's anything (issue 3)."""
    house = await opened()
    [mine] = (await house.get("/keys")).json()["keys"]
    for act in ("revoke", "rotate"):
        assert (await house.post(f"/keys/{mine['id']}/{act}", key=house.other)).status_code == 404
    assert (await house.get("/v1/stats")).status_code == 200


async def test_nobody_makes_a_key_stronger_than_their_own() -> None:
    """A way to act that is handed out has its maker's bounds."""
    house = await opened()
    clerk = await house.key(scopes=frozenset({Scope.KEYS_WRITE}))
    answer = await house.post("/keys", {"name": "x", "role": Role.ADMIN}, key=clerk)
    assert (answer.status_code, answer.json()["error"]) == (403, "FORBIDDEN")
