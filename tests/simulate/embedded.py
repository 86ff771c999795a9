"""How tests open the embedded store: in a folder of their own, with a clock that they set."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.audit.verify import Report
from gateway.ports import Appended, Clock
from gateway.services.audit_query import verify
from gateway.store.sqlite.store import SqliteStore, StoreOptions, open_store
from gateway.store.sqlite.writer import Unclaimed
from gateway.telemetry.clock import SystemClock

__all__ = ["SetClock", "database", "draft", "opened", "options", "record", "until", "verified"]


WAIT_S = 3.0
"""As in the settings: a busy machine's disk may take its time, and a store that fails is not waited for anyway."""


class SetClock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 8, tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.seconds += seconds


def options(folder: Path, **more: object) -> StoreOptions:
    given: dict[str, object] = {"wait_s": WAIT_S} | more
    return StoreOptions(data=folder / "data", state=folder / "state", **given)  # type: ignore[arg-type]


def database(folder: Path) -> Path:
    return folder / "data" / "audit.db"


def draft(**fields: object) -> EntryDraft:
    given: dict[str, object] = {
        "tenant": "default",
        "id": "evt_1",
        "type": EntryType.CALL_DECIDED,
        "time": "2026-11-22T08:00:00.000Z",
    }
    return EntryDraft(**(given | fields))  # type: ignore[arg-type]


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    clock: Clock | None = None,
    unclaimed: Unclaimed | None = None,
    accept_head: bool = False,
    **more: object,
) -> AsyncIterator[SqliteStore]:
    store = await open_store(
        options(folder, **more), clock or SystemClock(), unclaimed=unclaimed, accept_head=accept_head
    )
    try:
        yield store
    finally:
        await store.aclose()


async def record(store: SqliteStore, count: int = 1, **fields: object) -> Appended:
    """Append `count` entries one after the other and return the last outcome."""
    outcome: object = None
    for _ in range(count):
        outcome = await store.append(draft(**fields))
    assert isinstance(outcome, Appended)
    return outcome


async def verified(store: SqliteStore, tenant: str = "default") -> Report:
    report = await verify(store, tenant)
    assert report.valid, report.breaks[:3]
    return report


async def until(condition: Callable[[], bool]) -> None:
    """Wait, at most 5 s, for something that another thread brings about."""
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - the other side is a thread or a process and sets no event
            await anyio.sleep(0.005)
