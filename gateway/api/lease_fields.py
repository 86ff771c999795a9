"""Leases as members of a request and of an answer, in both dialects alike: the published documents have none.

Owns the shape. A misspelt member is refused, since a lease that is not quite what was meant is worse than none.
"""

from typing import Any, Literal

from pydantic import Field

from gateway.api.fields import Answer, Managed
from gateway.core.jsonvalue import JsonObject
from gateway.core.leases import (
    MAX_CHOICES,
    MAX_CONSTRAINTS,
    MAX_MINUTES,
    MAX_PREFIX_CHARS,
    MAX_USES,
    Check,
    Constraint,
)
from gateway.errors import FieldProblem, InvalidRequest
from gateway.services.lease_terms import LeaseTerms
from gateway.services.leases import LeaseView

__all__ = ["LeaseAnswer", "LeaseRequest", "lease_answer", "terms_of"]


class ConstraintRequest(Managed):
    """How calls may differ from the approved one at one place. Several checks must all hold."""

    any: Literal[True] | None = Field(default=None, description="Any value, as long as there is one.")
    equals: Any = Field(default=None, description="This value; without any check of a place, the approved one's.")
    oneOf: list[Any] | None = Field(default=None, min_length=1, max_length=MAX_CHOICES, description="One of these.")
    max: int | float | None = Field(default=None, description="A number, this at most.")
    min: int | float | None = Field(default=None, description="A number, this at least.")
    prefix: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_PREFIX_CHARS,
        description="A text that begins so, with no way out: no `..`, no backslash, nothing encoded.",
    )


class LeaseRequest(Managed):
    """A yes to calls of the same shape, beside that to the approved call."""

    minutes: int = Field(default=10, ge=1, le=MAX_MINUTES, description="How long; the settings may allow less.")
    uses: int = Field(default=10, ge=1, le=MAX_USES, description="How many calls; the settings may allow less.")
    constraints: dict[str, ConstraintRequest] = Field(
        default_factory=dict,
        max_length=MAX_CONSTRAINTS,
        description="By JSON pointer. Every place that is not named must be as it is in the approved call.",
        examples=[{"/path": {"prefix": "/srv/data/"}, "/amount": {"max": 500}}],
    )


class PlaceView(Answer):
    """One place of a shape."""

    path: str = Field(description="A JSON pointer into the arguments.")
    check: Literal["any", "equals", "oneOf", "max", "min", "prefix"]
    value: str = Field(description="For people: hidden characters written out, long values cut.")


class LeaseAnswer(Answer):
    """A lease."""

    id: str
    status: Literal["active", "used-up", "expired", "revoked", "tool-changed"]
    agent: str = Field(description="The slug of the agent that may use it.")
    upstream: str
    tool: str
    maxUses: int
    used: int
    grantedAt: str
    grantedBy: str = Field(description="The credential of record.")
    expiresAt: str
    reason: str | None = Field(description="What was given with the yes.")
    approvalId: str = Field(description="The approval it was granted with, whose call is not counted.")
    intentId: str
    maxRisk: int = Field(description="The risk of the approved call: a riskier one asks a human.")
    endedAt: str | None
    endedBy: str | None
    endReason: str | None
    shape: list[PlaceView] | None = Field(
        description="Null to whom it was granted, and once it has ended. Other places must not be there."
    )


def terms_of(asked: LeaseRequest) -> LeaseTerms:
    """Return what is asked for. Raises InvalidRequest where a place is named without any check."""
    constraints = []
    for path, one in asked.constraints.items():
        given = [(name, getattr(one, name)) for name in type(one).model_fields if name in one.model_fields_set]
        checks = [
            Constraint(path=path, check=Check(name), value=value) for name, value in given if _is_given(name, value)
        ]
        if not checks:
            raise InvalidRequest(FieldProblem(path=("lease", "constraints", path), message="names no check"))
        constraints += checks
    return LeaseTerms(minutes=asked.minutes, uses=asked.uses, constraints=tuple(constraints))


def _is_given(name: str, value: Any) -> bool:
    """Return whether a member is there: null is a value for `equals`, and nothing for the others."""
    return value is not None or name == Check.EQUALS


def lease_answer(view: LeaseView) -> JsonObject:
    """Return a lease as both dialects show it."""
    one = view.lease
    return {
        "id": one.id,
        "status": one.state,
        "agent": one.agent,
        "upstream": one.upstream,
        "tool": one.tool,
        "maxUses": one.uses,
        "used": view.used,
        "grantedAt": one.granted,
        "grantedBy": one.granted_by,
        "expiresAt": one.expires,
        "reason": one.rationale or None,
        "approvalId": one.approval_id,
        "intentId": one.intent_id,
        "maxRisk": one.fact.risk,
        "endedAt": one.ended or None,
        "endedBy": one.ended_by or None,
        "endReason": one.ended_reason or None,
        "shape": None
        if view.shape is None
        else [{"path": each.path, "check": each.check, "value": each.value} for each in view.shape],
    }
