"""Audit entries in the words of OCSF 1.8, for a SIEM: a decision or an outcome → an event of class API Activity (6003).

Pure. Owns the mapping; docs/siem.md has it as a table. Profiles: `security_control` for what was decided, `trace` where
the call belonged to one. What OCSF has no released words for (the agent as an `ai_agent`, the place in the hash chain
as an attestation, both of 1.9-dev) is under `unmapped` in the shape that is planned.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from gateway.core.audit.entry import EntryType
from gateway.core.call import INTENT_METHOD
from gateway.core.decision import Reason
from gateway.core.intent.model import EffectClass
from gateway.core.jsonvalue import JsonObject
from gateway.core.projection import DONE

__all__ = ["OCSF_VERSION", "ocsf_event"]

OCSF_VERSION: Final = "1.8.0"

CATEGORY: Final = (6, "Application Activity")
CLASS: Final = (6003, "API Activity")

_ACTIVITIES: Final[Mapping[str, tuple[int, str]]] = {
    EffectClass.READ: (2, "Read"),
    EffectClass.WRITE: (3, "Update"),
    EffectClass.DESTRUCTIVE: (4, "Delete"),
}
"""Any other class of effect is told under its own name as 99 (Other)."""

_OUTCOME: Final = (99, "Outcome")
_OTHER: Final = 99

_ACTIONS: Final[Mapping[str, tuple[int, str, int, str]]] = {
    "ALLOW": (1, "Allowed", 1, "Allowed"),
    "DENY": (2, "Denied", 2, "Blocked"),
    "ESCALATE": (99, "Escalated", 14, "Delayed"),
}
"""Effect → action and disposition."""

_APPROVED: Final = (8, "Approved")
_REJECTED: Final = (25, "Rejected")
"""Dispositions of what a human has decided."""

_BANDS: Final = ((30, 0, "Info"), (60, 1, "Low"), (75, 2, "Medium"), (90, 3, "High"), (101, 4, "Critical"))
"""Risk below this → level. The steps are those of the shipped thresholds."""

_SEVERITIES: Final = ("Informational", "Low", "Medium", "High", "Critical")

_SAID_YES: Final = frozenset({Reason.APPROVED, Reason.LEASED})
"""Reasons of what runs by a human's yes."""

_NOBODY_KNOWS: Final = frozenset({"in-doubt", "cancelled", "switched-off", "fault"})
"""Reasons of the completed entries of what may have run to its end, unless they say that it did not."""


def ocsf_event(entry: JsonObject, *, product_version: str) -> JsonObject | None:
    """Return the event of an entry as `audit_query.shown` has it; None for one that tells neither of the two."""
    if entry["type"] == EntryType.CALL_DECIDED:
        return _decided(entry, product_version)
    if entry["type"] == EntryType.CALL_COMPLETED:
        return _completed(entry, product_version)
    return None


def _decided(entry: JsonObject, product_version: str) -> JsonObject:
    body = entry["body"]
    intent, decision, facts = body["intent"], body["decision"], body["facts"]
    effect = entry["effect"]
    action_id, action, disposition_id, disposition = _ACTIONS[effect]
    if decision["reason"] in _SAID_YES:
        disposition_id, disposition = _APPROVED
    if decision["reason"] == Reason.REJECTED:
        disposition_id, disposition = _REJECTED
    activity = _ACTIVITIES.get(intent["effect"], (_OTHER, str(intent["effect"]).capitalize()))
    event = _event(entry, activity, product_version, profiles=("security_control",))
    event |= {
        "message": f"{effect} {entry['tool'] or body['call']['method']}: {decision['reason']}",
        "status_id": {"ALLOW": 0, "DENY": 2, "ESCALATE": _OTHER}[effect],
        "status": {"ALLOW": "Unknown", "DENY": "Failure", "ESCALATE": "Waiting for a human"}[effect],
        "status_code": decision["reason"],
        "status_detail": decision["explanation"],
        "action_id": action_id,
        "action": action,
        "disposition_id": disposition_id,
        "disposition": disposition,
        "is_alert": effect == "DENY",
        "policy": _policy(entry, decision),
        "confidence_score": round(100 * float(entry["confidence"] or 0)),
        "risk_details": "; ".join(f"{code} {points:+}: {evidence}" for code, points, evidence in intent["factors"]),
    }
    event["actor"]["user"] = {"uid": facts["credential"], "type_id": 4, "type": "Service"}
    event["api"] |= {"group": {"uid": intent["type"], "name": intent["domain"]}}
    event["api"]["request"]["flags"] = [body["call"]["method"]]
    if "arguments" in body["call"]:
        event["api"]["request"]["data"] = body["call"]["arguments"]
    event["resources"] = [_resource(body["call"])]
    if "trace" in body:
        event["trace"] = {"uid": body["trace"]}
        event["metadata"]["profiles"].append("trace")
    event["unmapped"] |= {
        "decision": effect,
        "reasons": entry["reasons"],
        "intent_type": intent["type"],
        "trust_tier": f"T{facts['tier']}",
        "policy_digest": entry["policyDigest"],
        "arguments_digest": entry["argsDigest"],
    }
    approval = body.get("approvalId") or facts.get("approval", {}).get("id")
    if approval:
        event["unmapped"]["approval_id"] = approval
    return event


