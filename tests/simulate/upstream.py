"""A scriptable MCP server in memory that implements `ports.Upstream`; the contract suite keeps it true.

It records every message that reaches it, as a deep copy taken on arrival, so that a test can say "nothing reached the
upstream" and see later changes to a value that was handed over.

    upstream = FakeUpstream(tools=[{"name": "echo", "inputSchema": {"type": "object"}}])
    upstream.fail(UpstreamTimeout("…", may_have_run=True))          # every request
    upstream.fail(UpstreamBroken("…", may_have_run=True), "echo")   # one tool, by name, or one method
    upstream.hang("echo")                                           # until cancelled or `behave()`
    upstream.lie({"result": 1}, "echo")                             # this answer, whatever it is
    upstream.behave()                                               # back to normal; lets hanging requests go on
"""

import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import anyio

from gateway.core.jsonvalue import JsonObject
from gateway.errors import SessionLost, UpstreamTimeout, UpstreamUnreachable
from gateway.ports import Outbound, Relay, UpstreamSession, UpstreamSupport

__all__ = ["FakeSession", "FakeUpstream", "Handler", "Received"]

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
SERVER_INFO = {"name": "fake", "version": "1"}
CAPABILITIES: JsonObject = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "logging": {},
    "completions": {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message as it arrived. `session` counts handshake sessions from 1; 0 is the modern era."""

    method: str
    params: JsonObject
    version: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 0.0
    session: int = 0

    @property
    def modern(self) -> bool:
        return self.session == 0


Handler = Callable[[Received, Relay], Awaitable[JsonObject]]
"""Answers one request with its `result`; may use the relay meanwhile, or raise an UpstreamError."""


class FakeUpstream:
    """`handlers` answer by tool name (for `tools/call`) or by method; without one there is a plain default answer."""

    def __init__(
        self,
        id: str = "default",
        *,
        tools: Iterable[JsonObject] = (),
        handlers: Mapping[str, Handler] | None = None,
        support: UpstreamSupport | None = None,
        capabilities: JsonObject | None = None,
    ) -> None:
        self._id = id
        self.tools = list(tools)
        self.handlers = dict(handlers or {})
        self.capabilities = CAPABILITIES if capabilities is None else capabilities
        self.supported = support or UpstreamSupport(
            handshake=HANDSHAKE, modern=MODERN, discovered=self._discovered(list(MODERN))
        )
        self.received: list[Received] = []
        """Every request and notification, `initialize` and `notifications/initialized` included, in order."""
        self.cancelled: list[Received] = []
        """Requests whose sender gave up on them."""
        self.sessions: list[FakeSession] = []
        self.probes = 0
        self.introduction: JsonObject = {}
        """Members of its `initialize` results beside, or in place of, the plain ones."""
        self.closed = False
        self._known = False
        self._failures: dict[str, Exception] = {}
        self._lies: dict[str, JsonObject] = {}
        self._hanging: dict[str, anyio.Event] = {}

    # --- the port ---

    @property
    def id(self) -> str:
        return self._id

    async def support(self, *, refresh: bool = False, handshake: bool = True) -> UpstreamSupport:
        await anyio.lowlevel.checkpoint()
        if refresh or not self._known:
            self.probes += 1
            await self._wait_if_hanging("support")
            self._raise_failure("support")
            self._known = True
        return self.supported

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        return await self._answer(outbound, relay, session=0)

    async def connect(self, *, version: str, params: JsonObject, relay: Relay) -> UpstreamSession:
        await anyio.lowlevel.checkpoint()
        session = FakeSession(self, number=len(self.sessions) + 1, version=version, relay=relay)
        self._record(Received(method="initialize", params=params, version=version, session=session.number))
        await self._wait_if_hanging("initialize")
        self._raise_failure("initialize")
        self._record(Received(method="notifications/initialized", params={}, version=version, session=session.number))
        self.sessions.append(session)
        return session

    async def aclose(self) -> None:
        self.closed = True
        for session in self.sessions:
            await session.aclose()

    # --- the script ---

    def fail(self, error: Exception, what: str = "*") -> None:
        """Raise `error` for a tool or method by name (`support` and `initialize` too), or for everything."""
        self._failures[what] = error

    def hang(self, what: str = "*") -> None:
        """Answer nothing to a tool or method by name, or to everything, until `behave()` or the deadline."""
        self._hanging[what] = anyio.Event()

    def lie(self, message: JsonObject, what: str = "*") -> None:
        """Answer with exactly this message."""
        self._lies[what] = message

    def behave(self) -> None:
        """Forget all of the above and let hanging requests go on."""
        self._failures.clear()
        self._lies.clear()
        for event in self._hanging.values():
            event.set()
        self._hanging.clear()

    def drop_sessions(self) -> None:
        """Forget every session, as a server that was restarted."""
        for session in self.sessions:
            session.lost = True

    # --- what a test asks afterwards ---

    def requests(self, method: str = "tools/call") -> list[Received]:
        """Return the messages with this method, in order."""
        return [one for one in self.received if one.method == method]

    def calls(self, tool: str | None = None) -> list[Received]:
        """Return the tool calls, or those of one tool."""
        return [one for one in self.requests() if tool is None or one.params.get("name") == tool]

    # --- inside ---

    def _record(self, received: Received) -> Received:
        frozen = copy.deepcopy(received)
        self.received.append(frozen)
        return frozen

    async def _answer(self, outbound: Outbound, relay: Relay, *, session: int) -> JsonObject:
        if self.closed:
            raise UpstreamUnreachable(f"upstream {self._id}: closed", may_have_run=False)
        received = self._record(
            Received(
                method=outbound.method,
                params=outbound.params,
                version=outbound.version,
                headers=outbound.headers,
                timeout_s=outbound.timeout_s,
                session=session,
            )
        )
        try:
            with anyio.fail_after(outbound.timeout_s):
                await anyio.lowlevel.checkpoint()
                return await self._play(received, relay)
        except TimeoutError as error:
            text = f"upstream {self._id}: no complete answer within {outbound.timeout_s:g} s"
            raise UpstreamTimeout(text, may_have_run=True) from error
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(received)
            raise

    async def _play(self, received: Received, relay: Relay) -> JsonObject:
        names = self._names(received)
        for name in names:
            await self._wait_if_hanging(name)
        for name in names:
            self._raise_failure(name)
            if name in self._lies:
                return copy.deepcopy(self._lies[name])
        for name in names:
            if name in self.handlers:
                return {"result": await self.handlers[name](received, relay)}
        return self._default(received)

    @staticmethod
    def _names(received: Received) -> list[str]:
        tool = [str(received.params.get("name"))] if received.method == "tools/call" else []
        return [*tool, received.method, "*"]

    async def _wait_if_hanging(self, name: str) -> None:
        if name in self._hanging:
            await self._hanging[name].wait()

    def _raise_failure(self, name: str) -> None:
        error = self._failures.get(name) or self._failures.get("*")
        if error is not None:
            raise error

    def _default(self, received: Received) -> JsonObject:
        result = self._default_result(received)
        if result is None:
            return {"error": {"code": -32601, "message": "Method not found"}}
        if received.modern:
            result.setdefault("resultType", "complete")
            if received.method.endswith("/list"):
                result |= {"ttlMs": 0, "cacheScope": "public"}
        return {"result": result}

    def _default_result(self, received: Received) -> JsonObject | None:
        match received.method:
            case "tools/list":
                return {"tools": copy.deepcopy(self.tools)}
            case "tools/call":
                name = received.params.get("name")
                if all(tool.get("name") != name for tool in self.tools):
                    return {"content": [{"type": "text", "text": f"Unknown tool: {name}"}], "isError": True}
                return {"content": [{"type": "text", "text": f"{name} ran"}]}
            case "prompts/list":
                return {"prompts": []}
            case "resources/list":
                return {"resources": []}
            case "resources/templates/list":
                return {"resourceTemplates": []}
            case "server/discover" if received.modern:
                return self._discovered(list(MODERN))
            case "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" if not received.modern:
                return {}
            case _:
                return None

    def _discovered(self, versions: list[str]) -> JsonObject:
        return {
            "resultType": "complete",
            "supportedVersions": versions,
            "capabilities": copy.deepcopy(self.capabilities),
            "serverInfo": dict(SERVER_INFO),
            "ttlMs": 0,
            "cacheScope": "public",
        }


class FakeSession:
    """One handshake session. `relay` is the session's own: use it to play the upstream's GET stream."""

    def __init__(self, upstream: FakeUpstream, *, number: int, version: str, relay: Relay) -> None:
        self._upstream = upstream
        self.number = number
        self.version = version
        self.relay = relay
        self.lost = False
        self.closed = False

    @property
    def initialized(self) -> JsonObject:
        return {
            "protocolVersion": self.version,
            "capabilities": copy.deepcopy(self._upstream.capabilities),
            "serverInfo": dict(SERVER_INFO),
            **copy.deepcopy(self._upstream.introduction),
        }

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        self._check()
        return await self._upstream._answer(outbound, relay, session=self.number)

    async def notify(self, method: str, params: JsonObject) -> None:
        self._check()
        await anyio.lowlevel.checkpoint()
        self._upstream._raise_failure(method)
        self._upstream._record(Received(method=method, params=params, version=self.version, session=self.number))

    async def aclose(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.closed or self.lost:
            text = f"upstream {self._upstream.id}: the session has ended; initialise again"
            raise SessionLost(text, may_have_run=False)
