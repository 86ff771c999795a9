"""Whose doing failures are: each upstream's own row, what the agent does itself, and what ends which."""

from typing import Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.methods import BY_UPSTREAM
from gateway.core.trust.evidence import ChangeKind, EvidenceKind
from gateway.core.trust.failing import NO_ROW, Failing, failing_after, failing_allowed, read_failing
from gateway.core.trust.fold import FAILURES
from tests.simulate.trust import act, changed, entry

T0: Final = "2026-01-01T12:00:00.000Z"
T1: Final = "2026-01-02T12:00:00.000Z"
Told = tuple[EvidenceKind, str, int]

ALLOWED: Final = entry(EntryType.CALL_DECIDED, effect="ALLOW", reasons=("policy-allow", "all"))


def failing(*told: Told | EntryDraft) -> Failing | None:
    found = None
    for one in told:
        if not isinstance(one, EntryDraft):
            kind, upstream, day = one
            found = failing_after(found, act(kind, day=day), upstream)
        elif found is not None:
            found = failing_allowed(found, one)
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
    assert found == Failing(denied=(1, T0), reported=(1, T1), at={"a": (2, T1)})
    assert found.own() == (2, T1)


def test_what_any_number_of_upstreams_answer_is_never_held_against_the_agent_elsewhere() -> None:
    """Whoever answers every call with an error would choose, alone or with others, when its callers stand still."""
    found = failing(*[(EvidenceKind.FAILED, one, 1) for one in ("hostile", "accomplice", "third")] * 50)
    assert found is not None
    assert found.own() == (0, "")
    more = failing(*[(EvidenceKind.DENIED, "b", 0)] * 2, *[(EvidenceKind.FAILED, "hostile", 1)] * 50)
    assert more is not None
    assert more.own() == (2, T0), "nor do they make the while longer"


def test_a_success_ends_what_is_the_agents_own_and_the_row_of_its_upstream_only() -> None:
    """A server that always fails is not well because another one is."""
    before = (
        (EvidenceKind.FAILED, "a", 0),
        (EvidenceKind.FAILED, "b", 0),
        (EvidenceKind.DENIED, "a", 0),
        (EvidenceKind.CLAIMED_FAILED, "", 0),
    )
    assert failing(*before, (EvidenceKind.EXECUTED, "a", 0)) == Failing(at={"b": (1, T0)})
    assert failing(*before, (EvidenceKind.CLAIMED, "a", 0)) == Failing(at={"a": (1, T0), "b": (1, T0)})
    assert failing(*before, (EvidenceKind.EXECUTED, "a", 0), (EvidenceKind.EXECUTED, "b", 0)) is None
    assert failing((EvidenceKind.EXECUTED, "a", 0)) is None


def test_what_is_allowed_ends_a_row_of_denials_before_it_has_succeeded() -> None:
    """A slow call, or one that a crash cut off, has been allowed all the same: its agent does not only what it must
    not."""
    denied = [(EvidenceKind.DENIED, "a", 0)] * 19
    assert failing(*denied, ALLOWED) is None
    assert failing(*denied, ALLOWED, *denied) == Failing(denied=(19, T0))


def test_what_is_allowed_ends_no_failures_of_calls_that_were_allowed_too() -> None:
    """A loop of failing calls is allowed each of them."""
    failed = ((EvidenceKind.FAILED, "a", 0), (EvidenceKind.CLAIMED_FAILED, "", 0))
    assert failing(*failed, ALLOWED) == failing(*failed)
    assert failing(*failed, (EvidenceKind.DENIED, "a", 1), ALLOWED) == failing(*failed)
    for one in failed:
        assert failing(one, (EvidenceKind.DENIED, "a", 1), ALLOWED) == failing(one)


@pytest.mark.parametrize(
    "other",
    [
        entry(EntryType.CALL_DECIDED, effect="ESCALATE", reasons=("policy-escalate",)),
        entry(EntryType.CALL_DECIDED, effect="DENY", reasons=("busy",)),
        entry(EntryType.CALL_COMPLETED, reasons=("upstream-failed",)),
        entry(EntryType.CALL_DECIDED, effect="ALLOW", reasons=("policy-allow", BY_UPSTREAM)),
    ],
)
def test_nothing_else_that_is_no_evidence_ends_a_row_of_denials(other: EntryDraft) -> None:
    """A server that may ask its agent something would release one that does only what it must not."""
    found = failing((EvidenceKind.DENIED, "a", 0))
    assert found is not None
    assert failing_allowed(found, other) is found


def test_a_change_of_trust_changes_no_failures() -> None:
    """A human's word is no success of the agent's."""
    found = failing((EvidenceKind.DENIED, "a", 0))
    assert failing_after(found, changed(ChangeKind.FROZEN), "") is found
    assert failing_after(None, changed(ChangeKind.FROZEN), "") is None


TOLD = st.tuples(st.sampled_from(EvidenceKind), st.sampled_from(["a", "b", "c"]), st.integers(0, 9))


@given(st.lists(TOLD | st.just(ALLOWED)))
def test_failures_are_those_that_were_told_and_survive_being_written(told: list[Told | EntryDraft]) -> None:
    """Nothing but failures opens a circuit, in whatever order entries come; a restart opens the same ones."""
    found = failing(*told)
    failures = [one for one in told if not isinstance(one, EntryDraft) and one[0] in FAILURES]
    if found is None:
        return
    assert read_failing(orjson.loads(found.written())) == found
    rows = [found.denied, found.reported, *found.at.values()]
    assert 0 < sum(count for count, _ in rows) <= len(failures)
    assert all(bool(last) is bool(count) for count, last in (*rows, found.own()))


@pytest.mark.parametrize("kind", [EvidenceKind.FAILED, EvidenceKind.DENIED, EvidenceKind.CLAIMED_FAILED])
def test_a_clock_that_goes_backwards_takes_no_failure_back(kind: EvidenceKind) -> None:
    """The last failure is the latest one."""
    found = failing((kind, "a", 1), (kind, "a", 0))
    assert found is not None
    assert {found.denied, found.reported, *found.at.values()} - {NO_ROW} == {(2, T1)}
