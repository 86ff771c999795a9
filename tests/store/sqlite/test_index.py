"""The index answers from what is durable, and is made anew whenever it does not fit the store."""

import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.projection import STATUS_AFTER, status_after
from gateway.errors import StoreError
from gateway.ports import EntryFilter, HeldFilter, HeldRow, IntentFilter
from gateway.store.sqlite import index as module
from gateway.store.sqlite.index import FILE, SqliteIndex
from gateway.store.sqlite.store import DATABASE, StoreOptions, open_store
from gateway.telemetry.clock import SystemClock
from tests.simulate.embedded import until

MANY = 6_000
GROWTH_KIB = 2048
"""It is half of that; with SQLite's own bounds (2 MB of pages of either file) and 2,000 entries at once it was 6000."""

ASKED_TWICE = """
import asyncio, re, sys
from pathlib import Path
from gateway.ports import IntentFilter
from gateway.store.sqlite.index import SqliteIndex

index = SqliteIndex(Path(sys.argv[1]))
def most_resident(tenant):
    asyncio.run(index.intents(tenant, IntentFilter(), page=1, page_size=1))
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
few = most_resident("few")
print(most_resident("many") - few)
"""
"""Says by how many KiB a process becomes larger where it takes over many entries, and not only few."""

ALL = IntentFilter()
EVERY = EntryFilter()


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_store(StoreOptions(data=tmp_path / "data", state=tmp_path / "state"), SystemClock())
    yield opened
    await opened.aclose()


@pytest.fixture
def index(tmp_path: Path, store) -> SqliteIndex:
    return SqliteIndex(tmp_path / "data" / DATABASE)


def entry(number: int, kind: EntryType, *, intent: str = "", tenant: str = "acme", **fields) -> EntryDraft:
    given = {"agent": "bot", "body": orjson.dumps({"intent": {"type": "files.read", "domain": "files"}})} | fields
    return EntryDraft(
        tenant=tenant,
        id=f"evt_{number}",
        type=kind,
        time=f"2026-01-01T00:00:{number:02}.000Z",
        intent_id=intent,
        **given,
    )


def decided(number: int, effect: str, *, intent: str, **fields) -> EntryDraft:
    return entry(number, EntryType.CALL_DECIDED, intent=intent, effect=effect, risk=number, reasons=("r",), **fields)


async def ids(index: SqliteIndex, wanted: IntentFilter = ALL, page: int = 1, page_size: int = 20) -> list[str]:
    return [row.id for row in (await index.intents("acme", wanted, page=page, page_size=page_size)).items]


async def test_what_was_appended_is_in_the_next_answer(store, index):
    """A user who creates an intent and lists expects to see it."""
    await store.append(decided(1, "ALLOW", intent="int_1"))
    assert await ids(index) == ["int_1"]
    await store.append(decided(2, "DENY", intent="int_2"))
    found = await index.intents("acme", ALL, page=1, page_size=20)
    assert [row.id for row in found.items] == ["int_2", "int_1"]
    assert found.total == 2
    first = found.items[1]
    assert (first.agent, first.domain, first.type, first.effect, first.risk) == (
        "bot",
        "files",
        "files.read",
        "ALLOW",
        1,
    )
    assert (first.created, first.updated) == ("2026-01-01T00:00:01.000Z", "2026-01-01T00:00:01.000Z")


@pytest.mark.parametrize("kind", list(STATUS_AFTER))
async def test_the_status_is_that_of_the_table_for_every_word(store, index, kind):
    """The table in the core is the rule; the index only does it for many at once."""
    words = [*STATUS_AFTER[kind], "some other word"]
    for number, word in enumerate(words, start=1):
        effect, reasons = (word, ("r",)) if kind is EntryType.CALL_DECIDED else ("", (word,))
        await store.append(decided(number, "ESCALATE", intent=f"int_{number}"))
        await store.append(entry(number + 20, kind, intent=f"int_{number}", effect=effect, reasons=reasons))
        status = status_after(kind, effect=effect, reason=word) or "pending"
        found = await index.intents("acme", IntentFilter(status=status), page=1, page_size=50)
        assert f"int_{number}" in [row.id for row in found.items]


