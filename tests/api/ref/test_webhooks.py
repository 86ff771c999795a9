"""Webhooks in Ref's shape."""

from typing import Any

import pytest

from gateway.core.principal import Role
from tests.api.house import House, opened

HOOK = {"url": "https://example.com/hook", "events": ["intent.approved"], "description": "ops"}


async def made(house: House, prefix: str = "") -> dict[str, Any]:
    answer = await house.post(f"{prefix}/webhooks", HOOK)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_a_webhook_is_added_shown_changed_and_deleted(prefix: str) -> None:
    """Its secret is shown once."""
    house = await opened()
    hook = await made(house, prefix)
    secret = hook.pop("secret")
    assert secret.startswith("whsec_")
    assert hook == {
        "id": hook["id"],
        "tenantId": "acme",
        **HOOK,
        "enabled": True,
        "disabledReason": None,
        "oldSecretUntil": None,
        "createdAt": "2026-11-22T12:00:00.000Z",
        "createdBy": hook["createdBy"],
    }
    place = f"{prefix}/webhooks/{hook['id']}"
    assert (await house.get(place)).json() == hook
    assert (await house.get(f"{prefix}/webhooks")).json() == {"webhooks": [hook]}
    changed = await house.send("PATCH", place, json={"events": [], "enabled": False})
    assert changed.json() == hook | {"events": [], "enabled": False, "disabledReason": "disabled"}
    rotated = await house.post(f"{place}/rotate", {"overlapSeconds": 60})
    assert rotated.json()["oldSecretUntil"] == "2026-11-22T12:01:00.000Z"
    assert rotated.json()["secret"] != secret
    assert (await house.send("DELETE", place)).json()["id"] == hook["id"]
    assert (await house.get(place)).json()["error"] == "NOT_FOUND"
    assert (await house.get(f"{prefix}/webhooks")).json() == {"webhooks": []}


async def test_deliveries_are_listed_and_sent_again() -> None:
    """With what went wrong, and nothing of the body."""
    house = await opened()
    place = f"/webhooks/{(await made(house))['id']}"
    sent = (await house.post(f"{place}/test")).json()
    assert (sent["event"], sent["state"], sent["attempts"]) == ("webhook.test", "pending", 0)
    page = (await house.get(f"{place}/deliveries?state=pending&pageSize=5")).json()
    assert page == {"items": [sent], "total": 1, "page": 1, "pageSize": 5}
    assert (await house.get(f"{place}/deliveries?state=delivered")).json()["items"] == []
    again = await house.post(f"{place}/deliveries/{sent['id']}/resend")
    assert again.json() == sent
    missing = await house.post(f"{place}/deliveries/whk_9/resend")
    assert (missing.status_code, missing.json()["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": 7},
        {"url": "https://example.com/", "event": ["intent.approved"]},
        {"url": "https://example.com/", "events": ["intent.eaten"]},
        {"url": "https://example.com/", "events": "intent.approved"},
        {"url": "https://example.com/", "secret": "mine"},
    ],
)
async def test_fields_that_cannot_be_used_are_refused(body: dict[str, Any]) -> None:
    """400, and nothing is made."""
    house = await opened()
    answer = await house.post("/webhooks", body)
    assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_INTENT")
    assert (await house.get("/webhooks")).json() == {"webhooks": []}


async def test_a_url_that_leads_inside_is_refused() -> None:
    """In the words of the courier, at the field."""
    house = await opened()
    house.courier.refuses = "leads to this machine or its own network"
    answer = await house.post("/webhooks", HOOK)
    assert answer.json()["message"] == "url: leads to this machine or its own network"


async def test_an_unknown_state_is_refused() -> None:
    """A misspelt filter must not show everything."""
    house = await opened()
    answer = await house.get(f"/webhooks/{(await made(house))['id']}/deliveries?state=lost")
    assert answer.status_code == 400


async def test_a_disabled_webhook_sends_nothing() -> None:
    """409, with what to do."""
    house = await opened()
    place = f"/webhooks/{(await made(house))['id']}"
    await house.send("PATCH", place, json={"enabled": False})
    answer = await house.post(f"{place}/test")
    assert (answer.status_code, answer.json()["error"]) == (409, "CONFLICT")


async def test_only_who_may_configure_webhooks_sees_them() -> None:
    """`webhooks:write`, which only the role `admin` has."""
    house = await opened()
    for role in (Role.VIEWER, Role.OPERATOR, Role.POLICY_ADMIN, Role.AGENT):
        answer = await house.get("/webhooks", key=await house.key(role=role))
        assert (answer.status_code, answer.json()["error"]) == (403, "FORBIDDEN")
