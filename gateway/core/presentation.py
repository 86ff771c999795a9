"""What a human is shown who is to say yes or no: the values, and the one sentence of what would happen.

Pure. What goes into it is gathered by `services/approval_view.py`. Everything here that an agent chose has been made
visible (`core/visible.py`) or is to be by the face that shows it; the agent's own words are marked as claims.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.core.approvals import Approval
from gateway.core.call import INTENT_METHOD
from gateway.core.differences import Difference
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.visible import quoted, visible

__all__ = [
    "AgentRecord",
    "Alike",
    "ApprovalView",
    "Compared",
    "Details",
    "Judgement",
    "Listed",
    "Offer",
    "said_by",
    "sentence",
    "still_needed",
]

MAX_TOLD: Final = 80
"""Characters of one argument within the sentence."""
MAX_ARGUMENTS: Final = 4
"""Arguments within the sentence; the others are counted."""
LISTED: Final = 3
"""Items of a list within the sentence."""

_TELLING: Final = (
    *("amount", "total", "sum", "price", "amountcents", "unitamount", "quantity", "currency", "currencycode"),
    *("to", "recipient", "recipients", "cc", "bcc", "customer", "customerid", "email", "account", "accountid"),
    *("user", "userid", "username", "channel", "channelid", "destination", "payee", "iban", "paymentintent"),
    *("subscription", "invoice", "path", "paths", "filepath", "file", "filename", "source", "url", "uri", "command"),
    *("cmd", "query", "sql", "table", "owner", "repo", "repository", "branch", "issuenumber", "pullnumber"),
    *("subject", "title", "resource", "name", "id"),
)
"""Names of arguments, folded, that tell what a call is about, the most telling first: how much, to whom, on what."""
_REQUESTS: Final = {
    "tools/call": "call",
    "prompts/get": "get the prompt",
    "resources/read": "read the resource",
    "resources/subscribe": "subscribe to the resource",
    "completion/complete": "have completed an argument of",
}
_RANK: Final = {name: rank for rank, name in enumerate(_TELLING)}
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@.:/+-]{1,64}")
"""What reads as one word in a sentence; anything else is quoted, so that a value cannot go on with the sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How the call was judged and why it waits. `factors` are (code, points, evidence)."""

    type: str
    domain: str
    effect_class: str
    evidence: tuple[str, ...]
    confidence: str
    risk: int
    factors: tuple[tuple[str, int, str], ...]
    tier: int
    reason: str
    explanation: str
    policy_set: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """The record of who asks: how many of its intents are in which status, in all and of this type."""

    all: dict[str, int]
    of_type: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The difference to the agent's last allowed call of the same tool.

    `intent_id` is empty where there is none among those that were looked through; `problem` says why nothing could be
    compared. `exact` is False where only what the audit shows of the arguments was compared.
    """

    intent_id: str = ""
    time: str = ""
    exact: bool = True
    differences: tuple[Difference, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """How an approval stands among the others that await a human.

    `group` names the calls of the same agent to the same target, `group_size` says how many of them wait, and `equal`
    how many wait whose content is the same, whoever asks. `asked` is how often this very call was made, `waiting` how
    many connections wait for its answer now. `target` is for people.
    """

    target: str = ""
    group: str = ""
    group_size: int = 1
    equal: int = 1
    asked: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One approval in a list."""

    approval: Approval
    alike: Alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a lease granted with an approval would hold fast, unless its approver loosens it.

    `places` are (JSON pointer, value) of the arguments; `problem` says why there can be no lease.
    """

    problem: str = ""
    places: tuple[tuple[str, str], ...] = ()
    max_minutes: int = 0
    max_uses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What is for those who decide, and not for who asked.

    `arguments` are exact, or what the audit keeps of them (`exact` False), or None where it keeps nothing. `shown` is
    their text for people; `warnings` are about what may mislead in them. `description` and `justification` are what
    the program claims of its intent.
    """

    sentence: str
    method: str
    upstream: str
    target: str
    arguments: JsonObject | None
    answers: JsonObject
    exact: bool
    shown: str
    warnings: tuple[str, ...]
    description: str
    justification: str
    judgement: Judgement
    record: AgentRecord
    compared: Compared
    offer: Offer = Offer()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """An approval as a human looks at it. `details` is None for who asked, and for who acts for the same agent.

    `votes` are the credentials that have said yes, `voters` the users behind them in the same order (empty: nobody's
    session), `needed` how many more have to.
    """

    approval: Approval
    seconds_left: int
    votes: tuple[str, ...]
    needed: int
    alike: Alike = Alike()
    details: Details | None = None
    voters: tuple[str, ...] = ()


def said_by(credential: str, user: str, name: str) -> str:
    """Return who said yes or no, as people read it: the credential of record, and whose session it is.

    `name` is empty where nobody has that id any more, `user` too where the credential is no session.
    """
    whose = ", ".join(filter(None, (name, user)))
    return f"{credential} ({whose})" if whose else credential


def still_needed(approvers: int, votes: int, *, pending: bool) -> int:
    """Return how many more must say yes."""
    return max(approvers - votes, 0) if pending else 0


def sentence(
    *,
    agent: str,
    method: str,
    upstream: str,
    target: str,
    type: str,
    effect_class: str,
    arguments: JsonObject | None,
) -> str:
    """Return one sentence of what would happen: the call as it is, with the arguments that tell most, and what for.

    What the call does is the tool's to know, so that no verb is made of its type: it says what is called, with which
    arguments by their own names, and that the rest is a judgement. None for arguments: nothing is kept of them.
    """
    done = _act(method, upstream, target) + _with(arguments, silent=method != "tools/call")
    purpose = "of unknown purpose" if type in ("", "unknown") else visible(type)
    effect = "" if effect_class in ("", "unknown") else f" ({effect_class})"
    return f"Agent {_word(agent)} wants to {done}, judged to be {purpose}{effect}."


def _act(method: str, upstream: str, target: str) -> str:
    if method == INTENT_METHOD:
        return f"act by itself{f' in {_word(upstream)}' if upstream else ''}: {_word(target)}"
    return f"{_REQUESTS.get(method) or f'make the request {method} to'} {_word(upstream)}/{_word(target)}"


def _with(arguments: JsonObject | None, *, silent: bool) -> str:
    """Return the arguments of telling names, and how many others there are; `silent` where none are expected."""
    if arguments is None:
        return ""
    if not arguments:
        return "" if silent else " without arguments"
    told = [f"{_word(key)}={value}" for key in _telling(arguments) if (value := _value(arguments[key]))][:MAX_ARGUMENTS]
    rest = len(arguments) - len(told)
    if rest:
        other = "other " if told else ""
        told.append(f"{rest} {other}argument{'' if rest == 1 else 's'}")
    listed = " and ".join(filter(None, (", ".join(told[:-1]), told[-1])))
    return f" with {listed}"


def _telling(arguments: JsonObject) -> list[str]:
    """Return the names that tell, the most telling first, and of equal ones as the call has them."""
    folded = {key: re.sub(r"[-_. ]", "", key).lower() for key in arguments}
    return sorted((key for key, name in folded.items() if name in _RANK), key=lambda key: _RANK[folded[key]])


def _value(value: JsonValue) -> str:
    """Return a value that can stand in a sentence; nothing for any other."""
    if isinstance(value, str):
        return _word(value) if value else ""
    if isinstance(value, list):
        told = [_value(one) for one in value[:LISTED]]
        if not all(told):
            return ""
        more = f" and {len(value) - LISTED} more" if len(value) > LISTED else ""
        return f"[{', '.join(told)}{more}]" if told else ""
    return "" if value is None or isinstance(value, bool | dict) else str(value)


def _word(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quoted(text, MAX_TOLD)
