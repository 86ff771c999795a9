"""What one transaction writes: drafts in their order, each for itself, nothing remembered before it is committed."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from gateway.core.audit.chain import first_prev
from gateway.core.audit.entry import EntryDraft, Expect, Put
from gateway.errors import AuditUnavailable
from gateway.ports import Appended, Conflict
from gateway.store.headcopy import Head
from gateway.store.sealing import Sealer
from gateway.store.sqlite import recorder as recorder_module
from gateway.store.sqlite.recorder import Outcome, Recorder
from gateway.store.sqlite.schema import connect, migrate
from tests.simulate.embedded import draft


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "audit.db"
    path.touch()
    with closing(connect(path, wait_s=0.1)) as opened:
        migrate(opened)
        yield opened


def transact(connection: sqlite3.Connection, recorder: Recorder, *drafts: EntryDraft) -> Sequence[Outcome]:
    connection.execute("BEGIN IMMEDIATE")
    recorded = recorder.record(drafts, now=7)
    connection.execute("COMMIT")
    recorder.committed(recorded)
    return recorded.outcomes


def count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_heads_are_found_again_in_the_rows(connection: sqlite3.Connection) -> None:
    """Ours: the chain itself is the only record of where it ends."""
    recorder = Recorder(connection, None)
    assert recorder.heads() == {}
    transact(connection, recorder, *(draft(tenant=tenant) for tenant in ("b", "a", "b", "ä", "b")))
    assert {tenant: head.seq for tenant, head in recorder.heads().items()} == {"a": 1, "b": 3, "ä": 1}
    assert Recorder(connection, None).heads() == recorder.heads()


@pytest.mark.parametrize("number", [1, 2, 31, 32, 33, 63, 64, 65, 97, 200])
def test_a_batch_of_any_size_is_written_whole(connection: sqlite3.Connection, number: int) -> None:
    """Ours: rows go into statements of several sizes; none may be lost or come twice where the sizes meet."""
    recorder = Recorder(connection, Sealer(bytes(32)))
    calls = [f"int_{each}" for each in range(number)]
    opening = [
        draft(intent_id=call, evaluation_input=b"{}", opens=True, puts=(Put(key=call, value=b"1"),)) for call in calls
    ]
    transact(connection, recorder, *opening)
    for table in ("entries", "inputs", "open_calls", "state"):
        assert count(connection, table) == number
    closing = [draft(intent_id=call, closes=True, puts=(Put(key=call, value=None),)) for call in calls]
    transact(connection, recorder, *closing)
    assert [count(connection, table) for table in ("entries", "open_calls", "state")] == [2 * number, 0, 0]
    kept = connection.execute("SELECT n, seq, intent_id FROM entries ORDER BY n").fetchall()
    assert kept == [(at, at, calls[(at - 1) % number]) for at in range(1, 2 * number + 1)]


def test_what_was_rolled_back_is_forgotten(connection: sqlite3.Connection) -> None:
    """Ours: the next transaction begins where the last committed one ended, not where a failed one was."""
    recorder = Recorder(connection, None)
    connection.execute("BEGIN IMMEDIATE")
    recorder.record([draft(puts=(Put(key="k", value=b"1"),))], now=7)
    connection.execute("ROLLBACK")
    assert recorder.heads() == {}
    (outcome,) = transact(connection, recorder, draft(expects=(Expect(key="k", version=0),)))
    assert isinstance(outcome, Appended)
    assert recorder.heads() == {"default": Head(seq=1, hash=outcome.hash)}
    assert first_prev("default").hex() in str(connection.execute("SELECT content FROM entries").fetchone()[0])


def test_conditions_are_judged_in_the_order_of_the_drafts(connection: sqlite3.Connection) -> None:
    """Design, "Conditional append": what an earlier draft of the transaction wrote counts for a later one."""
    take = {"expects": (Expect(key="k", version=0),), "puts": (Put(key="k", value=b"mine"),)}
    outcomes = transact(
        connection,
        Recorder(connection, None),
        draft(**take),
        draft(**take),
        draft(expects=(Expect(key="k", version=1),), puts=(Put(key="k", value=None),)),
        draft(**take),
    )
    assert [type(outcome) for outcome in outcomes] == [Appended, Conflict, Appended, Appended]
    assert [outcome.seq for outcome in outcomes if isinstance(outcome, Appended)] == [1, 2, 3]
    assert connection.execute("SELECT version, value FROM state").fetchall() == [(2, b"mine")]
    assert connection.execute("SELECT version FROM state_floor").fetchall() == [(1,)]


def test_only_conflicts_write_nothing(connection: sqlite3.Connection) -> None:
    """Design, "Conditional append": a conflict leaves neither entry, row nor call."""
    conditions = {"expects": (Expect(key="k", version=3),), "puts": (Put(key="p", value=b""),)}
    stale = draft(**conditions, opens=True, evaluation_input=b"x")
    (outcome,) = transact(connection, Recorder(connection, Sealer(bytes(32))), stale)
    assert outcome == Conflict(key="k")
    assert [count(connection, table) for table in ("entries", "state", "open_calls", "inputs")] == [0, 0, 0, 0]


def test_a_call_that_is_closed_and_opened_again_in_one_transaction_is_open(connection: sqlite3.Connection) -> None:
    """Ours: an approved call goes on under its first intent; the last word counts."""
    recorder = Recorder(connection, None)
    opens, closes = draft(intent_id="int_1", opens=True), draft(intent_id="int_1", closes=True)
    transact(connection, recorder, opens, closes)
    assert count(connection, "open_calls") == 0
    transact(connection, recorder, opens, closes, opens)
    assert connection.execute("SELECT seq FROM open_calls").fetchall() == [(5,)]


@pytest.mark.parametrize("broken", [{"body": "text"}, {"risk": 1.5}, {"tool": "\ud800"}, {"evaluation_input": 7}])
def test_a_draft_of_the_wrong_form_fails_alone(connection: sqlite3.Connection, broken: dict[str, object]) -> None:
    """Ours: a mistake in one caller must not cost the others their record."""
    outcomes = transact(connection, Recorder(connection, Sealer(bytes(32))), draft(), draft(**broken), draft())
    assert [type(outcome) for outcome in outcomes] == [Appended, AuditUnavailable, Appended]
    assert count(connection, "entries") == 2


def test_an_input_is_written_sealed_with_its_time_or_not_at_all(connection: sqlite3.Connection) -> None:
    """Issue, "Audit": encrypted under the data key; without one never written."""
    transact(connection, Recorder(connection, None), draft(evaluation_input=b"whole"))
    assert count(connection, "inputs") == 0
    transact(connection, Recorder(connection, Sealer(bytes(32))), draft(evaluation_input=b"whole"), draft())
    ((n, written, sealed),) = connection.execute("SELECT * FROM inputs")
    assert (n, written) == (2, 7)
    assert b"whole" not in sealed


@pytest.mark.parametrize("kept", [10_000, 2])
def test_versions_that_are_remembered_are_those_of_the_rows(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """A version that is wrong would let a decision be recorded behind the switch that stops it."""
    monkeypatch.setattr(recorder_module, "VERSIONS_KEPT", kept)
    recorder = Recorder(connection, None)

    def taken(*drafts: EntryDraft) -> list[bool]:
        return [isinstance(one, Appended) for one in transact(connection, recorder, *drafts)]

    def expecting(version: int, *puts: Put) -> EntryDraft:
        return draft(expects=(Expect(key="switches", version=version),), puts=puts)

    change, gone = Put(key="switches", value=b"x"), Put(key="switches", value=None)
    assert taken(expecting(0), expecting(0, change), expecting(0), expecting(1)) == [True, True, False, True]
    assert taken(expecting(1), expecting(0), expecting(1, gone), expecting(1)) == [True, False, True, False]
    assert taken(draft(puts=(Put(key="other", value=b"y"),)), expecting(0)) == [True, True]
    assert taken(expecting(0, change)) == [True]
    version = connection.execute("SELECT version FROM state WHERE key = 'switches'").fetchone()[0]
    assert taken(expecting(version - 1), expecting(version)) == [False, True]


def test_a_version_that_was_rolled_back_is_not_remembered(connection: sqlite3.Connection) -> None:
    """And after a failure whose extent is not known, none is: the rows are read again."""
    recorder = Recorder(connection, None)
    change = draft(puts=(Put(key="switches", value=b"x"),))
    connection.execute("BEGIN IMMEDIATE")
    recorder.record([change], now=7)
    connection.execute("ROLLBACK")
    rests = draft(expects=(Expect(key="switches", version=0),))
    assert isinstance(transact(connection, recorder, rests)[0], Appended)
    connection.execute("INSERT INTO state SELECT tenant, 'switches', 9, x'' FROM entries LIMIT 1")
    recorder.reload()
    assert transact(connection, recorder, rests) == [Conflict(key="switches")]


def test_a_version_is_read_once_and_not_for_every_transaction(connection: sqlite3.Connection) -> None:
    """Every decision expects the same few rows, and a statement lets go of the interpreter's lock five times."""
    recorder = Recorder(connection, None)
    rests = draft(expects=(Expect(key="switches", version=0), Expect(key="trust:bot", version=0)))
    asked: list[str] = []
    transact(connection, recorder, rests)
    connection.set_trace_callback(asked.append)
    for _ in range(3):
        transact(connection, recorder, rests)
    connection.set_trace_callback(None)
    assert [one for one in asked if "FROM state " in one] == []


def test_no_statement_of_a_transaction_goes_through_a_whole_table(connection: sqlite3.Connection) -> None:
    """A row that is removed, as by each answer of a human, must not cost more with every row that there is."""
    statements: list[str] = []
    puts = tuple(Put(key=f"row:{number}", value=b"x") for number in range(3))
    transact(connection, Recorder(connection, None), draft(puts=puts))
    recorder = Recorder(connection, None)
    connection.set_trace_callback(statements.append)
    gone = tuple(Put(key=put.key, value=None) for put in puts)
    transact(connection, recorder, draft(expects=(Expect(key="row:1", version=1),), puts=gone))
    connection.set_trace_callback(None)
    assert count(connection, "state") == 0
    changes = [one for one in statements if "state" in one]
    assert any(one.startswith("DELETE FROM state") for one in changes)
    for statement in changes:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not any(step.startswith("SCAN state") and "state_floor" not in step for step in plan), (statement, plan)
