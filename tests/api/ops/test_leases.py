"""Leases in Ops' words."""

from dataclasses import replace

import pytest

from gateway.core.leases import LeaseState
from gateway.core.principal import Scope
from gateway.errors import NotFound
from tests.api.house import LEASE, opened


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("", LeaseState.ACTIVE),
        ("?status=used-up", LeaseState.USED_UP),
        ("?status=all&page=1&pageSize=20", None),
    ],
)
async def test_the_active_leases_are_listed_unless_status_says_otherwise(query: str, state: LeaseState | None) -> None:
    """What is in force is what somebody may want to take back."""
    house = await opened()
    page = (await house.get(f"/v1/leases{query}")).json()["data"]
    assert house.leases.lists == [(state, 1, 20)]
    assert (page["total"], page["items"][0]["id"]) == (1, "lse_1")


async def test_a_lease_is_shown_with_its_shape_and_its_uses() -> None:
    """Whoever looks sees what it allows, how much of it is left, and by whom."""
    house = await opened()
    shown = (await house.get("/v1/leases/lse_1")).json()["data"]
    assert shown == {
        "id": "lse_1",
        "status": "active",
        "agent": "billing-agent",
        "upstream": "files",
        "tool": "write",
        "maxUses": 10,
        "used": 3,
        "grantedAt": "2026-03-22T14:30:00.000Z",
        "grantedBy": "key_9",
        "expiresAt": "2026-03-22T14:40:00.000Z",
        "reason": "agreed",
        "approvalId": "apr_1",
        "intentId": "int_1",
        "maxRisk": 40,
        "endedAt": None,
        "endedBy": None,
        "endReason": None,
        "shape": [
            {"path": "/amount", "check": "max", "value": "500"},
            {"path": "/to", "check": "equals", "value": '"ACME"'},
        ],
    }


async def test_a_lease_is_revoked_with_a_reason() -> None:
    """The answer says what it is now; who has no shape to see gets null."""
    house = await opened()
    ended = LEASE.lease.after(LeaseState.REVOKED, ended="2026-03-22T14:35:00.000Z", by="key_9", reason="enough")
    house.leases.answers = replace(LEASE, lease=ended, shape=None)
    shown = (await house.send("DELETE", "/v1/leases/lse_1?reason=enough")).json()["data"]
    assert house.leases.revoked == [("lse_1", "enough")]
    assert (shown["status"], shown["endedBy"], shown["endReason"], shown["shape"]) == (
        "revoked",
        "key_9",
        "enough",
        None,
    )


@pytest.mark.parametrize(("method", "scope"), [("GET", Scope.APPROVALS_WRITE), ("DELETE", Scope.APPROVALS_READ)])
async def test_a_lease_needs_the_scopes_of_approvals(method: str, scope: Scope) -> None:
    """Who may not answer approvals may not take answers back either."""
    house = await opened()
    key = await house.key(scopes=frozenset({scope}))
    answer = await house.send(method, "/v1/leases/lse_1", key=key)
    assert (answer.status_code, house.leases.revoked) == (403, [])


async def test_a_lease_that_is_not_there_is_not_found() -> None:
    """In the guide's code."""
    house = await opened()
    house.approvals.fails = NotFound("There is no such lease.")
    assert (await house.get("/v1/leases/lse_2")).status_code == 404
    assert (await house.send("DELETE", "/v1/leases/lse_2")).status_code == 404
