"""What lies beside an entry: the body (what may be shown) and the evaluation input (what a recomputation needs).

Owns the shapes of both, as JSON bytes. Times are RFC 3339; arguments appear in a body only redacted or not at all.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import orjson

from gateway.core.call import INTENT_METHOD, Call, PinnedTool, Told
from gateway.core.decision import Decision
from gateway.core.facts import Facts
from gateway.core.intent.model import Intent
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import TIER_NAMES
from gateway.core.redact import redact
from gateway.core.trust.model import VERSION

__all__ = ["completed_body", "decided", "decided_body", "evaluation_input", "read_call", "shown_place", "timestamp"]

KEPT = 1024
"""Decisions, and intents, whose encoded form is kept; one more, and all are encoded anew once."""

_T = TypeVar("_T")
_DECISIONS: dict[int, tuple[Decision, orjson.Fragment]] = {}
_INTENTS: dict[int, tuple[Intent, orjson.Fragment]] = {}
"""By identity, with the value itself, so that its identity is nobody else's. `core/decide.py` and `core/intent` give
the same value for calls of one kind; encoding it for each of them was 3 µs a call."""


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 UTC with milliseconds and `Z` (contract, section 1)."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    if moment.microsecond:  # orjson leaves a fraction of zero out; it writes the rest at a third of isoformat's cost
        return f"{orjson.dumps(moment)[1:24].decode()}Z"
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"


def decided_body(call: Call, intent: Intent, decision: Decision, facts: Facts, *, show_arguments: bool) -> bytes:
    """Return the body of a decided entry: the call, what it was judged to be, the answer and the facts it rests on."""
    return decided(call, intent, decision, facts, show_arguments=show_arguments)[0]


def evaluation_input(call: Call, facts: Facts) -> bytes:
    """Return everything that `decide` was given, whole: arguments and facts. It is stored encrypted only."""
    return _evaluation_input(call, _facts(facts))


def decided(
    call: Call,
    intent: Intent,
    decision: Decision,
    facts: Facts,
    *,
    show_arguments: bool,
    approval_id: str = "",
    trace: str = "",
) -> tuple[bytes, bytes]:
    """Return body and evaluation input of one decided entry: what they share is encoded once.

    `approval_id` names the approval that an escalated call waits for, `trace` the trace that it belongs to.
    """
    rested_on = _facts(facts)
    called = _called(call, redact(call.arguments) if show_arguments else None)
    if call.answers and show_arguments:
        called["answers"] = redact(call.answers)
    if call.method == INTENT_METHOD:
        called["upstream"], called["name"] = shown_place(call)
    if call.told is not None:
        called["told"] = _told(call.told, redacted=True) if show_arguments else {"type": call.told.type}
    shown = {"call": called, "decision": _decision(decision), "intent": _intent(intent), "facts": rested_on}
    if approval_id:
        shown["approvalId"] = approval_id
    if trace:
        shown["trace"] = trace
    body = orjson.dumps(shown)
    return body, _evaluation_input(call, rested_on)


def read_call(called: JsonObject, *, arguments_digest: str, tool: PinnedTool | None = None) -> Call:
    """Return the call that an evaluation input holds under `call`. The tool's definition is not in it."""
    return Call(
        method=called["method"],
        upstream=called["upstream"],
        name=called["name"],
        uri=called["uri"],
        arguments=called["arguments"],
        arguments_digest=arguments_digest,
        tool=tool,
        answers=called.get("answers", {}),
        told=Told(**called["told"]) if "told" in called else None,
    )


def completed_body(details: JsonObject) -> bytes:
    """Return the body of a completed entry: how the call ended, never what it returned."""
    return orjson.dumps(details)


def _evaluation_input(call: Call, facts: orjson.Fragment) -> bytes:
    called = _called(call, call.arguments)
    if call.answers:
        called["answers"] = call.answers
    if call.told is not None:
        called["told"] = _told(call.told, redacted=False)
    return orjson.dumps({"call": called, "facts": facts})


def _called(call: Call, arguments: Any) -> JsonObject:
    called: JsonObject = {"method": call.method, "upstream": call.upstream, "name": call.name, "uri": call.uri}
    if call.tool is not None:
        called["pin"] = call.tool.pin
        called["review"] = call.tool.review
    if arguments is not None:
        called["arguments"] = arguments
    return called


