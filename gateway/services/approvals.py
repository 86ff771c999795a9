"""Approvals: a human's yes or no to one escalated intent, of either front.

Owns who may resolve one, that each resolution is durable before it takes effect, and that exactly one of two wins. An
approval is opened in the transaction of the decision that asks for it. States are `core/approvals.py`'s.
"""

from collections.abc import Iterable

from gateway.core.approvals import Approval, ApprovalState
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.ports import Page

__all__ = ["Approvals"]


class Approvals:
    """The use cases of approvals."""

    async def load(self, tenants: Iterable[str]) -> None:
        """Read when the open approvals of these tenants expire; part of the start. Raises StoreError."""
        raise NotImplementedError

    async def run(self) -> None:
        """Expire what is due, for ever; `app.py` owns the task."""
        raise NotImplementedError

    async def list(
        self, principal: Principal, *, state: ApprovalState | None = ApprovalState.PENDING, page: int, page_size: int
    ) -> Page[Approval]:
        """Return one page (from 1) of the tenant's approvals in that state (None: in any), newest first.

        Raises StoreError.
        """
        raise NotImplementedError

    async def show(self, principal: Principal, approval_id: str) -> Approval:
        """Return an approval of the principal's tenant. Raises NotFound and StoreError."""
        raise NotImplementedError

    async def arguments(self, principal: Principal, approval_id: str) -> JsonObject:
        """Return the exact arguments that the approval is about, while it is open.

        Raises:
            NotFound: there is no such approval, or it is open no more.
            StoreError: they cannot be read.
        """
        raise NotImplementedError

    async def pending(self, tenant: str) -> int:
        """Return how many approvals of the tenant await a human. Raises StoreError."""
        raise NotImplementedError

    async def resolve(
        self,
        principal: Principal,
        *,
        approval_id: str = "",
        intent_id: str = "",
        approve: bool,
        rationale: str = "",
        claimed: str = "",
    ) -> Approval:
        """Say yes or no to the approval of that id, or to the one that the intent waits for.

        `claimed` is who the body says the approver is: stored as a claim beside the credential of record. Where a rule
        asks for several approvers, the approval stays pending until the last yes; one no is a no.

        Raises:
            NotFound: this tenant has no such approval.
            Forbidden: the principal submitted the intent, or lacks the role that the rule asks for.
            AlreadyResolved: it has its answer, or its time is over.
            StateConflict: this approver has said yes already, and the rule asks for another one.
            InvalidRequest: a text cannot be recorded.
            StoreError: it could not be made durable; it has no answer yet.
        """
        raise NotImplementedError
