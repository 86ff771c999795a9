"""Cancelling approvals whose calls a switch has stopped: their humans need not answer, and no yes of before counts.

A lease is a yes of before, too.

Owns which ones and that each is on record. What an approval is, and that one of two changes wins, is
`services/approvals.py`'s.
"""

from collections.abc import Callable
from typing import Final, Literal

import anyio

from gateway.core.switches import Cancelled, Switch
from gateway.errors import StoreError
from gateway.services.approvals import Approvals
from gateway.services.leases import Leases

__all__ = ["AT_ONCE", "Cancelling", "Stopped"]

AT_ONCE: Final = 32
"""Approvals cancelled side by side, so that they share the store's transactions."""

ATTEMPTS: Final = 3
"""How often one is looked at again because it changed meanwhile."""

Stopped = Callable[[str, str], Switch | None]
"""Agent and upstream → the switch that stops their calls."""

_End = Literal["cancelled", "over", "left"]
"""Of one approval: cancelled now, nothing to be cancelled (any more), or to be tried again."""


class Cancelling:
    """Implements `Cancels` of `services/switches.py`."""

    def __init__(self, approvals: Approvals, leases: Leases) -> None:
        self._approvals = approvals
        self._leases = leases

    async def cancel(self, tenant: str, stopped: Stopped) -> Cancelled:
        """Cancel what is open of whose agent and upstream `stopped` names a switch; incomplete where some are left."""
        turns = anyio.CapacityLimiter(AT_ONCE)
        ends: list[_End] = []

        async def one(approval_id: str) -> None:
            async with turns:
                try:
                    ends.append(await self._one(tenant, approval_id, stopped))
                except StoreError:
                    ends.append("left")

        async with anyio.create_task_group() as tasks:
            for approval_id in self._approvals.open(tenant):
                tasks.start_soon(one, approval_id)
        ended = await self._leases_of(tenant, stopped)
        return Cancelled(approvals=ends.count("cancelled"), complete=ended and "left" not in ends)

    async def _leases_of(self, tenant: str, stopped: Stopped) -> bool:
        """End the leases whose calls are stopped; False where that cannot be recorded now."""
        ended = True
        for lease in self._leases.active(tenant):
            switch = stopped(lease.agent, lease.upstream)
            if switch is not None:
                try:
                    await self._leases.stop(lease, by=switch.who, why=switch.stop.explanation)
                except StoreError:
                    ended = False
        return ended

    async def _one(self, tenant: str, approval_id: str, stopped: Stopped) -> _End:
        """Cancel one approval, if it is stopped and still open; it is left where others change it all the time."""
        for _ in range(ATTEMPTS):
            held = await self._approvals.current(tenant, approval_id)
            if held is None or not held.open:
                return "over"
            # The exact upstream: what an approval shows of a submitted intent is its program's words, redacted.
            call = await self._approvals.call(held, arguments_digest="")
            switch = stopped(held.approval.agent, "" if call is None else call.upstream)
            if switch is None:
                return "over"
            if await self._approvals.cancel(held, by=switch.who, why=switch.stop.explanation):
                return "cancelled"
        return "left"
