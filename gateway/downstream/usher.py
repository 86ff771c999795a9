"""Looks after answers that take longer than a moment: notices who leaves, keeps idle connections open.

Most calls are answered within milliseconds, and a task for each would cost more than the rest of the front. So every
waiting caller is only put on a list; those still there at the next round but one get an attendant, a task of the
front's own task group that ends with the answer.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from gateway.downstream.answer import Answer

__all__ = ["Usher", "Waiting"]


class Waiting(Protocol):
    """A caller that waits for its answer."""

    @property
    def answer(self) -> Answer:
        """The HTTP side."""
        ...

    def lost(self) -> None:
        """Take notice that the agent has left."""
        ...

    async def keep_alive(self) -> None:
        """Send something that means nothing, so that nobody on the way cuts the line."""
        ...


Attend = Callable[[Waiting, anyio.CancelScope], Awaitable[None]]


class Contain(Protocol):
    """Runs an attendant's work; False where that failed in a way that nobody foresaw."""

    def __call__(self, work: Attend, caller: Waiting, scope: anyio.CancelScope, /) -> Awaitable[bool]:
        """Run `work` for the caller."""
        ...


class Usher:
    """The list of waiting callers and their attendants. `contain` keeps one attendant's fault from ending the rest."""

    def __init__(self, *, round_s: float, keep_alive_s: float, contain: Contain) -> None:
        self._round_s = round_s
        self._keep_alive_s = keep_alive_s
        self._contain = contain
        self._new: set[Waiting] = set()
        self._old: set[Waiting] = set()
        self._attended: dict[Waiting, anyio.CancelScope] = {}
        self._wake = anyio.Event()
        self._asleep = False

    def expect(self, caller: Waiting) -> None:
        """Put a caller on the list. Every `expect` needs its `dismiss`."""
        self._new.add(caller)
        if self._asleep:
            self._asleep = False
            self._wake.set()

    def dismiss(self, caller: Waiting) -> None:
        """The caller has its answer: take it off the list and end its attendant."""
        self._new.discard(caller)
        self._old.discard(caller)
        if (scope := self._attended.pop(caller, None)) is not None:
            scope.cancel()

    async def run(self, tasks: TaskGroup) -> None:
        """Make the rounds for ever; attendants run in `tasks`."""
        while True:
            if not self._new and not self._old:
                self._wake, self._asleep = anyio.Event(), True
                await self._wake.wait()
            await anyio.sleep(self._round_s)
            late, self._old, self._new = self._old, self._new, set()
            for caller in late:
                self._attended[caller] = scope = anyio.CancelScope()
                tasks.start_soon(self._contain_attendant, caller, scope)

    async def _contain_attendant(self, caller: Waiting, scope: anyio.CancelScope) -> None:
        await self._contain(self._attend, caller, scope)

    async def _attend(self, caller: Waiting, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                with anyio.move_on_after(self._keep_alive_s):
                    await caller.answer.watch()
                    caller.lost()
                    return
                await caller.keep_alive()
