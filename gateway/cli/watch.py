"""`intended approvals watch`: what waits for a human, live, and the human's answers by key.

One approval at a time: it is chosen, read, and answered after a second key; there is no approve-all. The choice is an
id, never a line: a list that moves must not move the answer to another approval. What is pasted answers nothing.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import anyio

from gateway.cli.administration import Administration, segment
from gateway.cli.approval_text import details_lines, folded, time_left
from gateway.cli.output import visible as harmless
from gateway.cli.terminal import Terminal, terminal
from gateway.core.visible import visible
from gateway.errors import GatewayError

__all__ = ["Mode", "Watch", "watch"]

POLL_S: Final = 1.0
MAX_REASON: Final = 500
SHOWN: Final = 100
"""The newest that are listed; the gateway says how many there are in all."""

EQUAL_CALLS: Final = {"minutes": 10, "uses": 10}
"""The lease that a key grants: nothing may differ. Any other is typed (`intended approvals approve`)."""


class Mode(Enum):
    """What the keys mean now."""

    LIST = "list"
    DETAILS = "details"
    APPROVE = "approve"
    DENY = "deny"


_HELP: Final = {
    Mode.LIST: "up/down choose   enter details   a approve   d deny   g groups   q quit",
    Mode.DETAILS: "up/down scroll   a approve   d deny   escape back   q quit",
    Mode.APPROVE: "Approve this once?   y yes   l and 10 equal calls in 10 min   others: no answer",
    Mode.DENY: "Deny. Reason (recorded), then enter; escape: no answer",
}


@dataclass
class Watch:
    """What is on the screen, and what a key does to it. `chosen` is an approval's id."""

    gateway: Administration
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    total: int = 0
    chosen: str = ""
    mode: Mode = Mode.LIST
    details: list[str] = field(default_factory=list)
    top: int = 0
    reason: str = ""
    said: str = ""
    over: bool = False
    fold: bool = True

    async def poll(self) -> None:
        """Look what waits now."""
        try:
            found = await self.gateway.get("/v1/approvals", {"status": "pending", "page": 1, "pageSize": SHOWN})
            self.rows, self.total = found["items"], found["total"]
            if self.chosen and self.mode is not Mode.LIST:
                await self._read()
        except GatewayError as error:
            self.said = str(error)
            return
        ids = [row["id"] for row in self.rows]
        if self.chosen not in ids:
            if self.mode is not Mode.LIST:
                self.said = f"{self.chosen} no longer waits."
            self.mode, self.chosen = Mode.LIST, ""
            listed = self._listed()
            self.chosen = listed[0]["id"] if listed else ""

    async def press(self, keys: list[str]) -> None:
        """Do what the keys of one read mean. Several at once are text for a reason, and otherwise a paste: nothing."""
        if self.mode is Mode.DENY:
            for key in keys:
                await self._deny(key)
            return
        if len(keys) != 1:
            return
        key, self.said = keys[0], ""
        if self.mode is Mode.APPROVE:
            await self._approve(key)
        elif key == "q":
            self.over = True
        elif key == "g":
            self.fold = not self.fold
        elif key in ("up", "down", "k", "j"):
            self._move(-1 if key in ("up", "k") else 1)
        elif key == "escape":
            self.mode = Mode.LIST
        elif self.chosen and key in ("enter", "a", "d"):
            await self._open({"enter": Mode.DETAILS, "a": Mode.APPROVE, "d": Mode.DENY}[key])

    def lines(self, height: int) -> list[str]:
        """Return the screen, with what the keys mean now at its end."""
        room = max(height - 4, 1)
        if self.mode is Mode.LIST:
            rows = self._listed()
            body = [self._row(row) for row in rows] or ["Nothing waits for a human now."]
            at = next((place for place, row in enumerate(rows) if row["id"] == self.chosen), 0)
            first = max(0, at - room + 1)
        else:
            body, first = self.details, min(self.top, max(len(self.details) - room, 0))
        shown = body[first : first + room]
        typed = f" {visible(self.reason)}_" if self.mode is Mode.DENY else ""
        head = f"Approvals that wait: {self.total}"
        filled = [head, "", *shown, *[""] * (room - len(shown))]
        return [harmless(line).replace("\n", " ") for line in (*filled, self.said, _HELP[self.mode] + typed)]

    def _row(self, row: Mapping[str, Any]) -> str:
        mark = ">" if row["id"] == self.chosen else " "
        until = row["expiresAt"][11:19]
        count = row.get("groupSize", 1)
        alike = f"  ({count} alike)" if self.fold and count > 1 else ""
        asked = f"  (asked {row['asked']} times)" if row.get("asked", 1) > 1 else ""
        target = f"  {visible(row['target'])}" if row.get("target") else ""
        what = f"{row['id']}  until {until}  {visible(row['agent'])}{target}{alike}{asked}"
        return f"{mark} {what}: {visible(row['reason'])}"  # the longest last: a screen may have no room for it

    def _listed(self) -> list[Mapping[str, Any]]:
        """Return what is listed: one of each group, where groups are folded, and always the one that is chosen."""
        if not self.fold:
            return self.rows
        shown = {row["id"] for row in folded(self.rows)} | {self.chosen}
        return [row for row in self.rows if row["id"] in shown]

    def _move(self, by: int) -> None:
        if self.mode is Mode.DETAILS:
            self.top = max(0, min(self.top + by, len(self.details) - 1))
            return
        ids = [row["id"] for row in self._listed()]
        if self.chosen in ids:
            self.chosen = ids[max(0, min(ids.index(self.chosen) + by, len(ids) - 1))]

    async def _open(self, mode: Mode) -> None:
        """Show the chosen approval whole: nobody is asked about what he cannot see."""
        try:
            await self._read()
        except GatewayError as error:
            self.said = str(error)
            return
        if self.mode is Mode.LIST:
            self.top = 0
        self.mode, self.reason = mode, ""

    async def _read(self) -> None:
        shown = await self.gateway.get(f"/v1/approvals/{segment(self.chosen)}")
        self.details = [f"{self.chosen}  {time_left(shown['secondsLeft'])} left", *details_lines(shown)]

    async def _approve(self, key: str) -> None:
        self.mode = Mode.DETAILS
        if key in ("y", "l"):
            await self._answer("approve", {} if key == "y" else {"lease": EQUAL_CALLS})

    async def _deny(self, key: str) -> None:
        if self.mode is not Mode.DENY:
            return
        if key == "escape":
            self.mode, self.said = Mode.DETAILS, ""
        elif key == "backspace":
            self.reason = self.reason[:-1]
        elif key == "enter":
            if not self.reason.strip():
                self.said = "A no needs a reason: the agent reads it."
                return
            self.mode = Mode.DETAILS
            await self._answer("reject", {"reason": self.reason.strip()})
        elif len(key) == 1 and len(self.reason) < MAX_REASON:
            self.reason += key

    async def _answer(self, route: str, body: Mapping[str, Any]) -> None:
        try:
            found = await self.gateway.post(f"/v1/approvals/{segment(self.chosen)}/{route}", body)
            said = f"{self.chosen} is {found['status']}."
        except GatewayError as error:
            said = f"Nothing was changed: {error}"
        self.mode = Mode.LIST
        await self.poll()
        self.said = said


async def watch(gateway: Administration) -> None:
    """Watch until `q`, a signal, or the end of the terminal. Raises Unavailable where there is no terminal."""
    with terminal() as screen:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_signal, tasks.cancel_scope)
            await _loop(Watch(gateway=gateway), screen)
            tasks.cancel_scope.cancel()


async def _loop(state: Watch, screen: Terminal) -> None:
    due = anyio.current_time()
    while not state.over:
        if anyio.current_time() >= due:
            await state.poll()
            due = anyio.current_time() + POLL_S
        screen.draw(state.lines(screen.size()[1]))
        keys = await screen.keys(due - anyio.current_time())
        if keys is None:
            return
        if keys:
            await state.press(keys)


async def _until_signal(scope: anyio.CancelScope) -> None:
    """End by a signal as by a key, so that the terminal is given back."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            scope.cancel()
