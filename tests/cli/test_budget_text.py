"""Budgets as lines of text: true to what REST answered, and harmless to a terminal."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.cli.budget_text import COLUMNS, bar, lines, row, wait

NOW = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)
ACCOUNT: dict[str, Any] = {
    "budget": "refunds",
    "counts": "args.amount",
    "per": "agent",
    "account": "bot",
    "submitted": False,
    "spent": 250.5,
    "limit": 1000.0,
    "left": 749.5,
    "limits": [
        {"rule": "within", "policySet": "money", "effect": "ALLOW", "limit": 1000.0},
        {"rule": "beyond", "policySet": "money", "effect": "ESCALATE", "limit": 1000.005},
        {"rule": "never", "policySet": "money", "effect": "DENY", "limit": 5000},
    ],
    "windowSeconds": 86_400,
    "nextAt": "2026-11-23T12:24:00.000Z",
    "nextAmount": 200,
    "clearAt": "2026-11-23T12:48:00.000Z",
    "file": "money.yaml",
    "line": 5,
}
ENTRY = {
    "seq": 12,
    "entryId": "evt_1",
    "at": "2026-11-22T12:00:00.000Z",
    "intentId": "int_1",
    "agent": "bot\x1b[2J",
    "upstream": "shop",
    "tool": "refund",
    "amount": 50.5,
    "backAt": "2026-11-23T12:48:00.000Z",
}
NONE = {"spent": 0, "limit": None, "left": None, "limits": [], "nextAt": None, "nextAmount": 0, "clearAt": None}


@pytest.mark.parametrize(("terminal", "used"), [(True, "██░░░░░░░░ 25 %"), (False, "25 %")])
def test_a_row_says_what_is_left_and_when_more_is(terminal: bool, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which one asks; blocks are for eyes, and in the way of `cut -f7`."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    shown = row(ACCOUNT, NOW)
    assert [shown[member] for member in COLUMNS.values()] == [
        "refunds",
        "agent bot",
        "args.amount",
        "250.5",
        "1000",
        "749.5",
        used,
        "1d",
        "200 at 2026-11-23T12:24:00.000Z (in 1 d 0 h)",
    ]


@pytest.mark.parametrize(
    ("change", "account", "used"),
    [
        ({**NONE, "account": None}, "agent (none has spent any)", ""),
        ({**NONE, "per": "upstream", "account": "#" + "ab" * 32, "submitted": True}, None, ""),
        ({"per": "upstream", "account": "shop\x07", "submitted": True}, "upstream shop\\u0007 (in intents)", None),
        ({"limit": 0, "left": 0}, "agent bot", "100 %"),
    ],
)
def test_a_row_of_what_is_not_known_has_nothing_there(
    change: dict[str, Any], account: str | None, used: str | None
) -> None:
    """No limit is no bar; a digest is long enough at its beginning; a limit of nothing is used up."""
    shown = row({**ACCOUNT, **change}, NOW)
    assert shown["account"] == (account or "upstream #abababababab (in intents)")
    assert used in (None, shown["used"])


@pytest.mark.parametrize(
    ("seconds", "text"), [(60, "1m"), (90, "90s"), (5400, "90m"), (7200, "2h"), (86_400, "1d"), (90_000, "25h")]
)
def test_a_window_is_told_as_policies_write_it(seconds: int, text: str) -> None:
    """Who reads both recognises it."""
    assert row({**ACCOUNT, "windowSeconds": seconds}, NOW)["window"] == text


@pytest.mark.parametrize(
    ("until", "text"),
    [
        ("2026-11-22T12:00:01.000Z", "in 1 s"),
        ("2026-11-22T12:00:30.600Z", "in 31 s"),
        ("2026-11-22T12:02:00.500Z", "in 2 min 0 s"),
        ("2026-11-22T15:00:05.500Z", "in 3 h 0 min"),
        ("2026-11-24T13:00:05.500Z", "in 2 d 1 h"),
        ("2026-11-22T12:00:00.500Z", "now"),
        ("2026-11-22T11:00:00.000Z", "now"),
    ],
)
def test_a_wait_is_told_in_its_two_largest_parts(until: str, text: str) -> None:
    """Rounded up: who comes back after it is not too early."""
    assert wait(until, NOW) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "░░░░░░░░░░ 0 %"),
        (0.999, "█████████░ 99 %"),
        (1, "██████████ 100 %"),
        (1.4, "██████████ 140 %"),
    ],
)
def test_a_bar_is_full_only_where_nothing_is_left(share: float, text: str) -> None:
    """A bar that is full at 99 per cent would send somebody away."""
    assert bar(share) == text


def test_an_account_is_told_with_everything_that_counts() -> None:
    """The declaration, what is spent, when it comes back, the rules, the entries; nothing acts on the terminal."""
    assert list(lines({**ACCOUNT, "entries": [ENTRY, ENTRY], "entriesComplete": False}, NOW)) == [
        "refunds: the sum of args.amount of each agent within 1d, declared in money.yaml, line 5",
        "account   agent bot",
        "spent     250.5 of 1000, 749.5 left  ██░░░░░░░░ 25 %",
        "back      200 at 2026-11-23T12:24:00.000Z (in 1 d 0 h)",
        "          all of it by 2026-11-23T12:48:00.000Z (in 1 d 0 h), if nothing more is spent",
        "limits    1000: rule within of money allows up to it",
        "          1000.005: rule beyond of money asks a human beyond it",
        "          5000: rule never of money denies beyond it",
        "entries   entry 12 (evt_1)  2026-11-22T12:00:00.000Z  50.5  bot\\u001b[2J shop/refund,"
        " until 2026-11-23T12:48:00.000Z",
        "          entry 12 (evt_1)  2026-11-22T12:00:00.000Z  50.5  bot\\u001b[2J shop/refund,"
        " until 2026-11-23T12:48:00.000Z",
        "          these are the newest; `intended audit export` has them all",
    ]


def test_an_account_of_which_nothing_is_spent_is_short() -> None:
    """There is nothing to come back, and no entry."""
    found = {**ACCOUNT, **NONE, "counts": "calls", "per": "tenant", "entries": [], "entriesComplete": True}
    assert list(lines(found, NOW)) == [
        "refunds: calls of each tenant within 1d, declared in money.yaml, line 5",
        "account   tenant bot",
        "spent     0",
        "limits    none that a rule names in a plain form; see the conditions",
    ]