async def test_the_last_entry_decides_also_within_one_batch(store, index):
    """Decided, approved and completed may all be new to the index at once."""
    await store.append(decided(1, "ESCALATE", intent="int_1"))
    await store.append(entry(2, EntryType.APPROVAL_RESOLVED, intent="int_1", reasons=("approved",)))
    await store.append(decided(3, "ALLOW", intent="int_1"))
    await store.append(entry(4, EntryType.CALL_COMPLETED, intent="int_1", reasons=("ok",)))
    await store.append(entry(5, EntryType.TOKEN_ISSUED, intent="int_1"))
    (row,) = (await index.intents("acme", ALL, page=1, page_size=20)).items
    assert (row.status, row.effect, row.created[-6:], row.updated[-6:]) == ("completed", "ALLOW", "1.000Z", "4.000Z")


async def test_filters_pages_and_totals_hold_together(store, index):
    """`total` counts what the filter finds, not what the page shows."""
    for number in range(1, 8):
        await store.append(
            decided(number, "ALLOW" if number % 2 else "DENY", intent=f"int_{number}", agent=f"bot-{number % 3}")
        )
    assert await ids(index, page=2, page_size=3) == ["int_4", "int_3", "int_2"]
    assert await ids(index, IntentFilter(status="rejected")) == ["int_6", "int_4", "int_2"]
    assert await ids(index, IntentFilter(agent="bot-1", domain="files", intent_type="files.read")) == [
        "int_7",
        "int_4",
        "int_1",
    ]
    window = IntentFilter(since="2026-01-01T00:00:02.000Z", until="2026-01-01T00:00:04.000Z")
    assert await ids(index, window) == ["int_3", "int_2"]
    assert (await index.intents("acme", window, page=1, page_size=1)).total == 2
    counts = await index.intent_counts("acme", ALL)
    assert counts["bot-1", "files.read", "approved"] == 2
    assert sum(counts.values()) == 7


def completed(number: int, intent: str, value: object = None, **fields) -> EntryDraft:
    body = orjson.dumps({"completion": "ok"} if value is None else {"value": value})
    return entry(number, EntryType.CALL_COMPLETED, intent=intent, reasons=("ok",), body=body, **fields)


async def test_what_was_credited_is_added_up_once_per_intent(store, index):
    """By currency, agent and the time of completion; an entry says what was earned, whatever the amounts are today."""
    for number in range(1, 6):
        await store.append(decided(number, "ALLOW", intent=f"int_{number}", agent=f"bot-{number % 2}"))
    await store.append(completed(11, "int_1", {"cents": 250, "type": "revenue", "currency": "USD"}))
    await store.append(completed(12, "int_2", {"cents": 50, "type": "revenue", "currency": "USD"}))
    assert await index.earned("acme") == {"USD": 300}
    await store.append(completed(13, "int_2", {"cents": 50, "type": "revenue", "currency": "USD"}))
    await store.append(completed(14, "int_3", {"cents": 7, "type": "other", "currency": "EUR"}))
    await store.append(completed(15, "int_4"))
    assert await index.earned("acme") == {"USD": 300, "EUR": 7}
    assert await index.earned("acme", agent="bot-1") == {"USD": 250, "EUR": 7}
    assert await index.earned("acme", since="2026-01-01T00:00:12.000Z") == {"USD": 50, "EUR": 7}
    assert await index.earned("other") == {}


@pytest.mark.parametrize(
    "value", [{"cents": "9", "currency": "USD"}, {"cents": 9.5, "currency": "USD"}, {"cents": 9}, 9]
)
async def test_a_credit_that_is_none_is_left_out(store, index, value):
    """A damaged body must not keep the index from everything else."""
    await store.append(decided(1, "ALLOW", intent="int_1"))
    await store.append(completed(2, "int_1", value))
    assert await index.earned("acme") == {}
    assert await ids(index, IntentFilter(status="completed")) == ["int_1"]


async def test_entries_are_found_by_type_agent_upstream_time_and_place(store, index):
    """`GET /v1/audit` and the timeline."""
    await store.append(decided(1, "ALLOW", intent="int_1", upstream="files"))
    await store.append(entry(2, EntryType.KEY_CREATED, agent="", body=b"{}"))
    await store.append(entry(3, EntryType.CALL_COMPLETED, intent="int_1", reasons=("ok",), upstream="files"))

    async def seqs(wanted: EntryFilter) -> list[int]:
        return [one.seq for one in (await index.entries("acme", wanted, page=1, page_size=20)).items]

    assert await seqs(EVERY) == [3, 2, 1]
    assert await seqs(EntryFilter(type="key.created")) == [2]
    assert await seqs(EntryFilter(agent="bot", upstream="files")) == [3, 1]
    assert await seqs(EntryFilter(since="2026-01-01T00:00:02.000Z", until="2026-01-01T00:00:03.000Z")) == [2]
    assert await seqs(EntryFilter(before=3)) == [2, 1]
    (newest, *_) = (await index.entries("acme", EVERY, page=1, page_size=1)).items
    assert newest == (await store.last("acme", 1))[0]


