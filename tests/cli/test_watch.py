"""Watching approvals: what each key does, and that nothing is answered by accident."""

from typing import Any

import pytest

from gateway.cli.watch import Mode, Watch
from gateway.errors import GatewayError, StateConflict, Unavailable


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"apr_{number}", "agent": "bot", "reason": "money", "expiresAt": "2026-11-22T13:00:00.000Z"} | more


class Desk:
    """A gateway with approvals; what was answered is in `answered`."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.answered: list[tuple[str, Any]] = []
        self.fails: GatewayError | None = None
        self.refuses: GatewayError | None = None

    async def get(self, path: str, query: Any = None) -> Any:
        if self.fails is not None:
            raise self.fails
        if path == "/v1/approvals":
            return {"items": list(self.rows), "total": len(self.rows)}
        found = next(one for one in self.rows if path.endswith(one["id"]))
        return found | {
            "status": "pending",
            "secondsLeft": 60,
            "requiredRole": "operator",
            "approversNeeded": 1,
            "approvedBy": [],
            "approvalUrl": "",
            "asked": 1,
            "waiting": 0,
            "groupSize": 1,
            "equal": 1,
            "details": None,
        }

    async def post(self, path: str, body: Any) -> Any:
        if self.refuses is not None:
            raise self.refuses
        self.answered.append((path, body))
        self.rows = [one for one in self.rows if one["id"] not in path]
        return {"status": "approved" if path.endswith("approve") else "rejected"}


async def watching(*rows: dict[str, Any]) -> tuple[Watch, Desk]:
    desk = Desk(*rows)
    state = Watch(gateway=desk)  # type: ignore[arg-type]
    await state.poll()
    return state, desk


async def press(state: Watch, *keys: str) -> None:
    for key in keys:
        await state.press([key])


async def test_what_waits_is_listed_and_chosen_by_keys() -> None:
    """The choice stays within the list."""
    state, _ = await watching(row(1), row(2), row(3))
    assert state.chosen == "apr_1"
    await press(state, "down", "j", "down", "down")
    assert state.chosen == "apr_3"
    await press(state, "up")
    lines = state.lines(24)
    assert lines[0] == "Approvals that wait: 3"
    assert lines[3].startswith("> apr_2  until 13:00:00  bot: money")
    assert len(lines) == 24


async def test_a_yes_takes_two_keys_and_shows_what_it_is_for() -> None:
    """Nothing is approved on one key, nor unseen."""
    state, desk = await watching(row(1), row(2))
    await press(state, "a")
    assert (state.mode, desk.answered) == (Mode.APPROVE, [])
    assert any("Reason: money" in line for line in state.lines(24))
    await press(state, "y")
    assert desk.answered == [("/v1/approvals/apr_1/approve", {})]
    assert state.said == "apr_1 is approved."
    assert (state.mode, state.chosen) == (Mode.LIST, "apr_2")
    await press(state, "a", "l")
    assert desk.answered[1] == ("/v1/approvals/apr_2/approve", {"lease": {"minutes": 10, "uses": 10}})


async def test_groups_are_folded_to_their_oldest_and_unfolded_by_a_key() -> None:
    """Fifty calls of a loop are one line; each is still answered by itself."""
    alike = {"group": "grp_1", "groupSize": 3, "asked": 4}
    state, desk = await watching(row(5, **alike), row(4), row(3, **alike), row(2, **alike), row(1))
    assert state.chosen == "apr_4"
    await press(state, "down")
    listed = [line for line in state.lines(24) if "apr_" in line]
    assert listed == [
        "  apr_4  until 13:00:00  bot: money",
        "> apr_2  until 13:00:00  bot  (3 alike)  (asked 4 times): money",
        "  apr_1  until 13:00:00  bot: money",
    ]
    await press(state, "g")
    assert [one["id"] for one in state._listed()] == ["apr_5", "apr_4", "apr_3", "apr_2", "apr_1"]
    assert state.chosen == "apr_2"
    await press(state, "g", "a", "y")
    assert desk.answered == [("/v1/approvals/apr_2/approve", {})]
    assert state.chosen == "apr_4"


@pytest.mark.parametrize("key", ["n", "enter", "a", "escape", " ", "Y"])
async def test_any_other_key_is_no_answer(key: str) -> None:
    """A yes is `y`."""
    state, desk = await watching(row(1))
    await press(state, "a", key)
    assert (state.mode, desk.answered) == (Mode.DETAILS, [])


async def test_a_no_asks_for_its_reason() -> None:
    """The agent reads it; without one it is not sent."""
    state, desk = await watching(row(1))
    await press(state, "d", "enter", " ", "enter")
    assert desk.answered == []
    assert "needs a reason" in state.said
    await state.press(list("too muchx"))
    await press(state, "backspace")
    assert state.lines(24)[-1].endswith("too much_")
    await press(state, "enter")
    assert desk.answered == [("/v1/approvals/apr_1/reject", {"reason": "too much"})]
    assert state.chosen == ""
    assert "Nothing waits for a human now." in state.lines(24)
    await press(state, "a", "d", "enter", "down")
    assert state.mode is Mode.LIST


async def test_a_no_can_be_taken_back_before_it_is_given() -> None:
    """Escape sends nothing; what follows it in one read is no key of another mode."""
    state, desk = await watching(row(1))
    await press(state, "d", "x")
    await state.press(["escape", "y"])
    assert (state.mode, desk.answered) == (Mode.DETAILS, [])
    await press(state, "escape")
    assert state.mode is Mode.LIST


async def test_what_is_pasted_answers_nothing() -> None:
    """A paste may hold any letters."""
    state, desk = await watching(row(1))
    await state.press(["a", "y"])
    assert (state.mode, desk.answered) == (Mode.LIST, [])


async def test_an_answer_is_for_what_was_chosen_though_the_list_moves() -> None:
    """A new approval on top must not get the yes that was meant for the one below."""
    state, desk = await watching(row(1))
    await press(state, "a")
    desk.rows.insert(0, row(2))
    await state.poll()
    await press(state, "y")
    assert desk.answered == [("/v1/approvals/apr_1/approve", {})]


async def test_what_no_longer_waits_is_not_answered() -> None:
    """Somebody else was faster: the prompt goes, and its key means nothing."""
    state, desk = await watching(row(1), row(2))
    await press(state, "a")
    desk.rows = [row(2)]
    state.chosen = "apr_1"

    async def gone(path: str, query: Any = None) -> Any:
        return {"items": desk.rows, "total": 1} if path == "/v1/approvals" else row(1) | EXTRA

    desk.get = gone  # type: ignore[method-assign]
    await state.poll()
    assert (state.mode, state.said, state.chosen) == (Mode.LIST, "apr_1 no longer waits.", "apr_2")
    await press(state, "y")
    assert desk.answered == []


EXTRA = {
    "status": "approved",
    "secondsLeft": 0,
    "requiredRole": "operator",
    "approversNeeded": 0,
    "asked": 1,
    "waiting": 0,
    "groupSize": 1,
    "equal": 1,
    "approvedBy": [],
    "approvalUrl": "",
    "resolvedBy": "ps_1",
    "resolvedAt": "then",
    "resolution": None,
    "details": None,
}


async def test_a_refusal_is_told_and_changes_nothing() -> None:
    """As the gateway says it."""
    state, desk = await watching(row(1))
    desk.refuses = StateConflict("It has its answer.")
    await press(state, "a", "y")
    assert state.said == "Nothing was changed: It has its answer."


async def test_a_gateway_that_does_not_answer_is_told_and_waited_for() -> None:
    """It may come back."""
    state, desk = await watching(row(1))
    desk.fails = Unavailable("the gateway did not answer")
    await state.poll()
    await press(state, "enter")
    assert state.mode is Mode.LIST
    assert "the gateway did not answer" in state.lines(24)
    desk.fails = None
    await press(state, "enter")
    assert state.mode is Mode.DETAILS


async def test_details_scroll_and_fit_the_screen() -> None:
    """However small it is."""
    state, _ = await watching(row(1))
    await press(state, "enter")
    top = state.lines(6)
    await press(state, "down", "down", "up")
    assert state.lines(6) != top
    assert len(state.lines(6)) == 6
    await press(state, *["up"] * 5, "q")
    assert state.over


async def test_nothing_that_an_agent_chose_acts_on_the_terminal() -> None:
    """Its reason and its name are written out."""
    state, _ = await watching(row(1, agent="a\x1b[2J", reason="b\u202e\r\nx"))
    await press(state, "enter")
    text = "".join(state.lines(24))
    await press(state, "escape")
    text += "".join(state.lines(24))
    assert not {"\x1b", "\u202e", "\r", "\n"} & set(text)
