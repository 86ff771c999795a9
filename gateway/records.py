"""The audit store from outside: read and verified without the gateway, beside it or after it.

Composes the read-only adapters for the command line and the demo. Takes no lock, writes nothing.
"""

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio

from gateway.core.audit.verify import ExpectedHead, Report
from gateway.errors import StoreRefused
from gateway.parts import data_folder, state_folder
from gateway.services.audit_query import verify
from gateway.settings import Settings
from gateway.store.headcopy import Head, HeadCopy
from gateway.store.sealing import Sealer
from gateway.store.sqlite.reader import SqliteReader, open_reader
from gateway.store.sqlite.schema import read_only_address, store_id
from gateway.store.sqlite.store import DATABASE

__all__ = ["database_path", "kept_heads", "reading", "verify_chains"]

CLOSE_S = 6.0
"""For the reader's thread to finish the page at hand; a read is bounded to five seconds itself."""


def database_path(settings: Settings) -> Path:
    """Return where the configured store lies, whether it is there or not."""
    return data_folder(settings) / DATABASE


@asynccontextmanager
async def reading(settings: Settings, *, sealer: Sealer | None = None) -> AsyncIterator[SqliteReader]:
    """Open the configured store for reading. Raises StoreRefused where it is none.

    Without `sealer` every evaluation input reads as gone.
    """
    reader = await open_reader(database_path(settings), sealer=sealer)
    try:
        yield reader
    finally:
        with anyio.move_on_after(CLOSE_S, shield=True):
            await reader.aclose()


async def verify_chains(
    settings: Settings, tenant: str | None = None, since: Mapping[str, ExpectedHead] | None = None
) -> list[Report]:
    """Verify every chain of the configured store, or one, each against the head that is kept outside the store.

    `since` are checkpoints of chains (by tenant) that must have grown from there. A chain that only the copy or a
    checkpoint knows is reported too: it was cut off as a whole.

    Raises:
        StoreError: the store or the copy of the heads cannot be read, or they belong to different stores.
    """
    heads = _heads(settings)  # before the chains: the copy lags behind the store, never the other way round
    since = since or {}
    reports = []
    async with reading(settings) as reader:
        for one in sorted({*await reader.tenants(), *heads, *since}):
            if tenant is None or one == tenant:
                copied = [ExpectedHead(seq=heads[one].seq, hash=heads[one].hash)] if one in heads else []
                kept = [since[one]] if one in since else []
                reports.append(await verify(reader, one, expected=copied + kept))
    return reports


def kept_heads(settings: Settings) -> frozenset[str]:
    """Return the tenants whose head is kept outside the store; of the others nobody can see what their end has lost.

    Raises:
        StoreError: the copy of the heads cannot be read, or is another store's.
    """
    return frozenset(_heads(settings))


def _heads(settings: Settings) -> Mapping[str, Head]:
    """Return the heads that were copied for this store. Raises StoreRefused where they are another store's."""
    copy = HeadCopy(state=state_folder(settings), data=data_folder(settings)).read()
    path = database_path(settings)
    if copy is None or not path.exists():
        return {} if copy is None else copy.heads
    try:
        with closing(sqlite3.connect(read_only_address(path), uri=True)) as connection:
            found = store_id(connection)
    except sqlite3.Error as error:
        remedy = "restore the data folder from a backup"
        raise StoreRefused(f"the audit store {path} cannot be read ({error})", remedy=remedy) from error
    if found != copy.store_id:
        raise StoreRefused(
            f"{path} is another store ({found}) than the one that was used here last ({copy.store_id})",
            remedy="put the right one back, or accept this one with `intended store accept-head --reason TEXT`"
            " (with the same --data and --state)",
        )
    return copy.heads
