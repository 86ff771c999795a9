"""Authority in Ref's words: a human's answer to an escalated intent, the thresholds of the tiers, the signing keys."""

import re
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import Field

from gateway.api.fields import MAX_NAME_CHARS, MAX_TEXT_CHARS, Answer, Asked, Managed, example
from gateway.api.lease_fields import LeaseRequest, terms_of
from gateway.api.operation import Call, Operation
from gateway.api.user_fields import NamedUser, named_user
from gateway.core.approvals import Approval
from gateway.core.audit.body import timestamp
from gateway.core.decision import Thresholds as Caps
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Role, Scope, TrustTier
from gateway.errors import FieldProblem, InvalidRequest, NotFound, StateConflict, Unavailable
from gateway.services.thresholds import MAX_CAP, ThresholdTable

__all__ = ["OPERATIONS"]

TAG: Final = "Authority and approval"

_ETAG = re.compile(r'(?:W/)?"?([0-9]{1,15})"?')

Tier = Literal["T0", "T1", "T2", "T3", "T4"]


# --- what is asked ----------------------------------------------------------------------------------------------------


class ApprovalRequest(Asked):
    """A human's answer to an escalated intent. One of `intentId` and `escalationId` names it."""

    intentId: str | None = Field(
        default=None, title="Intent", min_length=1, max_length=MAX_NAME_CHARS, description="The escalated intent."
    )
    escalationId: str | None = Field(
        default=None, title="Approval", min_length=1, max_length=MAX_NAME_CHARS, description="The approval itself."
    )
    decision: Literal["approve", "reject"] = Field(title="Decision", description="Yes or no; one no is a no.")
    rationale: str | None = Field(default=None, max_length=MAX_TEXT_CHARS, description="Why; it is recorded.")
    approver: str | None = Field(
        default=None,
        max_length=MAX_NAME_CHARS,
        description="Who says so: stored as a claim beside the credential, which is the approver of record.",
    )
    lease: LeaseRequest | None = Field(
        default=None, title="Lease", description="With a yes: calls of the same shape are allowed too, for a while."
    )

    model_config = example(
        {
            "intentId": "int_abc123",
            "decision": "approve",
            "rationale": "Change window agreed with operations.",
            "approver": "jane@acme.com",
        }
    )


class TierCaps(Managed):
    """What one tier may do, in points of risk."""

    allowBelow: int = Field(
        title="allowBelow", ge=0, le=MAX_CAP, description="Below it no human is asked; 101: always."
    )
    denyFrom: int = Field(title="denyFrom", ge=0, le=MAX_CAP, description="From here on it is denied; 101: nothing.")


class ThresholdsRequest(Managed):
    """The whole table of thresholds, and which version of it is replaced."""

    tenantId: str | None = Field(default=None, title="Tenant", description="Must be the one in the path.")
    tiers: dict[Tier, TierCaps] = Field(title="Tiers", description="All of T0 to T4.")
    version: int | None = Field(
        default=None,
        ge=0,
        le=10**15,
        description="The version that is replaced, as it was read; or send it as `If-Match`.",
    )

    model_config = example(
        {
            "tiers": {f"T{tier}": {"allowBelow": 20 + 15 * tier, "denyFrom": 60 + 10 * tier} for tier in range(5)},
            "version": 0,
        }
    )


class RotateSigningKeyRequest(Managed):
    """How the signing key is replaced."""

    revoke: bool = Field(
        default=False, description="The old keys may be in foreign hands: they are worthless from now on."
    )


# --- what is answered -------------------------------------------------------------------------------------------------


class ApprovalRecord(Answer):
    """The hold on an escalated intent."""

    escalationId: str
    intentId: str
    status: Literal["pending", "approved", "denied", "expired", "cancelled", "failed"]
    agent: str = Field(description="The slug of the agent that asks.")
    requestedBy: str = Field(description="The credential that submitted the intent; it may not resolve it.")
    reason: str = Field(description="Why a human is asked.")
    requiredRole: str = Field(description="What the escalating rule asks of an approver.")
    requiredApprovers: int
    createdAt: str
    expiresAt: str
    resolvedAt: str | None
    resolvedBy: str | None = Field(description="The credential of record.")
    resolvedByUser: NamedUser | None = Field(description="Whose portal session it is; null where it is none.")
    approver: str | None = Field(description="Who the request said the approver was: a claim.")
    rationale: str | None
    leaseId: str | None = Field(description="The lease that was granted with the yes.")


class ThresholdsView(Answer):
    """The thresholds in force."""

    tenantId: str
    tiers: dict[Tier, TierCaps]
    version: int = Field(description="0 is the configuration's table; each change counts up.")


