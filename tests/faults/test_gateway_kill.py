"""Killed at random moments under load, the gateway has executed nothing unrecorded and lost nothing it has answered."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults.gateway_kill import MUST_BE_ZERO, READY_S, judge, judge_start
from tests.faults.ledger import Entry

ROOT = Path(__file__).parents[2]


def killed(rounds: int) -> dict[str, Any]:
    """Run so many rounds in a process of their own, which has no threads and can fork."""
    command = [sys.executable, "-m", "tests.faults.gateway_kill", "--rounds", str(rounds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=rounds * 10, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    total: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(done.stdout)
    assert {name: total[name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0)
    assert total["rounds"] == rounds
    assert total["executed"] > rounds
    assert total["rounds_in_doubt"] > 0
    assert total["killed_while_starting"] > 0
    return total


def test_thirty_kills_leave_nothing_unrecorded_twice_lost_or_broken() -> None:
    """Issue, "What it must show": kill -9 at random moments under load, on one store from round to round."""
    total = killed(30)
    assert total["ready_s"]["forked"][0] < READY_S
    assert total["ready_s"]["command, CPU"][0] < READY_S


@pytest.mark.full
def test_a_thousand_kills_do_not_either() -> None:
    """Issue, "What it must show": 1,000 rounds by a command."""
    killed(1000)


# --- the counting itself ----------------------------------------------------------------------------------------------


def decided(call: str, effect: str, intent: str) -> Entry:
    fields = {"type": "call.decided", "effect": effect, "intentId": intent}
    return Entry(fields, {"call": {"arguments": {"call": call}}})


def completed(intent: str, reason: str = "ok") -> Entry:
    return Entry({"type": "call.completed", "intentId": intent, "reasons": [reason]}, {})


def executed(call: str, *, allowed: bool = True) -> dict[str, Any]:
    return {"call": call, "allowed": allowed}


ALLOWED = [decided("a-ALLOW", "ALLOW", "i"), completed("i")]


@pytest.mark.parametrize(
    ("journal", "answered", "entries", "wrong"),
    [
        ([executed("a-ALLOW")], {"a-ALLOW": "ALLOW"}, ALLOWED, {}),
        ([executed("a-ALLOW")], {}, [], {"unaudited"}),
        ([executed("a-ALLOW")], {}, [decided("a-ALLOW", "DENY", "i")], {"unaudited"}),
        ([executed("a-ALLOW", allowed=False)], {}, ALLOWED, {"not_before"}),
        ([executed("a-ALLOW"), executed("a-ALLOW")], {}, ALLOWED, {"twice"}),
        ([executed("a-DENY")], {}, [decided("a-DENY", "ALLOW", "i")], {"forbidden"}),
        ([], {"a-DENY": "DENY"}, [], {"lost"}),
        ([], {"a-ALLOW": "ALLOW"}, ALLOWED[:1], {"lost"}),
        ([], {"a-ALLOW": "DENY"}, ALLOWED, {"wrong_answers", "lost"}),
        ([], {"a-ALLOW": "ERROR"}, ALLOWED, {}),
        ([executed("a-ALLOW")], {"a-ALLOW": "UNRUN"}, ALLOWED, {"wrong_answers"}),
    ],
)
def test_a_wrong_order_or_a_loss_is_counted(
    journal: list[dict[str, Any]], answered: dict[str, str], entries: list[Entry], wrong: set[str]
) -> None:
    """A count of 0 proves something only where the fault would have been counted."""
    total: Counter[str] = Counter()
    judge(total, journal, answered, entries)
    assert {name for name in MUST_BE_ZERO if total[name]} == set(wrong)


LISTS_I = "1 call was allowed before the last stop, with no outcome: int_i. They may"


@pytest.mark.parametrize(
    ("in_doubt", "talk", "entries", "wrong"),
    [
        ({"int_i"}, LISTS_I, [completed("int_i", "in-doubt")], {}),
        ({"int_i"}, "", [completed("int_i", "in-doubt")], {"unlisted"}),
        ({"int_o"}, LISTS_I, [completed("int_o", "in-doubt")], {"unlisted"}),
        ({"int_i"}, LISTS_I, [], {"unclosed"}),
        (set(), "", [completed("int_i", "in-doubt")], {"broken"}),
    ],
)
def test_a_call_in_doubt_that_a_start_passes_over_is_counted(
    in_doubt: set[str], talk: str, entries: list[Entry], wrong: set[str]
) -> None:
    """As above."""
    total: Counter[str] = Counter()
    judge_start(total, in_doubt, talk, entries)
    assert {name for name in MUST_BE_ZERO if total[name]} == set(wrong)
