"""The entries of one intent → the record that both REST dialects show, whichever front it came through.

Owns the reading. What an entry does to the status is `core/projection.py`; the shapes of bodies are
`core/audit/body.py`'s.
"""

from collections.abc import Sequence

import orjson

from gateway.core.audit.body import decided_body, timestamp
from gateway.core.audit.entry import EntryType
from gateway.core.call import INTENT_METHOD
from gateway.core.decision import Effect
from gateway.core.jsonvalue import JsonObject
from gateway.core.projection import status_after
from gateway.core.rows import IntentState
from gateway.core.submission import IntentRecord, IntentStatus
from gateway.services.judged import Judged

__all__ = ["first_decided", "just_decided", "record_of", "state_of"]


def first_decided(entries: Sequence[JsonObject]) -> JsonObject | None:
    """Return the entry that made the intent, of entries as `audit_query.shown` has them; None where there is none."""
    return next((entry for entry in entries if entry["type"] == EntryType.CALL_DECIDED), None)


def just_decided(judged: Judged, *, show_arguments: bool) -> IntentRecord:
    """Return the record of an intent whose decision has just been recorded, as reading it back would."""
    call, facts, decision = judged.call, judged.facts, judged.decision
    body = orjson.loads(decided_body(call, judged.intent, decision, facts, show_arguments=show_arguments))
    entry = {
        "tenant": judged.principal.tenant,
        "type": EntryType.CALL_DECIDED.value,
        "time": timestamp(facts.now),
        "intentId": judged.intent_id,
        "agent": judged.principal.agent,
        "effect": decision.effect.value,
        "policyDigest": decision.policy_digest,
        "risk": judged.intent.risk,
        "confidence": f"{judged.intent.confidence:.2f}",
        "argsDigest": call.arguments_digest,
        "body": {**body, "approvalId": judged.approval_id},
    }
    return _record(entry, entry, (entry,))


def record_of(entries: Sequence[JsonObject]) -> IntentRecord | None:
    """Return the record of an intent's entries, oldest first; None where none of them decided anything.

    The last decision counts: an escalated intent is decided again after a human's yes.
    """
    first = first_decided(entries)
    last = first_decided(entries[::-1])
    return _record(first, last, entries) if first is not None and last is not None else None


def state_of(entries: Sequence[JsonObject]) -> IntentState | None:
    """Return what a row keeps of a submitted intent, from its entries: the row goes after a while, these do not.

    None for any other intent, which has a row only as long as its approval. The version is that of no row.
    """
    first = first_decided(entries)
    if first is None or first["body"]["call"]["method"] != INTENT_METHOD:
        return None
    asked = (one for one in reversed(entries) if one["effect"] == Effect.ESCALATE and one["body"].get("approvalId"))
    issued = any(one["type"] == EntryType.TOKEN_ISSUED for one in entries)
    return IntentState(
        status=_status(entries)[0],
        agent=first["agent"],
        credential=next(asked, first)["body"]["facts"]["credential"],
        submitted=True,
        approval_id=_approval(entries),
        issued=issued or first["effect"] == Effect.ALLOW,
    )


def _record(first: JsonObject, last: JsonObject, entries: Sequence[JsonObject]) -> IntentRecord:
    called, decision, intent = first["body"]["call"], last["body"]["decision"], last["body"]["intent"]
    told = called.get("told", {})
    status, updated, error = _status(entries)
    return IntentRecord(
        id=first["intentId"],
        tenant=first["tenant"],
        agent=first["agent"],
        front="rest" if called["method"] == INTENT_METHOD else "mcp",
        type=intent["type"],
        domain=intent["domain"],
        action=called["name"] or called["uri"] or called["method"],
        system=called["upstream"],
        params=called.get("arguments", {}),
        description=told.get("description", ""),
        justification=told.get("justification", ""),
        status=status,
        effect=Effect(last["effect"]),
        reason=decision["reason"],
        explanation=decision["explanation"],
        risk=last["risk"],
        confidence=float(last["confidence"]),
        factors=tuple((code, points, evidence) for code, points, evidence in intent["factors"]),
        tier=last["body"]["facts"]["tier"],
        policy_set=decision["policySet"],
        rules=tuple(rule["id"] for rule in decision["rules"]),
        policy_digest=last["policyDigest"],
        args_digest=first["argsDigest"],
        created=first["time"],
        decided=last["time"],
        updated=updated,
        approval_id=_approval(entries),
        error=error,
    )


def _status(entries: Sequence[JsonObject]) -> tuple[IntentStatus, str, str]:
    """Return the status, since when it holds, and what a failed outcome said."""
    status, updated, error = IntentStatus.PENDING, "", ""
    for entry in entries:
        reason = next(iter(entry.get("reasons", ())), "")
        found = status_after(entry["type"], effect=entry["effect"], reason=reason)
        if found is not None:
            status, updated = found, entry["time"]
            error = entry["body"].get("problem", "") if found is IntentStatus.FAILED else ""
    return status, updated, error


def _approval(entries: Sequence[JsonObject]) -> str:
    """Return the approval that the intent waits for, or waited for last."""
    named = (entry["body"].get("approvalId", "") for entry in reversed(entries))
    return next(filter(None, named), "")