class SigningKeyView(Answer):
    """A signing key that was made."""

    kid: str = Field(description="Thumbprint of the public key (RFC 7638).")
    signsFrom: str = Field(description="When it signs its first token; it is published before.")


# --- the endpoints ----------------------------------------------------------------------------------------------------


async def record_approval(call: Call, body: ApprovalRequest) -> JsonObject:
    """The credential is the approver of record. Who submitted the intent may not answer it."""
    if body.intentId is None and body.escalationId is None:
        raise InvalidRequest(FieldProblem(path=("intentId",), message="intentId or escalationId is required"))
    which = {"approval_id": body.escalationId or "", "intent_id": body.intentId or ""}
    said = {"rationale": body.rationale or "", "claimed": body.approver or ""}
    yes = body.decision == "approve"
    if body.lease is None:
        approval = await call.services.approvals.resolve(call.principal, **which, approve=yes, **said)
        return {**_approval(call, approval), "leaseId": None}
    if not yes:
        raise InvalidRequest(FieldProblem(path=("lease",), message="goes with the decision approve only"))
    approval, lease = await call.services.leases.approve(call.principal, terms_of(body.lease), **which, **said)
    return {**_approval(call, approval), "leaseId": lease.id}


async def get_thresholds(call: Call) -> JsonObject:
    """The version comes as `ETag` too."""
    return _thresholds(call, call.services.thresholds.get(call.principal.tenant))


async def put_thresholds(call: Call, body: ThresholdsRequest) -> JsonObject:
    """The version that is replaced is named by `If-Match` or in the body; one that is not current is a conflict."""
    tiers = {
        TrustTier[name]: Caps(allow_below=caps.allowBelow, deny_from=caps.denyFrom) for name, caps in body.tiers.items()
    }
    tenant = call.principal.tenant
    version = _expected_version(call.headers.get("if-match"), body.version)
    return _thresholds(call, await call.services.thresholds.put(call.principal, tenant, tiers, version))


async def rotate_signing_key(call: Call, body: RotateSigningKeyRequest) -> JsonObject:
    """The new key is published before it signs, so that no verifier is surprised."""
    made = await call.services.tokens.rotate(call.principal, call.principal.tenant, revoke=body.revoke)
    return {"kid": made.kid, "signsFrom": timestamp(datetime.fromtimestamp(made.signs_from, UTC))}


# --- views ------------------------------------------------------------------------------------------------------------


def _approval(call: Call, approval: Approval) -> JsonObject:
    return {
        "escalationId": approval.id,
        "intentId": approval.intent_id,
        "status": approval.state,
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
        "approver": approval.claimed or None,
        "rationale": approval.rationale or None,
    }


def _thresholds(call: Call, table: ThresholdTable) -> JsonObject:
    call.answer_headers["etag"] = f'"{table.version}"'
    return {
        "tenantId": call.principal.tenant,
        "tiers": {
            tier.name: {"allowBelow": caps.allow_below, "denyFrom": caps.deny_from}
            for tier, caps in sorted(table.tiers.items())
        },
        "version": table.version,
    }


def _expected_version(header: str | None, member: int | None) -> int:
    """Return the version that a change replaces. Raises InvalidRequest where it is not told, or told twice apart."""
    if header is None:
        if member is None:
            raise InvalidRequest(FieldProblem(path=("version",), message="If-Match or version is required"))
        return member
    found = _ETAG.fullmatch(header.strip())
    if found is None or (member is not None and member != int(found[1])):
        raise InvalidRequest(FieldProblem(path=("version",), message="If-Match must name one version, the body's"))
    return int(found[1])


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/authority/approval",
        name="record_approval",
        summary="Record a human's answer to an escalated intent",
        endpoint=record_approval,
        answers=ApprovalRecord,
        scope=Scope.APPROVALS_WRITE,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/authority/thresholds/{tenantId}",
        name="get_thresholds",
        summary="Get the risk thresholds of a tenant",
        endpoint=get_thresholds,
        answers=ThresholdsView,
        scope=Scope.POLICIES_READ,
        versioned=True,
        tag=TAG,
    ),
    Operation(
        method="PUT",
        path="/authority/thresholds/{tenantId}",
        name="put_thresholds",
        summary="Replace the risk thresholds of a tenant",
        endpoint=put_thresholds,
        answers=ThresholdsView,
        scope=Scope.POLICIES_WRITE,
        roles=frozenset({Role.ADMIN, Role.POLICY_ADMIN}),
        also=(StateConflict,),
        versioned=True,
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/authority/keys/rotate",
        name="rotate_signing_key",
        summary="Make the tenant's next signing key",
        endpoint=rotate_signing_key,
        answers=SigningKeyView,
        scope=Scope.KEYS_WRITE,
        body_optional=True,
        also=(StateConflict, Unavailable),
        tag=TAG,
    ),
)
