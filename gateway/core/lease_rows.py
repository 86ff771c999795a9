"""The state rows of leases: their keys, and the values as JSON. Which arguments a lease covers is `core/leases.py`'s.

A lease has three rows. Its own says everything but the shape and changes once, when it ends; so that uses at the same
time do not conflict, they are counted in a second one; the shape, which holds arguments, lies sealed in a third one as
long as the lease is active.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Final

import orjson

from gateway.core.jsonvalue import JsonObject
from gateway.core.leases import Check, Constraint, Leased, LeaseState, Shape, read_leased

__all__ = ["LEASES", "SHAPES", "Lease", "lease_key", "read_lease", "read_shape", "shape_bytes", "shape_key", "uses_key"]

LEASES: Final = "lease:"
SHAPES: Final = "lease-shape:"
"""Of the sealed shapes, which are there as long as their leases are active."""


def lease_key(lease_id: str) -> str:
    """Return the key of a lease."""
    return f"{LEASES}{lease_id}"


def uses_key(lease_id: str) -> str:
    """Return the key of the counter of its uses."""
    return f"lease-uses:{lease_id}"


def shape_key(lease_id: str) -> str:
    """Return the key of its shape, sealed."""
    return f"{SHAPES}{lease_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One lease. Times are RFC 3339; what has not happened yet is empty.

    `uses` is how many there may be, beside that of the approval it was granted with. `requested_by` and `human` are the
    credential and the human that had asked. `granted_by` is the credential of record, `claimed` who a body said it was.
    `fact` is what decisions rest on. `version` is that of the row.
    """

    id: str
    tenant: str
    agent: str
    upstream: str
    tool: str
    pin: str
    approval_id: str
    intent_id: str
    requested_by: str
    human: str
    granted: str
    granted_by: str
    claimed: str
    rationale: str
    expires: str
    uses: int
    fact: Leased
    state: LeaseState = LeaseState.ACTIVE
    ended: str = ""
    ended_by: str = ""
    ended_reason: str = ""
    version: int = field(default=0, compare=False)

    def after(self, state: LeaseState, *, ended: str, by: str, reason: str) -> "Lease":
        """Return the lease as it has ended."""
        return replace(self, state=state, ended=ended, ended_by=by, ended_reason=reason)

    def written(self) -> bytes:
        """Return the row's value."""
        return orjson.dumps({**asdict(self), "tenant": None, "version": None, "fact": self.fact.written()})


def read_lease(tenant: str, value: bytes, version: int) -> Lease:
    """Return the lease of a row."""
    row: JsonObject = orjson.loads(value)
    given = {"tenant": tenant, "version": version, "state": LeaseState(row["state"]), "fact": read_leased(row["fact"])}
    return Lease(**{**row, **given})


def shape_bytes(shape: Shape) -> bytes:
    """Return a shape as it is sealed."""
    return orjson.dumps([shape.arguments, [[one.path, one.check, one.value] for one in shape.constraints]])


def read_shape(plain: bytes) -> Shape:
    """Return the shape that was sealed."""
    arguments, constraints = orjson.loads(plain)
    return Shape(
        arguments=arguments,
        constraints=tuple(Constraint(path=path, check=Check(check), value=value) for path, check, value in constraints),
    )
