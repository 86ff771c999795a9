"""Evidence bundles: what one intent's bundle says, and the bytes that are signed (docs/evidence.md). Pure.

Owns the shape. Values are texts, integers, booleans, lists and objects with ASCII names, never fractions, so that any
JSON library may read and write a bundle without changing what is signed. Making signatures is `identity/rs256.py`,
checking `intended/evidence`, which shares no code with this.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from gateway.core.audit.canonical import canonical
from gateway.core.audit.entry import StoredEntry
from gateway.core.jsonvalue import JsonObject

__all__ = [
    "BUNDLE_TYPE",
    "CHECKPOINT_TYPE",
    "HMAC",
    "SIGNATURE",
    "Checkpoint",
    "Told",
    "authenticated",
    "checkpoint_statement",
    "entry_shown",
    "read_checkpoint",
    "statement",
]

FORMAT: Final = "so.intended/evidence-bundle/v1"
CHECKPOINT_FORMAT: Final = "so.intended/checkpoint/v1"

BUNDLE_TYPE: Final = "evidence-bundle+jws"
CHECKPOINT_TYPE: Final = "checkpoint+jws"
"""The `typ` of the signatures: one key signs these and authority tokens, and none must pass for another."""

HMAC: Final = "hmac"
SIGNATURE: Final = "signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The chain at one moment: how many entries, the root over them, the hash of the last one."""

    size: int
    root: bytes
    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a bundle is made of. `entries` and `cited` are as `entry_shown`, in the order of the chain."""

    tenant: str
    intent_id: str
    made: str
    issuer: str
    version: str
    status: str
    complete: bool
    decision: JsonObject
    entries: Sequence[JsonObject]
    cited: Sequence[JsonObject]
    recomputed: Sequence[JsonObject]
    checkpoint: JsonObject
    secret_id: str
    key: JsonObject = field(default_factory=dict)


def entry_shown(entry: StoredEntry, proof: Sequence[bytes]) -> JsonObject:
    """Return one entry with everything that shows its place. Raises UnicodeDecodeError where it is damaged."""
    return {
        "seq": entry.seq,
        "hash": entry.hash.hex(),
        "content": entry.content.decode("utf-8"),
        "salt": entry.salt.hex(),
        "body": entry.body.decode("utf-8"),
        "proof": [one.hex() for one in proof],
    }


def checkpoint_statement(tenant: str, checkpoint: Checkpoint, *, made: str) -> JsonObject:
    """Return a checkpoint before it is signed."""
    return {
        "format": CHECKPOINT_FORMAT,
        "tenant": tenant,
        "treeSize": checkpoint.size,
        "root": checkpoint.root.hex(),
        "headHash": checkpoint.head.hex(),
        "time": made,
    }


def read_checkpoint(raw: bytes) -> tuple[str, Checkpoint]:
    """Return whose checkpoint a file holds, and what it says: a bundle's, or one alone. Raises ValueError.

    Its signature is not looked at: `intended evidence verify` does that, when a bundle comes from somebody else.
    """
    try:
        document = orjson.loads(raw)
        point = document["checkpoint"] if document["format"] == FORMAT else document
        tenant, size, root, head = (point[name] for name in ("tenant", "treeSize", "root", "headHash"))
        if point["format"] == CHECKPOINT_FORMAT and type(tenant) is str and type(size) is int:
            return tenant, Checkpoint(size=size, root=bytes.fromhex(root), head=bytes.fromhex(head))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("it is neither an evidence bundle nor a checkpoint") from error
    raise ValueError("it is neither an evidence bundle nor a checkpoint")


def statement(told: Told) -> JsonObject:
    """Return a bundle before it is signed."""
    return {
        "format": FORMAT,
        "tenant": told.tenant,
        "intentId": told.intent_id,
        "made": told.made,
        "gateway": {"issuer": told.issuer, "version": told.version},
        "status": told.status,
        "complete": told.complete,
        "decision": told.decision,
        "entryCount": len(told.entries),
        "entries": list(told.entries),
        "cited": list(told.cited),
        "checkpoint": told.checkpoint,
        "recomputed": list(told.recomputed),
        "secret": told.secret_id,
        "key": told.key,
    }


def authenticated(document: Mapping[str, object], secret: str) -> JsonObject:
    """Return the bundle with its HMAC-SHA256 under the UTF-8 bytes of the secret. Raises CanonicalError."""
    whole = dict(document)
    return {**whole, HMAC: hmac.digest(secret.encode(), canonical(whole), "sha256").hex()}
