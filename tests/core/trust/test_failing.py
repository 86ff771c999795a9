"""Whose doing failures are: each upstream's own row, and what is left of the agent's without any one of them."""

from typing import Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.trust.evidence import ChangeKind, EvidenceKind
from gateway.core.trust.failing import OWN, Failing, failing_after, read_failing
from gateway.core.trust.record import NEW
from tests.simulate.trust import act, changed, lived

T0: Final = "2026-01-01T12:00:00.000Z"
T1: Final = "2026-01-02T12:00:00.000Z"
Told = tuple[EvidenceKind, str, int]


def failing(*told: Told) -> Failing | None:
    found = None
    for kind, upstream, day in told:
        found = failing_after(found, act(kind, day=day), upstream)
    return found


def test_what_an_upstream_answers_is_its_own_row_and_the_rest_is_the_agents() -> None:
    """A denial names an upstream too, and is no word of that upstream."""
    found = failing(
        (EvidenceKind.FAILED, "a", 0),
        (EvidenceKind.FAILED, "a", 1),
        (EvidenceKind.DENIED, "a", 0),
        (EvidenceKind.CLAIMED_FAILED, "b", 1),
        (EvidenceKind.SLIPPED, "a", 1),
        (EvidenceKind.REJECTED, "a", 1),
        (EvidenceKind.APPROVED, "a", 1),
    )
    assert found == Failing(row={"a": (2, T1), OWN: (2, T1)}, at={"a": (2, T1)})
    assert (found.count(), found.without_worst()) == (4, (2, T1))


def test_one_upstreams_errors_are_never_held_against_the_agent_elsewhere() -> None:
    """Whoever answers every call with an error would choose when its callers stand still everywhere."""
    found = failing(*[(EvidenceKind.FAILED, "hostile", 1)] * 50)
    assert found is not None
    assert (found.count(), found.without_worst()) == (50, (0, ""))
    more = failing(*[(EvidenceKind.FAILED, "hostile", 1)] * 50, *[(EvidenceKind.FAILED, "b", 0)] * 2)
    assert more is not None
    assert more.without_worst() == (2, T0), "nor do they make the while longer"


def test_a_success_ends_the_row_and_that_of_its_upstream_only() -> None:
    """A server that always fails is not well because another one is."""
    before = ((EvidenceKind.FAILED, "a", 0), (EvidenceKind.FAILED, "b", 0), (EvidenceKind.DENIED, "a", 0))
    assert failing(*before, (EvidenceKind.EXECUTED, "a", 0)) == Failing(row={}, at={"b": (1, T0)})
    assert failing(*before, (EvidenceKind.CLAIMED, "a", 0)) == Failing(row={}, at={"a": (1, T0), "b": (1, T0)})
    assert failing(*before, (EvidenceKind.EXECUTED, "a", 0), (EvidenceKind.EXECUTED, "b", 0)) is None
    assert failing((EvidenceKind.EXECUTED, "a", 0)) is None
    assert Failing(row={}, at={"b": (1, T0)}).without_worst() == (0, "")


def test_a_change_of_trust_changes_no_failures() -> None:
    """A human's word is no success of the agent's."""
    found = failing((EvidenceKind.DENIED, "a", 0))
    assert failing_after(found, changed(ChangeKind.FROZEN), "") is found
    assert failing_after(None, changed(ChangeKind.FROZEN), "") is None


@given(st.lists(st.tuples(st.sampled_from(EvidenceKind), st.sampled_from(["a", "b", "c"]), st.integers(0, 9))))
def test_the_row_is_the_one_of_the_record_and_survives_being_written(told: list[Told]) -> None:
    """Two folds of the same entries; `agent.failures_in_row` is the record's."""
    found = failing(*told)
    record = lived([act(kind, day=day) for kind, _, day in told], NEW)
    assert (0 if found is None else found.count()) == record.failures_in_row
    if found is not None:
        assert found.row or found.at
        assert read_failing(orjson.loads(found.written())) == found
        count, last = found.without_worst()
        assert 0 <= count <= found.count()
        assert bool(last) is bool(count)


@pytest.mark.parametrize("upstream", ["a", OWN])
def test_a_clock_that_goes_backwards_takes_no_failure_back(upstream: str) -> None:
    """The last failure is the latest one."""
    found = failing((EvidenceKind.FAILED, upstream, 1), (EvidenceKind.FAILED, upstream, 0))
    assert found is not None
    assert found.at[upstream] == (2, T1)
