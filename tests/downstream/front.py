"""A front with a dispatch that does as the request says, and an in-process agent that speaks ASGI to it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from gateway.core.message import Inbound, Rejection, WireLimits
from gateway.core.principal import Principal, Scope
from gateway.downstream.bounds import FrontLimits
from gateway.downstream.http import McpFront
from gateway.errors import StoreError
from gateway.ports import Caller, Channel, Mount
from gateway.services.authentication import Authentication
from gateway.services.dispatch import Conversation, Dispatch, Reply
from gateway.services.ratelimit import RateLimits

MODERN = "2026-07-28"
HANDSHAKE = "2025-11-25"
ALICE = Principal(tenant="acme", agent="alice", credential="key_a", scopes=frozenset({Scope.MCP_CALL}))
BOB = replace(ALICE, agent="bob", credential="key_b")
READER = replace(ALICE, agent="reader", credential="key_r", scopes=frozenset({Scope.AUDIT_READ}))
HASTY = replace(ALICE, agent="hasty", credential="key_h", per_minute=2)
KEYS = {
    "alice-key": ALICE,
    "alice-other-key": replace(ALICE, credential="key_a2"),
    "bob-key": BOB,
    "reader-key": READER,
    "hasty-key": HASTY,
}
MOUNTS = {
    "/mcp": Mount(upstreams=("files", "notes"), prefixed=True),
    "/mcp/files": Mount(upstreams=("files",), prefixed=False),
}
LIMITS = FrontLimits(
    wire=WireLimits(body_bytes=4096, depth=16, keys=200, id_chars=64),
    attend_after_s=0.001,
    ask_timeout_s=5.0,
    close_s=2.0,
)
PATIENCE_S = 5.0


class FakeClock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class FakeIds:
    """Counts; unguessable enough for a test."""

    def __init__(self) -> None:
        self.count = 0

    def new(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count:026}"

    def secret(self) -> str:
        self.count += 1
        return f"secret{self.count:026}"


@dataclass
class FakeCredentials:
    """Knows `KEYS` but for those that ended; keyless where told, broken where told."""

    keyless: bool = False
    down: bool = False
    ended: set[str] = field(default_factory=set)

    def any(self) -> bool:
        return not self.keyless

    def resolve(self, presented: str) -> Principal | None:
        if self.down:
            msg = "database is locked"
            raise StoreError(msg)
        return None if presented in self.ended else KEYS.get(presented)

    def stands(self, principal: Principal) -> bool:
        return any(known == principal and key not in self.ended for key, known in KEYS.items())


class FakeConversation(Conversation):
    """Counts how often it was closed."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.initialized = {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "fake", "version": "0"},
        }
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


TOOLS = [
    {"name": name, "inputSchema": {"type": "object"}}
    for name in ("echo", "progress", "elicit", "hang", "boom", "pause", "stream_boom")
]


