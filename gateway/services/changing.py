"""One change at a time, on a directory in memory that is as the store has it.

Owns the rule that the directories of keys, people and webhooks share. An append that failed may have become durable all
the same: from the moment at which a change is on its way until it is known what became of it, the tenant's directory is
in doubt, and the next change reads it anew first. Who hangs up must not leave a change in the store that memory has
not, so that a change is shielded; bounded all the same, since each read and append of the store has a deadline of its
own. What is read, and how, is each directory's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

__all__ = ["Changing"]


class Changing:
    """Lets the changes of one directory through, and knows of which tenants it is in doubt."""

    def __init__(self, read: Callable[[str], Awaitable[None]]) -> None:
        """`read` reads one tenant's directory anew, and says so by `known`."""
        self._read = read
        self._lock = anyio.Lock()
        self._doubted: set[str] = set()

    @asynccontextmanager
    async def settled(self, tenant: str) -> AsyncIterator[None]:
        """Let one change of the tenant's directory through. Raises what reading it raises."""
        async with self._lock:
            with anyio.CancelScope(shield=True):
                if tenant in self._doubted:
                    await self._read(tenant)
                yield

    def doubt(self, tenant: str) -> None:
        """Take note that memory may differ from the store: a change is on its way, or a row was not as expected."""
        self._doubted.add(tenant)

    def known(self, tenant: str) -> None:
        """Take note that memory is as the store has it: the change was recorded, or the directory read."""
        self._doubted.discard(tenant)