def _completed(entry: JsonObject, product_version: str) -> JsonObject:
    body = entry["body"]
    completion = next(iter(entry["reasons"]), "")
    event = _event(entry, _OUTCOME, product_version, profiles=())
    done = completion in DONE
    unknown = completion in _NOBODY_KNOWS and body.get("mayHaveRun", True)
    event |= {
        "message": f"{completion} {entry['tool']}".strip(),
        "status_id": 1 if done else 0 if unknown else 2,
        "status": "Success" if done else "Unknown" if unknown else "Failure",
        "status_code": completion,
    }
    if "problem" in body:
        event["status_detail"] = str(body["problem"])
    if not done:
        event["api"]["response"] = {"error": completion}
    event["unmapped"] |= {
        name: body[given]
        for name, given in (("may_have_run", "mayHaveRun"), ("upstream_ms", "upstreamMs"), ("value", "value"))
        if given in body
    }
    return event


def _event(
    entry: JsonObject, activity: tuple[int, str], product_version: str, *, profiles: tuple[str, ...]
) -> dict[str, Any]:
    """Return what both kinds of event have: classification, occurrence, who, where, and the place in the chain."""
    level = _level(entry["risk"])
    operation = entry["tool"] or INTENT_METHOD
    event: dict[str, Any] = {
        "category_uid": CATEGORY[0],
        "category_name": CATEGORY[1],
        "class_uid": CLASS[0],
        "class_name": CLASS[1],
        "activity_id": activity[0],
        "activity_name": activity[1],
        "type_uid": CLASS[0] * 100 + activity[0],
        "type_name": f"{CLASS[1]}: {activity[1]}",
        "severity_id": level + 1,
        "severity": _SEVERITIES[level],
        "time": round(datetime.fromisoformat(entry["time"]).timestamp() * 1000),
        "metadata": _metadata(entry, product_version, profiles),
        "actor": {"app_uid": entry["agent"], "app_name": entry["agent"]},
        "src_endpoint": {"uid": entry["agent"], "type_id": _OTHER, "type": "AI agent"},
        "api": {"operation": operation, "request": {"uid": entry["intentId"]}},
        "risk_score": entry["risk"],
        "risk_level_id": level,
        "risk_level": _BANDS[level][2],
        "unmapped": {"ai_agent": {"uid": entry["agent"]}, "attestation_list": [_attestation(entry)]},
    }
    if not profiles:
        for name in ("risk_score", "risk_level_id", "risk_level"):
            del event[name]  # of the profile security_control
    if entry["upstream"]:
        event["api"]["service"] = {"name": entry["upstream"]}
        event["dst_endpoint"] = {"svc_name": entry["upstream"]}
    return event


def _metadata(entry: JsonObject, product_version: str, profiles: tuple[str, ...]) -> dict[str, Any]:
    return {
        "version": OCSF_VERSION,
        "profiles": list(profiles),
        "product": {"name": "Intended MCP gateway", "vendor_name": "Intended", "version": product_version},
        "uid": entry["id"],
        "event_code": entry["type"],
        "tenant_uid": entry["tenant"],
        "sequence": entry["seq"],
        "correlation_uid": entry["intentId"],
        "original_time": entry["time"],
    }


def _attestation(entry: JsonObject) -> JsonObject:
    """Return the entry's place in its chain as 1.9-dev has it; the digests are of the entry, not of this event."""
    return {
        "chain_uid": entry["tenant"],
        "uid": str(entry["seq"]),
        "fingerprint": {"algorithm_id": 3, "algorithm": "SHA-256", "value": entry["hash"]},
        "prev_event": {"fingerprint": {"algorithm_id": 3, "algorithm": "SHA-256", "value": entry["prev"]}},
    }


def _policy(entry: JsonObject, decision: JsonObject) -> JsonObject:
    """Return the rule that decided, or the bundle where none did."""
    told = {"version": entry["policyDigest"], "name": decision["policySet"] or "default", "is_applied": True}
    deciding = next((rule["id"] for rule in decision["rules"]), "")
    return told | ({"uid": deciding} if deciding else {})


def _resource(call: JsonObject) -> JsonObject:
    if call["uri"]:
        return {"uid": call["uri"], "type": "MCP resource"}
    kind = "action" if call["method"] == INTENT_METHOD else "MCP tool" if "pin" in call else call["method"]
    told = {"name": call["name"] or call["method"], "type": kind}
    return told | ({"version": call["pin"]} if "pin" in call else {})


def _level(risk: int) -> int:
    return next((level for below, level, _ in _BANDS if risk < below), len(_BANDS) - 1)
