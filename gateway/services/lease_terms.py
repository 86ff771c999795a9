"""What a human may grant with a yes: how long, how many uses, of which shape; and what speaks against it.

Owns the terms. Granting, durably, is `services/leases.py`'s; what a shape covers `core/leases.py`'s.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.core.lease_rows import shape_bytes
from gateway.core.leases import Bounds, Constraint, Shape, problems_of
from gateway.core.rows import HeldApproval
from gateway.errors import FieldProblem

__all__ = ["MAX_SHAPE_BYTES", "LeaseTerms", "obstacle", "problems_with"]

MAX_SHAPE_BYTES: Final = 64 * 1024
"""Of the arguments and what is loosened, as JSON: shapes are in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """What a human grants: how long, how many uses, and where calls may differ from the approved one."""

    minutes: int = 10
    uses: int = 10
    constraints: tuple[Constraint, ...] = ()


def obstacle(held: HeldApproval, bounds: Bounds) -> str:
    """Say why no lease can be granted with an approval, whatever its terms; nothing where one can."""
    if bounds.minutes == 0:
        return "leases are switched off: the setting leases.max_minutes is 0"
    if held.about is None:
        return "this approval was opened by an earlier release, which kept too little of its call"
    if held.about.method != "tools/call":
        return "there are leases for tool calls only; this is another request"
    if held.approval.terms.approvers > 1:
        return f"the rule asks for {held.approval.terms.approvers} approvers; a lease is granted by a single vote only"
    return ""


def problems_with(terms: LeaseTerms, bounds: Bounds, shape: Shape) -> Iterator[FieldProblem]:
    """Yield what keeps these terms from being granted for a call of this shape."""
    for name, given, most in (("minutes", terms.minutes, bounds.minutes), ("uses", terms.uses, bounds.uses)):
        if not 1 <= given <= most:
            yield FieldProblem(path=("lease", name), message=f"must be 1 to {most}")
    for place, problem in problems_of(shape):
        yield FieldProblem(path=("lease", "constraints", place), message=problem)
    if len(shape_bytes(shape)) > MAX_SHAPE_BYTES:
        yield FieldProblem(path=("lease",), message=f"arguments and shape are above {MAX_SHAPE_BYTES} bytes together")
