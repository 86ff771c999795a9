"""What lies beside an entry: the body (what may be shown) and the evaluation input (what a recomputation needs).

Owns the shapes of both, as JSON bytes. Times are RFC 3339; arguments appear in a body only redacted or not at all.
"""

from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.facts import Facts
from gateway.core.intent.model import Intent
from gateway.core.jsonvalue import JsonObject
from gateway.core.redact import redact

__all__ = ["completed_body", "decided_body", "evaluation_input", "timestamp"]


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 UTC with milliseconds and `Z` (contract, section 1)."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"


def decided_body(call: Call, intent: Intent, decision: Decision, facts: Facts, *, show_arguments: bool) -> bytes:
    """Return the body of a decided entry: the call, what it was judged to be, the answer and the facts it rests on."""
    called = _called(call, redact(call.arguments) if show_arguments else None)
    if call.answers and show_arguments:
        called["answers"] = redact(call.answers)
    body: JsonObject = {
        "call": called,
        "decision": {
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
        },
        "intent": {
            "type": intent.type,
            "domain": intent.domain,
            "effect": intent.effect_class,
            "evidence": [f"{item.source}: {item.detail}" for item in intent.evidence],
            "factors": [[factor.code, factor.points, factor.evidence] for factor in intent.factors],
        },
        "facts": _facts(facts),
    }
    return orjson.dumps(body)


def completed_body(details: JsonObject) -> bytes:
    """Return the body of a completed entry: how the call ended, never what it returned."""
    return orjson.dumps(details)


def evaluation_input(call: Call, facts: Facts) -> bytes:
    """Return everything that `decide` was given, whole: arguments and facts. It is stored encrypted only."""
    called = _called(call, call.arguments)
    if call.answers:
        called["answers"] = call.answers
    return orjson.dumps({"call": called, "facts": _facts(facts)})


def _called(call: Call, arguments: Any) -> JsonObject:
    called: JsonObject = {"method": call.method, "upstream": call.upstream, "name": call.name, "uri": call.uri}
    if call.tool is not None:
        called["pin"] = call.tool.pin
        called["review"] = call.tool.review
    if arguments is not None:
        called["arguments"] = arguments
    return called


def _facts(facts: Facts) -> JsonObject:
    return {
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
