"""One handshake session: its streams, what is in flight, and the questions that wait for the agent's answer.

Owns which message goes on which stream and in which order. A broken connection is no cancellation here: the work goes
on, and what it says is kept for a while so that the agent can resume (`Last-Event-ID`). Which sessions exist and whose
they are is `sessions.py`; HTTP is `http.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio

from gateway.core.codes import INTERNAL_ERROR, INVALID_REQUEST
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Inbound, Rejection
from gateway.core.principal import Principal
from gateway.core.wire import encode_error
from gateway.downstream.answer import Answer
from gateway.downstream.bounds import FrontLimits
from gateway.downstream.sse import PING, EventLog, EventStream, event, notification, priming, request
from gateway.ports import Clock, Ids, Mount
from gateway.services.dispatch import Conversation
from gateway.services.scope import new_scope

__all__ = ["Session", "SessionCaller"]

PRIMED_VERSION: Final = "2025-11-25"
"""The version whose streams begin with an empty event; agents of earlier ones cannot read it."""

REQUEST_CANCELLED: Final = -32800
"""As the official SDK's server answers a cancelled request of this era, so that its stream ends."""

_GIVE_NOTICE_S: Final = 1.0
"""How long a question that nobody waits for any more may take to be withdrawn."""

Put = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class _Question:
    """A request of ours to the agent."""

    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: JsonObject | None = None


class Session:
    """One handshake session; towards the services it is the `ports.Channel` of its GET stream.

    It is `ready` once the dispatch has opened its conversation, and `ended` for good after `end`.
    """

    def __init__(
        self, *, session_id: str, principal: Principal, mount: Mount, limits: FrontLimits, clock: Clock, ids: Ids
    ) -> None:
        self.id = session_id
        self.principal = principal
        self.mount = mount
        self.limits = limits
        self.conversation: Conversation | None = None
        self.ended = False
        self.used_at = clock.monotonic()
        self.log = EventLog(limit_bytes=limits.event_buffer_bytes, keep_s=limits.event_buffer_s, clock=clock)
        self.general = self.log.open(ids.secret())
        """The stream that belongs to no request: the GET stream, kept while nobody listens."""
        self._calls: dict[str | int, SessionCaller] = {}
        self._questions: dict[str, _Question] = {}
        self._asked = 0
        self._closed = False
        self._clock = clock
        self._ids = ids

    # --- its state

    @property
    def idle(self) -> bool:
        """Whether the session is ready, nothing is in flight and nobody listens."""
        return self.conversation is not None and not self._calls and self.general.listener is None

    @property
    def primed(self) -> bool:
        """Whether the agent reads the empty first event."""
        return self.conversation is not None and self.conversation.version == PRIMED_VERSION

    def touch(self) -> None:
        """Note that the agent uses the session now."""
        self.used_at = self._clock.monotonic()

    async def end(self) -> None:
        """End everything that runs for the session, then its conversation; bounded in time."""
        self.ended = True
        for question in self._questions.values():
            question.answered.set()
        for call in self._calls.values():
            call.scope.cancel()
        self.log.close()
        if self.conversation is not None and not self._closed:
            self._closed = True
            with anyio.move_on_after(self.limits.close_s, shield=True):
                await self.conversation.aclose()

    # --- requests of the agent

    def begin(self, inbound: Inbound, answer: Answer) -> "SessionCaller | None":
        """Take a request in flight; None where its id is in flight already."""
        if inbound.id is None or inbound.id in self._calls:
            return None
        caller = self._calls[inbound.id] = SessionCaller(self, answer, inbound.id)
        return caller

    def forget(self, caller: "SessionCaller") -> None:
        """The request is answered: its id may be used again."""
        if self._calls.get(caller.request_id) is caller:
            del self._calls[caller.request_id]
        self.touch()

    def cancel(self, request_id: object) -> None:
        """Cancel a request in flight by the agent's own id; unknown ids are nobody's."""
        if isinstance(request_id, str | int) and not isinstance(request_id, bool):
            call = self._calls.get(request_id)
            if call is not None:
                call.scope.cancel()

    def open_stream(self) -> EventStream:
        """Begin the stream of one request."""
        return self.log.open(self._ids.secret())

    # --- requests to the agent

    async def notify(self, method: str, params: JsonObject) -> None:
        """Put a notification on the GET stream, kept while nobody listens."""
        await self._put_general(notification(method, params))

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Ask the agent on the GET stream."""
        return await self.question(self._put_general, method, params)

    async def pause(self) -> None:
        """Do nothing: the GET stream is ended by the agent only."""

    async def question(self, put: Put, method: str, params: JsonObject) -> JsonObject:
        """Send a request on the stream of `put` and wait for the agent's answer, its end or the deadline."""
        if self.ended or len(self._questions) >= self.limits.questions_per_session:
            return _no_answer("the agent's session takes no more questions")
        self._asked += 1
        name = f"intended-{self._asked}"
        question = self._questions[name] = _Question()
        try:
            with anyio.move_on_after(self.limits.ask_timeout_s):
                await put(request(name, method, params))
                await question.answered.wait()
            return question.answer or _no_answer("the agent did not answer")
        finally:
            del self._questions[name]
            if question.answer is None and not self.ended:
                with anyio.move_on_after(_GIVE_NOTICE_S, shield=True):
                    await put(notification("notifications/cancelled", {"requestId": name}))

    def answered(self, inbound: Inbound) -> bool:
        """Take the agent's answer to a question of ours; False where we did not ask that."""
        question = self._questions.get(inbound.id) if isinstance(inbound.id, str) else None
        if question is None or question.answer is not None:
            return False
        question.answer = inbound.message
        question.answered.set()
        return True

    async def _put_general(self, data: bytes) -> None:
        if not self.ended:
            self.general.append(data)

    # --- listening

    async def listen(self, stream: EventStream, after: int, answer: Answer, *, prime: bool) -> None:
        """Send a stream's events on a GET's answer until it is finished, the agent leaves or another GET takes over."""
        await stream.attach(answer)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, answer, tasks.cancel_scope)
                await answer.open(priming(stream.place(after), self.limits.retry_ms) if prime else b"")
                await self._pump(stream, after, answer)
                tasks.cancel_scope.cancel()
            await answer.end()
        finally:
            stream.detach(answer)
            self.touch()

    async def _pump(self, stream: EventStream, sent: int, answer: Answer) -> None:
        while stream.listener is answer:
            pending = stream.after(sent)
            for number, frame in pending:
                await answer.write(frame)
                sent = number
                stream.delivered = max(stream.delivered, number)
            if pending:
                continue  # writing took its time: look again before waiting
            if stream.finished:
                return
            with anyio.move_on_after(self.limits.keep_alive_s) as silence:
                await stream.changed()
            if silence.cancelled_caught:
                await answer.write(PING)


