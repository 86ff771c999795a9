"""The chain as a stream: what was hashed of each entry, read and computed over in a thread.

Reads only, in pages, so that the store's log can be reset meanwhile, and nothing of what lies beside an entry.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import anyio.to_thread

from gateway.errors import StoreError
from gateway.ports import Content
from gateway.store.sqlite.schema import read_only_address

__all__ = ["SqliteChain"]

PAGE: Final = 500
LOCK_S: Final = 2.0
FOLD_S: Final = 60.0
"""For one computation; 200,000 entries take a second."""

_PAGE: Final = "SELECT seq, hash, content FROM entries WHERE tenant = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"

Folded = TypeVar("Folded")


class SqliteChain:
    """Implements `ports.ChainRows` over the store at this path."""

    def __init__(self, store: Path, *, fold_s: float = FOLD_S) -> None:
        self._store = store
        self._fold_s = fold_s

    async def fold(self, tenant: str, *, after: int, up_to: int, fold: Callable[[Iterator[Content]], Folded]) -> Folded:
        """As `ports.ChainRows.fold`."""

        def work() -> Folded:
            address = read_only_address(self._store)
            with closing(sqlite3.connect(address, uri=True, timeout=LOCK_S, isolation_level=None)) as connection:
                return fold(self._rows(connection, tenant, after, up_to))

        try:
            return await anyio.to_thread.run_sync(work)
        except sqlite3.Error as error:
            raise StoreError(f"the audit store cannot be read ({type(error).__name__})") from error

    def _rows(self, connection: sqlite3.Connection, tenant: str, after: int, up_to: int) -> Iterator[Content]:
        until = time.monotonic() + self._fold_s
        while True:
            rows = connection.execute(_PAGE, (tenant, after, up_to, PAGE)).fetchall()
            yield from rows
            if len(rows) < PAGE:
                return
            if time.monotonic() > until:
                raise StoreError(f"the chain could not be read within {self._fold_s:.0f} s")
            after = rows[-1][0]
