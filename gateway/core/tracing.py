"""Trace context in `params._meta` (W3C Trace Context, SEP-414), and the names under which spans tell what they are of.

Pure. Owns reading and writing the context, and the attributes by OpenTelemetry's MCP and GenAI conventions; these are
in development, and the constants of its Python package are marked as moved, so that the names stand here. Opening and
ending spans is `services/tracing.py`'s.

A span never tells an argument, a result or the text of an error, but for the redacted arguments where the operator
wants them.
"""

import re
from collections.abc import Mapping
from typing import Final

import orjson

from gateway.core.decision import Effect
from gateway.core.jsonvalue import JsonObject
from gateway.core.redact import redact
from gateway.core.refusal import DECISION_META, RefusalKind
from gateway.core.value import value

__all__ = [
    "Attributes",
    "TraceContext",
    "carried",
    "context_of",
    "decision_attributes",
    "error_of",
    "held_of",
    "read_context",
    "request_attributes",
    "span_name",
]

Attributes = Mapping[str, str | int | float | bool]

META: Final = "_meta"
PARENT: Final = "traceparent"
STATE: Final = "tracestate"

MAX_STATE_CHARS: Final = 512
"""Of a `tracestate`: what W3C asks everybody to pass on at least. A longer one is left behind."""

MAX_TARGET_CHARS: Final = 128
"""Of a name in a span's name, and MCP's own bound for tools; an agent may send any text as a name."""

MAX_VALUE_CHARS: Final = 256
"""Of any other attribute that an agent or upstream writes."""

_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_VERSION: Final = "00"

_MEMBER = re.compile(
    r"(?P<key>[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
MAX_MEMBERS: Final = 32


@value
class TraceContext:
    """One span as others may name it: ids in lower-case hexadecimal, flags, and what vendors added (`tracestate`)."""

    trace_id: str
    span_id: str
    flags: int
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The context as W3C Trace Context writes it."""
        return f"{_VERSION}-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def read_context(parent: object, state: object = "") -> TraceContext | None:
    """Return what a `traceparent` and its `tracestate` name, or None where the first is none (W3C, 3.2.2).

    A later version is read as far as the first knows it; the first has nothing behind its flags. A state that breaks
    the rules is left behind whole: libraries write what they cannot read into logs, in an agent's own words.
    """
    found = _PARENT.fullmatch(parent) if isinstance(parent, str) else None
    if found is None or (found[1] == _VERSION and found[5]):
        return None
    kept = state if isinstance(state, str) and len(state) <= MAX_STATE_CHARS and _is_state(state) else ""
    return TraceContext(trace_id=found[2], span_id=found[3], flags=int(found[4], 16), state=kept)


def _is_state(text: str) -> bool:
    """Return whether a text is a `tracestate`: at most 32 members with keys of their own (W3C, 3.3.1)."""
    members = [member for one in text.split(",") if (member := one.strip(" \t"))]
    keys = {found["key"] for member in members if (found := _MEMBER.fullmatch(member))}
    return len(keys) == len(members) <= MAX_MEMBERS


def context_of(params: JsonObject) -> TraceContext | None:
    """Return the context in a message's `params._meta`; None where there is none that can be read."""
    meta = params.get(META)
    return read_context(meta.get(PARENT), meta.get(STATE)) if isinstance(meta, dict) else None


def carried(params: JsonObject, context: TraceContext) -> JsonObject:
    """Return `params` whose `_meta` names `context`, so that who gets them makes it the parent.

    What is there and cannot be read passes as it is, as everything else in `_meta` does, `baggage` too. The given
    value stays as it is: it was recorded.
    """
    meta = params.get(META, {})
    if not isinstance(meta, dict) or (PARENT in meta and context_of(params) is None):
        return params
    named = {name: given for name, given in meta.items() if name != STATE} | {PARENT: context.traceparent}
    if context.state:
        named[STATE] = context.state
    return {**params, META: named}


# --- names ------------------------------------------------------------------------------------------------------------


def span_name(method: str, params: JsonObject) -> str:
    """Return `{method} {target}`, with the tool's or prompt's name where the method has one."""
    target = params.get("name") if method in _NAMED else None
    return f"{method} {target[:MAX_TARGET_CHARS]}" if isinstance(target, str) else method[:MAX_VALUE_CHARS]


_NAMED: Final = {"tools/call": "gen_ai.tool.name", "prompts/get": "gen_ai.prompt.name"}


def request_attributes(method: str, params: JsonObject, *, version: str, arguments: bool) -> Attributes:
    """Return what any request tells of itself. With `arguments` a tool's are told too, redacted."""
    told: dict[str, str | int | float | bool] = {"mcp.method.name": method[:MAX_VALUE_CHARS]}
    if version:
        told["mcp.protocol.version"] = version
    target = params.get("name")
    if method in _NAMED and isinstance(target, str):
        told[_NAMED[method]] = target[:MAX_TARGET_CHARS]
    uri = params.get("uri")
    if isinstance(uri, str):
        told["mcp.resource.uri"] = str(redact({"uri": uri})["uri"])
    if method == "tools/call":
        told["gen_ai.operation.name"] = "execute_tool"
        given = params.get("arguments")
        if arguments and isinstance(given, dict):
            told["gen_ai.tool.call.arguments"] = orjson.dumps(redact(given)).decode()
    return told


def decision_attributes(
    *, effect: str, decision_id: str, reason: str, rule: str, tier: str, approval_id: str
) -> Attributes:
    """Return what a decision tells on the span of its request; the id is the intent's, as everywhere."""
    told = {
        "intended.decision": effect,
        "intended.decision.id": decision_id,
        "intended.decision.reason": reason,
        "intended.policy.id": rule,
        "intended.tier": tier,
        "intended.approval.id": approval_id,
    }
    return {name: text for name, text in told.items() if text}


def held_of(message: JsonObject) -> Attributes:
    """Return what the answer to a call that still waits for its human tells: no decision is made for one that only
    comes back. To be asked for our own answers only; an upstream can write anything into its."""
    result = message.get("result")
    meta = result.get(META) if isinstance(result, dict) else None
    record = meta.get(DECISION_META) if isinstance(meta, dict) else None
    if not isinstance(record, dict) or record.get("outcome") != RefusalKind.PENDING:
        return {}
    return decision_attributes(
        effect=Effect.ESCALATE.value,
        decision_id=record["id"],
        reason=record["reason"],
        rule=record.get("rule", ""),
        tier="",
        approval_id=record.get("approval", ""),
    )


def error_of(message: JsonObject) -> Attributes:
    """Return what an answer tells of its failure; nothing where it has none.

    The text of an error is an upstream's own, and may quote an argument, so that it is not told.
    """
    error = message.get("error")
    if isinstance(error, dict):
        code = str(error.get("code"))[:MAX_VALUE_CHARS]
        return {"error.type": code, "rpc.response.status_code": code}
    result = message.get("result")
    return {"error.type": "tool_error"} if isinstance(result, dict) and result.get("isError") is True else {}