async def _until_gone(answer: Answer, scope: anyio.CancelScope) -> None:
    await answer.watch()
    scope.cancel()


def _no_answer(message: str) -> JsonObject:
    return {"error": {"code": INTERNAL_ERROR, "message": message}}


class SessionCaller:
    """`ports.Caller` of one request of a session: messages go on its own stream, before the answer."""

    __slots__ = ("_session", "_stream", "answer", "prefer", "request_id", "scope")

    def __init__(self, session: Session, answer: Answer, request_id: str | int) -> None:
        self.answer = answer
        self.prefer = ""
        self.request_id = request_id
        self.scope = new_scope()
        self._session = session
        self._stream: EventStream | None = None

    def gone(self) -> bool:
        """Return whether nobody can receive the answer: the session ended, or the agent left without an event id."""
        if self._session.ended:
            return True
        if self._stream is not None and (self._session.primed or self._stream.last > 0):
            return False
        return self.answer.gone()

    def connected(self) -> bool:
        """Return whether somebody takes the answer now: on this connection, or on one that has resumed its stream."""
        taker = self.answer if self._stream is None else self._stream.listener
        return not self._session.ended and taker is not None and not taker.gone()

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send a notification before the answer."""
        await self._put(notification(method, params))

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Ask the agent on this request's own stream."""
        return await self._session.question(self._put, method, params)

    async def pause(self) -> None:
        """End the HTTP response but not the request: the agent resumes its stream (SEP-1699 polling).

        Nothing happens where the agent has no place to resume from.
        """
        if self._stream is not None and self._session.primed:
            self._stream.detach(self.answer)
            await self.answer.end()

    async def open(self) -> EventStream:
        """Begin the event stream, with its empty first event where the agent reads that, or return the open one."""
        stream = self._stream
        if stream is None:
            stream = self._stream = self._session.open_stream()
            stream.listener = self.answer
            retry_ms = self._session.limits.retry_ms
            await self.answer.open(priming(stream.place(0), retry_ms) if self._session.primed else b"")
        return stream

    async def finish(self, status: int, body: bytes) -> None:
        """Send the answer: the last event of an open stream, else a plain body with `status`."""
        if self._stream is None:
            await self.answer.plain(status, body)
        elif self._session.ended:
            await self.answer.write(event(body), last=True)
        else:
            too_large = Rejection(
                status=500, code=INTERNAL_ERROR, message="The answer was too large to keep while nobody listened."
            )
            frame = self._stream.append(body, last=True, otherwise=encode_error(self.request_id, too_large))
            if self._stream.listener is self.answer:
                await self.answer.write(frame, last=True)
                self._stream.detach(self.answer)
            else:
                await self.answer.end()

    def cancelled(self) -> Rejection:
        """Return what a request is answered whose work was cancelled: by its agent, or by the session's end."""
        if self._session.ended:
            return Rejection(status=404, code=INVALID_REQUEST, message="Session not found")
        return Rejection(status=200, code=REQUEST_CANCELLED, message="Request cancelled")

    async def _put(self, data: bytes) -> None:
        if self._session.ended or (self._stream is None and self.answer.gone()):
            return
        stream = await self.open()
        frame = stream.append(data)
        if stream.listener is self.answer:
            await self.answer.write(frame)

    # --- for the usher

    def lost(self) -> None:
        """Stop sending; the work goes on, for in this era a closed connection is no cancellation."""
        if self._stream is not None:
            self._stream.detach(self.answer)

    async def keep_alive(self) -> None:
        """Send a comment; opens the stream after a long silence, so that no proxy cuts it."""
        await self.open()
        await self.answer.write(PING)
