"""The links of the chain: entry v1 as bytes, its hash, and what the first entry links to.

Owns what a hash covers (design, "Audit entry v1"). Order, durability and the salt are the store's; `verify.py` derives
all of this a second time and uses nothing from here.
"""

from hashlib import sha256

import orjson

from gateway.core.audit.entry import EntryDraft
from gateway.errors import CanonicalError

__all__ = ["SALT_BYTES", "VERSION", "first_prev", "seal"]

VERSION = 1
SALT_BYTES = 16
"""Enough that a body cannot be guessed from its digest (design, section 4)."""
_CHAIN = b"so.intended/chain/v1\0"


def first_prev(tenant: str) -> bytes:
    """Return what the first entry of the tenant's chain names as its predecessor's hash."""
    return sha256(_CHAIN + tenant.encode()).digest()


def seal(draft: EntryDraft, *, seq: int, prev: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """Give the draft its place: return the bytes that are hashed and stored, and their hash.

    The keys below are written in the order of RFC 8785, so orjson need not sort; with ASCII keys and without floats
    its output is canonical, whatever text the values hold (`canonical.py` says why, a test compares).

    Raises:
        CanonicalError: a text holds a lone surrogate or a number is none that the chain may hold.
    """
    if type(draft.risk) is not int:  # a float would be written in a form that is not canonical
        raise CanonicalError("the risk of an entry is no integer")
    fields = {
        "agent": draft.agent,
        "argsDigest": draft.args_digest,
        "bodyDigest": sha256(salt + draft.body).hexdigest(),
        "confidence": draft.confidence,
        "effect": draft.effect,
        "id": draft.id,
        "intentId": draft.intent_id,
        "policyDigest": draft.policy_digest,
        "prev": prev.hex(),
        "reasons": draft.reasons,
        "risk": draft.risk,
        "seq": seq,
        "tenant": draft.tenant,
        "time": draft.time,
        "tool": draft.tool,
        "type": draft.type.value,
        "upstream": draft.upstream,
        "v": VERSION,
    }
    try:
        content = orjson.dumps(fields, option=orjson.OPT_STRICT_INTEGER)
    except TypeError as error:  # JSONEncodeError; its text may quote a value
        raise CanonicalError("an entry holds a lone surrogate, or a number beyond 2^53 - 1") from error
    return content, sha256(content).digest()
