"""Approvals in Ops' words."""

from dataclasses import replace

import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.principal import Role
from gateway.errors import AlreadyResolved, Forbidden, NotFound
from gateway.services.operator import operator
from tests.api.house import APPROVAL, opened


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("", ApprovalState.PENDING),
        ("?status=rejected", ApprovalState.DENIED),
        ("?status=approved", ApprovalState.APPROVED),
        ("?status=expired&page=1&pageSize=20", ApprovalState.EXPIRED),
    ],
)
async def test_the_pending_approvals_are_listed_unless_status_says_otherwise(query: str, state: ApprovalState) -> None:
    """Contract, section 2; the guide says rejected where the state is denied."""
    house = await opened()
    page = (await house.get(f"/v1/approvals{query}")).json()["data"]
    assert house.approvals.lists == [(state, 1, 20)]
    assert (page["total"], page["items"][0]["id"]) == (1, "apr_1")


async def test_a_status_that_does_not_exist_is_refused() -> None:
    """An empty list would read as "nothing waits"."""
    answer = await (await opened()).get("/v1/approvals?status=denied")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, ""),
        ({"headers": {"content-type": "application/json"}}, ""),
        ({"json": {}}, ""),
        ({"json": {"reason": "Amount exceeds approved limit"}}, "Amount exceeds approved limit"),
        ({"json": {"reason": None}}, ""),
    ],
)
@pytest.mark.parametrize("act", ["approve", "reject"])
async def test_a_human_s_answer_may_have_no_body(act: str, more: dict[str, object], reason: str) -> None:
    """Contract, section 1: bodies of approve and reject may be empty, with a JSON content type."""
    house = await opened()
    answer = await house.post(f"/v1/approvals/apr_1/{act}", **more)
    assert answer.status_code == 200
    assert house.approvals.resolved == [{"approval_id": "apr_1", "approve": act == "approve", "rationale": reason}]


async def test_a_rejected_approval_is_shown_as_the_guide_calls_it() -> None:
    """With who did it, when and why."""
    house = await opened()
    house.approvals.answers = replace(
        APPROVAL,
        state=ApprovalState.DENIED,
        resolved="2026-03-22T14:40:00.000Z",
        resolved_by="key_9",
        rationale="too much",
    )
    shown = (await house.post("/v1/approvals/apr_1/reject")).json()["data"]
    assert shown.pop("leaseId") is None
    assert (shown["status"], shown["resolvedBy"], shown["resolution"]) == ("rejected", "key_9", "too much")
    assert shown.items() <= (await house.get("/v1/approvals/apr_1")).json()["data"].items()


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (AlreadyResolved("It has its answer."), 400, "ALREADY_RESOLVED"),
        (Forbidden("Who submitted it may not."), 403, "FORBIDDEN"),
        (NotFound("There is no such approval."), 404, "NOT_FOUND"),
    ],
)
async def test_what_cannot_be_resolved_is_told_in_the_guide_s_codes(fault: Exception, status: int, code: str) -> None:
    """The table "Common Error Codes"."""
    house = await opened()
    house.approvals.fails = fault
    answer = await house.post("/v1/approvals/apr_1/approve")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_list_says_what_belongs_together_how_often_it_was_asked_and_who_waits() -> None:
    """People with fifty requests see at once that they are one; each is answered by itself all the same."""
    house = await opened()
    page = (await house.get("/v1/approvals?group=grp_1")).json()["data"]
    told = {"target": "files/write", "group": "grp_1", "groupSize": 3, "equal": 2, "asked": 4, "waiting": 1}
    assert told.items() <= page["items"][0].items()
    assert house.lists.groups == ["grp_1"]
    assert told.items() <= (await house.get("/v1/approvals/apr_1")).json()["data"].items()


@pytest.mark.parametrize("state", [ApprovalState.APPROVED, ApprovalState.DENIED])
async def test_the_user_behind_the_session_that_answered_is_named(state: ApprovalState) -> None:
    """An auditor would otherwise join three lists; another tenant's users, and those who are no more, have no name."""
    house = await opened()
    ada = await house.services.people.create(operator("acme"), name="ada@example.com", role=Role.OPERATOR)
    foreign = await house.services.people.create(operator("other"), name="eve@example.com", role=Role.OPERATOR)
    house.views.voter = ada.id
    for user, named in (
        (ada.id, {"id": ada.id, "name": "ada@example.com"}),
        (foreign.id, {"id": foreign.id, "name": None}),
        ("usr_gone", {"id": "usr_gone", "name": None}),
        ("", None),
    ):
        house.approvals.answers = replace(
            APPROVAL, state=state, resolved="2026-03-22T14:40:00.000Z", resolved_by="ps_1", resolved_by_user=user
        )
        shown = (await house.get("/v1/approvals/apr_1")).json()["data"]
        listed = (await house.get("/v1/approvals?status=approved")).json()["data"]["items"][0]
        answered = (await house.post("/v1/approvals/apr_1/approve")).json()["data"]
        assert [one["resolvedByUser"] for one in (shown, listed, answered)] == [named] * 3
        assert shown["approvedBy"] == ["key_3", "ps_3"]
        assert shown["approvedByUsers"] == [None, {"id": ada.id, "name": "ada@example.com"}]
