"""Of answers, calls and times out at the same moment exactly one counts."""

from dataclasses import replace
from functools import partial

import pytest

from gateway.core.approvals import Approval
from gateway.core.audit.entry import EntryType
from gateway.errors import (
    AlreadyResolved,
    StateConflict,
)
from gateway.services import approvals as module
from tests.services.approving import (
    HUMAN,
    OTHER,
    TWO,
    all_at_once,
    call,
    escalated,
    pending,
    resolve,
    times_run,
    world,
)


@pytest.mark.parametrize("answers", [(True, True), (True, False), (False, False), (True, False, True, False, True)])
async def test_of_answers_at_the_same_time_exactly_one_counts(answers: tuple[bool, ...]) -> None:
    """Whoever loses is told that it has been answered."""
    made = world()
    approval_id = await escalated(made)
    voters = [replace(HUMAN, credential=f"ps_{n}", human=f"usr_{n}", agent=f"usr-{n}") for n in range(len(answers))]
    ends = await all_at_once(
        *(partial(resolve, made, one, approval_id, approve=yes) for one, yes in zip(voters, answers, strict=True))
    )
    assert sum(isinstance(end, Approval) for end in ends) == 1
    assert sum(isinstance(end, AlreadyResolved) for end in ends) == len(answers) - 1
    assert len(made.entries(EntryType.APPROVAL_RESOLVED)) == 1


async def test_two_approvers_at_the_same_time_are_both_counted() -> None:
    """The second starts again from the first one's yes."""
    made = world(TWO)
    approval_id = await escalated(made)
    ends = await all_at_once(*(partial(resolve, made, one, approval_id) for one in (HUMAN, OTHER)))
    assert sorted(end.state for end in ends if isinstance(end, Approval)) == ["approved", "pending"]


async def test_an_approval_that_keeps_changing_is_given_up_for_this_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever."""
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    made = world(TWO)
    approval_id = await escalated(made)
    ends = await all_at_once(*(partial(resolve, made, one, approval_id) for one in (HUMAN, OTHER)))
    assert sum(isinstance(end, StateConflict) for end in ends) == 1


async def test_the_same_call_twice_at_once_waits_for_one_approval() -> None:
    """The row under the call decides; the loser finds the winner's."""
    made = world()
    ends = await all_at_once(*(partial(call, made) for _ in range(4)))
    assert len({end["approval"] for end in ends if isinstance(end, dict)}) == 1
    assert (await pending(made)).total == 1


async def test_an_approved_call_made_twice_at_once_runs_once() -> None:
    """The yes is used up in the decision's own transaction; the others are told that it runs, or did."""
    made = world()
    await resolve(made, HUMAN, await escalated(made))
    ends = await all_at_once(*(partial(call, made) for _ in range(4)))
    assert times_run(made) == 1
    assert sum(isinstance(end, dict) and end.get("outcome") in ("running", "done") for end in ends) == 3
    assert (await pending(made)).total == 0, "nobody is asked a second time"


async def test_a_yes_in_the_moment_of_a_call_is_not_lost() -> None:
    """The call either waits on or runs, once; it never opens a second approval beside a pending one."""
    made = world()
    approval_id = await escalated(made)
    await all_at_once(partial(resolve, made, HUMAN, approval_id), partial(call, made), partial(call, made))
    ran = times_run(made)
    await call(made)
    assert times_run(made) == 1
    assert ran in (0, 1)
