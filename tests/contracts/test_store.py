"""What every store does, as each of its ports says, for every adapter and for the fake.

A new store joins by adding a line to `STORES`: a function that opens a fresh one in a folder as an async context.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import anyio
import anyio.lowlevel
import pytest

from gateway.core.audit.chain import first_prev
from gateway.core.audit.entry import Count, EntryDraft, EntryType, Expect, Put, StoredEntry, Unchanged
from gateway.errors import AuditUnavailable
from gateway.ports import Appended, AuditLog, AuditReader, Conflict, Followed, OpenCall, StateRow, StateStore, UseLog
from gateway.store.sqlite.store import StoreOptions, open_store
from gateway.telemetry.clock import SystemClock
from tests.simulate.store import MemoryStore


class Store(AuditLog, StateStore, AuditReader, UseLog, Followed, Protocol):
    """All five ports at once, as every store here offers them."""


Opener = Callable[[Path], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[Store]:
    yield MemoryStore()


@asynccontextmanager
async def in_sqlite(folder: Path) -> AsyncIterator[Store]:
    opened = await open_store(StoreOptions(data=folder / "data", state=folder / "state"), SystemClock())
    try:
        yield opened
    finally:
        await opened.aclose()


STORES: dict[str, Opener] = {"memory": in_memory, "sqlite": in_sqlite}


@pytest.fixture(params=sorted(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with STORES[request.param](tmp_path) as opened:
        yield opened


def draft(**fields: object) -> EntryDraft:
    given: dict[str, object] = {
        "tenant": "default",
        "id": "evt_1",
        "type": EntryType.CALL_DECIDED,
        "time": "2026-11-22T08:00:00.000Z",
    }
    return EntryDraft(**(given | fields))  # type: ignore[arg-type]


async def appended(store: Store, **fields: object) -> Appended:
    outcome = await store.append(draft(**fields))
    assert isinstance(outcome, Appended)
    return outcome


async def chain(store: Store, tenant: str = "default") -> list[StoredEntry]:
    return [entry async for entry in store.read(tenant)]


async def test_a_fresh_store_is_ready_and_empty(store: Store) -> None:
    """Ours: an empty chain has a head, so that the first entry has something to link to."""
    assert store.ready() == ""
    assert list(await store.tenants()) == []
    assert await store.head("default") == (0, first_prev("default"))
    assert await chain(store) == []
    assert list(await store.last("default", 5)) == []
    assert list(await store.by_intent("default", "int_1")) == []
    assert list(await store.open_calls()) == []


async def test_entries_are_linked_in_the_order_of_their_appends(store: Store) -> None:
    """Design, "Audit entry v1": seq from 1 without a gap, each prev the hash of the entry before."""
    outcomes = [await appended(store, id=f"evt_{n}", tool="naïve\ttool") for n in range(3)]
    entries = await chain(store)
    assert [(one.seq, one.hash) for one in outcomes] == [(one.seq, one.hash) for one in entries]
    assert [one.seq for one in outcomes] == [1, 2, 3]
    prev = first_prev("default")
    for entry in entries:
        content = json.loads(entry.content)
        assert content["prev"] == prev.hex()
        assert content["tool"] == "naïve\ttool"
        assert hashlib.sha256(entry.content).digest() == entry.hash
        assert hashlib.sha256(entry.salt + entry.body).hexdigest() == content["bodyDigest"]
        prev = entry.hash
    assert await store.head("default") == (3, prev)


async def test_what_was_drafted_is_what_is_read(store: Store) -> None:
    """Ours: body and evaluation input come back byte for byte, whichever read is asked."""
    await appended(store, intent_id="int_1", body=b'{"shown": 1}', evaluation_input=b'{"whole": 1}')
    (entry,) = await chain(store)
    assert (entry.tenant, entry.seq, entry.body) == ("default", 1, b'{"shown": 1}')
    assert entry.evaluation_input == b'{"whole": 1}'
    assert len(entry.salt) == 16
    assert list(await store.last("default", 1)) == [entry]
    assert list(await store.by_intent("default", "int_1")) == [entry]


async def test_two_equal_bodies_have_different_digests(store: Store) -> None:
    """Design, section 4: the salt keeps a body from being guessed by its digest."""
    await appended(store, body=b"{}")
    await appended(store, body=b"{}")
    first, second = await chain(store)
    assert json.loads(first.content)["bodyDigest"] != json.loads(second.content)["bodyDigest"]


async def test_each_tenant_has_a_chain_of_its_own(store: Store) -> None:
    """Contract, section 4: one hash chain per tenant."""
    for tenant in ("b", "a", "b", "_system"):
        await appended(store, tenant=tenant)
    assert list(await store.tenants()) == ["_system", "a", "b"]
    assert [entry.seq for entry in await chain(store, "b")] == [1, 2]
    assert (await store.head("a"))[0] == 1


async def test_appends_at_the_same_time_make_one_line(store: Store) -> None:
    """Security, section 2: a chain that forks under concurrent appends is worth nothing."""
    outcomes: list[Appended] = []

    async def one(number: int) -> None:
        outcomes.append(await appended(store, id=f"evt_{number}", tenant="ab"[number % 2]))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(one, number)
    assert len(outcomes) == 200
    for tenant in "ab":
        entries = await chain(store, tenant)
        assert [entry.seq for entry in entries] == list(range(1, 101))
        prevs = [json.loads(entry.content)["prev"] for entry in entries]
        assert prevs == [first_prev(tenant).hex(), *(entry.hash.hex() for entry in entries[:-1])]


async def test_reading_begins_after_the_number_that_is_named(store: Store) -> None:
    """Ours: a reader can continue where it stopped."""
    for number in range(5):
        await appended(store, id=f"evt_{number}")
    assert [entry.seq async for entry in store.read("default", after=3)] == [4, 5]
    assert [entry.seq for entry in await store.last("default", 2)] == [4, 5]
    assert [entry.seq for entry in await store.last("default", 99)] == [1, 2, 3, 4, 5]
    assert list(await store.last("default", 0)) == []


async def test_the_entries_of_an_intent_are_found(store: Store) -> None:
    """Ours: what happened to one call is one question."""
    for intent in ("int_1", "int_2", "int_1", ""):
        await appended(store, intent_id=intent)
    assert [entry.seq for entry in await store.by_intent("default", "int_1")] == [1, 3]
    assert list(await store.by_intent("other", "int_1")) == []
    assert list(await store.by_intent("default", "")) == []


async def test_the_entries_of_an_intent_are_read_without_their_inputs_and_each_by_itself(store: Store) -> None:
    """Ours: an input may be as large as a message, and an intent may have thousands of entries."""
    for intent in ("int_1", "int_2", "int_1"):
        await appended(store, intent_id=intent, evaluation_input=b'{"whole": 1}')
    bare = await store.by_intent("default", "int_1", inputs=False)
    whole = await store.by_intent("default", "int_1")
    assert [one.evaluation_input for one in bare] == [None, None]
    assert [replace(one, evaluation_input=None) for one in whole] == list(bare)
    assert list(await store.by_intent("default", "int_1", seq=3)) == [whole[1]]
    assert list(await store.by_intent("default", "int_1", inputs=False, seq=1)) == [bare[0]]
    assert list(await store.by_intent("default", "int_1", seq=2)) == []
    assert [one.evaluation_input async for one in store.read("default", inputs=False)] == [None] * 3


async def test_a_row_is_written_with_the_entry(store: Store) -> None:
    """Design, "Conditional append": state and record change in one transaction."""
    await appended(store, expects=(Expect(key="k", version=0),), puts=(Put(key="k", value=b"one"),))
    assert await store.get("default", "k") == StateRow(key="k", version=1, value=b"one")
    await appended(store, expects=(Expect(key="k", version=1),), puts=(Put(key="k", value=b"two"),))
    assert await store.get("default", "k") == StateRow(key="k", version=2, value=b"two")
    assert await store.get("other", "k") is None


async def test_a_conflict_writes_nothing(store: Store) -> None:
    """Design, "Conditional append": a mismatch is Conflict, and neither entry nor rows are there."""
    await appended(store, puts=(Put(key="k", value=b"one"),))
    outcome = await store.append(
        draft(
            opens=True,
            intent_id="int_1",
            expects=(Expect(key="new", version=0), Expect(key="k", version=2)),
            puts=(Put(key="k", value=b"two"), Put(key="new", value=b"")),
        )
    )
    assert outcome == Conflict(key="k")
    assert await store.get("default", "k") == StateRow(key="k", version=1, value=b"one")
    assert await store.get("default", "new") is None
    assert len(await chain(store)) == 1
    assert list(await store.open_calls()) == []


@pytest.mark.parametrize("version", [1, 7])
async def test_a_row_that_is_not_there_meets_no_version(store: Store, version: int) -> None:
    """Design, "Conditional append": an approval that was consumed meanwhile must not count."""
    assert await store.append(draft(expects=(Expect(key="k", version=version),))) == Conflict(key="k")
    assert await chain(store) == []


async def test_of_many_that_expect_the_same_row_one_wins(store: Store) -> None:
    """Design, "Conditional append": single use is exact under concurrency."""
    outcomes: list[Appended | Conflict] = []

    async def one() -> None:
        outcomes.append(
            await store.append(draft(expects=(Expect(key="k", version=0),), puts=(Put(key="k", value=b"mine"),)))
        )

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(one)
    assert sum(isinstance(outcome, Appended) for outcome in outcomes) == 1
    assert outcomes.count(Conflict(key="k")) == 49
    assert len(await chain(store)) == 1
    assert await store.get("default", "k") == StateRow(key="k", version=1, value=b"mine")


async def test_a_sum_that_everybody_adds_to_is_exact(store: Store) -> None:
    """Design, "Conditional append": a budget cannot be overspent by calling at the same time."""

    async def add() -> None:
        while True:
            row = await store.get("default", "sum")
            value = (int(row.value) if row else 0) + 1
            expect = Expect(key="sum", version=row.version if row else 0)
            outcome = await store.append(draft(expects=(expect,), puts=(Put(key="sum", value=b"%d" % value),)))
            if isinstance(outcome, Appended):
                return

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(add)
    assert await store.get("default", "sum") == StateRow(key="sum", version=20, value=b"20")


async def test_entries_that_rest_on_each_other_are_all_written(store: Store) -> None:
    """Ours: who knows what those before it will write need not wait for them, and is refused where they did not."""
    outcomes: dict[int, Appended | Conflict] = {}

    async def one(number: int) -> None:
        before = b"%d" % number if number else None
        given = {"unchanged": (Unchanged(key="sum", value=before), Unchanged(key="none", value=None))}
        if number == 15:
            given["expects"] = (Expect(key="other", version=9),)
        outcomes[number] = await store.append(draft(**given, puts=(Put(key="sum", value=b"%d" % (number + 1)),)))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one, number)
    assert all(isinstance(outcomes[number], Appended) for number in range(15))
    assert [outcomes[number] for number in range(15, 20)] == [Conflict(key="other")] + [Conflict(key="sum")] * 4
    assert await store.get("default", "sum") == StateRow(key="sum", version=15, value=b"15")


async def test_a_row_that_holds_another_value_is_a_conflict(store: Store) -> None:
    """Ours: a value that came back is the same state, one that is gone or there unexpectedly is another."""
    await appended(store, puts=(Put(key="k", value=b"old"),))
    await appended(store, unchanged=(Unchanged(key="k", value=b"old"),), puts=(Put(key="k", value=b"new"),))
    for value in (b"old", None, b""):
        assert await store.append(draft(unchanged=(Unchanged(key="k", value=value),))) == Conflict(key="k")
    await appended(store, unchanged=(Unchanged(key="k", value=b"new"),), puts=(Put(key="k", value=None),))
    assert await store.append(draft(unchanged=(Unchanged(key="k", value=b"new"),))) == Conflict(key="k")
    await appended(store, unchanged=(Unchanged(key="k", value=None),), puts=(Put(key="k", value=b"old"),))
    await appended(store, unchanged=(Unchanged(key="k", value=b"old"),))
    assert len(await chain(store)) == 5


async def test_many_that_count_at_the_same_time_are_all_counted_up_to_the_most(store: Store) -> None:
    """Ours: uses of a lease are exact under concurrency, and nobody who fits in is turned away for coming together."""
    outcomes: list[Appended | Conflict] = []

    async def one() -> None:
        outcomes.append(await store.append(draft(counts=(Count(key="k", most=20), Count(key="l", most=99)))))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(64):
                group.start_soon(one)
    assert sum(isinstance(outcome, Appended) for outcome in outcomes) == 20
    assert outcomes.count(Conflict(key="k")) == 44
    assert len(await chain(store)) == 20
    assert await store.get("default", "k") == StateRow(key="k", version=20, value=b"20")
    assert await store.get("default", "l") == StateRow(key="l", version=20, value=b"20")


async def test_a_counter_goes_on_from_what_was_put_there(store: Store) -> None:
    """Ours: a counter is a row like any other, so that it can be read, set and deleted."""
    await appended(store, puts=(Put(key="k", value=b"7"),))
    await appended(store, counts=(Count(key="k", most=8),))
    assert await store.append(draft(counts=(Count(key="k", most=8),))) == Conflict(key="k")
    await appended(store, puts=(Put(key="k", value=None),))
    await appended(store, counts=(Count(key="k", most=8),))
    row = await store.get("default", "k")
    assert row is not None
    assert row.value == b"1"


async def test_what_holds_no_number_is_not_counted(store: Store) -> None:
    """Ours: a limit that cannot be read is no limit, so nothing that rests on it is recorded."""
    await appended(store, puts=(Put(key="k", value=b"many"),))
    with pytest.raises(AuditUnavailable):
        await store.append(draft(counts=(Count(key="k", most=8),)))
    assert await store.get("default", "k") == StateRow(key="k", version=1, value=b"many")
    await appended(store)


async def test_a_deleted_row_is_gone_and_its_versions_never_come_back(store: Store) -> None:
    """Ours: who read a row before it was deleted and made anew must not take the new one for the old."""
    await appended(store, puts=(Put(key="k", value=b"old"), Put(key="never", value=None)))
    old = await store.get("default", "k")
    await appended(store, puts=(Put(key="k", value=None),))
    assert await store.get("default", "k") is None
    assert await store.append(draft(expects=(Expect(key="k", version=1),))) == Conflict(key="k")
    await appended(store, expects=(Expect(key="k", version=0),), puts=(Put(key="k", value=b"new"),))
    new = await store.get("default", "k")
    assert old is not None
    assert new is not None
    assert new.version > old.version


async def test_rows_are_found_by_the_beginning_of_their_key(store: Store) -> None:
    """Ours: no sign of a prefix means anything but itself."""
    keys = ("a/1", "a/2", "a%", "a_", "b", "a/\U0001f600", "a/\uffff", "A/1")
    await appended(store, puts=tuple(Put(key=key, value=key.encode()) for key in keys))
    await appended(store, tenant="other", puts=(Put(key="a/1", value=b"theirs"),))
    assert [row.key for row in await store.scan("default", "a/")] == ["a/1", "a/2", "a/\uffff", "a/\U0001f600"]
    assert [row.value for row in await store.scan("default", "a%")] == [b"a%"]
    assert len(await store.scan("default", "")) == len(keys)
    assert list(await store.scan("default", "c")) == []


async def test_an_allowed_call_is_open_until_it_is_completed(store: Store) -> None:
    """Design, "In doubt": a decided entry without a completed one is found at start-up."""
    await appended(store, intent_id="int_1", opens=True)
    await appended(store, intent_id="int_2", opens=True, tenant="other")
    await appended(store, intent_id="int_3")
    assert list(await store.open_calls()) == [
        OpenCall(tenant="default", intent_id="int_1", seq=1),
        OpenCall(tenant="other", intent_id="int_2", seq=1),
    ]
    await appended(store, type=EntryType.CALL_COMPLETED, intent_id="int_1", closes=True)
    await appended(store, type=EntryType.CALL_COMPLETED, intent_id="int_9", closes=True)
    assert list(await store.open_calls()) == [OpenCall(tenant="other", intent_id="int_2", seq=1)]


async def test_a_follower_hears_of_each_entry_in_the_order_of_the_chain(store: Store) -> None:
    """Ours: trust and metrics are what followers make of entries; a conflict is none, and its state is there."""
    heard: list[tuple[str, int, str]] = []
    store.follow(lambda draft, appended: heard.append((draft.id, appended.seq, draft.intent_type)))

    async def append(one: EntryDraft) -> None:
        await store.append(one)

    async with anyio.create_task_group() as group:
        for number in range(20):
            one = draft(id=f"evt_{number}", intent_type="file.read", puts=(Put(key=f"k{number}", value=b"1"),))
            group.start_soon(append, one)
    assert isinstance(await store.append(draft(id="evt_no", expects=(Expect(key="k0", version=7),))), Conflict)
    assert [(id_, seq) for id_, seq, _ in heard] == [
        (json.loads(entry.content)["id"], entry.seq) for entry in await chain(store)
    ]
    assert {kind for _, _, kind in heard} == {"file.read"}
    assert len(heard) == 20


async def test_a_follower_hears_before_the_append_returns(store: Store) -> None:
    """Ours: a tier that falls by an entry has fallen before its caller can go on."""
    heard: list[int] = []
    store.follow(lambda draft, appended: heard.append(appended.seq))
    outcome = await appended(store)
    assert heard == [outcome.seq]


async def test_what_was_noted_is_kept_with_its_last_time(store: Store) -> None:
    """Contract, 1: the last use of a key is shown after a restart too."""
    assert dict(await store.uses()) == {}
    for name, at in (("key_1", "2026-11-22T08:00:00.000Z"), ("key_2", ""), ("key_1", "2026-11-22T08:01:00.000Z")):
        store.note(name, at)
    await appended(store)  # a busy store keeps notes sooner
    with anyio.fail_after(5):
        while len(await store.uses()) < 2:
            await anyio.lowlevel.checkpoint()
    assert dict(await store.uses()) == {"key_1": "2026-11-22T08:01:00.000Z", "key_2": ""}
    assert [entry.seq for entry in await chain(store)] == [1]


SURROGATES: dict[str, dict[str, object]] = {
    "tool": {"tool": "\ud800"},
    "intent": {"intent_id": "\ud800", "opens": True},
    "tenant": {"tenant": "\ud800"},
    "put": {"puts": (Put(key="\ud800", value=b""),)},
    "expect": {"expects": (Expect(key="\ud800", version=0),)},
}


@pytest.mark.parametrize("where", SURROGATES)
async def test_an_entry_that_cannot_be_written_harms_no_other(store: Store, where: str) -> None:
    """Security, 0.1: one lone surrogate in one agent's call must not stop the record for everyone."""
    recorded: list[Appended | Conflict] = []
    refused: list[AuditUnavailable] = []

    async def one(fields: dict[str, object]) -> None:
        try:
            recorded.append(await store.append(draft(**fields)))
        except AuditUnavailable as error:
            refused.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(one, SURROGATES[where] if number == 4 else {})
    assert (len(recorded), len(refused)) == (9, 1)
    assert "ud800" not in str(refused[0])
    assert [entry.seq for entry in await chain(store)] == list(range(1, 10))
    assert list(await store.tenants()) == ["default"]
    assert store.ready() == ""


