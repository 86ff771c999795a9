"""The audit store from outside: read and verified without the gateway, beside it or after it.

Composes the read-only adapters for the command line and the demo. Opens no lock, writes nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.app import data_folder, state_folder
from gateway.core.audit.verify import ExpectedHead, Report, Verifier
from gateway.settings import Settings
from gateway.store.headcopy import HeadCopy
from gateway.store.sqlite.reader import SqliteReader, open_reader
from gateway.store.sqlite.store import DATABASE

__all__ = ["reading", "verify_chains"]


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[SqliteReader]:
    """Open the configured store for reading. Raises StoreRefused where it is none."""
    reader = await open_reader(data_folder(settings) / DATABASE)
    try:
        yield reader
    finally:
        await reader.aclose()


async def verify_chains(settings: Settings, tenant: str | None = None) -> list[Report]:
    """Verify every chain of the configured store, or one, each against the head that is kept outside the store.

    Raises:
        StoreError: the store or the copy of the heads cannot be read.
    """
    # Read before the chains: the copy lags behind the store, never the other way round.
    copy = HeadCopy(state=state_folder(settings), data=data_folder(settings)).read()
    heads = copy.heads if copy is not None else {}
    reports = []
    async with reading(settings) as reader:
        for one in sorted({*await reader.tenants(), *heads}):
            if tenant is not None and one != tenant:
                continue
            head = heads.get(one)
            expected = None if head is None else ExpectedHead(seq=head.seq, hash=head.hash)
            verifier = Verifier(one, expected=expected)
            async for entry in reader.read(one):
                verifier.feed(entry)
            reports.append(verifier.report())
    return reports
