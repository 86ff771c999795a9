"""What the pages say, and that they hold nothing but what they may."""

from dataclasses import replace

import pytest

from gateway.console.pages import approval_page, list_page, login_page, message_page
from gateway.core.approvals import Approval, ApprovalState
from gateway.core.decision import ApprovalTerms
from gateway.core.presentation import Alike, ApprovalView, Compared, Listed
from tests.api.ops.test_approval_view import DETAILS
from tests.console.test_markup import Reader

PENDING = Approval(
    id="apr_1",
    tenant="acme",
    intent_id="int_1",
    agent="bot",
    requested_by="key_1",
    state=ApprovalState.PENDING,
    reason="Rule 'ask' asks.",
    terms=ApprovalTerms(),
    created="2026-03-22T14:30:00.000Z",
    expires="2026-03-22T15:30:00.000Z",
)
VIEW = ApprovalView(approval=PENDING, seconds_left=125, votes=(), needed=1, details=DETAILS)


def read(page: bytes) -> tuple[list[tuple[str, dict[str, str | None]]], str]:
    found = Reader(page.decode())
    return found.elements, " ".join(" ".join(found.texts).split())


def buttons(page: bytes) -> list[str | None]:
    return [attributes.get("value") for name, attributes in read(page)[0] if name == "button"]


def test_an_approval_says_what_why_who_and_what_is_new() -> None:
    """On one page, the buttons last."""
    _, text = read(approval_page(VIEW, token="t", me="ps_1", names={}))
    for words in (
        "Agent bot wants to refund.",
        "2 min 5 s left",
        "Needs 1 more approver of the role operator.",
        "Look twice: to: 1 hidden character",
        '"amount": 5',
        "description: weekly",
        "Rule 'ask' asks.",
        "60 of 100, confidence 0.90",
        "+60 money the name",
        "bot (trust tier T1)",
        "3 completed",
        "changed amount 1 5",
    ):
        assert words in text
    assert buttons(approval_page(VIEW, token="t", me="ps_1", names={})) == ["approve", "deny", "lease", "logout"]


def test_what_is_not_known_is_said_so() -> None:
    """An empty place would read as harmless."""
    bare = replace(
        DETAILS,
        arguments=None,
        warnings=(),
        description="",
        compared=Compared(),
        judgement=replace(DETAILS.judgement, factors=(), rules=(), policy_set=""),
        record=replace(DETAILS.record, all={}, of_type={}),
    )
    _, text = read(approval_page(replace(VIEW, details=bare), token="t", me="ps_1", names={}))
    assert "Nothing is kept of the arguments." in text
    assert "None of its last decisions there allowed" in text
    assert "Look twice" not in text
    assert "Rules none Policy set none" in text


@pytest.mark.parametrize(
    ("compared", "words"),
    [
        (Compared(problem="Nothing is kept of this call's arguments."), "Nothing is kept of this call's arguments."),
        (Compared(intent_id="int_0", time="then"), "At then (int_0). The arguments are the same."),
        (Compared(intent_id="int_0", time="then", exact=False), "the same. Compared as the audit keeps them."),
        (Compared(intent_id="int_0", time="then", exact=False, problem="Kept no longer."), "(int_0). Kept no longer."),
    ],
)
def test_the_comparison_says_what_it_rests_on(compared: Compared, words: str) -> None:
    """A difference of redacted arguments is half a difference."""
    _, text = read(
        approval_page(replace(VIEW, details=replace(DETAILS, compared=compared)), token="t", me="ps_1", names={})
    )
    assert words in text


def test_redacted_arguments_are_said_to_be() -> None:
    """Nobody must take them for the call."""
    _, text = read(approval_page(replace(VIEW, details=replace(DETAILS, exact=False)), token="t", me="ps_1", names={}))
    assert "secrets are removed" in text


def test_who_has_said_yes_is_not_asked_again() -> None:
    """Another one is; a no is still possible."""
    page = approval_page(replace(VIEW, votes=("ps_1",), voters=("usr_1",), needed=2), token="t", me="ps_1", names={})
    assert buttons(page) == ["deny", "logout"]
    assert "1 said yes already: ps_1 (usr_1)." in read(page)[1]
    assert "Needs 2 more approvers" in read(page)[1]


def test_who_asked_has_no_buttons() -> None:
    """The service would refuse anyway."""
    page = approval_page(replace(VIEW, details=None), token="t", me="ps_1", names={})
    assert buttons(page) == ["logout"]
    assert "somebody else must answer" in read(page)[1]