def shown_place(call: Call) -> tuple[str, str]:
    """Return where a call goes and what it is aimed at, as it may be shown and kept for good.

    The system and the action of a submitted intent are a program's own words, which may hold a secret.
    """
    if call.method != INTENT_METHOD:
        return call.upstream, call.target
    return _shown_words(call.upstream, call.name)


@lru_cache(maxsize=1024)  # a program submits the same few, and each is asked for three times a decision
def _shown_words(system: str, action: str) -> tuple[str, str]:
    shown = redact({"system": system, "action": action})
    return str(shown["system"]), str(shown["action"])


def _told(told: Told, *, redacted: bool) -> JsonObject:
    """Return what a program said of its intent; the digest covers none of it, so that it is cut for people."""
    texts: JsonObject = {"action": told.action, "description": told.description, "justification": told.justification}
    return {"type": told.type, **(redact(texts) if redacted else texts)}


def _decision(decision: Decision) -> orjson.Fragment:
    kept = _DECISIONS.get(id(decision))
    if kept is not None and kept[0] is decision:
        return kept[1]
    encoded = orjson.Fragment(
        orjson.dumps(
            {
                "effect": decision.effect,
                "reason": decision.reason,
                "rung": decision.rung,
                "explanation": decision.explanation,
                "policySet": decision.policy_set,
                "rules": [
                    {"id": rule.id, "policySet": rule.policy_set, "effect": rule.effect, "digest": rule.digest}
                    for rule in decision.rules
                ],
                "conditions": decision.conditions,
                **({"charges": decision.charges} if decision.charges else {}),
            }
        )
    )
    _keep(_DECISIONS, decision, encoded)
    return encoded


def _intent(intent: Intent) -> orjson.Fragment:
    kept = _INTENTS.get(id(intent))
    if kept is not None and kept[0] is intent:
        return kept[1]
    encoded = orjson.Fragment(
        orjson.dumps(
            {
                "type": intent.type,
                "domain": intent.domain,
                "effect": intent.effect_class,
                "evidence": [f"{item.source}: {item.detail}" for item in intent.evidence],
                "factors": [[factor.code, factor.points, factor.evidence] for factor in intent.factors],
            }
        )
    )
    _keep(_INTENTS, intent, encoded)
    return encoded


def _keep(kept: dict[int, tuple[_T, orjson.Fragment]], one: _T, encoded: orjson.Fragment) -> None:
    if len(kept) >= KEPT:
        kept.clear()
    kept[id(one)] = one, encoded


def _facts(facts: Facts) -> orjson.Fragment:
    rested_on: JsonObject = {
        "agent": facts.principal.agent,
        "credential": facts.principal.credential,
        "tier": facts.tier,
        "score": facts.score,
        "allowBelow": facts.thresholds.allow_below,
        "denyFrom": facts.thresholds.deny_from,
        "policyDigest": facts.bundle.digest,
        "now": facts.now,
        "novel": facts.novel,
        "session": facts.session,
        "budgets": facts.budgets,
        "counts": facts.counts,
    }
    if facts.failures_in_row:
        rested_on["failuresInRow"] = facts.failures_in_row
    if facts.restriction is not None:
        declared = facts.restriction
        rested_on["restriction"] = {
            "domains": sorted(declared.domains),
            "intentTypes": sorted(declared.intent_types),
        }
    if facts.approval is not None:
        rested_on["approval"] = {"id": facts.approval.id, "rules": sorted(facts.approval.rules)}
    if facts.grounds is not None:
        grounds = facts.grounds
        rested_on["trust"] = {
            "upTo": grounds.up_to,
            "start": TIER_NAMES[grounds.start],
            "ceiling": TIER_NAMES[grounds.ceiling],
            "model": VERSION,
        }
    if facts.stop is not None:
        rested_on["stop"] = {"reason": facts.stop.reason, "explanation": facts.stop.explanation}
    if facts.lease is not None:
        rested_on["lease"] = facts.lease.written()
    if facts.remote is not None:
        rested_on["remote"] = facts.remote.written()
    return orjson.Fragment(orjson.dumps(rested_on))
