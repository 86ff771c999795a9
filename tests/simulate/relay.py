"""A relay that keeps what it is told, answers what it is asked, and lets a test wait for either."""

from collections.abc import Awaitable, Callable

import anyio

from gateway.core.jsonvalue import JsonObject

__all__ = ["RecordingRelay"]


class RecordingRelay:
    """`answer` is the agent's answer to every question: a message, or a function that makes one."""

    def __init__(self, answer: JsonObject | Callable[[str, JsonObject], Awaitable[JsonObject]] | None = None) -> None:
        self.answer = {"result": {}} if answer is None else answer
        self.told: list[tuple[str, JsonObject]] = []
        self.asked: list[tuple[str, JsonObject]] = []
        self.pauses = 0
        self._changed = anyio.Event()

    async def notification(self, method: str, params: JsonObject) -> None:
        self.told.append((method, params))
        self._wake()

    async def paused(self) -> None:
        self.pauses += 1

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        self.asked.append((method, params))
        self._wake()
        return await self.answer(method, params) if callable(self.answer) else self.answer

    async def until(self, true: "Callable[[RecordingRelay], bool]") -> None:
        """Wait until `true` holds, at most five seconds."""
        with anyio.fail_after(5):
            while not true(self):
                await self._changed.wait()

    def methods(self) -> list[str]:
        """Return the methods of the notifications, in order."""
        return [method for method, _ in self.told]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
