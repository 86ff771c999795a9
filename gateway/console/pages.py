"""What the pages say: an approval with everything that a yes or no needs, the login, the list, a plain message.

Pure: values in, markup out. Owns the words and their order: what would happen first, the buttons last.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gateway.console.lease_form import lease_form
from gateway.console.markup import Html, joined, tag
from gateway.core.approvals import ApprovalState
from gateway.core.presentation import ApprovalView, Compared, Details, Listed, said_by
from gateway.core.visible import visible

__all__ = ["INDEX", "STYLE", "approval_page", "list_page", "login_page", "message_page"]

STYLE: Final = "/approve/approve.css"
INDEX: Final = "/approve/"

_STATES: Final = {
    ApprovalState.PENDING: "Waiting for an answer",
    ApprovalState.APPROVED: "Approved",
    ApprovalState.DENIED: "Denied",
    ApprovalState.EXPIRED: "Expired: nobody answered in time",
    ApprovalState.CANCELLED: "Cancelled",
    ApprovalState.FAILED: "Approved, but the policy of the moment when it was to run said no",
}


def message_page(title: str, text: str, *, back: str = "") -> bytes:
    """Return a page that says one thing."""
    link = tag("p", tag("a", "Look at it again", href=back)) if back else None
    return _page(title, tag("h1", title), tag("p", text, role="status"), link)


def login_page(path: str, problem: str = "") -> bytes:
    """Return the form that takes a one-time code. It says nothing of what is behind it."""
    return _page(
        "Log in",
        tag("h1", "Log in to answer approvals"),
        tag("p", problem, role="alert", class_="warning") if problem else None,
        tag(
            "form",
            tag("input", type="hidden", name="do", value="login"),
            tag("label", "One-time code", for_="code"),
            tag(
                "input",
                id="code",
                name="code",
                type="password",
                required=True,
                autofocus=True,
                autocomplete="one-time-code",
                spellcheck="false",
                maxlength="256",
            ),
            tag("button", "Log in", type="submit"),
            method="post",
            action=path,
        ),
        tag("p", "An operator makes a code with ", tag("code", "intended users login NAME"), "."),
        # A link from elsewhere brings no cookie along (SameSite=Strict); a step within this site does.
        tag("p", "You came by a link and are logged in already? ", tag("a", "Go on", href=path), "."),
    )


def list_page(waiting: Sequence[Listed], total: int, token: str) -> bytes:
    """Return the approvals that wait, newest first; of a group the oldest, with the others folded behind it."""
    groups: dict[str, list[Listed]] = {}
    for one in waiting:
        groups.setdefault(one.alike.group or one.approval.id, []).append(one)
    rows = [_group(members) for members in groups.values()]
    more = f"The newest {len(waiting)} of {total}." if total > len(waiting) else ""
    return _page(
        "Approvals",
        tag("h1", "Approvals that wait"),
        tag("ul", *rows) if rows else tag("p", "Nothing waits for a human now."),
        tag("p", more) if more else None,
        _logout(INDEX, token),
    )


def _group(members: Sequence[Listed]) -> Html:
    *newer, oldest = members
    if not newer:
        return tag("li", _line(oldest))
    more = tag("ul", *(tag("li", _line(one)) for one in newer))
    summary = tag("summary", f"{len(newer)} more calls of {visible(oldest.alike.target)} by this agent")
    return tag("li", _line(oldest), tag("details", summary, more))


def _line(one: Listed) -> Html:
    approval, alike = one.approval, one.alike
    times = f", asked {alike.asked} times" if alike.asked > 1 else ""
    waits = f", {alike.waiting} wait now" if alike.waiting else ""
    return joined(
        tag("a", approval.id, href=f"{INDEX}{approval.id}"),
        f" {visible(approval.agent)}: {visible(approval.reason)} (until {approval.expires}{times}{waits})",
    )


def approval_page(view: ApprovalView, *, token: str, me: str, names: Mapping[str, str]) -> bytes:
    """Return everything about one approval, and the form that answers it.

    `me` is the credential that looks, `names` are those of users by id.
    """
    one, details = view.approval, view.details
    path = f"{INDEX}{one.id}"
    title = details.sentence if details is not None else f"Approval {one.id}"
    return _page(
        "Approval",
        tag("h1", title),
        _status(view, names),
        _alike(view),
        *((_what(details), _why(view, details), _who(view, details), _compared(details.compared)) if details else ()),
        _answer(view, path, token, me),
        _logout(path, token),
    )


# --- the parts of an approval -----------------------------------------------------------------------------------------


def _status(view: ApprovalView, names: Mapping[str, str]) -> Html:
    one = view.approval
    voted = zip(view.votes, view.voters, strict=True)
    said = [visible(said_by(vote, user, names.get(user, ""))) for vote, user in voted]
    if one.state is not ApprovalState.PENDING:
        who = said_by(one.resolved_by, one.resolved_by_user, names.get(one.resolved_by_user, ""))
        by = f" by {visible(who)} at {one.resolved}" if one.resolved else ""
        why = tag("p", f"Reason given: {visible(one.rationale)}") if one.rationale else None
        votes = tag("p", f"Said yes: {', '.join(said)}.") if said and view.votes != (one.resolved_by,) else None
        return joined(tag("p", f"{_STATES[one.state]}{by}.", role="status", class_="state"), votes, why)
    minutes, seconds = divmod(view.seconds_left, 60)
    yes = f" {len(said)} said yes already: {', '.join(said)}." if said else ""
    several = "approvers" if view.needed != 1 else "approver"
    return tag(
        "p",
        f"{_STATES[one.state]}: {minutes} min {seconds} s left (until {one.expires})."
        f" Needs {view.needed} more {several} of the role {visible(one.terms.role)}.{yes}",
        role="status",
        class_="state",
    )


def _alike(view: ApprovalView) -> Html | None:
    """Say what waits beside it; nothing but its own page answers it."""
    alike = view.alike
    said = [f"Asked {alike.asked} times"] if alike.asked > 1 else []
    said += [f"{alike.waiting} connections wait for it now"] if alike.waiting else []
    said += [f"{alike.group_size} calls of it by this agent wait"] if alike.group_size > 1 else []
    said += [f"{alike.equal} of equal content, whoever asks"] if alike.equal > 1 else []
    return tag("p", f"{'; '.join(said)}. Each is answered by itself.") if said else None


def _what(details: Details) -> Html:
    if details.arguments is None:
        given: Html = tag("p", "Nothing is kept of the arguments.")
    else:
        kept = "Exactly what would be sent." if details.exact else "As the audit keeps them: secrets are removed."
        given = joined(tag("p", kept), tag("pre", details.shown, tabindex="0"))
    told = [
        tag("blockquote", f"{name}: {visible(text)}")
        for name, text in (("description", details.description), ("justification", details.justification))
        if text
    ]
    return tag(
        "section",
        tag("h2", "What would happen"),
        _facts(
            ("Target", "/".join(visible(part) for part in (details.upstream, details.target) if part)),
            ("Method", details.method),
            ("Judged to be", f"{visible(details.judgement.type)} ({details.judgement.effect_class})"),
        ),
        _warnings(details.warnings),
        tag("h3", "Arguments"),
        given,
        joined(tag("p", "The program says (nobody has checked it):"), *told) if told else None,
    )


def _warnings(warnings: Iterable[str]) -> Html | None:
    found = [tag("li", one) for one in warnings]
    if not found:
        return None
    return tag("div", tag("p", "Look twice:"), tag("ul", *found), role="alert", class_="warning")


def _why(view: ApprovalView, details: Details) -> Html:
    judged = details.judgement
    factors = [
        tag("tr", tag("td", f"{points:+}"), tag("td", code), tag("td", visible(evidence)))
        for code, points, evidence in judged.factors
    ]
    heads = tag("tr", *(tag("th", head, scope="col") for head in ("Points", "Factor", "Evidence")))
    return tag(
        "section",
        tag("h2", "Why it waits"),
        tag("p", visible(judged.explanation)),
        _facts(
            ("Rules", ", ".join(map(visible, judged.rules)) or "none"),
            ("Policy set", visible(judged.policy_set) or "none"),
            ("Reason", judged.reason),
            ("Risk", f"{judged.risk} of 100, confidence {judged.confidence}"),
        ),
        tag("table", tag("thead", heads), tag("tbody", *factors)) if factors else None,
        tag("ul", *(tag("li", visible(one)) for one in judged.evidence)),
    )


def _who(view: ApprovalView, details: Details) -> Html:
    return tag(
        "section",
        tag("h2", "Who asks"),
        _facts(
            ("Agent", f"{visible(view.approval.agent)} (trust tier T{details.judgement.tier})"),
            ("Credential", visible(view.approval.requested_by)),
            ("Asked", view.approval.created),
            ("Its intents", _counts(details.record.all)),
            ("Of this type", _counts(details.record.of_type)),
        ),
    )


def _compared(compared: Compared) -> Html:
    if not compared.intent_id:
        said = compared.problem or "None of its last decisions there allowed a call of this tool."
        return tag("section", tag("h2", "Its last allowed call of this tool"), tag("p", said))
    rows = [
        tag("tr", tag("td", one.change), tag("td", one.path), tag("td", one.before), tag("td", one.after))
        for one in compared.differences
    ]
    heads = tag("tr", *(tag("th", head, scope="col") for head in ("Change", "Argument", "Then", "Now")))
    same = compared.problem or ("The arguments are the same." if not rows else "")
    note = "" if compared.exact or compared.problem else " Compared as the audit keeps them."
    return tag(
        "section",
        tag("h2", "Its last allowed call of this tool"),
        tag("p", f"At {compared.time} ({compared.intent_id}). {same}{note}"),
        tag("table", tag("thead", heads), tag("tbody", *rows)) if rows else None,
    )


def _answer(view: ApprovalView, path: str, token: str, me: str) -> Html:
    if view.approval.state is not ApprovalState.PENDING:
        return tag("p", "It has its answer; there is nothing more to do.")
    if view.details is None:
        return tag("p", "You asked for this, or act for the same agent: somebody else must answer.", role="status")
    said = me in view.votes
    answer = tag(
        "form",
        tag("p", "You have said yes; another approver must say yes too.", role="status") if said else None,
        tag("input", type="hidden", name="token", value=token),
        tag("label", "Reason (recorded)", for_="reason"),
        tag("textarea", id="reason", name="reason", rows="3", maxlength="4096"),
        None if said else tag("button", "Approve once", type="submit", name="do", value="approve", class_="yes"),
        tag("button", "Deny", type="submit", name="do", value="deny", class_="no"),
        method="post",
        action=path,
    )
    return joined(answer, None if said else lease_form(view.details.offer, path=path, token=token))


def _logout(path: str, token: str) -> Html:
    return tag(
        "form",
        tag("input", type="hidden", name="token", value=token),
        tag("button", "Log out", type="submit", name="do", value="logout"),
        tag("a", "All that wait", href=INDEX),
        method="post",
        action=path,
        class_="end",
    )


def _facts(*facts: tuple[str, str]) -> Html:
    return tag("dl", *(piece for name, text in facts for piece in (tag("dt", name), tag("dd", text))))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"


def _page(title: str, *content: Html | None) -> bytes:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} · Intended"),
        tag("link", rel="stylesheet", href=STYLE),
    )
    page = tag("html", head, tag("body", tag("main", *content)), lang="en")
    return f"<!doctype html>\n{page.text}\n".encode()
