"""Rows ahead of the store: right as long as the drafts come through, forgotten where one does not."""

import anyio
import anyio.lowlevel
import pytest

import gateway.services.ahead as module
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put, Unchanged
from gateway.errors import AuditUnavailable, StoreError
from gateway.ports import Appended, Conflict
from gateway.services.ahead import Ahead
from tests.simulate.store import MemoryStore


def number(held: bytes | None) -> int:
    return 0 if held is None else int(held)


class Adder:
    """Adds one to rows, each time by way of what is known ahead."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.ahead: Ahead[int] = Ahead(self.store, number)
        self.outcomes: list[Appended | Conflict | None] = []

    async def add(self, *keys: str, expects: tuple[Expect, ...] = (), look: tuple[str, ...] = ()) -> None:
        seen = await self.ahead.read("default", (*keys, *look))
        unchanged = tuple(Unchanged(key=key, value=one.held) for key, one in zip((*keys, *look), seen, strict=True))
        after = [(key, b"%d" % (one.meaning + 1), one.meaning + 1) for key, one in zip(keys, seen, strict=False)]
        queued = self.ahead.queue("default", unchanged, after)
        draft = EntryDraft(
            tenant="default",
            id="evt_1",
            type=EntryType.CALL_DECIDED,
            time="2026-11-22T08:00:00.000Z",
            expects=expects,
            unchanged=unchanged,
            puts=tuple(Put(key=key, value=held) for key, held, _ in after),
        )
        outcome: Appended | Conflict | None = None
        try:
            outcome = await self.store.append(draft)
        except AuditUnavailable:
            outcome = None
        finally:
            self.ahead.ended(queued, outcome)
            self.outcomes.append(outcome)

    async def seen(self, key: str) -> tuple[bytes | None, int]:
        (line,) = await self.ahead.read("default", [key])
        return line.held, line.meaning

    async def value(self, key: str) -> int:
        row = await self.store.get("default", key)
        return number(None if row is None else row.value)

    def written(self) -> int:
        return sum(isinstance(outcome, Appended) for outcome in self.outcomes)


NEVER = (Expect(key="never", version=7),)


async def test_many_that_change_the_same_row_at_once_do_not_conflict() -> None:
    """Ours: who shares a budget is not denied for coming together."""
    adder = Adder()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(64):
                group.start_soon(adder.add, "k")
    assert adder.written() == 64
    assert await adder.value("k") == 64


async def test_who_rested_on_a_draft_that_came_to_nothing_conflicts_and_the_next_goes_on() -> None:
    """Ours: what is known ahead is only a guess; the store has the last word."""
    adder = Adder()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(adder.add, "k")
            group.start_soon(lambda: adder.add("k", expects=NEVER))
            group.start_soon(adder.add, "k")
    assert adder.outcomes == [adder.outcomes[0], Conflict(key="never"), Conflict(key="k")]
    await adder.add("k")
    assert adder.written() == 2
    assert await adder.value("k") == 2


async def test_a_late_conflict_does_not_undo_what_has_begun_anew() -> None:
    """Ours: of many that rested on the same failure only the first makes everybody read again."""
    adder = Adder()

    async def twice(expects: tuple[Expect, ...] = ()) -> None:
        await adder.add("k", expects=expects)
        if isinstance(adder.outcomes[-1], Conflict):
            await adder.add("k")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(twice, NEVER)
            for _ in range(20):
                group.start_soon(twice)
    assert adder.outcomes.count(Conflict(key="k")) == 20
    assert await adder.value("k") == 21


async def test_an_append_that_fails_is_forgotten_whether_it_was_written_or_not() -> None:
    """Ours: after a failure nobody knows what is durable, so that it is read."""
    adder = Adder()
    await adder.add("k")
    adder.store.down = "gone"
    await adder.add("k")
    adder.store.down = ""
    await adder.add("k")
    assert [isinstance(outcome, Appended) for outcome in adder.outcomes] == [True, False, True]
    assert await adder.value("k") == 2


async def test_a_row_that_was_only_looked_at_is_read_again_where_it_was_not_so() -> None:
    """Ours: a guess that proved wrong is not made again, also by who does not change the row."""
    adder = Adder()
    await adder.add("k")
    await adder.add("k", look=("other",))
    await adder.store.append(
        EntryDraft(
            tenant="default",
            id="evt_2",
            type=EntryType.CALL_DECIDED,
            time="2026-11-22T08:00:00.000Z",
            puts=(Put(key="other", value=b"5"),),
        )
    )
    await adder.add("k", look=("other",))
    assert adder.outcomes[-1] == Conflict(key="other")
    await adder.add("k", look=("other",))
    assert isinstance(adder.outcomes[-1], Appended)
    await adder.add("k", look=("other",), expects=NEVER)
    assert adder.outcomes[-1] == Conflict(key="never")


async def test_what_rests_on_something_out_of_date_guides_nobody() -> None:
    """Ours: a draft that is bound to conflict must not lead those behind it astray."""
    adder = Adder()
    await adder.add("k")
    queued = adder.ahead.queue("default", [Unchanged(key="k", value=None)], [("k", b"9", 9)])
    assert await adder.seen("k") == (b"1", 1)
    adder.ahead.ended(queued, Conflict(key="k"))
    assert await adder.seen("k") == (b"1", 1)


async def test_a_row_that_others_loaded_meanwhile_is_taken_from_them() -> None:
    """Ours: who was slower in reading must not take back what the quicker one has queued."""
    adder = Adder()
    rows: list[object] = []

    async def read() -> None:
        await adder.ahead.read("default", ["k", "l"])
        rows.append(await adder.seen("k"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(adder.add, "k")
            group.start_soon(read)
            group.start_soon(adder.add, "k", "l")
    assert rows[0] in ((b"1", 1), (b"2", 2))
    assert adder.written() == 2


async def test_a_row_that_cannot_be_read_is_an_error() -> None:
    """Ours: nothing is decided on a guess."""
    adder = Adder()
    adder.store.unreadable = "gone"
    with pytest.raises(StoreError):
        await adder.ahead.read("default", ["k"])


async def test_rows_beyond_the_bound_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: agents choose names, so that memory must not grow with them; what is on its way stays known."""
    monkeypatch.setattr(module, "LINES_KEPT", 2)
    adder = Adder()
    for key in ("a", "b", "c", "a", "b", "c"):
        await adder.add(key)
    adder.store.held = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for key in ("a", "b", "c", "d", "a", "b"):
                group.start_soon(adder.add, key)
                await anyio.wait_all_tasks_blocked()
            adder.store.held.set()
    assert adder.written() == 12
    assert [await adder.value(key) for key in "abcd"] == [4, 4, 3, 1]
