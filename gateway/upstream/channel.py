"""The conversation with one child process: requests in flight, whose each message is, and what is only noise.

Messages that belong to a request wait in that request's own queue and are handed on by whoever waits for its answer, so
that one slow agent holds up nobody else on a shared process. Whose a message is, where it does not say so: on a pipe
that several agents share (modern era) a message that names no request reaches nobody. On a session's own pipe it goes
to the session's relay; what a tool sends while it runs (logs, questions) goes to the request in flight, if there is
exactly one.

asyncio and not anyio: output comes in callbacks (`process.py`), and queues that they fill must not suspend.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Final

import anyio

from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.errors import UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.ports import Outbound, Relay
from gateway.upstream.asking import Asking
from gateway.upstream.lines import LineParser, TooLong
from gateway.upstream.messages import (
    CANCELLED,
    INTERNAL_ERROR,
    PROGRESS,
    Shape,
    answer_of,
    encode_notification,
    encode_reply,
    encode_request,
    params_of,
    read_message,
    shape_of,
    with_progress_token,
)
from gateway.upstream.process import ChildProcess, Command, start

__all__ = ["Channel", "InFlight"]

MAX_QUEUED: Final = 1000
MAX_QUEUED_BYTES: Final = 4 * 1024 * 1024
"""Messages of one request that its agent has not taken yet. More are dropped: they are progress and log messages, and
stopping the process's output would stop everybody's answers."""
WHILE_RUNNING: Final = frozenset(
    {"notifications/message", "sampling/createMessage", "elicitation/create", "roots/list"}
)
"""What a server sends because of a call that is running, without saying which."""
LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"
MESSAGE: Final = b'"jsonrpc"'
"""In every message. A line without it is told from one at a tenth of what reading it costs: there may be very many."""
OUR_ID = re.compile(rb'"id"\s*:\s*(\d{1,18})\s*[,}]')


class InFlight:
    """A queue of messages for one relay; for a request, its answer comes last."""

    def __init__(self, relay: Relay, *, token: JsonValue = None, wants_logs: bool = False) -> None:
        self.relay = relay
        self.token = token
        self.wants_logs = wants_logs
        self.answered = False
        self._queue: deque[tuple[Shape, JsonObject, int]] = deque()
        self._bytes = 0
        self._failure: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, shape: Shape, message: JsonObject, size: int) -> bool:
        """Queue a message; False where there are too many. A response always has room: it is the last one."""
        full = len(self._queue) >= MAX_QUEUED or self._bytes + size > MAX_QUEUED_BYTES
        if full and shape is not Shape.RESPONSE:
            return False
        self._queue.append((shape, message, size))
        self._bytes += size
        self._wake()
        return True

    def fail(self, failure: UpstreamError, *, at_once: bool = False) -> None:
        """Let it fail, after what came before was taken or `at_once`."""
        if at_once:
            self._queue.clear()
        self._failure = self._failure or failure
        self._wake()

    async def next(self) -> tuple[Shape, JsonObject]:
        """Return the next message. Raises UpstreamError."""
        while not self._queue:
            if self._failure is not None:
                raise self._failure
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        shape, message, size = self._queue.popleft()
        self._bytes -= size
        return shape, message

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Channel:
    """One process. With `relay` it is a handshake session's own; without, it is shared by modern requests.

    `ended` is called once when the process has ended by itself; whoever made the channel then closes it.
    """

    def __init__(
        self,
        upstream_id: str,
        ids: Iterator[int],
        max_line_bytes: int,
        ended: "Callable[[Channel], None]",
        relay: Relay | None = None,
    ) -> None:
        self._label = f"upstream {upstream_id}"
        self._ids = ids
        self._max_line_bytes = max_line_bytes
        self._parser = LineParser(max_line_bytes)
        self._on_end = ended
        self._child: ChildProcess | None = None
        self._in_flight: dict[int, InFlight] = {}
        self._session = InFlight(relay) if relay is not None else None
        self._asking = Asking(upstream_id, self._reply) if relay is not None else None
        self._listener: asyncio.Task[None] | None = None
        self._heard = 0
        self.answered = 0
        self.stuck = False
        """A call ended at its deadline, and no message has come since it was sent: it may answer nobody any more.

        Not while one that was sent before it still has time: a process that does one thing at a time is busy with that.
        """
        self.noise = 0
        """Lines that are no message for anybody: not JSON, unknown ids, what belongs to nobody, too many at once."""

    async def start(self, command: Command) -> None:
        """Start the process. Raises UpstreamUnreachable."""
        self._child = await start(command, self._label, self._receive, self._ended)
        if self._session is not None:
            self._listener = asyncio.create_task(self._listen(self._session))

    @property
    def alive(self) -> bool:
        """False before the start and once the process has ended."""
        return self._child is not None and self._child.alive

    @property
    def listens(self) -> bool:
        """True while the process holds its standard input open."""
        return self._child is not None and self._child.listens

    def how_it_ended(self) -> str:
        """Say in a few words how the process ended."""
        return "was not started" if self._child is None else self._child.how_it_ended()

    def explain(self, error: UpstreamError) -> None:
        """Add the end of standard error as a note: operators see notes, agents only ever a code."""
        tail = self.stderr_tail()
        if tail and not getattr(error, "__notes__", None):
            error.add_note(f"its standard error ended with:\n{tail}")

    def stderr_tail(self) -> str:
        """Return the end of what the process wrote to standard error, for an operator only."""
        return "" if self._child is None else self._child.stderr_tail()

    async def aclose(self) -> None:
        """End the process; requests in flight fail."""
        with anyio.CancelScope(shield=True):
            self._fail_all(UpstreamBroken(f"{self._label} was closed before it answered", may_have_run=True))
            if self._listener is not None:
                self._listener.cancel()
                await asyncio.gather(self._listener, return_exceptions=True)
            if self._asking is not None:
                await self._asking.aclose()
            if self._child is not None:
                await self._child.aclose()

    # --- towards the process ---

    def send(self, message: bytes) -> None:
        """Queue one message. Raises UpstreamUnreachable: it was not sent."""
        if self._child is None or not self._child.write(message + b"\n"):
            what = "does not read its standard input" if self.listens else self.how_it_ended()
            raise UpstreamUnreachable(f"{self._label}: the process {what}; it was not asked", may_have_run=False)

    def notify(self, method: str, params: JsonObject) -> None:
        """Queue one notification of the agent, its progress token mapped. Raises UpstreamUnreachable."""
        restored = params if self._asking is None else self._asking.restore(method, params)
        if restored is not None:
            self.send(encode_notification(method, restored))

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """Send one request, return its answer. Raises UpstreamError."""
        request_id = next(self._ids)
        params, token = with_progress_token(outbound.params, request_id)
        body = encode_request(request_id, outbound.method, params)
        call = InFlight(relay, token=token, wants_logs=_wants_logs(params))
        self._in_flight[request_id] = call
        heard = self._heard
        try:
            self.send(body)
            async with asyncio.timeout(None if outbound.timeout_s == inf else outbound.timeout_s):
                return await self._converse(call, request_id)
        except BaseException as error:
            if self._asking is not None:
                self._asking.drop(relay)
            if isinstance(error, (asyncio.CancelledError, TimeoutError)):
                self._tell_cancelled(request_id, outbound.method)
            if isinstance(error, TimeoutError):
                if self._heard == heard and next(iter(self._in_flight)) == request_id:
                    self.stuck = True  # until it says something
                text = f"{self._label} did not give an answer within the time allowed"
                raise UpstreamTimeout(text, may_have_run=True) from error
            raise
        finally:
            del self._in_flight[request_id]

    async def _converse(self, call: InFlight, request_id: int) -> JsonObject:
        while True:
            shape, message = await call.next()
            if shape is Shape.RESPONSE:
                return answer_of(message, request_id, self._label)
            await self._hand_on(call, shape, message)

    async def _listen(self, session: InFlight) -> None:
        while True:
            shape, message = await session.next()
            await self._hand_on(session, shape, message)

    async def _hand_on(self, call: InFlight, shape: Shape, message: JsonObject) -> None:
        if shape is Shape.NOTIFICATION:
            await call.relay.notification(message["method"], message.get("params", {}))
        elif self._asking is not None:
            await self._asking.take(message, call.relay)

    def _tell_cancelled(self, request_id: int, method: str) -> None:
        if method == "initialize":
            return  # must not be cancelled (2025-11-25, cancellation); the process is ended instead
        try:
            self.send(encode_notification(CANCELLED, {"requestId": request_id}))
        except UpstreamUnreachable:
            return  # the process is gone or does not listen: nothing is left to cancel

    async def _reply(self, body: bytes) -> None:
        self.send(body)

    # --- from the process ---

    def _receive(self, data: bytes) -> None:
        for line in self._parser.feed(data):
            if isinstance(line, TooLong):
                text = f"{self._label} sent a line longer than {self._max_line_bytes} bytes"
                self._blame(line.start + b"\n" + line.end, UpstreamBroken(text, may_have_run=True))
                continue
            if MESSAGE not in line:
                self._blame(line, UpstreamBroken(f"{self._label} sent a line that is no message", may_have_run=True))
                continue
            try:
                message = read_message(line, self._label)
            except UpstreamBroken as error:
                self._blame(line, error)
                continue
            self._heard += 1
            self.stuck = False
            if not self._route(shape_of(message), message, len(line)):
                self.noise += 1

    def _blame(self, line: bytes, failure: UpstreamBroken) -> None:
        """End the call whose answer this seems to be, so that it need not wait for its deadline; else it is noise."""
        found = OUR_ID.search(line) if line.lstrip().startswith(b"{") else None
        call = self._in_flight.get(int(found[1])) if found is not None else None
        if call is None:
            self.noise += 1
        else:
            call.fail(failure)

    def _route(self, shape: Shape, message: JsonObject, size: int) -> bool:
        if shape is Shape.RESPONSE:
            return self._take_response(message, size)
        if shape is Shape.REQUEST and self._asking is None:
            self._refuse(message, "requests of the server have no place in the modern era")
            return False
        if message["method"] == CANCELLED and self._asking is not None:
            self._asking.cancel(message.get("params", {}).get("requestId"))
            return True
        if message["method"] == PROGRESS:
            return self._take_progress(message, size)
        queue = self._subscriber(message) or self._related(message) or self._session
        if queue is not None and queue.put(shape, message, size):
            return True
        if shape is Shape.REQUEST:
            self._refuse(message, "too many messages are waiting for the agent")
        return False

    def _take_response(self, message: JsonObject, size: int) -> bool:
        request_id = message.get("id")
        call = self._in_flight.get(request_id) if type(request_id) is int else None
        if call is None:
            return False  # late, or never asked
        if call.answered:
            failure = UpstreamBroken(f"{self._label} sent two answers to one request", may_have_run=True)
            call.fail(failure, at_once=True)
            return True
        call.answered = True
        self.answered += 1
        return call.put(Shape.RESPONSE, message, size)

    def _take_progress(self, message: JsonObject, size: int) -> bool:
        tokens = {number: call.token for number, call in self._in_flight.items() if call.token is not None}
        token = message.get("params", {}).get("progressToken")
        params = params_of(message, tokens)
        if params is None or type(token) is not int:
            return False
        return self._in_flight[token].put(Shape.NOTIFICATION, {**message, "params": params}, size)

    def _subscriber(self, message: JsonObject) -> InFlight | None:
        meta = message.get("params", {}).get("_meta")
        number = meta.get(SUBSCRIPTION) if isinstance(meta, dict) else None
        # The SDK writes the id of the listen request as text.
        if isinstance(number, str) and number.isdecimal() and len(number) < 18:
            number = int(number)
        return self._in_flight.get(number) if type(number) is int else None

    def _related(self, message: JsonObject) -> InFlight | None:
        if len(self._in_flight) != 1 or message["method"] not in WHILE_RUNNING:
            return None
        (call,) = self._in_flight.values()
        return call if self._session is not None or call.wants_logs else None

    def _refuse(self, message: JsonObject, why: str) -> None:
        try:
            self.send(encode_reply(message["id"], {"error": {"code": INTERNAL_ERROR, "message": why}}))
        except UpstreamUnreachable:
            return  # it does not listen

    def _ended(self) -> None:
        text = f"{self._label}: the process {self.how_it_ended()} before it answered"
        failure = UpstreamBroken(text, may_have_run=True)
        self.explain(failure)
        self._fail_all(failure)
        self._on_end(self)

    def _fail_all(self, failure: UpstreamError) -> None:
        for call in self._in_flight.values():
            call.fail(failure)


def _wants_logs(params: JsonObject) -> bool:
    meta = params.get("_meta")
    return isinstance(meta, dict) and LOG_LEVEL in meta
