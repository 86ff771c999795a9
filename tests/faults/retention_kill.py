"""A process that removes the rows of what was closed long ago, for `test_retention_kill.py` to kill.

    python -m tests.faults.retention_kill FOLDER

Goes through the store once, three rows at a time, and says how many rows have gone after each slice that is durable.
"""

import sys
from pathlib import Path

import anyio

from gateway.core.audit.entry import EntryDraft
from gateway.identity.ids import RandomIds
from gateway.ports import Appended, Conflict
from gateway.services import retention
from gateway.services.jobs import Jobs
from gateway.store.sqlite.store import SqliteStore, open_store
from gateway.telemetry.clock import SystemClock
from tests.simulate.embedded import options


class Telling:
    """The chain, which tells of each slice once it is durable."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def append(self, draft: EntryDraft) -> Appended | Conflict:
        outcome = await self._store.append(draft)
        print(len(draft.puts), flush=True)
        return outcome

    def ready(self) -> str:
        return self._store.ready()


async def main(folder: Path) -> None:
    """Remove what is dead."""
    retention.SLICE_ROWS = 3  # type: ignore[misc]
    clock = SystemClock()
    store = await open_store(options(folder), clock)
    removing = retention.Retention(
        audit=Telling(store),
        state=store,
        reader=store,
        clock=clock,
        ids=RandomIds(),
        jobs=Jobs(),
        speaks=lambda outcome: False,
        keep_closed_days=30,
        pause_s=0,
    )
    await removing.round()
    await store.aclose()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
