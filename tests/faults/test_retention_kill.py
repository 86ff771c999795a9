"""Killed between any slices, or in one, the removal of old rows has lost nothing: what went is told by the chain."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.retention import APPROVAL, read_kept_approval
from gateway.core.rows import (
    HeldApproval,
    IntentState,
    approval_key,
    asked_key,
    input_key,
    intent_key,
    pending_key,
    read_approval,
)
from gateway.core.submission import IntentStatus
from gateway.services.audit_query import verify
from gateway.store.sqlite.index import SqliteIndex
from gateway.store.sqlite.store import DATABASE, SqliteStore, open_store
from gateway.telemetry.clock import SystemClock
from tests.services.test_lease_terms import HELD
from tests.simulate.embedded import options

ROOT = Path(__file__).parents[2]
CLOSED, OPEN = 30, 4
LONG_AGO = "2020-01-01T00:00:00.000Z"


def approval(number: int) -> HeldApproval:
    """Return an approval of long ago; the last few still wait, as no approval could."""
    one = replace(
        HELD.approval, id=f"apr_{number:03}", tenant="default", intent_id=f"int_{number:03}", created=LONG_AGO
    )
    if number < CLOSED:
        one = replace(one, state=ApprovalState.DENIED, resolved=LONG_AGO, resolved_by="ps_1", rationale=f"no {number}")
    return replace(HELD, approval=one)


async def fill(store: SqliteStore) -> None:
    for number in range(CLOSED + OPEN):
        held = approval(number)
        one = held.approval
        state = IntentState(
            status=IntentStatus.PENDING, agent="bot", credential="key_1", submitted=False, approval_id=one.id
        )
        puts = [
            Put(key=approval_key(one.id), value=held.written()),
            Put(key=asked_key(one.id), value=b"%d" % (number + 1)),
            Put(key=intent_key(one.intent_id), value=state.written()),
        ]
        if number >= CLOSED:
            puts += [Put(key=pending_key(one.id), value=b"1"), Put(key=input_key(one.id), value=b"sealed")]
        draft = EntryDraft(
            tenant="default",
            id=f"evt_{number}",
            type=EntryType.CALL_DECIDED,
            time=LONG_AGO,
            intent_id=one.intent_id,
            effect="ESCALATE",
            body=orjson.dumps({"approvalId": one.id}),
            puts=tuple(puts),
        )
        await store.append(draft)


async def left(folder: Path) -> int:
    """Open the store as a start does; each approval is there whole, or told whole. Return how many are there."""
    store = await open_store(options(folder), SystemClock())
    index = SqliteIndex(folder / "data" / DATABASE)
    rows = 0
    try:
        assert (await verify(store, "default")).valid
        for number in range(CLOSED + OPEN):
            held = approval(number)
            one = held.approval
            keys = (approval_key(one.id), asked_key(one.id), intent_key(one.intent_id))
            found = [await store.get("default", key) for key in keys]
            told = await index.held_one("default", APPROVAL, id=one.id)
            assert told is not None
            if found[0] is None:
                assert number < CLOSED, "what is open never goes"
                assert found == [None, None, None]
                kept = read_kept_approval("default", told.kept or b"")
                assert kept.approval == held.approval
                assert (kept.asked, kept.votes, kept.used) == (number + 1, held.votes, held.used)
            else:
                rows += 1
                assert None not in found
                assert told.kept is None
                assert read_approval("default", found[0].value, 0) == held
    finally:
        await store.aclose()
    return rows


def removing(folder: Path, slices: int) -> bool:
    """Let a process remove rows, kill it after so many slices, and return whether it had come to its end."""
    command = [sys.executable, "-m", "tests.faults.retention_kill", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [line for line, _ in zip(child.stdout, range(slices), strict=False)]
        if len(said) == slices:
            child.kill()
        assert child.wait(timeout=30) in (0, -9)
    return len(said) < slices


async def test_killed_after_any_slice_nothing_is_lost_and_the_next_process_goes_on(tmp_path: Path) -> None:
    """Ours: a slice is one transaction; nothing but what is dead goes, and what went is told as before."""
    store = await open_store(options(tmp_path), SystemClock())
    await fill(store)
    await store.aclose()
    there = await left(tmp_path)
    assert there == CLOSED + OPEN
    for slices in (1, 3, 2):
        assert not removing(tmp_path, slices)
        now = await left(tmp_path)
        assert now <= there - 3 * slices
        there = now
    assert removing(tmp_path, 1000)
    assert await left(tmp_path) == OPEN
