"""Events: what webhooks tell, a pure projection of audit entries, in the shapes of both published documents.

Owns the closed list of events, which entry makes which of them (contract, section 5), and the bytes of their bodies.
Nothing emits an event: one that has no entry does not exist, and none can tell another story than the chain.

Bodies are compact, UTF-8, with the numbers of ECMAScript, so that `JSON.stringify(JSON.parse(body))` gives the same
bytes: the guide's own receiver serialises again what it verifies. A body of the reference's family ends with a
`signature` member, which only the sender can add (`gateway/webhooks/sign.py`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson
import rfc8785

from gateway.core.audit.entry import EntryType
from gateway.core.jsonvalue import JsonObject
from gateway.core.projection import status_after
from gateway.core.submission import IntentStatus

__all__ = ["EVENTS", "TEST_EVENT", "Event", "Family", "body_of", "compact", "delivery_id", "events_of", "probe"]


class Family(StrEnum):
    """Whose document an event's shape is from."""

    OPS = "ops"
    REF = "ref"


TEST_EVENT: Final = "webhook.test"
"""Sent on demand only, to try a receiver; no entry makes it."""

EVENTS: Final[Mapping[str, Family]] = {
    "intent.submitted": Family.OPS,
    "intent.approved": Family.OPS,
    "intent.rejected": Family.OPS,
    "intent.completed": Family.OPS,
    "intent.failed": Family.OPS,
    "agent.registered": Family.OPS,
    "agent.trust.changed": Family.OPS,
    "decision.completed": Family.REF,
    "decision.escalated": Family.REF,
    "decision.approved": Family.REF,
    "decision.denied": Family.REF,
    "chain.break": Family.REF,
}
"""The events of both documents, in their order."""

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_BITS: Final = 130
_RANDOM_BITS: Final = 80
_EXACT: Final = 2**53
"""Whole numbers below this are the same in ECMAScript."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, before it has a receiver. `time` is that of its entry.

    Events with the same `lane` reach a receiver in their order. `data` are the members that its document puts into
    `data` (Ops) or beside the event's name (Ref).
    """

    tenant: str
    name: str
    time: str
    lane: str
    data: JsonObject
    intent_id: str = ""

    @property
    def family(self) -> Family:
        """Whose shape it has."""
        return EVENTS.get(self.name, Family.OPS)


def events_of(entry: JsonObject, body: JsonObject, earlier: tuple[JsonObject, JsonObject] | None) -> tuple[Event, ...]:
    """Return the events of one audit entry, those of the guide first.

    `entry` and `body` are what was recorded; `earlier` is the last decided entry of the same intent before this one,
    with its body: it knows the intent's type and risk, and whether this is the same call once more.

    Raises KeyError, TypeError or ValueError where the entry is damaged.
    """
    reader = _READERS.get(entry["type"])
    if reader is None:
        return ()
    intent_id = entry["intentId"]
    lane = intent_id or f"agent:{entry['agent']}" if entry["type"] != EntryType.CHAIN_BROKEN else "chain"
    return tuple(
        Event(tenant=entry["tenant"], name=name, time=entry["time"], lane=lane, data=data, intent_id=intent_id)
        for name, data in reader(entry, body, earlier)
    )


def probe(tenant: str, *, time: str, lane: str) -> Event:
    """Return the event by which a receiver is tried."""
    return Event(tenant=tenant, name=TEST_EVENT, time=time, lane=lane, data={"message": "A test; nothing happened."})


# --- which entry makes which events -----------------------------------------------------------------------------------

_Earlier = tuple[JsonObject, JsonObject] | None
_Told = list[tuple[str, JsonObject]]

_AFTER: Final = {"DENY": "decision.denied", "ESCALATE": "decision.escalated"}
"""What a decision makes beside `decision.completed`."""


def _decided(entry: JsonObject, body: JsonObject, earlier: _Earlier) -> _Told:
    """Tell of a decision, unless it only repeats one: a call that asks again, or the use of a yes already told of."""
    effect = entry["effect"]
    if earlier is not None and _repeats(effect, body, earlier[1]):
        return []
    told: _Told = []
    if earlier is None:
        told.append(("intent.submitted", _intent(entry, body["intent"]["type"])))
    decision = _decision(entry, effect, entry["risk"])
    told.append(("decision.completed", decision))
    if effect in _AFTER:
        told.append((_AFTER[effect], decision))
    return told


def _repeats(effect: str, body: JsonObject, before: JsonObject) -> bool:
    if effect == "ALLOW":
        return "approval" in body["facts"]
    return effect == "ESCALATE" and bool(body.get("approvalId")) and body["approvalId"] == before.get("approvalId")


