"""A lease in a request is read strictly: what is not quite what was meant grants nothing."""

from typing import Any

import pytest

from gateway.core.leases import Check, Constraint
from gateway.services.lease_terms import LeaseTerms
from tests.api.house import opened

ROUTES = ["/v1/approvals/apr_1/approve", "/authority/approval"]


def body(route: str, lease: Any) -> dict[str, Any]:
    more = {} if route.startswith("/v1") else {"escalationId": "apr_1", "decision": "approve"}
    return {**more, "lease": lease}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("lease", "terms"),
    [
        ({}, LeaseTerms()),
        ({"minutes": 30, "uses": 1}, LeaseTerms(minutes=30, uses=1)),
        (
            {
                "constraints": {
                    "/path": {"prefix": "/srv/data/"},
                    "/amount": {"max": 500.5, "min": 1},
                    "/note": {"any": True},
                    "/who": {"equals": None, "max": None},
                    "/how": {"oneOf": ["a", 1, None]},
                }
            },
            LeaseTerms(
                constraints=(
                    Constraint(path="/path", check=Check.PREFIX, value="/srv/data/"),
                    Constraint(path="/amount", check=Check.MAX, value=500.5),
                    Constraint(path="/amount", check=Check.MIN, value=1),
                    Constraint(path="/note", check=Check.ANY, value=True),
                    Constraint(path="/who", check=Check.EQUALS, value=None),
                    Constraint(path="/how", check=Check.ONE_OF, value=["a", 1, None]),
                )
            ),
        ),
    ],
)
async def test_a_lease_is_granted_with_the_yes_in_both_dialects(
    route: str, lease: dict[str, Any], terms: LeaseTerms
) -> None:
    """One use case; the answer names the lease."""
    house = await opened()
    answer = await house.post(route, json=body(route, lease))
    assert answer.status_code == 200, answer.text
    ((given, asked),) = house.leases.approved
    assert (given, asked["approval_id"]) == (terms, "apr_1")
    found = answer.json()
    assert found.get("data", found)["leaseId"] == "lse_1"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "lease",
    [
        {"minutes": 0},
        {"minutes": 1441},
        {"minutes": "10"},
        {"minute": 10},
        {"uses": 0},
        {"uses": 1001},
        {"uses": 1.5},
        {"constraints": {"/a": {}}},
        {"constraints": {"/a": {"max": None}}},
        {"constraints": {"/a": {"any": False}}},
        {"constraints": {"/a": {"max": "5"}}},
        {"constraints": {"/a": {"max": True}}},
        {"constraints": {"/a": {"oneOf": []}}},
        {"constraints": {"/a": {"prefix": ""}}},
        {"constraints": {"/a": {"starts": "x"}}},
        {"constraints": {"/a": "any"}},
        {"constraints": ["/a"]},
        True,
    ],
)
async def test_a_lease_that_cannot_be_meant_answers_nothing(route: str, lease: Any) -> None:
    """Neither a lease nor a plain yes comes of it."""
    house = await opened()
    assert (await house.post(route, json=body(route, lease))).status_code == 400
    assert house.leases.approved == []
    assert house.approvals.resolved == []


async def test_a_no_takes_no_lease() -> None:
    """Ref: one operation says both; a contradiction is refused whole."""
    house = await opened()
    answer = await house.post("/authority/approval", json={"intentId": "int_1", "decision": "reject", "lease": {}})
    assert answer.status_code == 400
    assert house.approvals.resolved == []


@pytest.mark.parametrize("route", ROUTES)
async def test_without_a_lease_a_yes_is_for_one_call(route: str) -> None:
    """Null is none."""
    house = await opened()
    answer = (await house.post(route, json=body(route, None))).json()
    assert answer.get("data", answer)["leaseId"] is None
    assert (house.leases.approved, len(house.approvals.resolved)) == ([], 1)
