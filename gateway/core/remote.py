"""What a remote authority is asked about a call, what it may answer, and what a decision rests on of that. Pure.

Owns the question, the one strict reading of an answer, and the fact. How it travels is `gateway/remote`; when it is
asked and what is remembered between two calls, `services/asking.py`; what the fact does to a decision,
`core/decide.py`.

A call is asked about as an intent whose `system` is the upstream and whose action is the tool, with the call's
arguments as its params, so that the authority's token is bound to what is forwarded.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

import orjson

from gateway.core.call import INTENT_METHOD, Call
from gateway.core.decision import Effect, Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.tokens import DEFAULT_AUDIENCE
from gateway.core.value import value

__all__ = [
    "REMOTE",
    "Pending",
    "Question",
    "Remote",
    "Told",
    "Verdict",
    "fact_of",
    "question_of",
    "read_decision",
    "read_pending",
    "read_remote",
    "remote_key",
    "unavailable",
]

REMOTE: Final = "remote:"
"""Of the rows that say which intent a call waits for at the authority."""

MAX_TEXT_CHARS: Final = 300
"""Of a sentence of the authority so much is told to agents."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_URL: Final = re.compile(r"https?://[!-~]{1,2000}")


class Verdict(StrEnum):
    """What the authority said."""

    ALLOW = "allow"
    """With a token for this very call, which was checked."""
    DENY = "deny"
    PENDING = "pending"
    """A human has to answer there first."""
    OVER = "over"
    """What the call waited for there is no more: nobody answered in time, or the yes was used."""
    UNAVAILABLE = "unavailable"
    """No answer that could be used."""


@value
class Question:
    """One call as the authority is asked about it. `key` is the idempotency key: no two questions share one."""

    key: str
    agent: str
    action: str
    system: str
    params: JsonObject

    @property
    def audience(self) -> str:
        """Whom the token is to be for."""
        return self.system or DEFAULT_AUDIENCE

    def body(self) -> JsonObject:
        """Return the body of `POST /intent`."""
        asked: JsonObject = {
            "action": {"type": self.action, "params": self.params},
            "actor": self.agent,
            "idempotencyKey": self.key,
        }
        return {**asked, "system": self.system} if self.system else asked


@value
class Told:
    """What the authority said of one question. `text` is a sentence, safe for an agent; `url` a page for a human."""

    verdict: Verdict
    text: str = ""
    intent_id: str = ""
    approval_id: str = ""
    url: str = ""
    token: str = field(default="", repr=False)
    token_id: str = ""


@value
class Remote:
    """What a decision rests on of an authority's answer. `token_id` is that of the token that came with an ALLOW."""

    effect: Effect
    reason: Reason
    explanation: str
    intent_id: str = ""
    approval_id: str = ""
    token_id: str = ""

    def written(self) -> JsonObject:
        """Return the fact as it is recorded."""
        return {
            "effect": self.effect,
            "reason": self.reason,
            "explanation": self.explanation,
            "intentId": self.intent_id,
            "approvalId": self.approval_id,
            "tokenId": self.token_id,
        }


@value
class Pending:
    """The row of a call that waits at the authority. Past `until` (RFC 3339) it says nothing any more."""

    intent_id: str
    approval_id: str
    url: str
    until: str

    def written(self) -> bytes:
        """Return the row's value."""
        told = {"intentId": self.intent_id, "approvalId": self.approval_id, "url": self.url, "until": self.until}
        return orjson.dumps(told)


def read_pending(row: bytes) -> Pending:
    """Return what a row says."""
    told = orjson.loads(row)
    return Pending(intent_id=told["intentId"], approval_id=told["approvalId"], url=told["url"], until=told["until"])


def read_remote(written: JsonObject) -> Remote:
    """Return a fact as it was recorded."""
    return Remote(
        effect=Effect(written["effect"]),
        reason=Reason(written["reason"]),
        explanation=written["explanation"],
        intent_id=written["intentId"],
        approval_id=written["approvalId"],
        token_id=written["tokenId"],
    )


def remote_key(same_call: str) -> str:
    """Return the key of the row of a call; `same_call` is what all calls share that are the same (`rows.call_key`)."""
    return f"{REMOTE}{same_call.rpartition(':')[2]}"


