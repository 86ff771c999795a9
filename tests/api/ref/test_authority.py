"""Authority in Ref's words."""

from dataclasses import replace

import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.principal import Role
from gateway.errors import AlreadyResolved, NotFound
from tests.api.house import APPROVAL, House, opened

TIERS = {f"T{tier}": {"allowBelow": 20 + tier, "denyFrom": 80 + tier} for tier in range(5)}


@pytest.mark.parametrize("path", ["/authority/approval", "/v1/authority/approval"])
async def test_a_human_s_answer_is_recorded(path: str) -> None:
    """The reference: rationale and approver identity; the body's approver is a claim."""
    house = await opened()
    house.approvals.answers = replace(
        APPROVAL,
        state=ApprovalState.DENIED,
        resolved="2026-03-22T14:40:00.000Z",
        resolved_by="key_9",
        resolved_by_user="usr_9",
        claimed="jane",
        rationale="no",
    )
    body = {"intentId": "int_1", "decision": "reject", "rationale": "no", "approver": "jane"}
    answer = await house.post(path, body)
    assert house.approvals.resolved == [
        {"approval_id": "", "intent_id": "int_1", "approve": False, "rationale": "no", "claimed": "jane"}
    ]
    shown = answer.json()
    assert (shown["escalationId"], shown["status"], shown["resolvedBy"], shown["approver"]) == (
        "apr_1",
        "denied",
        "key_9",
        "jane",
    )
    assert shown["resolvedByUser"] == {"id": "usr_9", "name": None}


async def test_an_approval_is_named_by_its_own_id_too() -> None:
    """`intentId` or `escalationId` (contract, section 3)."""
    house = await opened()
    await house.post("/authority/approval", {"escalationId": "apr_1", "decision": "approve"})
    assert house.approvals.resolved[0] | {"approval_id": "apr_1", "approve": True} == house.approvals.resolved[0]


@pytest.mark.parametrize(
    "body",
    [{}, {"decision": "approve"}, {"intentId": "int_1"}, {"intentId": "int_1", "decision": "maybe"}, {"intentId": 1}],
)
async def test_an_answer_that_names_nothing_or_says_nothing_is_refused(body: object) -> None:
    """And resolves nothing."""
    house = await opened()
    answer = await house.post("/authority/approval", body)
    assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_INTENT")
    assert house.approvals.resolved == []


@pytest.mark.parametrize(("fault", "status"), [(AlreadyResolved("done"), 409), (NotFound("none"), 404)])
async def test_an_answer_that_comes_too_late_conflicts(fault: Exception, status: int) -> None:
    """Already resolved: CONFLICT 409 in Ref (contract, section 3)."""
    house = await opened()
    house.approvals.fails = fault
    answer = await house.post("/authority/approval", {"intentId": "int_1", "decision": "approve"})
    assert answer.status_code == status


async def test_thresholds_are_shown_with_their_version() -> None:
    """The shape of contract, section 2; the version as ETag too."""
    house = await opened()
    answer = await house.get("/v1/authority/thresholds/acme")
    assert answer.headers["etag"] == '"0"'
    assert answer.json()["version"] == 0
    assert answer.json()["tiers"]["T0"] == {"allowBelow": 30, "denyFrom": 80}


@pytest.mark.parametrize(
    ("headers", "more"),
    [
        ({}, {"version": 0}),
        ({"if-match": '"0"'}, {}),
        ({"if-match": "0"}, {}),
        ({"if-match": 'W/"0"'}, {"version": 0, "tenantId": "acme"}),
    ],
)
async def test_thresholds_are_replaced_by_naming_their_version(
    headers: dict[str, str], more: dict[str, object]
) -> None:
    """With If-Match or the version (contract, section 2)."""
    house = await opened()
    answer = await house.send("PUT", "/authority/thresholds/acme", json={"tiers": TIERS, **more}, headers=headers)
    assert (answer.status_code, answer.json()["version"], answer.headers["etag"]) == (200, 1, '"1"')
    assert (await house.get("/authority/thresholds/acme")).json()["tiers"] == TIERS


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"tiers": TIERS}, {}, 400),
        ({"tiers": TIERS, "version": 1}, {}, 409),
        ({"tiers": TIERS, "version": 1}, {"if-match": '"0"'}, 400),
        ({"tiers": TIERS}, {"if-match": "*"}, 400),
        ({"tiers": TIERS, "version": "0"}, {}, 400),
        ({"tiers": {"T0": TIERS["T0"]}, "version": 0}, {}, 400),
        ({"tiers": {**TIERS, "T5": TIERS["T0"]}, "version": 0}, {}, 400),
        ({"tiers": {**TIERS, "T0": {"allowBelow": 20}}, "version": 0}, {}, 400),
        ({"tiers": {**TIERS, "T0": {"allowBelow": 20, "denyFrom": 102}}, "version": 0}, {}, 400),
        ({"tiers": TIERS, "version": 0, "verison": 0}, {}, 400),
    ],
)
async def test_thresholds_that_cannot_be_taken_stay_as_they_are(
    body: object, headers: dict[str, str], status: int
) -> None:
    """Half a table, a stale version or a misspelt member changes nothing."""
    house = await opened()
    answer = await house.send("PUT", "/authority/thresholds/acme", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert (await house.get("/authority/thresholds/acme")).json()["version"] == 0


async def put(house: House, role: Role) -> int:
    key = await house.key(role=role)
    body = {"tiers": TIERS, "version": 0}
    return (await house.send("PUT", "/authority/thresholds/acme", json=body, key=key)).status_code


async def test_thresholds_are_changed_by_an_admin_or_policy_admin_only() -> None:
    """The reference: requires admin or policy_admin role."""
    for role, status in (
        (Role.VIEWER, 403),
        (Role.AGENT, 403),
        (Role.OPERATOR, 403),
        (Role.POLICY_ADMIN, 200),
        (Role.ADMIN, 200),
    ):
        assert await put(await opened(), role) == status


async def test_a_signing_key_is_rotated() -> None:
    """Without a body it is the ordinary rotation, with `revoke` the old keys are worthless."""
    house = await opened()
    first = await house.post("/authority/keys/rotate")
    assert first.status_code == 200
    shown = (await house.get("/.well-known/jwks/acme.json", key="")).json()["keys"]
    assert [key["kid"] for key in shown] == [first.json()["kid"]]
    second = await house.post("/v1/authority/keys/rotate", {"revoke": True})
    shown = (await house.get("/.well-known/jwks/acme.json", key="")).json()["keys"]
    assert [key["kid"] for key in shown] == [second.json()["kid"]]
