"""Approvals in Ops' words: what waits for a human, and the human's yes or no."""

from typing import Final, Literal

from pydantic import Field

from gateway.api.fields import MAX_NAME_CHARS, MAX_TEXT_CHARS, Answer, Asked, PageQuery, example, paged
from gateway.api.lease_fields import LeaseRequest, terms_of
from gateway.api.operation import Call, Operation
from gateway.api.ops.approval_view import DetailsView, details_of
from gateway.api.user_fields import NamedUser, named_user
from gateway.core.approvals import Approval, ApprovalState
from gateway.core.jsonvalue import JsonObject
from gateway.core.presentation import Alike
from gateway.core.principal import Scope
from gateway.errors import AlreadyResolved, NotFound, StateConflict

__all__ = ["OPERATIONS"]

TAG: Final = "Approvals"

Status = Literal["pending", "approved", "rejected", "expired", "cancelled", "failed"]
"""The guide says rejected where the state is called denied inside."""


class ApprovalsQuery(PageQuery):
    """Which approvals."""

    status: Status = Field(default="pending")
    group: str = Field(default="", max_length=MAX_NAME_CHARS, description="Only those of this group.")


class ResolveRequest(Asked):
    """Why the answer is what it is; the whole body may be left out."""

    reason: str | None = Field(default=None, max_length=MAX_TEXT_CHARS, description="It is recorded.")

    model_config = example({"reason": "Amount exceeds approved limit"})


class ApproveRequest(ResolveRequest):
    """A yes, and whether it is meant for calls of the same shape too; the whole body may be left out."""

    lease: LeaseRequest | None = Field(default=None, description="For tool calls that one approver decides.")

    model_config = example(
        {
            "reason": "The nightly import",
            "lease": {"minutes": 30, "uses": 20, "constraints": {"/path": {"prefix": "/srv/data/"}}},
        }
    )


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
    resolvedByUser: NamedUser | None = Field(description="Whose portal session it is; null where it is none.")
    resolution: str | None = Field(description="The reason that was given with the answer.")


class ApprovalAnswer(ApprovalView):
    """An approval with its answer."""

    leaseId: str | None = Field(description="The lease that was granted with the yes.")


class ApprovalListed(ApprovalView):
    """An approval among others."""

    target: str = Field(description="What the call is aimed at, as `upstream/tool`.")
    group: str = Field(description="The same for all of this agent's calls to this target; `?group=` lists them.")
    groupSize: int = Field(description="How many of the group wait. Each is answered by itself.")
    equal: int = Field(description="How many wait whose content is the same, whoever asks.")
    asked: int = Field(description="How often this very call was made.")
    waiting: int = Field(description="How many connections wait for the answer now.")


class ApprovalWithView(ApprovalListed):
    """An approval with what a human needs for a yes or no."""

    secondsLeft: int = Field(description="Until it expires; 0 once it has its answer.")
    approvedBy: list[str] = Field(description="The credentials that have said yes so far.")
    approvedByUsers: list[NamedUser | None] = Field(description="Whose sessions these are, in the same order.")
    approversNeeded: int = Field(description="How many more must say yes.")
    approvalUrl: str = Field(description="The page on which a human answers; empty where there is none.")
    details: DetailsView | None = Field(description="Null to who asked: it learns nothing of what speaks against it.")


class ApprovalPage(Answer):
    """A page of approvals, newest first."""

    items: list[ApprovalListed]
    total: int
    page: int
    pageSize: int


async def list_approvals(call: Call, query: ApprovalsQuery) -> JsonObject:
    """The pending ones, unless `status` says otherwise."""
    found = await call.services.approval_list.list(
        call.principal, state=_state(query.status), group=query.group, page=query.page, page_size=query.pageSize
    )
    items = [{**_view(call, one.approval), **_alike(one.alike)} for one in found.items]
    return paged(items, total=found.total, query=query)


async def get_approval(call: Call, id: str) -> JsonObject:
    """Of either front, with everything that a yes or no needs."""
    view = await call.services.approval_views.show(call.principal, id)
    return {
        **_view(call, view.approval),
        **_alike(view.alike),
        "secondsLeft": view.seconds_left,
        "approvedBy": view.votes,
        "approvedByUsers": [named_user(call, one) for one in view.voters],
        "approversNeeded": view.needed,
        "approvalUrl": call.services.links.approval(view.approval.id),
        "details": details_of(view),
    }


async def approve(call: Call, id: str, body: ApproveRequest) -> JsonObject:
    """Allows that very call once, unchanged; with a lease also calls like it. Who submitted the intent may not."""
    if body.lease is None:
        return await _resolve(call, id, body, approve=True)
    approval, lease = await call.services.leases.approve(
        call.principal, terms_of(body.lease), approval_id=id, rationale=body.reason or ""
    )
    return {**_view(call, approval), "leaseId": lease.id}


async def reject(call: Call, id: str, body: ResolveRequest) -> JsonObject:
    """One no is a no. Who submitted the intent may not."""
    return await _resolve(call, id, body, approve=False)


async def _resolve(call: Call, approval_id: str, body: ResolveRequest, *, approve: bool) -> JsonObject:
    approval = await call.services.approvals.resolve(
        call.principal, approval_id=approval_id, approve=approve, rationale=body.reason or ""
    )
    return {**_view(call, approval), "leaseId": None}


def _alike(alike: Alike) -> JsonObject:
    return {
        "target": alike.target,
        "group": alike.group,
        "groupSize": alike.group_size,
        "equal": alike.equal,
        "asked": alike.asked,
        "waiting": alike.waiting,
    }


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
        "resolvedByUser": named_user(call, approval.resolved_by_user),
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
        answers=ApprovalAnswer,
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
        answers=ApprovalAnswer,
        scope=Scope.APPROVALS_WRITE,
        body_optional=True,
        also=(NotFound, AlreadyResolved, StateConflict),
        tag=TAG,
    ),
)
