"""How a refusal reads: the answer that an agent gets in place of the upstream's, in each method's own form.

A refused tool call is a normal result with `isError`, one text block and no `structuredContent`: the only form that
reaches the model through every client (research/protocol.md 3.1 and 3.2). Other methods have no `isError`; theirs is a
JSON-RPC error outside the reserved range, at HTTP 200. A text never holds an argument's value.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.core.audit.body import timestamp
from gateway.core.call import Call, Era
from gateway.core.codes import GATEWAY_REFUSED, INVALID_PARAMS, RESOURCE_NOT_FOUND
from gateway.core.decision import Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.respite import Respite

__all__ = [
    "DECISION_META",
    "Refusal",
    "RefusalKind",
    "next_leg_message",
    "page_params",
    "refusal_message",
    "unknown_target_message",
]

DECISION_META = "so.intended/decision"
"""The `_meta` key of the machine-readable record (design, section 4, "DENY")."""


class RefusalKind(StrEnum):
    """Why the agent gets no answer of the upstream."""

    DENY = "deny"
    PENDING = "pending"
    RUNNING = "running"
    """The same call is being executed for another connection."""
    DONE = "done"
    """The same call was executed already; its answer is not there to be given."""
    ERROR = "error"
    """The gateway or the upstream failed; whether the call may have run is in the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the agent is told.

    `may_have_run` is True only where the call was forwarded and its end is not known. `approval_id` is what a pending
    call waits for, `approval_url` the page on which a human answers. A denial with a `respite` passes by itself.
    """

    kind: RefusalKind
    intent_id: str
    reason: str
    explanation: str
    rule: str = ""
    may_have_run: bool = False
    approval_id: str = ""
    approval_url: str = ""
    respite: Respite | None = None


def refusal_message(call: Call, era: Era, refusal: Refusal) -> JsonObject:
    """Return the JSON-RPC answer without envelope: `{"result": …}` for tool calls, `{"error": …}` for the rest."""
    text = _text(refusal)
    record = _record(refusal)
    if call.method != "tools/call":
        return {"error": {"code": GATEWAY_REFUSED, "message": text, "data": {DECISION_META: record}}}
    result: JsonObject = {
        "content": [{"type": "text", "text": text}],
        "isError": True,
        "_meta": {DECISION_META: record},
    }
    if era is Era.MODERN:
        result["resultType"] = "complete"
    return {"result": result}


def next_leg_message(state: str, refusal: Refusal, *, page: str = "") -> JsonObject:
    """Return the modern answer that makes a client call again by itself, with this state (`core/holds.py`).

    With `page` it asks the client to open that page for its user; what the user then tells the client means nothing
    here: whoever answers the approval has to be logged in on the page.
    """
    result: JsonObject = {"resultType": "input_required", "requestState": state}
    if page:
        result["inputRequests"] = {"approval": {"method": "elicitation/create", "params": page_params(page, refusal)}}
    return {"result": {**result, "_meta": {DECISION_META: _record(refusal)}}}


def page_params(page: str, refusal: Refusal) -> JsonObject:
    """Return the params of an elicitation that opens the approval's page for the user of a client."""
    return {
        "mode": "url",
        "message": f"This call needs an approval: {refusal.explanation}",
        "url": page,
        "elicitationId": refusal.approval_id,
    }


def unknown_target_message(call: Call, era: Era) -> JsonObject:
    """Return the answer for a tool, prompt or resource that does not exist for this principal.

    The words are the same whether it is hidden or was never there.
    """
    if call.method == "tools/call":
        return {"error": {"code": INVALID_PARAMS, "message": f"Unknown tool: {call.name}"}}
    if call.method == "prompts/get":
        return {"error": {"code": INVALID_PARAMS, "message": f"Unknown prompt: {call.name}"}}
    code = INVALID_PARAMS if era is Era.MODERN else RESOURCE_NOT_FOUND
    return {"error": {"code": code, "message": "Resource not found", "data": {"uri": call.uri}}}