@dataclass
class FakeDispatch(Dispatch):
    """Does what the tool's name says, and remembers everything that reached it."""

    reached: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[tuple[Principal | None, str, Rejection]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    conversations: list[FakeConversation] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    release: anyio.Event = field(default_factory=anyio.Event)
    arrived: anyio.Event = field(default_factory=anyio.Event)
    refuse_initialize: Reply | None = None
    stuck_refusals: bool = False

    async def initialize(
        self, principal: Principal, mount: Mount, inbound: Inbound, channel: Channel
    ) -> Conversation | Reply:
        self.reached.append((principal.agent, "initialize"))
        if self.refuse_initialize is not None:
            return self.refuse_initialize
        if inbound.params.get("hang"):
            self.arrived.set()
            await self.release.wait()
        conversation = FakeConversation(inbound.params["protocolVersion"])
        self.conversations.append(conversation)
        self.channels.append(channel)
        return conversation

    async def handle(self, conversation: Conversation, inbound: Inbound, caller: Caller) -> Reply:
        self.reached.append(("session", inbound.method))
        return await self._do(inbound, caller, {})

    async def notice(self, conversation: Conversation, inbound: Inbound) -> None:
        self.notices.append(inbound.method)

    async def handle_modern(self, principal: Principal, mount: Mount, inbound: Inbound, caller: Caller) -> Reply:
        self.reached.append((principal.agent, inbound.method))
        return await self._do(inbound, caller, {"resultType": "complete"})

    async def refused(self, principal: Principal | None, source: str, rejection: Rejection) -> None:
        self.refusals.append((principal, source, rejection))
        if self.stuck_refusals:
            await anyio.sleep_forever()

    async def _do(self, inbound: Inbound, caller: Caller, extra: dict[str, Any]) -> Reply:
        self.callers.append(caller)
        if inbound.method == "server/discover":
            return Reply(
                message={
                    "result": {
                        "supportedVersions": [MODERN],
                        "capabilities": {"tools": {}},
                        "ttlMs": 0,
                        "cacheScope": "private",
                        "resultType": "complete",
                    }
                }
            )
        if inbound.method == "tools/list":
            return Reply(message={"result": {"tools": TOOLS, "ttlMs": 0, "cacheScope": "private", **extra}})
        if inbound.method == "subscriptions/listen":
            await caller.notify("notifications/subscriptions/acknowledged", {"notifications": {}})
            await self.release.wait()
            return Reply(message={"result": extra})
        if inbound.method == "nope":
            return Reply(message={"error": {"code": -32601, "message": "Method not found"}}, status=404)
        name = inbound.params.get("name")
        act = getattr(self, f"_{name}", self._echo)
        text = await act(inbound, caller)
        return Reply(message={"result": {"content": [{"type": "text", "text": text}], **extra}})

    async def _echo(self, inbound: Inbound, caller: Caller) -> str:
        return json.dumps(inbound.params.get("arguments", {}))

    async def _progress(self, inbound: Inbound, caller: Caller) -> str:
        token = inbound.params.get("_meta", {}).get("progressToken", "t")
        for done in (1, 2, 3):
            await caller.notify("notifications/progress", {"progressToken": token, "progress": done, "total": 3})
        return "done"

    async def _elicit(self, inbound: Inbound, caller: Caller) -> str:
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        answer = await caller.ask("elicitation/create", {"message": "Who?", "requestedSchema": schema})
        return json.dumps(answer)

    async def _hang(self, inbound: Inbound, caller: Caller) -> str:
        self.arrived.set()
        try:
            await self.release.wait()
        except anyio.get_cancelled_exc_class():
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return f"released, gone={caller.gone()}"

    async def _talk(self, inbound: Inbound, caller: Caller) -> str:
        """Say something before and after the release."""
        await caller.notify("notifications/message", {"level": "info", "data": "before"})
        text = await self._hang(inbound, caller)
        await caller.notify("notifications/message", {"level": "info", "data": "after"})
        return text

    async def _pause(self, inbound: Inbound, caller: Any) -> str:
        await caller.notify("notifications/message", {"level": "info", "data": "before"})
        await caller.pause()
        return await self._hang(inbound, caller)

    async def _big(self, inbound: Inbound, caller: Caller) -> str:
        await caller.notify("notifications/message", {"level": "info", "data": "before"})
        await self._hang(inbound, caller)
        return "x" * 5000

    async def _boom(self, inbound: Inbound, caller: Caller) -> str:
        msg = "the secret is swordfish"
        raise RuntimeError(msg)

    async def _stream_boom(self, inbound: Inbound, caller: Caller) -> str:
        await caller.notify("notifications/message", {"level": "info", "data": "before"})
        return await self._boom(inbound, caller)


@dataclass
class World:
    """The front, what stands behind it, and agents in front of it."""

    front: McpFront
    dispatch: FakeDispatch
    credentials: FakeCredentials
    clock: FakeClock
    tasks: TaskGroup

    def send(self, method: str = "POST", path: str = "/mcp", **request: Any) -> "Exchange":
        """Begin a request; it runs beside the test."""
        exchange = Exchange(method, path, **request)
        self.tasks.start_soon(exchange.run, self.front)
        return exchange

    async def ask(self, method: str = "POST", path: str = "/mcp", **request: Any) -> "Exchange":
        """Send a request and wait for its whole answer."""
        exchange = self.send(method, path, **request)
        await exchange.finished()
        return exchange

    async def open_session(self, key: str = "alice-key", version: str = HANDSHAKE, path: str = "/mcp") -> str:
        """Initialise and return the session id."""
        answer = await self.ask(path=path, key=key, body=initialize(version))
        assert answer.status == 200, answer.body
        return answer.header("mcp-session-id")


@asynccontextmanager
async def world(limits: FrontLimits = LIMITS, *, keyless: bool = False, **front: Any) -> AsyncIterator[World]:
    """Run a front; at the end every request that a test left open is cut off."""
    dispatch, credentials, clock = FakeDispatch(), FakeCredentials(keyless), FakeClock()
    app = McpFront(
        dispatch=dispatch,
        authentication=Authentication(keys=credentials, limits=RateLimits(clock)),
        mounts=MOUNTS,
        limits=limits,
        clock=clock,
        ids=FakeIds(),
        **front,
    )
    with anyio.fail_after(4 * PATIENCE_S):
        async with anyio.create_task_group() as tasks, app.running():
            yield World(app, dispatch, credentials, clock, tasks)
            tasks.cancel_scope.cancel()


async def eventually(happened: Any) -> None:
    """Let the other tasks run until something is the case."""
    with anyio.fail_after(PATIENCE_S):
        while not happened():
            await anyio.lowlevel.checkpoint()


class Exchange:
    """One HTTP request of an agent and what came back so far."""

    def __init__(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | bytes = b"",
        chunks: list[bytes] | None = None,
        key: str | None = "alice-key",
        headers: Mapping[str, str] | None = None,
        more: list[tuple[str, str]] | None = None,
        session: str | None = None,
        version: str | None = None,
        server: tuple[str, int] = ("127.0.0.1", 8787),
        cut: bool = False,
    ) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {
            "host": "127.0.0.1:8787",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            **({"x-api-key": key} if key else {}),
            **({"mcp-session-id": session} if session else {}),
            **({"mcp-protocol-version": version} if version else {}),
            **(_modern_headers(body) if isinstance(body, Mapping) else {}),
            **(headers or {}),
        }
        lines = [(k, v) for k, v in fields.items() if v != ""] + (more or [])
        self._scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"api_key=alice-key&access_token=alice-key",
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in lines],
            "client": ("192.0.2.7", 50000),
            "server": server,
        }
        self._chunks = list(chunks if chunks is not None else [raw])
        self.unread = 0
        self._cut = cut
        self._left = anyio.Event()
        self._news = anyio.Event()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.done = False
        self.over = False

    # --- the server's side

    async def run(self, app: Any) -> None:
        try:
            await app(self._scope, self._receive, self._send)
        finally:
            self.over = True
            self._tell()

    async def _receive(self) -> dict[str, Any]:
        if self._chunks:
            chunk = self._chunks.pop(0)
            self.unread = len(self._chunks)
            return {"type": "http.request", "body": chunk, "more_body": self._cut or bool(self._chunks)}
        if not self._left.is_set():  # like uvicorn's event, which does not yield once it is set
            await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if self._left.is_set() and not self.done:
            return  # as uvicorn does
        if message["type"] == "http.response.start":
            assert not self.status, "a second start"
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            assert self.status, "a body before the start"
            assert not self.done, "a body after the end"
            self.body += message.get("body", b"")
            self.done = not message.get("more_body", False)
            if self.done:
                self._left.set()
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    # --- the agent's side

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()

    async def until(self, happened: Any) -> None:
        """Wait for something to have come back."""
        with anyio.fail_after(PATIENCE_S):
            while not happened():
                await self._news.wait()

    async def started(self) -> None:
        await self.until(lambda: self.status)

    async def finished(self) -> None:
        await self.until(lambda: self.over)

    async def events(self, count: int) -> list["Event"]:
        """Wait for that many events and return all there are."""
        await self.until(lambda: len(self.seen()) >= count)
        return self.seen()

    def seen(self) -> list["Event"]:
        return [Event(frame) for frame in self.body.decode().split("\n\n")[:-1] if not frame.startswith(":")]

    def header(self, name: str) -> str:
        return self.headers[name]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


class Event:
    """One server-sent event."""

    def __init__(self, frame: str) -> None:
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        self.id = fields.get("id", "")
        self.retry = fields.get("retry", "")
        self.data = json.loads(fields["data"]) if fields["data"] else None


# --- messages


def initialize(version: str = HANDSHAKE, **params: Any) -> dict[str, Any]:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "a", "version": "0"}, **params}
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


def call(name: str = "echo", request_id: Any = 1, **arguments: Any) -> dict[str, Any]:
    """A handshake-era tool call."""
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }


def modern(method: str = "tools/call", request_id: Any = 1, **params: Any) -> dict[str, Any]:
    """A modern-era request; its headers are made from it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {"_meta": meta, **params}}


def notice(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def _modern_headers(body: Mapping[str, Any]) -> dict[str, str]:
    if "_meta" not in body.get("params", {}):
        return {}
    name = body["params"].get("name")
    fields = {"mcp-protocol-version": MODERN, "mcp-method": body["method"]}
    return {**fields, "mcp-name": name} if name else fields
