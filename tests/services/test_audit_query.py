"""What is told about the chain is what is in it, and an export is enough to verify it elsewhere."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, StoredEntry
from gateway.core.audit.verify import BreakKind, ExpectedHead
from gateway.errors import StoreError
from gateway.services.audit_query import decisions, export, export_line, read_export, shown, tail, verify
from tests.simulate.store import MemoryStore
from tests.simulate.verified import verified


async def filled(count: int = 3) -> MemoryStore:
    store = MemoryStore()
    for number in range(count):
        await store.append(
            EntryDraft(
                tenant="default",
                id=f"evt_{number}",
                type=EntryType.CALL_COMPLETED if number % 2 else EntryType.CALL_DECIDED,
                time="2026-11-22T08:00:00.000Z",
                intent_id=f"int_{number // 2}",
                tool="tööl",
                body=b'{"shown": {"text": "t\xc3\xb6xt"}}',
                evaluation_input=None if number else b'{"whole": 1}',
            )
        )
    return store


async def test_a_whole_chain_is_found_whole() -> None:
    """Contract, section 4: verify says so, with head and root."""
    store = await filled(250)
    report = await verify(store, "default")
    assert report.valid
    assert (report.count, report.head_seq, report.head_hash) == (250, *await store.head("default"))
    point = ExpectedHead(seq=250, hash=report.head_hash, root=report.root)
    assert (await verify(store, "default", expected=[point])).valid
    assert not (await verify(store, "default", expected=[replace(point, root=bytes(32))])).valid


async def test_a_chain_that_ends_before_the_expected_head_is_found_cut() -> None:
    """Security, section 2: a cut tail must not verify as valid."""
    store = await filled()
    report = await verify(store, "default", expected=[ExpectedHead(seq=4, hash=bytes(32))])
    assert [one.kind for one in report.breaks] == [BreakKind.HEAD]


async def test_the_tail_is_shown_for_people() -> None:
    """Issue, "Audit": `intended audit tail` shows what happened, body included."""
    store = await filled()
    (entry,) = await tail(store, "default", 1)
    assert entry["seq"] == 3
    assert entry["type"] == "call.decided"
    assert entry["tool"] == "tööl"
    assert entry["body"] == {"shown": {"text": "töxt"}}
    assert entry["hash"] == (await store.head("default"))[1].hex()
    assert "whole" not in json.dumps(entry)


async def test_an_export_verifies_elsewhere_and_holds_no_evaluation_input() -> None:
    """Design, section 1: a stranger can check; and whole arguments never leave."""
    store = await filled()
    lines = [line async for line in export(store, "default")]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert b"whole" not in b"".join(lines)
    report = verified(read_export(lines), "default")
    assert report.valid
    assert (report.head_seq, report.head_hash) == await store.head("default")
    assert set(json.loads(lines[0])) == {"tenant", "seq", "hash", "content", "salt", "body"}
    assert [line async for line in export(store, "default", after=2)] == lines[2:]


async def test_a_decision_is_found_with_what_it_was_made_of() -> None:
    """Design, section 1: a verdict can be recomputed from what was kept, and it says so where that is gone."""
    store = await filled()
    (decision,) = await decisions(store, "default", "int_0")
    assert (decision.seq, decision.entry["id"]) == (1, "evt_0")
    assert decision.body == {"shown": {"text": "töxt"}}
    assert decision.evaluation_input == {"whole": 1}
    (later,) = await decisions(store, "default", "int_1")
    assert later.evaluation_input is None


def entry(content: bytes = b"{}", body: bytes = b"{}") -> StoredEntry:
    return StoredEntry(tenant="default", seq=5, hash=b"h", content=content, salt=b"s", body=body)


@pytest.mark.parametrize("damaged", [entry(content=b"{"), entry(content=b"[]"), entry(body=b"\xff")])
def test_a_damaged_entry_is_named_and_not_guessed_at(damaged: StoredEntry) -> None:
    """Ours: showing half of an entry would look like the whole."""
    with pytest.raises(StoreError, match="entry 5 of tenant 'default' is damaged"):
        shown(damaged)


def test_bytes_that_are_no_text_end_in_an_export_that_does_not_verify() -> None:
    """Ours: a damaged store can still be exported, and the damage is seen."""
    line = export_line(entry(content=b"\xff"))
    report = verified(read_export([line]), "default")
    assert not report.valid


GOOD = json.loads(export_line(entry()))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        json.dumps(GOOD | {"more": 1}).encode(),
        json.dumps(GOOD | {"seq": "5"}).encode(),
        json.dumps(GOOD | {"tenant": 5}).encode(),
        json.dumps(GOOD | {"hash": "xyz"}).encode(),
        json.dumps(GOOD | {"salt": None}).encode(),
        json.dumps(GOOD | {"content": 7}).encode(),
    ],
)
def test_a_line_that_is_no_entry_is_named_by_its_number(line: bytes) -> None:
    """Ours: an export that was damaged on its way must not pass for a shorter one."""
    with pytest.raises(StoreError, match="line 2 "):
        list(read_export([export_line(entry()), line]))


async def test_neither_verification_nor_export_reads_evaluation_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may be as large as a message, and 500 entries are read in one go: in a gateway that goes on deciding."""
    store = await filled()
    asked: list[bool] = []
    real = store.read

    def read(tenant: str, *, after: int = 0, inputs: bool = True) -> AsyncIterator[StoredEntry]:
        asked.append(inputs)
        return real(tenant, after=after, inputs=inputs)

    monkeypatch.setattr(store, "read", read)
    assert (await verify(store, "default")).valid
    assert len([line async for line in export(store, "default")]) == 3
    assert asked == [False, False]
