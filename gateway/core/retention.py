"""Which state rows are dead, and what the chain keeps of those that people may still ask for. Pure.

A row is dead once nothing that it says can have an effect any more. Owns these rules (store/README.md has them as a
table) and the shape of what is kept. That a row goes in the transaction of an entry is `services/retention.py`'s.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

import orjson

from gateway.core.approvals import ApprovalState
from gateway.core.budgets import BUCKETS, read_tally
from gateway.core.jsonvalue import JsonObject
from gateway.core.lease_rows import LEASES, Lease, read_lease
from gateway.core.leases import LeaseState
from gateway.core.policy.document import MAX_WINDOW_S
from gateway.core.rows import APPROVALS, HeldApproval, read_approval

__all__ = [
    "APPROVAL",
    "LEASE",
    "account_is_dead",
    "approval_is_dead",
    "kept_approval",
    "kept_lease",
    "lease_is_dead",
    "read_kept_approval",
    "read_kept_lease",
]

APPROVAL: Final = APPROVALS.removesuffix(":")
LEASE: Final = LEASES.removesuffix(":")

_NOT_USED: Final = frozenset({ApprovalState.DENIED, ApprovalState.EXPIRED, ApprovalState.CANCELLED})
"""States that close an approval at once; a yes is used later, but never after the approval has expired."""


def approval_is_dead(held: HeldApproval, before: str) -> bool:
    """Return whether an approval was closed by then (RFC 3339) for certain."""
    one = held.approval
    closed = one.resolved if one.state in _NOT_USED else max(one.resolved, one.expires)
    return not held.open and closed <= before


def lease_is_dead(lease: Lease, before: str) -> bool:
    """Return whether a lease had ended by then (RFC 3339)."""
    return lease.state is not LeaseState.ACTIVE and lease.ended <= before


def account_is_dead(held: bytes, now: datetime) -> bool:
    """Return whether nothing of a budget's account counts any more, in whatever window a policy may declare tomorrow.

    A window changes without the account (docs/budgets.md), so that it is dead only after the longest there can be.
    """
    try:
        tally = read_tally(held)
    except ValueError:
        return False
    ended = (tally.last + 1) * tally.width_s
    return ended + MAX_WINDOW_S + MAX_WINDOW_S // BUCKETS <= now.timestamp()


def kept_approval(held: HeldApproval, asked: int) -> JsonObject:
    """Return what the chain keeps of a closed approval: all but what only its use needed, and its entries tell too."""
    about = None if held.about is None else replace(held.about, pin="", args_digest="", factors=())
    row = replace(held, rules=frozenset(), key="", about=about).written()
    return {"id": held.approval.id, "asked": asked, "row": orjson.Fragment(row)}


def read_kept_approval(tenant: str, kept: bytes) -> HeldApproval:
    """Return a closed approval as it was; it has no row, and no version."""
    found = orjson.loads(kept)
    return replace(read_approval(tenant, orjson.dumps(found["row"]), 0), asked=found["asked"])


def kept_lease(lease: Lease, used: int) -> JsonObject:
    """Return what the chain keeps of a lease that has ended."""
    return {"id": lease.id, "used": used, "row": orjson.Fragment(lease.written())}


def read_kept_lease(tenant: str, kept: bytes) -> tuple[Lease, int]:
    """Return a lease that has ended as it was, and how often it was used."""
    found = orjson.loads(kept)
    return read_lease(tenant, orjson.dumps(found["row"]), 0), found["used"]
