"""Approvals in Ops' words: what waits for a human, and the human's yes or no."""

from typing import Final, Literal

from pydantic import Field

from gateway.api.fields import MAX_TEXT_CHARS, Answer, Asked, PageQuery, example, paged
from gateway.api.operation import Call, Operation
from gateway.api.ops.approval_view import DetailsView, details_of
from gateway.core.approvals import Approval, ApprovalState
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.errors import AlreadyResolved, NotFound, StateConflict

__all__ = ["OPERATIONS"]

TAG: Final = "Approvals"

Status = Literal["pending", "approved", "rejected", "expired", "cancelled", "failed"]
"""The guide says rejected where the state is called denied inside."""


class ApprovalsQuery(PageQuery):
    """Which approvals."""

    status: Status = Field(default="pending")


class ResolveRequest(Asked):
    """Why the answer is what it is; the whole body may be left out."""

    reason: str | None = Field(default=None, max_length=MAX_TEXT_CHARS, description="It is recorded.")

    model_config = example({"reason": "Amount exceeds approved limit"})


class ApprovalView(Answer):
    """The hold on an escalated intent."""

    id: str
    intentId: str
    status: Status
    agentId: str = Field(description="The agent's `agt_…`; its slug where it is not registered.")
    agent: str = Field(description="The agent's slug.")
    requestedBy: str = Field(description="The credential that submitted the intent; it may not resolve it.")
    reason: str = Field(description="Why a human is asked.")
    requiredRole: str = Field(description="What the escalating rule asks of an approver.")
    requiredApprovers: int
    createdAt: str
    expiresAt: str
    resolvedAt: str | None
    resolvedBy: str | None = Field(description="The credential of record.")
    resolution: str | None = Field(description="The reason that was given with the answer.")


class ApprovalWithView(ApprovalView):
    """An approval with what a human needs for a yes or no."""

    secondsLeft: int = Field(description="Until it expires; 0 once it has its answer.")
    approvedBy: list[str] = Field(description="The credentials that have said yes so far.")
    approversNeeded: int = Field(description="How many more must say yes.")
    approvalUrl: str = Field(description="The page on which a human answers; empty where there is none.")
    details: DetailsView | None = Field(description="Null to who asked: it learns nothing of what speaks against it.")


class ApprovalPage(Answer):
    """A page of approvals, newest first."""

    items: list[ApprovalView]
    total: int
    page: int
    pageSize: int


async def list_approvals(call: Call, query: ApprovalsQuery) -> JsonObject:
    """The pending ones, unless `status` says otherwise."""
    found = await call.services.approvals.list(
        call.principal, state=_state(query.status), page=query.page, page_size=query.pageSize
    )
    return paged([_view(call, one) for one in found.items], total=found.total, query=query)


async def get_approval(call: Call, id: str) -> JsonObject:
    """Of either front, with everything that a yes or no needs."""
    view = await call.services.approval_views.show(call.principal, id)
    return {
        **_view(call, view.approval),
        "secondsLeft": view.seconds_left,
        "approvedBy": view.votes,
        "approversNeeded": view.needed,
        "approvalUrl": call.services.links.approval(view.approval.id),
        "details": details_of(view),
    }


async def approve(call: Call, id: str, body: ResolveRequest) -> JsonObject:
    """Allows that very call once, unchanged. Who submitted the intent may not."""
    return await _resolve(call, id, body, approve=True)


async def reject(call: Call, id: str, body: ResolveRequest) -> JsonObject:
    """One no is a no. Who submitted the intent may not."""
    return await _resolve(call, id, body, approve=False)


async def _resolve(call: Call, approval_id: str, body: ResolveRequest, *, approve: bool) -> JsonObject:
    approval = await call.services.approvals.resolve(
        call.principal, approval_id=approval_id, approve=approve, rationale=body.reason or ""
    )
    return _view(call, approval)


def _view(call: Call, approval: Approval) -> JsonObject:
    agent = call.services.agents.find(approval.tenant, approval.agent)
    return {
        "id": approval.id,
        "intentId": approval.intent_id,
        "status": "rejected" if approval.state is ApprovalState.DENIED else approval.state,
        "agentId": agent.id if agent is not None else approval.agent,
        "agent": approval.agent,
        "requestedBy": approval.requested_by,
        "reason": approval.reason,
        "requiredRole": approval.terms.role,
        "requiredApprovers": approval.terms.approvers,
        "createdAt": approval.created,
        "expiresAt": approval.expires,
        "resolvedAt": approval.resolved or None,
        "resolvedBy": approval.resolved_by or None,
        "resolution": approval.rationale or None,
    }


def _state(status: Status) -> ApprovalState:
    return ApprovalState.DENIED if status == "rejected" else ApprovalState(status)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/approvals",
        name="list_approvals",
        summary="List approvals",
        endpoint=list_approvals,
        answers=ApprovalPage,
        scope=Scope.APPROVALS_READ,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/approvals/{id}",
        name="get_approval",
        summary="Get an approval",
        endpoint=get_approval,
        answers=ApprovalWithView,
        scope=Scope.APPROVALS_READ,
        also=(NotFound,),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/v1/approvals/{id}/approve",
        name="approve",
        summary="Approve an intent",
        endpoint=approve,
        answers=ApprovalView,
        scope=Scope.APPROVALS_WRITE,
        body_optional=True,
        also=(NotFound, AlreadyResolved, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/v1/approvals/{id}/reject",
        name="reject",
        summary="Reject an intent",
        endpoint=reject,
        answers=ApprovalView,
        scope=Scope.APPROVALS_WRITE,
        body_optional=True,
        also=(NotFound, AlreadyResolved, StateConflict),
        tag=TAG,
    ),
)
