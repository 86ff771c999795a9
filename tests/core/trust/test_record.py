"""What is kept of an agent, and that it comes back as it was written."""

import orjson
from hypothesis import given, settings

from gateway.core.trust.evidence import Change, Evidence, EvidenceKind
from gateway.core.trust.record import NEW, Record, read_record
from tests.simulate.trust import act, histories, lived


@settings(deadline=None, max_examples=100)
@given(histories())
def test_a_record_comes_back_as_it_was_written(told: list[Evidence | Change]) -> None:
    """Snapshots must be the record itself, to the last millionth: else live state and log would differ."""
    record = lived(told)
    assert read_record(record.written()) == record
    assert read_record(record.written()).written() == record.written()  # type: ignore[union-attr]


def test_a_record_of_another_version_of_the_model_is_not_taken() -> None:
    """Its numbers mean something else; the log tells what they are by now."""
    version, *fields = orjson.loads(NEW.written())
    assert read_record(orjson.dumps([version + 1, *fields])) is None


def test_a_record_stays_small_however_long_the_life() -> None:
    """It is written with each snapshot, for every agent."""
    told = [
        act(kind, risk=60, day=number // 20, what=2**31 + number, seq=10**9 + number)
        for number in range(2000)
        for kind in (EvidenceKind.EXECUTED, EvidenceKind.DENIED)
    ]
    assert len(lived(told).written()) < 1024


def test_the_counts_are_by_kind() -> None:
    """They are shown to people: each act counts, also where it weighs nothing."""
    record = lived([act(EvidenceKind.EXECUTED), act(EvidenceKind.EXECUTED), act(EvidenceKind.REJECTED)])
    assert Record(counts=record.counts).counts == (2, 0, 0, 0, 0, 0, 0, 1)
