"""What follows from what is on record of a decision: the verdict from its conditions, the status from the entries.

A third party has no arguments; it has which rules' conditions held, the risk, the caps of the tier, a human's yes, and
what a remote authority said. From these the verdict is derived here a second time, by the words of docs/evidence.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["NOT_DERIVED", "status_of", "verdict_of"]

Fields = Mapping[str, Any]

NOT_DERIVED: Final = None
"""Of a verdict that rests on no condition: a switch, an unknown tool, a schema …"""

_RUNGS: Final = frozenset({4, 5, 6, 7, 8, 9, 10, 12, 15, 17, 18, 19})

_MILD_TO_STRICT: Final = ("ALLOW", "ESCALATE", "DENY")
_OF_AUTHORITY: Final = {"authority-unavailable": 17, "authority-deny": 18, "authority-escalate": 19}


def verdict_of(entry: Fields, body: Fields) -> tuple[str, str, int] | None:
    """Return effect, reason and rung as they follow; None where they rest on no condition, as only a refusal may.

    Raises ValueError where the rules on record are not those whose conditions held, or nothing permits what was;
    KeyError and TypeError where something is missing.
    """
    if body["decision"]["rung"] not in _RUNGS:
        if entry["effect"] != "DENY":
            raise ValueError("it was not refused, and rests on no condition")
        return NOT_DERIVED
    found, remote = _by_rules(entry["risk"], body), body["facts"].get("remote")
    if remote is None or _MILD_TO_STRICT.index(remote["effect"]) <= _MILD_TO_STRICT.index(found[0]):
        return found
    return remote["effect"], remote["reason"], _OF_AUTHORITY[remote["reason"]]


def _by_rules(risk: int, body: Fields) -> tuple[str, str, int]:
    """Return what the gateway's own rules make of it, and a human's yes."""
    decision, facts = body["decision"], body["facts"]
    outcomes = decision["conditions"]
    if "error" in outcomes.values():
        return "DENY", "condition-error", 4
    rules = decision["rules"]
    if {name for name, held in outcomes.items() if held == "true"} != {rule["id"] for rule in rules}:
        raise ValueError("the rules on record are not those whose conditions held")
    effects = {rule["effect"] for rule in rules}
    if "DENY" in effects:
        return "DENY", "policy-deny", 5
    if risk >= facts["denyFrom"]:
        return "DENY", "tier-deny", 6
    if not effects:
        return "DENY", "no-rule", 10
    if "ESCALATE" not in effects and risk < facts["allowBelow"]:
        return "ALLOW", "policy-allow", 8
    said = _yes(rules, risk, body)
    if said is not None:
        return said
    return ("ESCALATE", "policy-escalate", 7) if "ESCALATE" in effects else ("ESCALATE", "tier-escalate", 9)


def _yes(rules: Sequence[Fields], risk: int, body: Fields) -> tuple[str, str, int] | None:
    """Return what a human's yes makes of an escalation: one to calls of a shape, or one to this very call."""
    facts = body["facts"]
    asking = {(rule["id"], rule["digest"]) for rule in rules if rule["effect"] == "ESCALATE"}
    if "lease" in facts:
        lease = facts["lease"]
        factors = {factor[0] for factor in body["intent"]["factors"]}
        same = asking <= {(name, digest) for name, digest in lease["rules"]} and factors <= set(lease["factors"])
        return ("ALLOW", "leased", 15) if same and risk <= lease["risk"] and facts["tier"] >= lease["tier"] else None
    if "approval" in facts and asking <= {(name, digest) for name, digest in facts["approval"]["rules"]}:
        return "ALLOW", "approved", 12
    return None


_AFTER: Final = {
    "call.decided": {"ALLOW": "approved", "DENY": "rejected", "ESCALATE": "pending"},
    "approval.resolved": {"approved": "approved", "pending": "pending", "expired": "expired"},
    "call.completed": {"ok": "completed", "completed": "completed"},
}
_ELSE: Final = {"approval.resolved": "rejected", "call.completed": "failed"}


def status_of(entries: Sequence[Fields]) -> str:
    """Return the status that the entries of an intent bring it to, in their order."""
    status = ""
    for entry in entries:
        words = _AFTER.get(entry["type"])
        if words is not None:
            word = entry["effect"] if entry["type"] == "call.decided" else "".join(entry["reasons"][:1])
            status = words.get(word, _ELSE.get(entry["type"], status))
    return status
