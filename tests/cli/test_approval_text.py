"""An approval on a terminal: everything is there, and nothing of it acts."""

from typing import Any

import pytest

from gateway.cli.approval_text import details_lines, folded, listed_lines
from tests.api.house import opened
from tests.api.ops.test_approval_view import DETAILS


async def approval(**more: Any) -> dict[str, Any]:
    """Return an approval as the REST API shows it."""
    house = await opened()
    house.views.details = DETAILS
    shown: dict[str, Any] = (await house.get("/v1/approvals/apr_1")).json()["data"]
    return shown | more


async def changed(**details: Any) -> str:
    shown = await approval()
    return "\n".join(details_lines(shown | {"details": shown["details"] | details}))


async def test_everything_that_a_yes_or_no_needs_is_there() -> None:
    """What, why, who and what is new."""
    text = "\n".join(details_lines(await approval()))
    for words in (
        "Agent bot wants to refund.",
        "Pending: 1 min 0 s left",
        "Needs 1 more of the role operator",
        "Said yes: key_3",
        "Page: http://127.0.0.1:8787/approve/apr_1",
        "  ! to: 1 hidden character",
        'Arguments (exactly what would be sent):\n  {\n    "amount": 5\n  }',
        "The program says (description, unchecked): weekly",
        "Why it waits: Rule 'ask' asks.",
        "  +60 money: the name",
        "Who asks: github-actions, tier T1, by key_7",
        "Its intents: 3 completed",
        "  changed amount: 1 -> 5",
        "Asked 4 times, 1 wait for it now",
        "3 of this agent's calls of it wait, 2 of equal content whoever asks; each is answered by itself",
        "approvals approve apr_1 --for 10m --uses 10 (at most 60 min, 20 uses)",
        "  /amount equals 5",
    ):
        assert words in text


async def test_what_is_not_known_is_said_so() -> None:
    """Silence would read as harmless."""
    nothing = {"intentId": None, "time": None, "exact": True, "problem": "", "differences": []}
    text = await changed(arguments=None, warnings=[], rules=[], policySet="", lastAllowed=nothing, argumentsExact=False)
    assert "Nothing is kept of the arguments." in text
    assert "none among its last decisions" in text
    assert "Rules: none (policy set none" in text
    assert "redacted" in await changed(argumentsExact=False)
    found = nothing | {"intentId": "int_0", "time": "then", "exact": False}
    assert "then (int_0) (as the audit keeps them) the arguments are the same" in await changed(lastAllowed=found)
    assert "(int_0) Gone." in await changed(lastAllowed=found | {"problem": "Gone."})


@pytest.mark.parametrize("resolution", ["no \x1b[2J", None])
async def test_an_answer_is_told_with_who_gave_it(resolution: str | None) -> None:
    """And why."""
    done = {"status": "rejected", "resolvedBy": "ps_1", "resolvedAt": "then", "resolution": resolution}
    lines = details_lines(await approval(**done, approvalUrl="", details=None))
    assert "Rejected by ps_1 at then" in lines
    assert ("Reason given: no \\u001b[2J" in lines) is (resolution is not None)
    assert "Reason: Rule `ask` wants a human." in lines
    for user, words in (
        ({"id": "usr_1", "name": "ada\u202e"}, "ada\\u202e, usr_1"),
        ({"id": "usr_1", "name": None}, "usr_1"),
    ):
        lines = details_lines(await approval(**done, details=None, resolvedByUser=user))
        assert f"Rejected by ps_1 ({words}) at then" in lines
    users = {"approvedBy": ["key_3", "ps_1"], "approvedByUsers": [None, {"id": "usr_1", "name": "ada"}]}
    assert "Said yes: key_3, ps_1 (ada, usr_1)" in details_lines(await approval(**users))
    assert "Said yes: key_3" in details_lines(await approval(approvedByUsers=None))
    assert "Said yes: key_3, ps_1 (ada, usr_1)" in details_lines(await approval(**done, **users))
    alone = {"approvedBy": ["ps_1"], "approvedByUsers": [None]}
    assert "Said yes: ps_1" not in details_lines(await approval(**done, **alone))
    waiting = details_lines(await approval(approvedBy=[], approvedByUsers=[]))
    assert not any(line.startswith("Said yes") for line in waiting)


async def test_nothing_acts_on_the_terminal() -> None:
    """Whatever an agent, an upstream or a program wrote."""
    evil = "a\x1b[2J\u202eb\r\nFAKE LINE"
    shown = await approval()
    texts = {name: evil for name, value in shown["details"].items() if isinstance(value, str) and name != "trustTier"}
    lists = {"warnings": [evil], "evidence": [evil], "rules": [evil]}
    lines = details_lines(shown | {"agent": evil, "details": shown["details"] | texts | lists})
    text = "\n".join(lines)
    assert not {"\x1b", "\u202e", "\r"} & set(text)


async def test_where_there_can_be_no_lease_it_is_said_why() -> None:
    """And nothing of it once there is an answer."""
    offer = {"problem": "the rule asks for 2 approvers", "places": [], "maxMinutes": 0, "maxUses": 0}
    assert "No lease can be granted: the rule asks for 2 approvers" in await changed(lease=offer)
    done = {"status": "approved", "resolvedBy": "ps_1", "resolvedAt": "then", "resolution": None}
    assert "approvals approve" not in "\n".join(details_lines(await approval(**done)))
    alone = "\n".join(details_lines(await approval(groupSize=1, equal=1, asked=1)))
    assert "Asked once, 1 wait for it now" in alone
    assert "each is answered by itself" not in alone


def test_a_list_is_folded_to_the_oldest_of_each_group() -> None:
    """The oldest expires first. What belongs to no group stays."""
    rows = [{"id": "5", "group": "a"}, {"id": "4", "group": ""}, {"id": "3"}, {"id": "2", "group": "a"}, {"id": "1"}]
    assert [row["id"] for row in folded(rows)] == ["4", "3", "2", "1"]
    assert folded([]) == []


def test_a_list_for_people_tells_approvals_apart_at_any_width() -> None:
    """A line for each, which may go on, and below it why it waits; nothing is cut short or acts on the terminal."""
    row = {"id": "apr_1", "status": "pending", "agent": "bot", "target": "files/write", "groupSize": 3}
    row |= {"expiresAt": "2026-11-22T18:31:38.683Z", "reason": "Deleting needs\x1b a human."}
    closed = row | {"status": "approved", "target": "", "groupSize": 1, "reason": "No."}
    assert listed_lines([row, closed], width=80) == [
        "apr_1  pending  bot  files/write  until 18:31Z  3 alike",
        "    Deleting needs\\u001b a human.",
        "apr_1  approved  bot  2026-11-22",
        "    No.",
    ]
    by = closed | {"resolvedBy": "ps_1", "resolvedByUser": {"id": "usr_1", "name": "ada"}}
    assert listed_lines([by], width=80)[0] == "apr_1  approved  bot  2026-11-22  by ps_1 (ada, usr_1)"
    assert listed_lines([row], width=30) == [
        "apr_1  pending  bot",
        "    files/write  until 18:31Z",
        "    3 alike",
        "    Deleting needs\\u001b a",
        "    human.",
    ]
