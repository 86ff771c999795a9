"""The agent-facing MCP front: Streamable HTTP in both eras on one endpoint, as a raw ASGI app.

One request, in order:

1. `head`: Host (421) and Origin (403), credential → principal (401, 403, 429, 503), path (404), verb (405).
2. The body, never more than its bound (413), then `core.wire.classify` → one message, or a refusal.
3. Modern era: the dispatch answers; closing the connection is the cancel (`modern.py`).
   Handshake era: the session of the message (`sessions.py`, `session.py`), which outlives its connections.
4. The answer: JSON, or an event stream from the first message before it (`answer.py`).

Owns HTTP and nothing that a message means. What is refused at 1 or 2 never reaches the dispatch but to be recorded.
Logs hold the names of faults and places in the code, no header, argument or message of an error.
"""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVarTuple

import anyio

from gateway.core.call import Era
from gateway.core.codes import INTERNAL_ERROR, INVALID_REQUEST
from gateway.core.message import Inbound, Kind, Rejection
from gateway.core.principal import Principal, Scope
from gateway.core.versions import HANDSHAKE_VERSIONS
from gateway.core.wire import classify, encode_error, encode_result
from gateway.downstream.answer import DIRECT, Answer, Direct, Receive, Send
from gateway.downstream.bounds import FrontLimits
from gateway.downstream.head import LAST_EVENT_ID, PREFER, SESSION_ID, TENANT, VERSION, Gate, Head
from gateway.downstream.modern import ModernCaller
from gateway.downstream.session import Session, SessionCaller
from gateway.downstream.sessions import Sessions
from gateway.downstream.usher import Usher
from gateway.errors import RateLimited, RequestError, StoreError, Unauthenticated
from gateway.ports import Clock, Ids, Mount
from gateway.services.authentication import Authentication, require_scope, require_tenant
from gateway.services.dispatch import Conversation, Dispatch, Reply

__all__ = ["McpFront"]

UNAUTHORIZED: Final = -32001
"""The code that the SDKs show the message of (research/ecosystem.md 1.2)."""

_LISTEN: Final = "subscriptions/listen"

_MODERN: Final = Era.MODERN
_REQUEST: Final = Kind.REQUEST
_MCP_CALL: Final = Scope.MCP_CALL

_Given = TypeVarTuple("_Given")

_log = logging.getLogger(__name__)


class _Exchange:
    """One HTTP request on its way through the front."""

    __slots__ = ("answer", "caller", "direct", "head", "inbound", "principal", "receive", "scope")

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.direct: Direct | None = scope["extensions"].get(DIRECT) if "extensions" in scope else None
        self.answer = Answer(receive, send, self.direct)
        self.head = Head(scope["headers"])
        self.principal: Principal | None = None
        self.inbound: Inbound | None = None
        self.caller: ModernCaller | SessionCaller | None = None


