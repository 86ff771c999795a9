"""A row is dead when nothing that it says can have an effect any more, and not a moment before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.approvals import ApprovalState
from gateway.core.budgets import read_tally
from gateway.core.leases import LeaseState
from gateway.core.policy.document import MAX_WINDOW_S
from gateway.core.retention import (
    account_is_dead,
    approval_is_dead,
    kept_approval,
    kept_lease,
    lease_is_dead,
    read_kept_approval,
    read_kept_lease,
)
from gateway.core.rows import Vote
from tests.core.test_lease_rows import LEASE
from tests.services.test_lease_terms import ABOUT, HELD

RESOLVED, EXPIRES = "2026-11-22T12:10:00.000Z", "2026-11-22T13:00:00.000Z"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "used", "dead_at"),
    [
        (ApprovalState.DENIED, False, RESOLVED),
        (ApprovalState.CANCELLED, False, RESOLVED),
        (ApprovalState.EXPIRED, False, RESOLVED),
        (ApprovalState.APPROVED, True, EXPIRES),
        (ApprovalState.FAILED, False, EXPIRES),
    ],
)
def test_an_approval_is_dead_once_it_was_closed_for_certain(state: ApprovalState, used: bool, dead_at: str) -> None:
    """When a yes was used is not on its row: at its end at the latest."""
    held = replace(HELD, approval=replace(HELD.approval, state=state, resolved=RESOLVED), used=used)
    assert approval_is_dead(held, dead_at)
    assert not approval_is_dead(held, dead_at.replace(":00.000Z", ":00.000Y"))


@pytest.mark.parametrize("state", [ApprovalState.PENDING, ApprovalState.APPROVED])
def test_an_open_approval_is_never_dead(state: ApprovalState) -> None:
    """Whatever its times say: it has to expire first, on record."""
    held = replace(HELD, approval=replace(HELD.approval, state=state, resolved=RESOLVED))
    assert not approval_is_dead(held, "9999-12-31T23:59:59.999Z")


def test_a_lease_is_dead_once_it_has_ended() -> None:
    """Out of time is not enough: its end is an entry."""
    ended = LEASE.after(LeaseState.EXPIRED, ended=RESOLVED, by="gateway", reason="")
    assert (lease_is_dead(ended, RESOLVED), lease_is_dead(ended, "2026-11-22T12:09:59.999Z")) == (True, False)
    assert not lease_is_dead(LEASE, "9999-12-31T23:59:59.999Z")


@given(
    old=st.integers(60, MAX_WINDOW_S),
    new=st.integers(60, MAX_WINDOW_S),
    ago=st.lists(st.integers(0, 2 * MAX_WINDOW_S), min_size=1, max_size=5),
)
def test_an_account_is_dead_only_where_no_window_would_count_any_of_it(old: int, new: int, ago: list[int]) -> None:
    """A policy may declare another window tomorrow: removed, the account must be what it would be then, nothing."""
    now = int(NOW.timestamp())
    tally = read_tally(None)
    for second in sorted(now - one for one in ago):
        tally = tally.at(second, old).plus(second, 5)
    if account_is_dead(tally.written(), NOW):
        assert min(ago) >= MAX_WINDOW_S
        assert tally.at(now, new).total == 0
    assert account_is_dead(tally.written(), NOW + timedelta(seconds=2 * MAX_WINDOW_S))


def test_what_is_no_tally_is_not_dead() -> None:
    """A damaged account denies; removed, it would allow."""
    assert not account_is_dead(b"2 damaged", NOW)
    assert not account_is_dead(b"1 0 5:5", NOW)


def test_what_is_kept_of_an_approval_says_all_but_what_its_use_needed() -> None:
    """It is shown and answered from that alone."""
    vote = Vote(credential="ps_1", human="usr_1", time=RESOLVED, claimed="jane", rationale='no "way"')
    approval = replace(HELD.approval, state=ApprovalState.DENIED, resolved=RESOLVED, resolved_by="ps_1")
    approval = replace(approval, resolved_by_user="usr_1")
    held = replace(
        HELD, approval=approval, votes=(vote,), rules=frozenset({("r", "d")}), key="approval-key:x", version=7
    )
    again = read_kept_approval("acme", orjson.dumps(kept_approval(held, 3)))
    shown = replace(ABOUT, pin="", args_digest="", factors=())
    assert again == replace(held, rules=frozenset(), key="", about=shown, version=0, asked=3)
    earlier = replace(held, about=None)
    assert read_kept_approval("acme", orjson.dumps(kept_approval(earlier, 0))).about is None


def test_what_is_kept_of_a_lease_is_the_lease_and_how_often_it_was_used() -> None:
    """As for an approval."""
    ended = LEASE.after(LeaseState.REVOKED, ended=RESOLVED, by="cli", reason="enough")
    assert read_kept_lease("acme", orjson.dumps(kept_lease(ended, 4))) == (ended, 4)
