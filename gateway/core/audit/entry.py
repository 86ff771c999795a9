"""Audit entry v1: what one record says, before and after it has its place in the chain.

Owns the fields and their order of meaning. The bytes are `canonical.py`, the links `chain.py`.
"""

from dataclasses import dataclass
from enum import StrEnum

from gateway.core.value import value

__all__ = ["Count", "EntryDraft", "EntryType", "Expect", "Put", "StoredEntry", "Unchanged"]


class EntryType(StrEnum):
    """The closed list of what an entry can tell."""

    CALL_DECIDED = "call.decided"
    CALL_COMPLETED = "call.completed"
    """Also closes a call that a crash left in doubt: its reason is then `in-doubt`."""
    CALL_REPLAYED = "call.replayed"
    """An approved call came again and was told what became of the first; nothing was executed for it."""
    REQUEST_REFUSED = "request.refused"
    """A known principal's message was refused before a decision (wire, unknown method …)."""
    STRANGERS_REFUSED = "strangers.refused"
    """One entry per source, reason and minute for refusals without a principal, with a count (design, section 3)."""
    TOOL_PINNED = "tool.pinned"
    TOOL_CHANGED = "tool.changed"
    POLICY_LOADED = "policy.loaded"
    POLICY_REJECTED = "policy.rejected"
    GATEWAY_STARTED = "gateway.started"
    GATEWAY_STOPPED = "gateway.stopped"
    HEAD_ACCEPTED = "head.accepted"
    APPROVAL_RESOLVED = "approval.resolved"
    """A human said yes or no, or its time ran out; the reason is the new state."""
    TOKEN_ISSUED = "token.issued"  # noqa: S105 - the name of an event
    """An authority token was handed out after a human's yes; one that comes with an ALLOW is told by that entry."""
    AGENT_REGISTERED = "agent.registered"
    AGENT_CHANGED = "agent.changed"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    KEY_ROTATED = "key.rotated"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    SESSION_OPENED = "session.opened"
    SESSION_CLOSED = "session.closed"
    SIGNING_KEY_CREATED = "signing-key.created"
    SIGNING_KEY_RETIRED = "signing-key.retired"
    EVIDENCE_SECRET_CREATED = "evidence-secret.created"  # noqa: S105 - the name of an event
    """What evidence bundles are authenticated with; by a rotation it replaces the one before it."""
    EVIDENCE_SECRET_SHOWN = "evidence-secret.shown"  # noqa: S105 - the name of an event
    THRESHOLDS_CHANGED = "thresholds.changed"
    TRUST_CHANGED = "trust.changed"
    """An agent's tier moved by its record, or a human froze, released or capped it."""
    SWITCH_CHANGED = "switch.changed"
    """A human stopped, or let go again, an agent, an upstream or the whole tenant."""
    LEASE_GRANTED = "lease.granted"
    """A human said yes to a shape of calls, for a number of them and a time."""
    LEASE_ENDED = "lease.ended"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    """Its URL, events or secret, or that nothing is sent any more: by an admin, or because the receiver said 410."""
    WEBHOOK_DELETED = "webhook.deleted"
    ROWS_REMOVED = "rows.removed"
    """State rows of what was closed long ago are gone; the body keeps what closed approvals and leases said."""
    CHAIN_BROKEN = "chain.broken"
    """A verification found a break of this very chain; one entry for each break, however often it is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """A state row that must still be as it was read: its version, or 0 where it did not exist."""

    key: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A state row to write in the transaction of the entry; None deletes it. Its version counts up by one."""

    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A state row that holds a number, to be one higher with the entry; the entry conflicts where that is above `most`.

    Unlike an `Expect` with a `Put`, those that count at the same time do not stand in each other's way: each is told
    apart in the transaction. A row that does not exist is 0. An entry names each row once.
    """

    key: str
    most: int


@value
class Unchanged:
    """A state row that must hold exactly this value, None where it must not exist.

    Unlike an `Expect`, it can be said of what another entry, still on its way, is going to write.
    """

    key: str
    value: bytes | None


@value
class EntryDraft:
    """An entry that has no place in its chain yet; the store gives it `seq`, `prev` and the salt of its body.

    `time` is RFC 3339 UTC with milliseconds and `Z`. `reasons` begin with the word that says why or how it ended (a
    `Reason`, an outcome, the state of an approval, the kind of a change); a decision's go on with the ids of the rules
    that decided. Behind these is `by:budget` (`core/decision.py`) where it was denied for a budget alone, and last
    `by:upstream` (`core/methods.py`) where an upstream asked for it in the agent's name, by sampling, elicitation or
    roots: no rule has such an id, and no trust rests on such an entry. `confidence` is a
    decimal string (`0.94`) or empty. `body` is a JSON object as bytes: what may be shown. `evaluation_input` is kept
    encrypted and only for a set time; None where there is none. `opens` marks a decided ALLOW, which stays in doubt
    until an entry with `closes` for the same `intent_id`.
    `expects` and `unchanged` are re-checked and `puts` written in the append's own transaction (design, "Conditional
    append"), and `counts` both.
    `domain` and `intent_type` are no part of the entry: they label it for whoever counts entries as they come. Nor are
    `value_cents` and `value_type`, what a completed intent earned, `tier`, the trust tier of a decision, and `again`,
    which marks a decision on an intent that was decided before.
    """

    tenant: str
    id: str
    type: EntryType
    time: str
    intent_id: str = ""
    agent: str = ""
    upstream: str = ""
    tool: str = ""
    effect: str = ""
    reasons: tuple[str, ...] = ()
    policy_digest: str = ""
    risk: int = 0
    confidence: str = ""
    args_digest: str = ""
    body: bytes = b"{}"
    evaluation_input: bytes | None = None
    opens: bool = False
    closes: bool = False
    expects: tuple[Expect, ...] = ()
    puts: tuple[Put, ...] = ()
    counts: tuple[Count, ...] = ()
    unchanged: tuple[Unchanged, ...] = ()
    domain: str = ""
    intent_type: str = ""
    value_cents: int = 0
    value_type: str = ""
    tier: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An entry as the store holds it. `content` are the bytes that were hashed; the fields are read from them.

    `evaluation_input` is None where there was none or its time is over.
    """

    tenant: str
    seq: int
    hash: bytes
    content: bytes
    salt: bytes
    body: bytes
    evaluation_input: bytes | None = None
