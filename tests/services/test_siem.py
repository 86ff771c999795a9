"""A collector gets every entry that it asked for, a line each, and nothing in a name ends one."""

import json

import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, StoredEntry
from gateway.core.jsonvalue import JsonObject
from gateway.services.siem import Line, Selection, lines
from tests.simulate.store import MemoryStore


def as_it_is(entry: JsonObject) -> JsonObject | None:
    return entry


async def filled(*tools: str) -> MemoryStore:
    store = MemoryStore()
    for number, tool in enumerate(tools, start=1):
        await store.append(
            EntryDraft(
                tenant="acme",
                id=f"evt_{number}",
                type=EntryType.CALL_COMPLETED if number % 2 else EntryType.CALL_DECIDED,
                time=f"2026-11-22T08:00:0{number}.000Z",
                tool=tool,
            )
        )
    return store


async def told(store: MemoryStore, wanted: Selection | None = None, **more: object) -> list[Line]:
    return [one async for one in lines(store, "acme", wanted or Selection(), more.pop("words", as_it_is), **more)]  # type: ignore[arg-type]


async def test_each_entry_is_a_line_of_ascii_whatever_is_in_it() -> None:
    """U+2028, C1 controls and characters beyond 16 bits end lines in some collectors, or are two of them."""
    names = ("plain", "two\nlines", "sep\u2028\x85\x9b", "\U0001f600 ö", "\x7f")
    found = await told(await filled(*names))
    assert [one.seq for one in found] == [1, 2, 3, 4, 5]
    for line, name in zip(found, names, strict=True):
        assert line.text.isascii()
        assert line.text.count(b"\n") == 1
        assert json.loads(line.text)["tool"] == name
    assert b"\\u2028\\u0085\\u009b" in found[2].text


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        (Selection(since="2026-11-22T08:00:02.000Z"), [2, 3]),
        (Selection(until="2026-11-22T08:00:02.000Z"), [1]),
        (Selection(types=frozenset({"call.decided"})), [2]),
        (Selection(since="2027-01-01T00:00:00.000Z"), []),
    ],
)
async def test_what_was_not_asked_for_is_passed_over_and_still_counts_as_seen(
    wanted: Selection, seqs: list[int]
) -> None:
    """Whoever follows goes on behind it."""
    found = await told(await filled("a", "b", "c"), wanted)
    assert [one.seq for one in found] == [1, 2, 3]
    assert [one.seq for one in found if one.text] == seqs


async def test_it_goes_on_where_it_was_left() -> None:
    """A shipper keeps the number of the last line."""
    assert [one.seq for one in await told(await filled("a", "b", "c"), after=2)] == [3]


async def test_what_the_words_have_no_place_for_is_no_line() -> None:
    """A SIEM's class of events is not for every entry."""
    assert [one.text for one in await told(await filled("a"), words=lambda entry: None)] == [b""]


async def test_a_damaged_entry_is_told_of_and_the_others_go_on() -> None:
    """Stopping there would blind the collector to everything behind it."""

    class Damaged(MemoryStore):
        async def read(self, tenant: str, *, after: int = 0, inputs: bool = True):  # type: ignore[no-untyped-def,override]
            async for entry in super().read(tenant, after=after):
                broken = entry.seq == 2
                yield StoredEntry(**{**_fields(entry), "content": b"{"}) if broken else entry

    store = await filled("a", "b", "c")
    store.__class__ = Damaged
    assert [(one.seq, one.damaged, bool(one.text)) for one in await told(store)] == [
        (1, False, True),
        (2, True, False),
        (3, False, True),
    ]
    strange = await told(await filled("a"), words=lambda entry: {"x": entry["no such member"]})
    assert strange == [Line(seq=1, damaged=True)]


def _fields(entry: StoredEntry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in ("tenant", "seq", "hash", "salt", "body")}