def _resolved(entry: JsonObject, body: JsonObject, earlier: _Earlier) -> _Told:
    """Tell of a human's yes or no. What runs out unanswered is no event of either document, nor one yes of several."""
    state = entry["reasons"][0]
    if state not in ("approved", "denied"):
        return []
    approver = {"approvedBy" if state == "approved" else "rejectedBy": body["human"] or body["by"]}
    risk = earlier[0]["risk"] if earlier is not None else 0
    data = {**_intent(entry, _type(earlier)), **approver, "approvalId": body["approvalId"]}
    if state == "approved":
        return [("intent.approved", data), ("decision.approved", _decision(entry, "ALLOW", risk))]
    return [("intent.rejected", data), ("decision.denied", _decision(entry, "DENY", risk))]


def _completed(entry: JsonObject, body: JsonObject, earlier: _Earlier) -> _Told:
    """Tell how an execution ended: the code of a failure, never the text of an error, which may hold anything."""
    data = _intent(entry, _type(earlier))
    if data["status"] == IntentStatus.COMPLETED:
        return [("intent.completed", data)]
    return [("intent.failed", {**data, "reason": entry["reasons"][0]})]


def _registered(entry: JsonObject, body: JsonObject, earlier: _Earlier) -> _Told:
    return [("agent.registered", {"agentId": body["id"], "agent": entry["agent"], "name": body["name"]})]


def _trust_changed(entry: JsonObject, body: JsonObject, earlier: _Earlier) -> _Told:
    """Tell of a change of tier; that a human froze an agent or set its ceiling is no event of either document."""
    if "previousTier" not in body:
        return []
    names = ("previousTier", "tier", "score")
    return [("agent.trust.changed", {"agentId": body["id"], **{name: body[name] for name in names}})]


def _broken(entry: JsonObject, body: JsonObject, earlier: _Earlier) -> _Told:
    return [("chain.break", {name: body[name] for name in ("sequence", "expected", "found")})]


_READERS: Final = {
    EntryType.CALL_DECIDED.value: _decided,
    EntryType.APPROVAL_RESOLVED.value: _resolved,
    EntryType.CALL_COMPLETED.value: _completed,
    EntryType.AGENT_REGISTERED.value: _registered,
    EntryType.TRUST_CHANGED.value: _trust_changed,
    EntryType.CHAIN_BROKEN.value: _broken,
}


def _type(earlier: _Earlier) -> str:
    return earlier[1]["intent"]["type"] if earlier is not None else "unknown"


def _intent(entry: JsonObject, intent_type: str) -> JsonObject:
    status = status_after(entry["type"], effect=entry["effect"], reason=next(iter(entry["reasons"]), ""))
    return {"intentId": entry["intentId"], "type": intent_type, "status": status, "agentId": entry["agent"]}


def _decision(entry: JsonObject, effect: str, risk: int) -> JsonObject:
    return {"intentId": entry["intentId"], "decision": effect, "riskScore": risk}


# --- the bytes --------------------------------------------------------------------------------------------------------


def delivery_id(endpoint: str, entry_id: str, event: Event, *, milliseconds: int) -> str:
    """Return the id of an event's delivery to an endpoint, the same however often it is made.

    A ULID with the time of the entry, whose other bits are a digest instead of random: a delivery that has to be made
    again, after a crash or from a backup, is known to a receiver that has it already.
    """
    digest = hashlib.sha256("|".join((endpoint, entry_id, event.name)).encode()).digest()
    number = milliseconds << _RANDOM_BITS | int.from_bytes(digest[: _RANDOM_BITS // 8], "big")
    return "whk_" + "".join(_CROCKFORD[number >> shift & 31] for shift in range(_ULID_BITS - 5, -1, -5))


def body_of(event: Event, id_: str) -> bytes:
    """Return the body of an event's delivery; that of the reference's family still without its `signature`."""
    if event.family is Family.REF:
        return compact({"event": event.name, **event.data, "timestamp": event.time})
    return compact(
        {"id": id_, "timestamp": event.time, "tenantId": event.tenant, "event": event.name, "data": event.data}
    )


def compact(value: Any) -> bytes:
    """Return a JSON value as `JSON.stringify` writes it. Member names must not look like array indices.

    orjson writes texts as ECMAScript does, lone surrogates aside, which it refuses; only numbers differ.

    Raises TypeError or ValueError for what has no such form.
    """
    return orjson.dumps(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) or (type(value) is int and abs(value) >= _EXACT):
        return orjson.Fragment(rfc8785.dumps(float(value)))
    return value
