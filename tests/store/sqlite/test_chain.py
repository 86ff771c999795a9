"""The chain as a stream: the same from the store on disk and from the one in memory."""

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.core.audit.chain import first_prev
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.audit.tiles import Linked, link
from gateway.errors import StoreError
from gateway.ports import ChainRows
from gateway.store.sqlite import chain
from gateway.store.sqlite.chain import SqliteChain
from gateway.store.sqlite.store import DATABASE, StoreOptions, open_store
from gateway.telemetry.clock import SystemClock
from tests.simulate.chain import MemoryChain
from tests.simulate.store import MemoryStore


def entry(number: int, tenant: str = "acme") -> EntryDraft:
    return EntryDraft(tenant=tenant, id=f"evt_{number}", type=EntryType.KEY_CREATED, time="2026-01-01T00:00:00.000Z")


@pytest.fixture(params=["disk", "memory"])
async def given(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[ChainRows, Callable]]:
    if request.param == "memory":
        store = MemoryStore()
        yield MemoryChain(store), store.append
        return
    opened = await open_store(StoreOptions(data=tmp_path / "data", state=tmp_path / "state"), SystemClock())
    yield SqliteChain(tmp_path / "data" / DATABASE), opened.append
    await opened.aclose()


async def test_entries_come_in_order_between_two_numbers(given, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several pages, and none of another tenant's."""
    monkeypatch.setattr(chain, "PAGE", 2)
    rows, append = given
    for number in range(1, 8):
        await append(entry(number))
        await append(entry(number, "other"))
    seen = await rows.fold("acme", after=1, up_to=6, fold=lambda found: [seq for seq, _, _ in found])
    assert seen == [2, 3, 4, 5, 6]
    whole = await rows.fold("acme", after=0, up_to=7, fold=lambda found: link(found, after=0, prev=first_prev("acme")))
    assert isinstance(whole, Linked)
    assert len(whole.rest) == 7
    assert await rows.fold("nobody", after=0, up_to=9, fold=list) == []


async def test_it_is_computed_over_off_the_loop(tmp_path: Path) -> None:
    """A second of hashing on the event loop would be a second without decisions."""
    opened = await open_store(StoreOptions(data=tmp_path / "data", state=tmp_path / "state"), SystemClock())
    try:
        rows = SqliteChain(tmp_path / "data" / DATABASE)
        where = await rows.fold("acme", after=0, up_to=9, fold=lambda found: threading.current_thread())
    finally:
        await opened.aclose()
    assert where is not threading.current_thread()


async def test_what_cannot_be_read_in_time_or_at_all_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is proved of half a chain."""
    monkeypatch.setattr(chain, "PAGE", 1)
    opened = await open_store(StoreOptions(data=tmp_path / "data", state=tmp_path / "state"), SystemClock())
    try:
        for number in (1, 2, 3):
            await opened.append(entry(number))
        rows = SqliteChain(tmp_path / "data" / DATABASE, fold_s=-1)
        with pytest.raises(StoreError, match="could not be read within"):
            await rows.fold("acme", after=0, up_to=3, fold=list)
    finally:
        await opened.aclose()
    with pytest.raises(StoreError, match="cannot be read"):
        await SqliteChain(tmp_path / "none.db").fold("acme", after=0, up_to=3, fold=list)