async def test_tenants_never_see_each_others_records(store, index):
    """One file holds all tenants."""
    await store.append(decided(1, "ALLOW", intent="int_1"))
    await store.append(decided(1, "ALLOW", intent="int_x", tenant="other"))
    assert await ids(index) == ["int_1"]
    assert (await index.entries("other", EVERY, page=1, page_size=9)).total == 1
    assert (await index.intents("nobody", ALL, page=1, page_size=9)).total == 0


@pytest.mark.parametrize("content", [b"no database", b""], ids=["garbage", "empty"])
async def test_a_damaged_index_is_made_anew(store, index, tmp_path, content):
    """The file is worth nothing; a user must not have to know that it exists."""
    await store.append(decided(1, "ALLOW", intent="int_1"))
    assert await ids(index) == ["int_1"]
    (tmp_path / "data" / FILE).write_bytes(content * 100)
    assert await ids(index) == ["int_1"]


async def test_an_index_of_another_version_or_another_store_is_made_anew(store, index, tmp_path):
    """After an update, and after a restore of the store alone."""
    await store.append(decided(1, "ALLOW", intent="int_1"))
    await ids(index)
    with closing(sqlite3.connect(tmp_path / "data" / FILE)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert await ids(index) == ["int_1"]
    with closing(sqlite3.connect(tmp_path / "data" / FILE)) as connection:
        connection.execute("UPDATE intents SET id = 'int_of_another_store'")
        connection.execute("UPDATE progress SET hash = x'00'")
        connection.commit()
    assert await ids(index) == ["int_1"]


async def test_more_than_one_batch_is_taken_over(store, index, monkeypatch):
    """Batches are cut by sequence number; nothing may fall between two."""
    monkeypatch.setattr(module, "BATCH", 2)
    for number in range(1, 6):
        await store.append(decided(number, "ALLOW", intent=f"int_{number}"))
    assert len(await ids(index)) == 5


async def test_an_answer_that_is_not_up_to_date_is_no_answer(store, index, monkeypatch):
    """A list that silently lacks the newest would be taken for the truth."""
    monkeypatch.setattr(module, "TAKE_OVER_S", -1.0)
    await store.append(decided(1, "ALLOW", intent="int_1"))
    monkeypatch.setattr(module, "BATCH", 1)
    await store.append(decided(2, "ALLOW", intent="int_2"))
    with pytest.raises(StoreError, match="not up to date") as caught:
        await ids(index)
    assert caught.value.retry_after_s >= 1
    with pytest.raises(StoreError, match="not up to date") as caught:
        await ids(index)
    assert caught.value.retry_after_s == 0, "it is all taken over"
    assert await ids(index) == ["int_2", "int_1"]


async def test_a_store_that_is_gone_is_an_error(tmp_path):
    """No store, no answer; least of all an empty list."""
    (tmp_path / "data").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        await ids(SqliteIndex(tmp_path / "data" / DATABASE))


async def looked(index: SqliteIndex) -> bool:
    """Let the index look by itself once; returns whether it goes on at once."""
    return await index._file.ask(anyio.Lock(), index._catch_up_all, failed="")


async def test_the_index_catches_up_by_itself_when_far_behind(store, index, monkeypatch, tmp_path):
    """The first question after a busy day must not wait for all of it."""
    monkeypatch.setattr(module, "BEHIND", 0)
    await store.append(decided(1, "ALLOW", intent="int_1"))
    await looked(index)
    with closing(sqlite3.connect(tmp_path / "data" / FILE)) as connection:
        assert connection.execute("SELECT count(*) FROM intents").fetchone() == (1,)


async def test_far_behind_it_goes_on_in_small_steps_with_rests_between_them(store, index, monkeypatch, tmp_path):
    """An upgrade makes it anew: nobody needs to ask for that, and calls that come meanwhile are to keep their pace."""
    for name, value in {
        "BEHIND": 0,
        "BATCH": 1,
        "AT_ONCE": 2,
        "FIRST_LOOK_S": 0,
        "REST_S": 0,
        "LOOK_EVERY_S": 60,
    }.items():
        monkeypatch.setattr(module, name, value)
    for number in range(1, 6):
        await store.append(decided(number, "ALLOW", intent=f"int_{number}"))
    assert [await looked(index) for _ in range(3)] == [True, True, False]
    (tmp_path / "data" / FILE).unlink()
    with closing(sqlite3.connect(tmp_path / "data" / FILE)) as connection:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(index.run)

            def taken() -> int:
                try:
                    return connection.execute("SELECT count(*) FROM intents").fetchone()[0]
                except sqlite3.OperationalError:  # not made yet, or at work
                    return 0

            await until(lambda: taken() == 5)
            tasks.cancel_scope.cancel()


async def test_the_index_leaves_the_core_to_calls_while_they_are_many(store, index, monkeypatch, tmp_path):
    """What it could not keep up with anyhow must not make calls dearer; it catches up once they are fewer."""
    monkeypatch.setattr(module, "BEHIND", 0)
    monkeypatch.setattr(module, "MANY_PER_S", 2 / module.LOOK_EVERY_S)

    async def looked_after(*numbers):
        for number in numbers:
            await store.append(decided(number, "ALLOW", intent=f"int_{number}"))
        await looked(index)
        with closing(sqlite3.connect(tmp_path / "data" / FILE)) as connection:
            return connection.execute("SELECT count(*) FROM intents").fetchone()[0]

    assert await looked_after(1) == 1
    assert await looked_after(2, 3, 4) == 1
    assert await looked_after(5) == 5


async def test_many_entries_need_little_memory_at_once(store, tmp_path):
    """Whatever a thread takes now and then the process keeps: a gateway must not grow with what it has to catch up."""
    path = tmp_path / "data" / DATABASE
    await store.append(decided(1, "ALLOW", intent="int_1", tenant="few"))
    await store.append(decided(2, "ALLOW", intent="int_2", tenant="many"))
    with closing(sqlite3.connect(path)) as connection, connection:
        (first,) = connection.execute("SELECT max(n) FROM entries").fetchone()
        connection.execute(
            """
            WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < ?)
            INSERT INTO entries (n, tenant, seq, hash, salt, intent_id, content, body)
            SELECT more.n + ?, tenant, more.n + 1, hash, salt, printf('int_%026d', more.n),
                   CAST(json_set(CAST(content AS TEXT), '$.intentId', printf('int_%026d', more.n)) AS BLOB), body
            FROM more, entries WHERE tenant = 'many' AND seq = 1
            """,
            (MANY, first),
        )
    with anyio.fail_after(60):
        ran = await anyio.run_process((sys.executable, "-c", ASKED_TWICE, str(path)))
    assert 0 < int(ran.stdout) < GROWTH_KIB


# --- approvals and leases ---------------------------------------------------------------------------------------------


def row(id_: str, state: str, group: str = "grp_1") -> bytes:
    return orjson.dumps({"id": id_, "intentId": f"int_{id_}", "state": state, "about": {"group": group}})


async def opened(store, number: int, state: str, group: str = "grp_1", *, asked: int = 1) -> str:
    """Record an approval with its row, asked for so often."""
    id_ = f"apr_{number:03}"
    told = decided(number % 60, "ESCALATE", intent=f"int_{id_}", body=orjson.dumps({"approvalId": id_}))
    await store.append(replace(told, puts=(Put(key=f"approval:{id_}", value=row(id_, state, group)),)))
    for _ in range(1, asked):
        await store.append(told)
    return id_


async def moved(store, id_: str, state: str, group: str = "grp_1") -> None:
    """Change the row with an entry of its intent, of whatever type."""
    changed = (Put(key=f"approval:{id_}", value=row(id_, state, group)),)
    await store.append(replace(entry(1, EntryType.TOKEN_ISSUED, intent=f"int_{id_}"), puts=changed))


async def removed(store, *kept: tuple[str, str, bytes]) -> None:
    """Remove rows as the retention does."""
    body = {"kind": kept[0][0], "kept": [{"id": id_, "row": orjson.Fragment(text)} for _, id_, text in kept]}
    gone = tuple(Put(key=f"{kind}:{id_}", value=None) for kind, id_, _ in kept)
    await store.append(replace(entry(2, EntryType.ROWS_REMOVED, body=orjson.dumps(body)), puts=gone))


async def found(index: SqliteIndex, *, kind: str = "approval", page: int = 1, **wanted: str) -> tuple[list[str], int]:
    answer = await index.held("acme", HeldFilter(kind=kind, **wanted), page=page, page_size=2)
    return [one.id for one in answer.items], answer.total


@pytest.mark.parametrize("anew", [False, True])
async def test_approvals_are_listed_by_state_and_group_whether_or_not_their_rows_are_there(
    store, index, tmp_path, anew
):
    """A page is told from the index alone; it is the same when the index is made anew from what is left."""
    ids = [await opened(store, n, "pending", f"grp_{n % 2}", asked=2) for n in range(6)]
    assert await found(index) == ([ids[5], ids[4]], 6)
    for id_ in ids[:4]:
        await moved(store, id_, "denied", f"grp_{int(id_[-1]) % 2}")
    assert await found(index, state="denied", page=2) == ([ids[1], ids[0]], 4)
    await removed(store, *[("approval", id_, row(id_, "denied", f"grp_{int(id_[-1]) % 2}")) for id_ in ids[:3]])
    await store.append(entry(3, EntryType.ROWS_REMOVED, body=b"no json"))
    await store.append(entry(3, EntryType.ROWS_REMOVED, body=b'{"kind": "outcome", "rows": 3, "kept": []}'))
    if anew:
        (tmp_path / "data" / FILE).unlink()
    assert await found(index, state="denied", page=2) == ([ids[1], ids[0]], 4)
    assert await found(index, state="pending") == ([ids[5], ids[4]], 2)
    assert await found(index, state="denied", group="grp_0") == ([ids[2], ids[0]], 2)
    assert await found(index, group="grp_1") == ([ids[5], ids[3]], 3)
    one = await index.held_one("acme", "approval", id=ids[2])
    assert one is not None
    assert orjson.loads(one.kept or b"")["row"]["state"] == "denied"
    assert await index.held_one("acme", "approval", intent_id=f"int_{ids[2]}") == one
    assert await index.held_one("acme", "approval", id=ids[3]) == HeldRow(id=ids[3])
    assert await index.held_one("acme", "approval", id="apr_unknown") is None
    assert await index.held_one("other", "approval", id=ids[3]) is None
    assert await index.held_one("acme", "approval") is None, "who names nothing must not find the newest"


async def test_of_an_intent_with_two_approvals_the_newest_is_found(store, index):
    """Policy asked for another one; that is what the intent waits for."""
    first, second = await opened(store, 1, "failed"), "apr_002"
    body = orjson.dumps({"approvalId": second})
    again = decided(2, "ESCALATE", intent=f"int_{first}", body=body)
    await store.append(replace(again, puts=(Put(key=f"approval:{second}", value=row(second, "pending")),)))
    one = await index.held_one("acme", "approval", intent_id=f"int_{first}")
    assert one == HeldRow(id=second)
    assert await found(index, state="failed") == ([first], 1)


async def test_leases_are_listed_apart(store, index):
    """By the entry that granted each."""
    for number, state in ((1, "active"), (2, "expired")):
        told = orjson.dumps({"leaseId": f"lse_{number}", "approvalId": f"apr_{number}"})
        granted = entry(number, EntryType.LEASE_GRANTED, intent=f"int_{number}", body=told)
        text = orjson.dumps({"id": f"lse_{number}", "intent_id": f"int_{number}", "state": state})
        await store.append(replace(granted, puts=(Put(key=f"lease:lse_{number}", value=text),)))
    assert await found(index, kind="lease") == (["lse_2", "lse_1"], 2)
    assert await found(index, kind="lease", state="active") == (["lse_1"], 1)
    await removed(store, ("lease", "lse_2", text))
    assert await found(index, kind="lease", state="expired") == (["lse_2"], 1)
    assert await found(index) == ([], 0)


async def test_what_was_removed_is_found_although_no_entry_opened_it(store, index):
    """An earlier release named the approval in no entry: the removal tells all that is needed."""
    await removed(store, ("approval", "apr_old", row("apr_old", "denied")))
    assert await found(index, state="denied") == (["apr_old"], 1)
    one = await index.held_one("acme", "approval", intent_id="int_apr_old")
    assert one is not None
    assert one.id == "apr_old"


def first_page_steps(connection: sqlite3.Connection) -> int:
    counted = [0]

    def step() -> int:
        counted[0] += 1
        return 0

    connection.set_progress_handler(step, 1)
    where, values = module._where("acme", {"kind = ?": "approval", "state = ?": "denied"})
    query = f"{module._HELD} {where} ORDER BY seq DESC LIMIT 20"
    assert len(connection.execute(query, values).fetchall()) == 20
    return counted[0]


async def test_a_page_costs_the_same_however_many_there_are(store, index):
    """SQLite's own steps are counted: the first page of closed approvals does not go through all of them."""
    steps = []
    for many in (40, 400):
        for number in range(len(steps) * 40, many):
            await opened(store, number, "denied", f"grp_{number}")
        await opened(store, many * 1000, "pending")
        await found(index, state="denied")
        steps.append(await index._file.ask(anyio.Lock(), first_page_steps, failed=""))
    assert steps[1] <= steps[0] + 50
