"""The agent that waits for one stateless answer (modern era): messages on the answer's own stream, then the answer.

Owns the rule that closing the connection is the cancel. There are no sessions and no requests to the agent here.
"""

from gateway.core.codes import INVALID_REQUEST
from gateway.core.jsonvalue import JsonObject
from gateway.downstream.answer import Answer
from gateway.downstream.sse import PING, event, notification
from gateway.services.scope import new_scope

__all__ = ["ModernCaller"]


class ModernCaller:
    """`ports.Caller` of one modern request. What runs for it runs inside `scope`."""

    __slots__ = ("_stream", "answer", "prefer", "scope")

    def __init__(self, answer: Answer, *, stream: bool, prefer: str = "") -> None:
        self.answer = answer
        self.prefer = prefer
        self.scope = new_scope()
        self._stream = stream

    def gone(self) -> bool:
        """Return whether the agent closed the connection: nothing may be done for it any more."""
        return self.answer.gone()

    def connected(self) -> bool:
        """Return whether the agent is there: a stream of this era cannot be resumed."""
        return not self.answer.gone()

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send a notification before the answer; dropped where the agent takes no event stream."""
        if self._stream:
            await self.answer.open()
            await self.answer.write(event(notification(method, params)))

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Refuse: the modern era has no requests to the agent."""
        return {"error": {"code": INVALID_REQUEST, "message": f"{method} cannot be sent to an agent of this era"}}

    async def pause(self) -> None:
        """Do nothing: streams of this era cannot be resumed, so none is ended early."""

    async def finish(self, status: int, body: bytes) -> None:
        """Send the answer: the last event of an open stream, else a plain body with `status`."""
        if self.answer.streaming:
            await self.answer.write(event(body), last=True)
        else:
            await self.answer.plain(status, body)

    # --- for the usher

    def lost(self) -> None:
        """Cancel the work: in this era a closed connection is the agent's cancellation."""
        if not self.answer.complete:
            self.scope.cancel()

    async def keep_alive(self) -> None:
        """Send a comment; opens the stream after a long silence, so that no proxy cuts it."""
        if self._stream:
            await self.answer.open()
            await self.answer.write(PING)
