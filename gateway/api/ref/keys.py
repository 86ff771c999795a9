"""API keys in Ref's shape: make, list, rotate and revoke. Management of the gateway's own; no document has it."""

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from gateway.api.fields import MAX_NAME_CHARS, Answer, Managed, example
from gateway.api.operation import Call, Operation
from gateway.core.credentials import KeyFormat
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Role, Scope
from gateway.errors import AgentNotFound, NotFound, StateConflict
from gateway.services.keygrants import MAX_OVERLAP_S
from gateway.services.keys import KeyRecord

__all__ = ["OPERATIONS"]

TAG: Final = "API keys"


# --- what is asked ----------------------------------------------------------------------------------------------------


class CreateKeyRequest(Managed):
    """A key to be made. Without role and scopes it has the role `agent`."""

    tenantId: str | None = Field(default=None, title="Tenant", description="Must be the credential's own.")
    name: str = Field(title="Name", min_length=1, max_length=MAX_NAME_CHARS, description="For people.")
    role: Annotated[Role, Field(strict=False)] | None = Field(default=None, description="A group of scopes.")
    scopes: list[Annotated[Scope, Field(strict=False)]] | None = Field(
        default=None, max_length=len(Scope), description="They narrow the role; without one they stand for themselves."
    )
    agent: str | None = Field(
        default=None, min_length=1, max_length=MAX_NAME_CHARS, description="The only agent that it may act as."
    )
    plan: str | None = Field(default=None, max_length=32, description="`free`, `pro`, `business` or `enterprise`.")
    perMinute: int | None = Field(default=None, ge=1, le=10**9, description="Requests a minute, of `enterprise`.")
    expires: Annotated[AwareDatetime, Field(strict=False)] | None = Field(default=None, description="RFC 3339.")
    format: Annotated[KeyFormat, Field(strict=False)] = Field(
        default=KeyFormat.INTENDEDOPS, description="How the key looks; it says nothing about what it may do."
    )

    model_config = example({"name": "ci", "role": "agent", "agent": "github-actions"})


class RotateKeyRequest(Managed):
    """How a key gets a new secret."""

    overlapSeconds: int = Field(default=0, ge=0, le=MAX_OVERLAP_S, description="For so long the old secret stays good.")


# --- what is answered -------------------------------------------------------------------------------------------------


class KeyView(Answer):
    """What is shown of a key: never its secret."""

    id: str
    tenantId: str
    name: str
    format: KeyFormat
    status: Literal["active", "expired", "revoked"]
    agent: str | None = Field(description="The slug of the only agent that it may act as.")
    role: Role | None
    scopes: list[Scope]
    plan: str | None
    perMinute: int
    createdAt: str
    createdBy: str
    expires: str | None
    rotatedAt: str | None
    oldSecretUntil: str | None
    revokedAt: str | None
    lastUsedAt: str | None


class CreatedKeyView(KeyView):
    """A key with its secret, which is shown this once."""

    key: str = Field(description="The whole text to present. It is kept nowhere and cannot be shown again.")


class KeyList(Answer):
    """Every key of the tenant."""

    keys: list[KeyView]


# --- the endpoints ----------------------------------------------------------------------------------------------------


async def create_key(call: Call, body: CreateKeyRequest) -> JsonObject:
    """Nobody gives a key more than they have themselves."""
    created = await call.services.keys.create(
        call.principal,
        tenant=call.principal.tenant,
        name=body.name,
        scopes=None if body.scopes is None else frozenset(body.scopes),
        role=body.role,
        agent=body.agent or "",
        plan=body.plan or "",
        per_minute=body.perMinute,
        expires=body.expires,
        format=body.format,
    )
    return {**_view(created.record), "key": created.secret}


async def list_keys(call: Call) -> JsonObject:
    """Revoked and expired ones included, oldest first."""
    return {"keys": [_view(one) for one in call.services.keys.list(call.principal, call.principal.tenant)]}


async def revoke_key(call: Call, id: str) -> JsonObject:
    """From the next request on it proves nobody. To revoke it again changes nothing."""
    return _view(await call.services.keys.revoke(call.principal, call.principal.tenant, id))


async def rotate_key(call: Call, id: str, body: RotateKeyRequest) -> JsonObject:
    """The key keeps its id, scopes and agent."""
    made = await call.services.keys.rotate(call.principal, call.principal.tenant, id, overlap_s=body.overlapSeconds)
    return {**_view(made.record), "key": made.secret}


def _view(record: KeyRecord) -> JsonObject:
    return {
        "id": record.id,
        "tenantId": record.tenant,
        "name": record.name,
        "format": record.format,
        "status": record.status,
        "agent": record.agent or None,
        "role": record.role,
        "scopes": sorted(record.scopes),
        "plan": record.plan or None,
        "perMinute": record.per_minute,
        "createdAt": record.created,
        "createdBy": record.created_by,
        "expires": record.expires or None,
        "rotatedAt": record.rotated or None,
        "oldSecretUntil": record.old_until or None,
        "revokedAt": record.revoked or None,
        "lastUsedAt": record.last_used or None,
    }


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/keys",
        name="create_key",
        summary="Make an API key",
        endpoint=create_key,
        answers=CreatedKeyView,
        status=201,
        scope=Scope.KEYS_WRITE,
        also=(AgentNotFound, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/keys",
        name="list_keys",
        summary="List the tenant's API keys",
        endpoint=list_keys,
        answers=KeyList,
        scope=Scope.KEYS_WRITE,
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/keys/{id}/revoke",
        name="revoke_key",
        summary="Revoke an API key",
        endpoint=revoke_key,
        answers=KeyView,
        scope=Scope.KEYS_WRITE,
        also=(NotFound,),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/keys/{id}/rotate",
        name="rotate_key",
        summary="Give an API key a new secret",
        endpoint=rotate_key,
        answers=CreatedKeyView,
        scope=Scope.KEYS_WRITE,
        body_optional=True,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
)
