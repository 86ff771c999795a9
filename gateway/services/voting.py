"""One vote on an approval: who may cast it, and what it makes of the approval.

Owns who may. That a vote is durable before it counts, and that one of two at the same moment wins, is
`services/approvals.py`'s.
"""

from dataclasses import replace

from gateway.core.approvals import ApprovalState
from gateway.core.principal import Principal, Role, Scope
from gateway.core.rows import HeldApproval, Vote
from gateway.errors import AlreadyResolved, Forbidden, StateConflict

__all__ = ["asked_for", "closed", "may_answer", "require_another", "require_answerable", "voted"]


def voted(held: HeldApproval, vote: Vote, *, approve: bool) -> HeldApproval:
    """Return the approval with one more yes, or with its no."""
    if not approve:
        return closed(held, ApprovalState.DENIED, vote)
    counted = replace(held, votes=(*held.votes, vote))
    if len(counted.votes) < held.approval.terms.approvers:
        return counted
    return closed(counted, ApprovalState.APPROVED, vote)


def closed(held: HeldApproval, state: ApprovalState, vote: Vote) -> HeldApproval:
    """Return the approval with its answer, and who gave it."""
    resolved = replace(
        held.approval,
        state=state,
        resolved=vote.time,
        resolved_by=vote.credential,
        resolved_by_user=vote.human,
        claimed=vote.claimed,
        rationale=vote.rationale,
    )
    return replace(held, approval=resolved)


def asked_for(principal: Principal, held: HeldApproval) -> bool:
    """Return whether the principal asked for what the approval is about, itself, as the same agent or human."""
    approval = held.approval
    if principal.credential == approval.requested_by or principal.agent == approval.agent:
        return True
    return bool(principal.human) and principal.human == held.human


def may_answer(principal: Principal) -> bool:
    """Return whether the principal answers approvals at all. What an agent holds is no human's, whatever its role."""
    return Scope.APPROVALS_WRITE in principal.scopes and not principal.bound


def require_answerable(principal: Principal, held: HeldApproval) -> None:
    """Let no agent resolve anything, and nobody what it asked for, what is for others, or what has its answer.

    Raises Forbidden and AlreadyResolved.
    """
    approval = held.approval
    if asked_for(principal, held):
        raise Forbidden("Whoever asked for this cannot approve or reject it.")
    if principal.bound:
        raise Forbidden("A credential that is bound to an agent answers no approvals, whatever its role.")
    role = principal.role
    if role is None and Scope.APPROVALS_WRITE in principal.scopes:
        role = Role.OPERATOR
    if role not in (Role.ADMIN, approval.terms.role):
        raise Forbidden(f"The rule asks for an approver of the role '{approval.terms.role}', or an admin.")
    if approval.state is not ApprovalState.PENDING:
        msg = f"The approval '{approval.id}' is {approval.state.value} already."
        raise AlreadyResolved(msg)


def require_another(held: HeldApproval, vote: Vote) -> None:
    """Take no second yes from one approver. Raises StateConflict."""
    for earlier in held.votes:
        if earlier.credential == vote.credential or (vote.human and earlier.human == vote.human):
            raise StateConflict("You have approved this already; the rule asks for another approver beside you.")