def question_of(call: Call, agent: str, key: str) -> Question:
    """Return what the authority is asked. What answers an upstream's questions goes to it too, so it is asked about."""
    action, params = call.action, call.arguments
    if call.method not in ("tools/call", INTENT_METHOD):
        target = {name: text for name, text in (("name", call.name), ("uri", call.uri)) if text}
        action, params = call.method, {**target, "arguments": call.arguments}
    if call.answers:
        params = {"arguments": params, "inputResponses": call.answers}
    return Question(key=key, agent=agent, action=action, system=call.upstream, params=params)


def read_decision(document: object) -> Told:
    """Return what an answer of `POST /intent` or `GET /intent/{id}` says; its token is not checked yet.

    Raises:
        ValueError: it is no such answer.
    """
    if not isinstance(document, dict):
        raise ValueError("it is no object")
    try:
        verdict = _verdict(Effect(document["decision"]), document.get("status"))
        told = Told(
            verdict=verdict,
            text=_sentence(document["reason"]),
            intent_id=_named(document["intentId"], _ID),
            approval_id=_named(document.get("escalationId", ""), _ID, needed=verdict is Verdict.PENDING),
            url=_named(document.get("approvalUrl", ""), _URL, needed=False),
            token=_text(document.get("token", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("it lacks what a decision has") from error
    return told


def unavailable(problem: str) -> Told:
    """Return that the authority could not be asked. `problem` names no address and nothing of the call."""
    return Told(verdict=Verdict.UNAVAILABLE, text=problem)


def fact_of(told: Told) -> Remote:
    """Return what a decision rests on."""
    effect, reason = _EFFECTS[told.verdict]
    return Remote(
        effect=effect,
        reason=reason,
        explanation=_explained(told),
        intent_id=told.intent_id,
        approval_id=told.approval_id,
        token_id=told.token_id,
    )


_EFFECTS: Final[Mapping[Verdict, tuple[Effect, Reason]]] = {
    Verdict.ALLOW: (Effect.ALLOW, Reason.AUTHORITY_ALLOW),
    Verdict.DENY: (Effect.DENY, Reason.AUTHORITY_DENY),
    Verdict.OVER: (Effect.DENY, Reason.AUTHORITY_DENY),
    Verdict.PENDING: (Effect.ESCALATE, Reason.AUTHORITY_ESCALATE),
    Verdict.UNAVAILABLE: (Effect.DENY, Reason.AUTHORITY_UNAVAILABLE),
}

_STATUSES: Final[Mapping[object, Verdict]] = {
    "pending": Verdict.PENDING,
    "rejected": Verdict.DENY,
    "expired": Verdict.OVER,
    "completed": Verdict.OVER,
    "failed": Verdict.OVER,
}


def _verdict(effect: Effect, status: object) -> Verdict:
    """Return the verdict. An intent that is shown has a status, which is later than its decision."""
    if status in (None, "approved"):
        by_effect = {Effect.ALLOW: Verdict.ALLOW, Effect.DENY: Verdict.DENY, Effect.ESCALATE: Verdict.PENDING}
        return by_effect[effect] if status is None or effect is Effect.ALLOW else Verdict.OVER
    return _STATUSES[status]


def _explained(told: Told) -> str:
    if told.verdict is Verdict.UNAVAILABLE:
        return f"The authority of this gateway cannot be asked: {told.text}."
    if told.verdict is Verdict.OVER:
        return "What this call waited for at the authority is over: nobody answered in time, or the yes was used."
    if told.verdict is Verdict.DENY:
        return f"The authority of this gateway denies it: {told.text}"
    if told.verdict is Verdict.ALLOW:
        return "The authority of this gateway allows it."
    page = f" ({told.url})" if told.url else ""
    return (
        f"The authority of this gateway asks for a human: {told.text} It waits there, not here, for the approval"
        f" {told.approval_id}{page}. After that, make the same call with the same arguments again."
    )


def _sentence(text: object) -> str:
    """Return a text on one line and of bounded length."""
    line = " ".join(_text(text).split())
    shown = "".join(char if char.isprintable() else "?" for char in line)
    return shown if len(shown) <= MAX_TEXT_CHARS else f"{shown[: MAX_TEXT_CHARS - 1]}…"


def _named(text: object, form: re.Pattern[str], *, needed: bool = True) -> str:
    """Return a name of that form; an empty text only where none is needed. Raises ValueError."""
    found = _text(text)
    if (found or needed) and form.fullmatch(found) is None:
        raise ValueError("a name in it is none")
    return found


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError("not a text")
    return text
