"""The calls that are at their upstreams at this moment, and how a switch ends them.

Owns that a call is ended which its switch found on its way: the upstream is told that it is cancelled, and whether it
ran is for its entry to leave open. It costs a call that nobody stops a place in a table, and no scope of its own.
"""

import anyio

from gateway.core.switches import Switch
from gateway.services.judged import Judged

__all__ = ["Running", "SwitchedOff"]


class SwitchedOff(Exception):
    """A switch was thrown while the call was at its upstream, which has been told to drop it."""

    def __init__(self, switch: Switch) -> None:
        super().__init__(switch.stop.explanation)


class Running:
    """All forwarded calls of this process that have no answer yet."""

    def __init__(self) -> None:
        self._calls: dict[anyio.CancelScope, Judged] = {}
        self._ended: dict[anyio.CancelScope, Switch] = {}

    def enter(self, scope: anyio.CancelScope, judged: Judged) -> None:
        """Take note that a call is about to be forwarded, within `scope`. Whoever called this must `leave`."""
        self._calls[scope] = judged

    def leave(self, scope: anyio.CancelScope) -> None:
        """Take note that it has come back, with an answer or without.

        Raises SwitchedOff where a switch has ended it; `scope` is cancelled then, and what is still to be done belongs
        into a scope of its own.
        """
        del self._calls[scope]
        if self._ended:
            switch = self._ended.pop(scope, None)
            if switch is not None:
                raise SwitchedOff(switch)

    def end(self, tenant: str, switch: Switch) -> None:
        """End the calls that a switch of this tenant stops."""
        for scope, judged in self._calls.items():
            principal = judged.principal
            if principal.tenant == tenant and switch.stops(tenant, principal.agent, judged.call.upstream):
                self._ended[scope] = switch
                scope.cancel()