class McpFront:
    """The ASGI app of `/mcp` and `/mcp/{upstream}`. It serves only inside of `running`."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        authentication: Authentication,
        mounts: Mapping[str, Mount],
        limits: FrontLimits,
        clock: Clock,
        ids: Ids,
        allowed_hosts: Sequence[str] = (),
        allowed_origins: Sequence[str] = (),
    ) -> None:
        self._dispatch = dispatch
        self._authentication = authentication
        self._mounts = mounts
        self._limits = limits
        self._gate = Gate(hosts=allowed_hosts, origins=allowed_origins)
        self._sessions = Sessions(limits=limits, clock=clock, ids=ids)
        self._usher = Usher(round_s=limits.attend_after_s, keep_alive_s=limits.keep_alive_s, contain=self._contained)
        self._asking: dict[ModernCaller, Principal] = {}
        self._listening: set[ModernCaller] = set()
        self._doubt = anyio.Event()
        self._running = False

    @property
    def sessions(self) -> Sessions:
        """The handshake sessions, for figures and housekeeping."""
        return self._sessions

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Own every task of the front; on the way out end all sessions, bounded in time."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._usher.run, tasks)
            tasks.start_soon(self._keep_house)
            self._running = True
            try:
                yield
            finally:
                self.drain()
                await self._sessions.close()
                tasks.cancel_scope.cancel()

    def drain(self) -> None:
        """Take nothing new, and end the streams that only wait (GET, `subscriptions/listen`).

        A server that stops calls this before it waits for its connections; what is in flight may still finish.
        """
        self._running = False
        self._sessions.hush()
        for caller in tuple(self._listening):
            caller.scope.cancel()

    def review(self) -> None:
        """Look at once, not at the next round, whether everything open is still somebody's: a credential has ended."""
        self._doubt.set()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        exchange = _Exchange(scope, receive, send)
        try:  # as `_contained` does, which would be one more step of every call, each time that it waits
            await self._serve(exchange)
        except Exception as fault:  # noqa: BLE001 - the one place of this face
            _note(fault)
            await self._contained(self._confess, exchange)

    async def _contained(self, work: Callable[[*_Given], Awaitable[None]], *given: *_Given) -> bool:
        """Run `work`; False where it failed in a way that nobody foresaw."""
        try:
            await work(*given)
        except Exception as fault:  # noqa: BLE001 - tasks of the front: one's fault must not end the others
            _note(fault)
            return False
        return True

    async def _confess(self, exchange: _Exchange) -> None:
        inbound = exchange.inbound
        fault = Rejection(status=500, code=INTERNAL_ERROR, message="The gateway failed. Nothing more is known.")
        body = encode_error(inbound.id if inbound is not None else None, fault)
        if exchange.caller is not None:
            await exchange.caller.finish(fault.status, body)
        else:
            await exchange.answer.plain(fault.status, body)

    async def _keep_house(self) -> None:
        while True:
            with anyio.move_on_after(self._limits.housekeeping_s):
                await self._doubt.wait()
            self._doubt = anyio.Event()
            await self._contained(self._tidy)

    async def _tidy(self) -> None:
        """End what has idled out, and what is open in the name of somebody whose credential has ended."""
        stands = self._authentication.stands
        for caller, principal in tuple(self._asking.items()):
            # Not only streams: a call that waits for its human must not run for a key that has ended meanwhile.
            if not stands(principal):
                caller.scope.cancel()
        await self._sessions.expire(stands)

    # --- 1: the head --------------------------------------------------------------------------------------------------

    def _serve(self, exchange: _Exchange) -> Awaitable[None]:
        """Choose what answers the request.

        Neither this nor most of the steps below it are coroutines: each one that a call lies in costs it a step
        whenever it waits.
        """
        rejection = self._gate.check(exchange.head, exchange.scope.get("server"))
        if rejection is not None:
            return self._refuse(exchange, rejection)
        if not self._running:
            # Starting or stopping: nothing could own what this request would begin.
            return self._unavailable(exchange, "The gateway is not running.")
        try:
            principal = self._admit(exchange)
        except StoreError:
            return self._unavailable(exchange, "Credentials cannot be checked now. Try again later.")
        except RequestError as error:
            return self._turn_away(exchange, error)
        return self._route(exchange, principal)

    def _admit(self, exchange: _Exchange) -> Principal:
        """Return who asks. Raises StoreError, and RequestError where that is nobody who may."""
        head = exchange.head
        principal = exchange.principal = self._authentication.identify(head.credentials(), keyless=True)
        self._authentication.admit(principal)
        tenant = head.get(TENANT)
        if tenant is not None:
            require_tenant(principal, "" if head.doubled(TENANT) else tenant)
        require_scope(principal, _MCP_CALL)
        return principal

    async def _turn_away(self, exchange: _Exchange, error: RequestError) -> None:
        """Answer who is nobody (401), has used up this minute (429) or may not (403); the message is for a person."""
        presented = bool(exchange.head.credentials())
        if isinstance(error, RateLimited):
            rejection = Rejection(status=429, code=INVALID_REQUEST, message=str(error))
            retry = (b"retry-after", b"%d" % error.retry_after_s)
            if error.repeated:  # one entry a minute: who is over the limit must not fill the disk
                await exchange.answer.plain(429, encode_error(None, rejection), (retry,))
            else:
                await self._refuse(exchange, rejection, retry)
        elif not isinstance(error, Unauthenticated):
            await self._refuse(exchange, Rejection(status=403, code=INVALID_REQUEST, message=str(error)))
        elif not presented and exchange.scope["method"] == "GET":
            # A client that looks whether there is something to find; nothing is refused that it has asked for.
            nothing = Rejection(status=404, code=INVALID_REQUEST, message="There is nothing here without a key.")
            await exchange.answer.plain(404, encode_error(None, nothing))
        else:
            rejection = Rejection(status=401, code=UNAUTHORIZED, message=str(error))
            challenge = b'Bearer error="invalid_token"' if presented else b"Bearer"
            await self._refuse(exchange, rejection, (b"www-authenticate", challenge))

    def _route(self, exchange: _Exchange, principal: Principal) -> Awaitable[None]:
        mount = self._mounts.get(exchange.scope["path"])
        verb = exchange.scope["method"]
        # What a proxy in front sees is what is meant: `/%6dcp` is another path than `/mcp`.
        if mount is None or b"%" in (exchange.scope.get("raw_path") or b""):
            nowhere = Rejection(status=404, code=INVALID_REQUEST, message="No such MCP endpoint.")
            return self._refuse(exchange, nowhere)
        if verb == "POST":
            return self._post(exchange, principal, mount)
        if exchange.head.get(VERSION) not in (None, *HANDSHAKE_VERSIONS):
            return self._wrong_verb(exchange, b"POST")
        if verb == "GET":
            return self._get(exchange, principal, mount)
        if verb == "DELETE":
            return self._delete(exchange, principal, mount)
        return self._wrong_verb(exchange, b"GET, POST, DELETE")

    async def _wrong_verb(self, exchange: _Exchange, allow: bytes) -> None:
        message = f"This endpoint takes {allow.decode('ascii')}."
        rejection = Rejection(status=405, code=INVALID_REQUEST, message=message)
        await self._refuse(exchange, rejection, (b"allow", allow))

    # --- 2: the body --------------------------------------------------------------------------------------------------

    def _post(self, exchange: _Exchange, principal: Principal, mount: Mount) -> Awaitable[None]:
        """Take a message whose body is there, which is the rule, without a coroutine for the reading."""
        whole = None if exchange.direct is None else exchange.direct.whole_body()
        if whole is None:
            return self._posted(exchange, principal, mount)
        if len(whole) > self._limits.wire.body_bytes:
            return self._too_large(exchange)
        return self._take(exchange, principal, mount, whole)

    async def _posted(self, exchange: _Exchange, principal: Principal, mount: Mount) -> None:
        body = await self._read(exchange)
        if body is not None:
            await self._take(exchange, principal, mount, body)

    def _take(self, exchange: _Exchange, principal: Principal, mount: Mount, body: bytes) -> Awaitable[None]:
        inbound = classify(body, exchange.scope["headers"], self._limits.wire)
        if isinstance(inbound, Rejection):
            return self._refuse(exchange, inbound)
        exchange.inbound = inbound
        if inbound.era is _MODERN:
            return self._modern(exchange, principal, mount, inbound)
        if inbound.kind is _REQUEST and inbound.method == "initialize":
            return self._initialize(exchange, principal, mount, inbound)
        return self._handshake(exchange, principal, mount, inbound)

    async def _read(self, exchange: _Exchange) -> bytes | None:
        """Return the whole body, or None where that was answered, or the agent left before it was whole."""
        bound = self._limits.wire.body_bytes
        if exchange.head.declared_length() <= bound:
            body = bytearray()
            while True:
                message = await exchange.receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > bound:
                    break
                if not message.get("more_body", False):
                    return bytes(body)
        await self._too_large(exchange)
        return None

    def _too_large(self, exchange: _Exchange) -> Awaitable[None]:
        """Refuse the body. The server throws away what is left of it, in the time that a body has.

        Closing instead would cut an agent off that still writes: it never reads the answer, and to the official SDK's
        client that is the end of all its calls.
        """
        bound = self._limits.wire.body_bytes
        too_large = Rejection(status=413, code=INVALID_REQUEST, message=f"the body is longer than {bound} bytes")
        return self._refuse(exchange, too_large)

    # --- 3: modern era ------------------------------------------------------------------------------------------------

    async def _modern(self, exchange: _Exchange, principal: Principal, mount: Mount, inbound: Inbound) -> None:
        if inbound.kind is not _REQUEST:
            # Nothing over HTTP is a notification to act on: honouring `notifications/cancelled` here would let one
            # caller cancel another's work.
            await exchange.answer.plain(202, b"")
            return
        head = exchange.head
        caller = ModernCaller(exchange.answer, stream=head.accepts.stream, prefer=head.get(PREFER) or "")
        exchange.caller = caller
        self._usher.expect(caller)
        self._asking[caller] = principal
        if inbound.method == _LISTEN:
            self._listening.add(caller)
        try:
            with caller.scope:
                reply = await self._dispatch.handle_modern(principal, mount, inbound, caller)
                await caller.finish(reply.status, encode_result(inbound.id, reply.message))
        finally:
            self._usher.dismiss(caller)
            self._asking.pop(caller, None)
            self._listening.discard(caller)
        if caller.scope.cancelled_caught:
            # The agent has left, its key has ended, or the gateway stops: a stream ends, and what has none is told.
            await exchange.answer.end()
            await self._unavailable(exchange, "The gateway stops.")

    # --- 3: handshake era ---------------------------------------------------------------------------------------------

    async def _initialize(self, exchange: _Exchange, principal: Principal, mount: Mount, inbound: Inbound) -> None:
        """Open a session. A session id that came along is ignored: it is the old one's, if it is any."""
        session = await self._sessions.open(principal, mount)
        if session is None:
            message = "Too many sessions of this agent are in use. End some, or wait until one is idle."
            rejection = Rejection(status=429, code=INVALID_REQUEST, message=message, id=inbound.id)
            await self._refuse(exchange, rejection)
            return
        kept = False
        try:
            opened = await self._dispatch.initialize(principal, mount, inbound, session)
            if isinstance(opened, Reply):
                await exchange.answer.plain(opened.status, encode_result(inbound.id, opened.message))
                return
            session.conversation = opened
            if session.ended:
                await self._unavailable(exchange, "The gateway stops.")
            elif not exchange.answer.gone():  # else nobody would ever learn the id
                body = encode_result(inbound.id, {"result": opened.initialized})
                await exchange.answer.plain(200, body, ((SESSION_ID, session.id.encode("ascii")),))
                kept = True
        finally:
            if not kept:
                with anyio.CancelScope(shield=True):  # bounded by the session itself
                    await self._sessions.end(session)

    def _handshake(self, exchange: _Exchange, principal: Principal, mount: Mount, inbound: Inbound) -> Awaitable[None]:
        found = self._session(exchange, principal, mount)
        if isinstance(found, Rejection):
            return self._refuse(exchange, found)
        session, conversation = found
        if inbound.kind is _REQUEST:
            return self._request(exchange, session, conversation, inbound)
        return self._notice(exchange, session, conversation, inbound)

    async def _notice(
        self, exchange: _Exchange, session: Session, conversation: Conversation, inbound: Inbound
    ) -> None:
        if inbound.kind is Kind.RESPONSE:
            if not session.answered(inbound):
                message = "This answers no question that is open in this session."
                await self._refuse(exchange, Rejection(status=400, code=INVALID_REQUEST, message=message))
                return
        elif inbound.method == "notifications/cancelled":
            session.cancel(inbound.params.get("requestId"))
        else:
            await self._dispatch.notice(conversation, inbound)
        await exchange.answer.plain(202, b"")

    async def _request(
        self, exchange: _Exchange, session: Session, conversation: Conversation, inbound: Inbound
    ) -> None:
        caller = session.begin(inbound, exchange.answer)
        if caller is None:
            message = "A request with this id is in flight in this session."
            rejection = Rejection(status=400, code=INVALID_REQUEST, message=message, id=inbound.id, era=Era.HANDSHAKE)
            await self._refuse(exchange, rejection)
            return
        exchange.caller = caller
        caller.prefer = exchange.head.get(PREFER) or ""
        self._usher.expect(caller)
        reply: Reply | None = None
        try:
            if exchange.head.accepts.prefers_stream:
                await caller.open()
            with caller.scope:
                reply = await self._dispatch.handle(conversation, inbound, caller)
        finally:
            self._usher.dismiss(caller)
            session.forget(caller)
        if reply is None:
            cancelled = caller.cancelled()
            await caller.finish(cancelled.status, encode_error(inbound.id, cancelled))
        else:
            await caller.finish(reply.status, encode_result(inbound.id, reply.message))

    def _session(
        self, exchange: _Exchange, principal: Principal, mount: Mount
    ) -> tuple[Session, Conversation] | Rejection:
        """Return the session that the request names, with its conversation, or why there is none."""
        head = exchange.head
        session_id = head.get(SESSION_ID)
        request_id = exchange.inbound.id if exchange.inbound is not None else None
        if not session_id or head.doubled(SESSION_ID) or head.doubled(VERSION):
            message = "Send one Mcp-Session-Id header (`initialize` answers with it) and one version at most."
            return Rejection(status=400, code=INVALID_REQUEST, message=message, id=request_id)
        session = self._sessions.find(session_id, principal, mount)
        if session is None or session.conversation is None:
            return Rejection(status=404, code=INVALID_REQUEST, message="Session not found", id=request_id)
        if head.get(VERSION) not in (None, session.conversation.version):
            message = f"MCP-Protocol-Version must be {session.conversation.version}, as agreed at `initialize`."
            return Rejection(status=400, code=INVALID_REQUEST, message=message, id=request_id)
        return session, session.conversation

    async def _get(self, exchange: _Exchange, principal: Principal, mount: Mount) -> None:
        """Open the session's GET stream, or resume any of its streams."""
        found = self._session(exchange, principal, mount)
        if isinstance(found, Rejection):
            await self._refuse(exchange, found)
            return
        session, _ = found
        stream, after = session.general, session.general.delivered
        event_id = exchange.head.get(LAST_EVENT_ID)
        rejection: Rejection | None = None
        if not exchange.head.accepts.stream:
            rejection = Rejection(status=406, code=INVALID_REQUEST, message="Accept must name text/event-stream.")
        elif event_id is not None:
            place = session.log.find(event_id)
            if place is None or exchange.head.doubled(LAST_EVENT_ID):
                message = "Last-Event-ID names no stream of this session that is still kept."
                rejection = Rejection(status=400, code=INVALID_REQUEST, message=message)
            else:
                stream, after = place
        elif stream.listener is not None:
            rejection = Rejection(status=409, code=INVALID_REQUEST, message="The session has its GET stream already.")
        if rejection is not None:
            await self._refuse(exchange, rejection)
            return
        prime = session.primed and event_id is None
        await session.listen(stream, after, exchange.answer, prime=prime)

    async def _delete(self, exchange: _Exchange, principal: Principal, mount: Mount) -> None:
        found = self._session(exchange, principal, mount)
        if isinstance(found, Rejection):
            await self._refuse(exchange, found)
            return
        with anyio.CancelScope(shield=True):  # bounded by the session itself
            await self._sessions.end(found[0])
        await exchange.answer.plain(200, b"")

    # --- refusals -----------------------------------------------------------------------------------------------------

    async def _refuse(self, exchange: _Exchange, rejection: Rejection, *headers: tuple[bytes, bytes]) -> None:
        """Record the refusal, bounded in time, then answer it."""
        client = exchange.scope.get("client")
        with anyio.move_on_after(self._limits.refusal_s):
            await self._dispatch.refused(exchange.principal, client[0] if client else "", rejection)
        await exchange.answer.plain(rejection.status, encode_error(rejection.id, rejection), headers)

    async def _unavailable(self, exchange: _Exchange, message: str) -> None:
        """Answer 503. Nothing is recorded: what would record it may be what is missing."""
        rejection = Rejection(status=503, code=INTERNAL_ERROR, message=message)
        await exchange.answer.plain(503, encode_error(None, rejection), ((b"retry-after", b"1"),))


def _note(fault: Exception) -> None:
    """Log a fault that nobody foresaw: its kind and its places. Its message may hold anything, so that stays out."""
    places = "".join(traceback.format_tb(fault.__traceback__))
    _log.error("unforeseen fault in the MCP front: %s\n%s", type(fault).__name__, places)