def _record(refusal: Refusal) -> JsonObject:
    record: JsonObject = {"outcome": refusal.kind.value, "id": refusal.intent_id, "reason": refusal.reason}
    if refusal.rule:
        record["rule"] = refusal.rule
    if refusal.approval_id:
        record["approval"] = refusal.approval_id
    if refusal.approval_url:
        record["approvalUrl"] = refusal.approval_url
    if refusal.kind is RefusalKind.DENY:
        record["retry"] = "later" if refusal.respite is not None or refusal.reason in _PASSING else "never"
        if refusal.respite is not None and refusal.respite.after_s is not None:
            record["retryAfterS"] = refusal.respite.after_s
    if refusal.kind is RefusalKind.ERROR:
        record["mayHaveRun"] = refusal.may_have_run
    return record


def _text(refusal: Refusal) -> str:
    """Say what happened, then what to do; agents retry errors unless they are told not to (protocol.md 3.1)."""
    decision = f"(decision {refusal.intent_id})"
    if refusal.kind is RefusalKind.DENY:
        return f"Denied: {refusal.explanation} {decision} Nothing was executed. {_advice(refusal)}"
    if refusal.kind is RefusalKind.PENDING:
        if not refusal.approval_id:
            return (
                f"Waiting for a human: {refusal.explanation} {decision} Nothing was executed."
                " Do not repeat this call now; tell the user that it needs an approval."
            )
        page = f"{refusal.approval_url} or " if refusal.approval_url else ""
        return (
            f"Waiting for a human: {refusal.explanation} {decision} Nothing was executed."
            f" Tell the user that it needs the approval {refusal.approval_id}"
            f" ({page}`intended approvals approve {refusal.approval_id}`). Do not repeat this call before that;"
            " after it, make the same call with the same arguments again: it is then executed once."
        )
    if refusal.kind is RefusalKind.RUNNING:
        return (
            f"Approved and running: {refusal.explanation} {decision} It is executed once only."
            " Make the same call with the same arguments again later to get its outcome."
        )
    if refusal.kind is RefusalKind.DONE:
        return f"Done already: {refusal.explanation} {decision} Nothing was executed for this repetition."
    ran = (
        "It is not known whether the call was executed; do not repeat it without checking."
        if refusal.may_have_run
        else "Nothing was executed."
    )
    return f"Failed: {refusal.explanation} {decision} {ran}"


def _advice(refusal: Refusal) -> str:
    """Say what to do after a denial: what another answer takes, and when it may be asked for."""
    respite = refusal.respite
    if refusal.reason in _AFTER:
        return _AFTER[refusal.reason]
    if respite is None:
        return f"Do not repeat this call; asking again does not change the answer. {_ALLOWED}"
    if respite.at is None:
        return f"Do not repeat this call now; what was spent has to fall out of its window first. {_ALLOWED}"
    return (
        f"Do not repeat this call before {timestamp(respite.at)} (in {respite.after_s} s); by then enough of what was"
        f" spent is out of its window, unless more is spent meanwhile. {_ALLOWED}"
    )


_ALLOWED: Final = "Tell the user, or use a tool or arguments that the policy allows."

_PASSING: Final = frozenset({Reason.CIRCUIT_OPEN, Reason.BUSY, Reason.CONTENTION, Reason.AUTHORITY_UNAVAILABLE})
"""Denials that pass by themselves, whatever the rules say."""

_AFTER: Final = {
    str(Reason.SWITCHED_OFF): "Do not repeat this call: a human has to release the switch first. Tell the user.",
    str(Reason.CIRCUIT_OPEN): "Do not repeat this call before then. Tell the user what fails.",
    str(Reason.BUSY): "Do not repeat this call before others have ended.",
    str(Reason.CONTENTION): "Do not repeat this call at once.",
    str(Reason.AUTHORITY_UNAVAILABLE): "Do not repeat this call at once; nothing is allowed until it answers again.",
}
"""What to do where no policy has denied, so that there is nothing else that it would allow."""
