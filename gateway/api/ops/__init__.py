"""The Ops dialect: the endpoints of the IntendedOps API guide."""

from typing import Final

from gateway.api.operation import Operation
from gateway.api.ops import agents, approvals, audit, budgets, intents, leases, stats, trust

__all__ = ["OPERATIONS"]

OPERATIONS: Final[tuple[Operation, ...]] = (
    *intents.OPERATIONS,
    *stats.OPERATIONS,
    *agents.OPERATIONS,
    *trust.OPERATIONS,
    *budgets.OPERATIONS,
    *approvals.OPERATIONS,
    *leases.OPERATIONS,
    *audit.OPERATIONS,
)