async def test_rows_are_read_page_by_page_in_the_order_of_their_keys(store: Store) -> None:
    """Ours: who goes through many rows reads each once, and none of another kind or tenant."""
    keys = ["lease:1", "lease:2", "lease:3", "lease-uses:1", "leased", "é:1"]
    await appended(store, puts=tuple(Put(key=key, value=key.encode()) for key in keys))
    await appended(store, tenant="other", puts=(Put(key="lease:4", value=b"4"),))
    first = await store.page("default", "lease:", after="", limit=2)
    assert [(row.key, row.value, row.version) for row in first] == [
        ("lease:1", b"lease:1", 1),
        ("lease:2", b"lease:2", 1),
    ]
    assert first[1] == await store.get("default", "lease:2")
    await appended(store, puts=(Put(key="lease:3", value=None), Put(key="lease:5", value=b"5")))
    assert [row.key for row in await store.page("default", "lease:", after="lease:2", limit=9)] == ["lease:5"]
    assert list(await store.page("default", "lease:", after="lease:5", limit=9)) == []
    assert [row.key for row in await store.page("default", "é:", after="a", limit=9)] == ["é:1"]


async def test_keys_are_told_without_their_rows(store: Store) -> None:
    """Ours: values may be large, and sealed."""
    await appended(store, puts=tuple(Put(key=key, value=b"x" * 9) for key in ("b:2", "a:1", "b:1", "bb")))
    await appended(store, tenant="other", puts=(Put(key="b:3", value=b"4"),))
    assert list(await store.keys("default", "b:")) == ["b:1", "b:2"]
    assert list(await store.keys("nobody", "b:")) == []
