"""The human's yes behind an approved verdict: before it, to the same approval of the same call, by somebody else.

Who asked is the credential under which the call was held first. That one person holds two credentials is nothing that
entries tell; the gateway looks at that when the yes is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["Told", "yes_problem"]

Fields = Mapping[str, Any]
Told = tuple[Fields, Fields]
"""An entry and its body."""

_CALL: Final = ("agent", "upstream", "tool", "argsDigest")
_YES: Final = ("approved", "pending")
"""What an approval is after a yes: answered, or in want of another one."""


def yes_problem(decided: Told, entries: Sequence[Told]) -> str:
    """Return an empty string, or what is wrong with the yes that an approved verdict says it rests on.

    Raises KeyError, TypeError and IndexError where something is missing.
    """
    entry, body = decided
    approval = body["facts"]["approval"]["id"]
    about = [(one, told) for one, told in entries if one["seq"] < entry["seq"] and told.get("approvalId") == approval]
    asked = [(one, told) for one, told in about if one["type"] == "call.decided" and one["effect"] == "ESCALATE"]
    said = [(one, told) for one, told in about if one["type"] == "approval.resolved"]
    if not asked or not said:
        return f"no yes of a human to {approval} is on record before it"
    (held, question), (answer, answered) = asked[0], said[-1]
    if answer["reasons"][0] != "approved":
        return f"{approval} was {answer['reasons'][0]} before it"
    older = (entry["agent"], "", "", "")  # as answers were recorded by a release before those that make bundles
    elsewhere = _of_call(held) != _of_call(entry) or _of_call(answer) not in (_of_call(entry), older)
    if elsewhere or question["call"].get("pin") != body["call"].get("pin"):
        return f"{approval} is of another call"
    yeses = [told for one, told in said if one["reasons"][0] in _YES]
    return _voters_problem(approval, question["facts"]["credential"], yeses, of=answered["of"])


def _of_call(entry: Fields) -> tuple[str, ...]:
    return tuple(entry[name] for name in _CALL)


def _voters_problem(approval: str, asked_by: str, yeses: Sequence[Fields], *, of: int) -> str:
    """Return what is wrong with who said yes."""
    credentials = [one["by"] for one in yeses]
    humans = [one["human"] for one in yeses if one["human"]]
    if asked_by in credentials:
        return f"who asked for {approval} has answered it"
    twice = len({*credentials}) < len(credentials) or len({*humans}) < len(humans)
    if twice or not 0 < of <= len(credentials):
        return f"{approval} has not the yes of as many different approvers as the rule asks for"
    return ""
