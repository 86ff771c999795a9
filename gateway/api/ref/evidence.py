"""Evidence in Ref's words: the bundle of an intent, the keys that it is checked with, and the tenant's secret."""

from typing import Any, Final, Literal

from pydantic import Field
from starlette.responses import Response

from gateway.api.errors import JSON
from gateway.api.fields import Answer
from gateway.api.operation import Call, Operation
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.errors import NotFound, SigningError, StateConflict, TooLarge, Unavailable
from gateway.services.evidence_secret import Secret

__all__ = ["OPERATIONS"]

TAG: Final = "Audit and evidence"

FILE_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


# --- what is answered -------------------------------------------------------------------------------------------------


class ProvedEntry(Answer):
    """One audit entry and its place in the chain."""

    seq: int = Field(description="Its number in the chain, from 1.")
    hash: str = Field(description="Hex SHA-256 of `content`.")
    content: str = Field(description="The entry as it was hashed (RFC 8785).")
    salt: str = Field(description="Hex; stands before `body` where that is digested.")
    body: str = Field(description="What lies beside the entry, redacted; SHA-256 of salt and body is its `bodyDigest`.")
    proof: list[str] = Field(description="Inclusion proof to the checkpoint's root (RFC 6962, 2.1.1), hex.")


class EvidenceMaker(Answer):
    """Who made a bundle."""

    issuer: str = Field(description="As in authority tokens.")
    version: str


class EvidenceRule(Answer):
    """A rule whose condition held."""

    id: str
    policySet: str
    effect: Literal["ALLOW", "DENY", "ESCALATE"]
    digest: str = Field(description="SHA-256 of the rule's text.")


class EvidenceDecision(Answer):
    """The last decision on the intent, in short; the entry of that number has all of it."""

    seq: int
    effect: Literal["ALLOW", "DENY", "ESCALATE"]
    reason: str
    risk: int
    policySet: str
    policyDigest: str
    rules: list[EvidenceRule]


class EvidenceCheckpoint(Answer):
    """The chain when the bundle was made."""

    format: Literal["so.intended/checkpoint/v1"]
    tenant: str
    treeSize: int = Field(description="Entries in the chain.")
    root: str = Field(description="RFC 6962 root over them, hex.")
    headHash: str = Field(description="Hash of the last one, hex.")
    time: str
    signature: str = Field(description="Detached JWS over the other members, `typ` `checkpoint+jws`.")


class EvidenceRecomputation(Answer):
    """What became of a decision that was made again for this bundle."""

    seq: int
    result: Literal["same", "different", "not possible"]
    from_: Literal["input", "conditions", ""] = Field(
        alias="from", description="The evaluation input; or the recorded results of the conditions, where it is gone."
    )
    problem: str = Field(description="Why not from the input.")
    differences: list[str] = Field(description="What came out differently.")


class PublicKey(Answer):
    """An RSA public key as JWK."""

    kty: str
    use: str
    alg: str
    n: str
    e: str
    kid: str = Field(description="Its thumbprint (RFC 7638).")


class EvidenceBundle(Answer):
    """Everything on record of one intent, provable by a stranger (docs/evidence.md)."""

    format: Literal["so.intended/evidence-bundle/v1"]
    tenant: str
    intentId: str
    made: str
    gateway: EvidenceMaker
    status: Literal["pending", "approved", "rejected", "completed", "failed", "expired"]
    complete: bool = Field(description="No human is waited for: the evaluation is over.")
    decision: EvidenceDecision
    entryCount: int = Field(description="Entries of this intent in the chain, all of them, as the signer claims.")
    entries: list[ProvedEntry]
    cited: list[ProvedEntry] = Field(description="Entries of leases, granted with other intents, that decisions cite.")
    checkpoint: EvidenceCheckpoint
    recomputed: list[EvidenceRecomputation]
    secret: str = Field(description="The id of the secret that the HMAC is made with.")
    key: PublicKey = Field(description="For convenience: whoever checks takes it from elsewhere, or knows its `kid`.")
    hmac: str = Field(description="Hex HMAC-SHA256 over the RFC 8785 form of all but `hmac` and `signature`.")
    signature: str = Field(
        description="Detached JWS (RS256) over the RFC 8785 form of all but `signature`, `typ` `evidence-bundle+jws`."
    )


class EvidenceKeys(Answer):
    """A JWK set."""

    keys: list[PublicKey]


class EvidenceSecretView(Answer):
    """A secret, told once."""

    id: str
    createdAt: str
    secret: str = Field(description="Shown now and never again. Its UTF-8 bytes key the HMAC.")


# --- the endpoints ----------------------------------------------------------------------------------------------------


async def download_bundle(call: Call, id: str) -> Response:
    """A file to keep and check offline (`intended evidence verify`), made anew each time. Too many entries are 413."""
    made = await call.services.evidence.bundle(call.principal, id)
    name = "".join(one for one in id if one in FILE_NAME)
    headers = {
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="evidence-{name}.json"',
    }
    return Response(made, media_type=JSON, headers=headers)


async def list_evidence_keys(call: Call) -> JsonObject:
    """Retired keys stay, as evidence does; revoked ones go. To be given to whoever checks."""
    return call.services.tokens.checkable(call.principal.tenant)


async def show_evidence_secret(call: Call) -> JsonObject:
    """Once. It is made with the first bundle, or now."""
    return _secret(await call.services.evidence_secrets.show(call.principal))


async def rotate_evidence_secret(call: Call) -> JsonObject:
    """Bundles are made with the new one from now on. The old one is destroyed here; keep it with its bundles."""
    return _secret(await call.services.evidence_secrets.rotate(call.principal))


def _secret(secret: Secret) -> dict[str, Any]:
    return {"id": secret.id, "createdAt": secret.created, "secret": secret.text}


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/intent/{id}/evidence-bundle",
        name="download_bundle",
        summary="Download the evidence bundle of an intent",
        endpoint=download_bundle,
        answers=EvidenceBundle,
        scope=Scope.AUDIT_READ,
        also=(NotFound, SigningError, Unavailable, StateConflict, TooLarge),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/evidence/keys",
        name="list_evidence_keys",
        summary="List the public keys that evidence is signed with",
        endpoint=list_evidence_keys,
        answers=EvidenceKeys,
        scope=Scope.AUDIT_READ,
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/evidence/secret/show",
        name="show_evidence_secret",
        summary="Show the evidence secret, once",
        endpoint=show_evidence_secret,
        answers=EvidenceSecretView,
        scope=Scope.KEYS_WRITE,
        also=(StateConflict, Unavailable),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/evidence/secret/rotate",
        name="rotate_evidence_secret",
        summary="Put a new evidence secret in the place of the old one",
        endpoint=rotate_evidence_secret,
        answers=EvidenceSecretView,
        scope=Scope.KEYS_WRITE,
        also=(StateConflict,),
        tag=TAG,
    ),
)
