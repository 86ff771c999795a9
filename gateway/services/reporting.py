"""What a program reports of its own act: whether it may, and the entry that it becomes.

Owns the rules of a report and its record. That it is durable, and once only, is `services/intents.py`'s.
"""

from dataclasses import replace
from typing import Final

from gateway.core.audit.body import completed_body
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role
from gateway.core.redact import redact
from gateway.core.rows import IntentState, intent_key
from gateway.core.submission import IntentRecord, IntentStatus, Outcome, may_become
from gateway.core.submitted import MAX_TEXT_CHARS, is_text
from gateway.core.worth import Credit
from gateway.errors import FieldProblem, Forbidden, InvalidRequest, StateConflict
from gateway.services.judged import Rows

__all__ = ["reported_entry", "require_reportable", "require_text", "submitted_by", "too_late"]

_OPERATORS: Final = frozenset({Role.OPERATOR, Role.ADMIN})
"""Who may report the outcome of an intent that another agent submitted."""


def require_text(outcome: Outcome, error: str) -> None:
    """Raise InvalidRequest for what is no text that can be recorded, or comes with a success."""
    if error and (outcome is Outcome.COMPLETED or not is_text(error, MAX_TEXT_CHARS)):
        text = f"belongs to `failed`, and is a text of at most {MAX_TEXT_CHARS} characters"
        raise InvalidRequest(FieldProblem(path=("error",), message=text))


def require_reportable(principal: Principal, waiting: IntentState | None, outcome: Outcome) -> IntentState:
    """Return what is kept of an intent whose outcome this principal may report now.

    Raises:
        Forbidden: it was submitted by another agent.
        StateConflict: it is not approved (any more), or is a tool call, which reports itself.
    """
    if waiting is None or not waiting.submitted:
        raise StateConflict("A tool call reports its outcome itself.")
    if not submitted_by(principal, waiting) and principal.role not in _OPERATORS:
        raise Forbidden("The outcome is reported by the agent that submitted the intent, or by an operator.")
    if not may_become(waiting.status, IntentStatus(outcome)):
        raise too_late(waiting.status)
    return waiting


def submitted_by(principal: Principal, waiting: IntentState) -> bool:
    """Return True for the credential that submitted the intent, and for any that is bound to its agent."""
    return principal.credential == waiting.credential or (principal.bound and principal.agent == waiting.agent)


def too_late(status: IntentStatus) -> StateConflict:
    """Return the refusal of a report that comes when the intent is past it."""
    return StateConflict(f"The intent is {status.value}; an outcome is reported once, of an approved one.")


def reported_entry(
    principal: Principal,
    record: IntentRecord,
    waiting: IntentState,
    outcome: Outcome,
    *,
    error: str,
    rows: Rows,
    credit: Credit | None,
    entry_id: str,
    time: str,
) -> EntryDraft:
    """Return the completed entry of a report, which rests on the intent's being as it was read.

    `credit` is what a completed intent of its type earns; a failed one earns nothing.
    """
    key = intent_key(record.id)
    rows += Rows(
        expects=(Expect(key=key, version=waiting.version),),
        puts=(Put(key=key, value=replace(waiting, status=IntentStatus(outcome)).written()),),
    )
    details: JsonObject = {"completion": outcome, "reportedBy": principal.credential}
    if error:
        details["problem"] = redact({"error": error})["error"]
    earned = credit if outcome is Outcome.COMPLETED else None
    if earned is not None:
        details["value"] = earned.shown()
    return EntryDraft(
        tenant=record.tenant,
        id=entry_id,
        type=EntryType.CALL_COMPLETED,
        time=time,
        intent_id=record.id,
        agent=record.agent,
        upstream=record.system,
        tool=record.action,
        reasons=(outcome,),
        policy_digest=record.policy_digest,
        risk=record.risk,
        args_digest=record.args_digest,
        body=completed_body(details),
        expects=rows.expects,
        puts=rows.puts,
        domain=record.domain,
        intent_type=record.type,
        value_cents=0 if earned is None else earned.cents,
        value_type="" if earned is None else earned.type,
    )
