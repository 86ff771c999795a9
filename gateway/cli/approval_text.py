"""An approval as lines for a terminal: everything that a yes or no needs, in the order of the page.

Takes the answer of `GET /v1/approvals/{id}`. Nothing in a line acts on a terminal: what an agent chose is written out
(`core/visible.py`), and a text of one field begins no line of its own.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.cli.output import visible as harmless
from gateway.core.presentation import said_by
from gateway.core.visible import visible

__all__ = ["details_lines", "folded", "listed_lines", "time_left"]

Shown = Mapping[str, Any]

_INDENT = "    "


def details_lines(approval: Shown) -> list[str]:
    """Return the lines; of an approval without details those of its status alone."""
    details = approval.get("details")
    lines = [details["sentence"] if details else f"Approval {approval['id']}", "", *_status(approval)]
    if details:
        lines += [*_what(details), *_why(details), *_who(approval, details), *_compared(details["lastAllowed"])]
        lines += _lease(approval, details["lease"])
    else:
        lines += [f"Reason: {visible(str(approval['reason']))}"]
    return [harmless(line) for line in lines]


def listed_lines(rows: Sequence[Shown], *, width: int) -> list[str]:
    """Return approvals for a terminal of this width: what tells them apart in a line, and below it why each waits."""
    lines = []
    for row in rows:
        parts = [row["id"], row["status"], visible(row["agent"]), visible(row.get("target") or "")]
        alike = row.get("groupSize") or 1
        parts += [f"until {row['expiresAt'][11:16]}Z" if row["status"] == "pending" else row["expiresAt"][:10]]
        parts += [f"{alike} alike"] if alike > 1 else []
        parts += [f"by {_by(row['resolvedBy'], row.get('resolvedByUser'))}"] if row.get("resolvedBy") else []
        for indent, text in (("", "  ".join(filter(None, parts))), (_INDENT, visible(str(row["reason"])))):
            lines += textwrap.wrap(
                text, width, initial_indent=indent, subsequent_indent=_INDENT, break_on_hyphens=False
            )
    return [harmless(line) for line in lines]


def time_left(seconds: int) -> str:
    """Return a duration as people say it."""
    return f"{seconds // 60} min {seconds % 60} s"


def folded(rows: Sequence[Shown]) -> list[Shown]:
    """Return one approval of each group, its oldest, which expires first; the rows are newest first."""
    oldest = {row.get("group") or row["id"]: row for row in rows}
    chosen = {row["id"] for row in oldest.values()}
    return [row for row in rows if row["id"] in chosen]


def _status(approval: Shown) -> Iterator[str]:
    role = visible(str(approval["requiredRole"]))
    if approval["status"] == "pending":
        yield f"Pending: {time_left(approval['secondsLeft'])} left (until {approval['expiresAt']})"
        yield f"Needs {approval['approversNeeded']} more of the role {role}"
    else:
        by = _by(approval["resolvedBy"] or "nobody", approval.get("resolvedByUser"))
        yield f"{approval['status'].capitalize()} by {by} at {approval['resolvedAt']}"
        if approval["resolution"]:
            yield f"Reason given: {visible(approval['resolution'])}"
    if approval["approvedBy"] and approval["approvedBy"] != [approval["resolvedBy"]]:
        users = approval.get("approvedByUsers") or [None] * len(approval["approvedBy"])
        said = (_by(*one) for one in zip(approval["approvedBy"], users, strict=True))
        yield f"Said yes: {', '.join(said)}"
    if approval["approvalUrl"]:
        yield f"Page: {approval['approvalUrl']}"
    times = "once" if approval["asked"] == 1 else f"{approval['asked']} times"
    yield f"Asked {times}, {approval['waiting']} wait for it now"
    if approval["groupSize"] > 1 or approval["equal"] > 1:
        yield (
            f"{approval['groupSize']} of this agent's calls of it wait, {approval['equal']} of equal content whoever"
            " asks; each is answered by itself"
        )


def _by(credential: str, user: Shown | None) -> str:
    """Say who answered; `user` is None where no session did."""
    whose = ("", "") if user is None else (user["id"], user["name"] or "")
    return visible(said_by(credential, *whose))


def _what(details: Shown) -> Iterator[str]:
    yield ""
    target = "/".join(visible(part) for part in (details["upstream"], details["target"]) if part)
    yield f"Target: {target} ({details['method']})"
    yield f"Judged to be: {visible(details['intentType'])} ({details['effectClass']})"
    if details["warnings"]:
        yield "LOOK TWICE:"
        yield from (f"  ! {one}" for one in details["warnings"])
    if details["arguments"] is None:
        yield "Nothing is kept of the arguments."
    else:
        exact = "exactly what would be sent" if details["argumentsExact"] else "as the audit keeps them, redacted"
        yield f"Arguments ({exact}):"
        yield from (f"  {line}" for line in details["argumentsText"].split("\n"))
    for name in ("description", "justification"):
        if details[name]:
            yield f"The program says ({name}, unchecked): {visible(details[name])}"


def _why(details: Shown) -> Iterator[str]:
    yield ""
    yield f"Why it waits: {visible(details['explanation'])}"
    rules = ", ".join(map(visible, details["rules"])) or "none"
    yield f"Rules: {rules} (policy set {visible(details['policySet']) or 'none'}, {details['reason']})"
    yield f"Risk: {details['risk']} of 100, confidence {details['confidence']}"
    for factor in details["riskFactors"]:
        yield f"  {factor['points']:+} {factor['code']}: {visible(factor['evidence'])}"
    yield from (f"  {visible(one)}" for one in details["evidence"])


def _who(approval: Shown, details: Shown) -> Iterator[str]:
    yield ""
    asked = visible(approval["requestedBy"])
    yield f"Who asks: {visible(approval['agent'])}, tier {details['trustTier']}, by {asked} at {approval['createdAt']}"
    yield f"Its intents: {_counts(details['record']['all'])}"
    yield f"Of this type: {_counts(details['record']['ofType'])}"


def _compared(compared: Shown) -> Iterator[str]:
    yield ""
    if not compared["intentId"]:
        yield f"Last allowed call of this tool: {compared['problem'] or 'none among its last decisions'}"
        return
    note = "" if compared["exact"] or compared["problem"] else " (as the audit keeps them)"
    same = compared["problem"] or ("" if compared["differences"] else "the arguments are the same")
    yield f"Last allowed call of this tool: {compared['time']} ({compared['intentId']}){note} {same}".rstrip()
    for one in compared["differences"]:
        between = " -> ".join(text for text in (one["before"], one["after"]) if text)
        yield f"  {one['change']} {one['path']}: {between}"


def _lease(approval: Shown, offer: Shown) -> Iterator[str]:
    """Say what a yes to calls of the same shape would hold fast."""
    if approval["status"] != "pending":
        return
    yield ""
    if offer["problem"]:
        yield f"No lease can be granted: {offer['problem']}"
        return
    yield (
        f"The same shape for a while: intended approvals approve {approval['id']} --for 10m --uses 10"
        f" (at most {offer['maxMinutes']} min, {offer['maxUses']} uses)"
    )
    yield "These would have to be the same, and no others be there, unless --let PLACE=CHECK:VALUE says otherwise:"
    yield from (f"  {visible(place['path'])} equals {place['value']}" for place in offer["places"])


def _counts(counts: Shown) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"
