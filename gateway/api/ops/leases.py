"""Leases in Ops' words: what humans have granted beyond single calls, and taking it back. An addition to the guide."""

from typing import Final, Literal

from pydantic import Field

from gateway.api.fields import MAX_NAME_CHARS, Answer, PageQuery, Query, paged
from gateway.api.lease_fields import LeaseAnswer, lease_answer
from gateway.api.operation import Call, Operation
from gateway.core.jsonvalue import JsonObject
from gateway.core.leases import LeaseState
from gateway.core.principal import Scope
from gateway.errors import NotFound

__all__ = ["OPERATIONS"]

TAG: Final = "Approvals"


class LeasesQuery(PageQuery):
    """Which leases."""

    status: Literal["active", "used-up", "expired", "revoked", "tool-changed", "all"] = Field(default="active")


class RevokeQuery(Query):
    """Why a lease is revoked."""

    reason: str = Field(default="", max_length=MAX_NAME_CHARS, description="It is recorded.")


class LeasePage(Answer):
    """A page of leases, newest first."""

    items: list[LeaseAnswer]
    total: int
    page: int
    pageSize: int


async def list_leases(call: Call, query: LeasesQuery) -> JsonObject:
    """The active ones, unless `status` says otherwise."""
    state = None if query.status == "all" else LeaseState(query.status)
    found = await call.services.leases.list(call.principal, state=state, page=query.page, page_size=query.pageSize)
    return paged([lease_answer(one) for one in found.items], total=found.total, query=query)


async def get_lease(call: Call, id: str) -> JsonObject:
    """With its shape, but for those who act under it."""
    return lease_answer(await call.services.leases.show(call.principal, id))


async def revoke_lease(call: Call, id: str, query: RevokeQuery) -> JsonObject:
    """It is not used any more from this answer on. One that has ended stays as it is."""
    return lease_answer(await call.services.leases.revoke(call.principal, id, reason=query.reason))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/leases",
        name="list_leases",
        summary="List leases",
        endpoint=list_leases,
        answers=LeasePage,
        scope=Scope.APPROVALS_READ,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/leases/{id}",
        name="get_lease",
        summary="Get a lease",
        endpoint=get_lease,
        answers=LeaseAnswer,
        scope=Scope.APPROVALS_READ,
        also=(NotFound,),
        tag=TAG,
    ),
    Operation(
        method="DELETE",
        path="/v1/leases/{id}",
        name="revoke_lease",
        summary="Revoke a lease",
        endpoint=revoke_lease,
        answers=LeaseAnswer,
        scope=Scope.APPROVALS_WRITE,
        also=(NotFound,),
        tag=TAG,
    ),
)