@pytest.mark.parametrize("state", [one for one in ApprovalState if one is not ApprovalState.PENDING])
def test_what_has_its_answer_is_told_and_not_asked(state: ApprovalState) -> None:
    """By whom, when and why."""
    done = replace(PENDING, state=state, resolved="later", resolved_by="ps_2", rationale="<b>no</b>")
    page = approval_page(replace(VIEW, approval=done, seconds_left=0, needed=0), token="t", me="ps_1", names={})
    assert buttons(page) == ["logout"]
    assert "by ps_2 at later" in read(page)[1]
    assert "Reason given: <b>no</b>" in read(page)[1]
    unresolved = replace(done, resolved="", rationale="")
    assert "Reason given" not in read(approval_page(replace(VIEW, approval=unresolved), token="t", me="x", names={}))[1]


def test_the_login_says_nothing_of_what_is_behind_it() -> None:
    """Its link goes to the page itself."""
    elements, text = read(login_page("/approve/apr_1", "This login code is unknown."))
    assert "This login code is unknown." in text
    assert "apr_1" not in text
    assert ("a", {"href": "/approve/apr_1"}) in elements


def test_the_list_names_what_waits() -> None:
    """And how much of it there is."""
    _, text = read(list_page([Listed(approval=PENDING, alike=Alike())], 3, "t"))
    assert "apr_1 bot: Rule 'ask' asks. (until 2026-03-22T15:30:00.000Z)" in text
    assert "The newest 1 of 3." in text
    assert "Nothing waits" in read(list_page([], 0, "t"))[1]


def test_a_list_folds_the_calls_of_one_tool_behind_the_oldest() -> None:
    """A loop of an agent is one line; each call is still answered on its own page."""
    group = Alike(target="files/write", group="grp_1", group_size=3, asked=4, waiting=2)
    waiting = [
        Listed(approval=replace(PENDING, id=id_), alike=alike)
        for id_, alike in (("apr_4", group), ("apr_3", Alike()), ("apr_2", group), ("apr_1", group))
    ]
    elements, text = read(list_page(waiting, 4, "t"))
    links = [one[1]["href"] for one in elements if one[0] == "a"]
    assert links[:4] == ["/approve/apr_1", "/approve/apr_4", "/approve/apr_2", "/approve/apr_3"]
    assert "2 more calls of files/write by this agent" in text
    assert "(until 2026-03-22T15:30:00.000Z, asked 4 times, 2 wait now)" in text
    assert not [one for one in elements if one[0] == "button" and one[1].get("value") == "approve"]


def test_a_page_says_how_often_the_call_was_made_and_what_waits_beside_it() -> None:
    """So that one yes is not taken for many."""
    alike = Alike(asked=4, waiting=2, group_size=3, equal=2)
    _, text = read(approval_page(replace(VIEW, alike=alike), token="t", me="ps_1", names={}))
    assert (
        "Asked 4 times; 2 connections wait for it now; 3 calls of it by this agent wait;"
        " 2 of equal content, whoever asks. Each is answered by itself."
    ) in text
    assert "answered by itself" not in read(approval_page(VIEW, token="t", me="ps_1", names={}))[1]


def test_a_message_may_lead_back() -> None:
    """Or not."""
    assert ("a", {"href": "/approve/"}) in read(message_page("A", "b", back="/approve/"))[0]
    assert not [one for one in read(message_page("A", "b"))[0] if one[0] == "a"]


def test_who_answered_is_named_beside_the_credential() -> None:
    """A session's id says nothing to people; a user who is no more is an id, a key has no user."""
    names = {"usr_1": "ada\u202e", "usr_2": ""}
    votes = replace(VIEW, votes=("ps_1", "ps_2", "key_3"), voters=("usr_1", "usr_2", ""))
    _, text = read(approval_page(votes, token="t", me="ps_9", names=names))
    assert "3 said yes already: ps_1 (ada\\u202e, usr_1), ps_2 (usr_2), key_3." in text
    done = replace(PENDING, state=ApprovalState.DENIED, resolved="later", resolved_by="ps_1", resolved_by_user="usr_1")
    _, text = read(approval_page(replace(VIEW, approval=done), token="t", me="ps_9", names=names))
    assert "by ps_1 (ada\\u202e, usr_1) at later." in text
    assert "Said yes" not in text
    after_a_yes = replace(votes, approval=done, votes=("ps_2", "key_3"), voters=("usr_2", ""))
    _, text = read(approval_page(after_a_yes, token="t", me="ps_9", names=names))
    assert "Said yes: ps_2 (usr_2), key_3." in text
