"""An upstream that records every byte it gets, speaks both eras, and lies where a test tells it to."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

MODERN = "2026-07-28"
SESSION = "spy-session"
SECRET_HEADER = "Bearer upstream-secret-9f3b1c77aa"
ACTS = frozenset({"tools/call", "prompts/get", "resources/read", "resources/subscribe", "completion/complete"})
"""What an upstream does something for; everything else only asks what there is."""

TOOLS: list[dict[str, Any]] = [
    {"name": "echo", "description": "Says it back.", "inputSchema": {"type": "object"}},
    {"name": "delete_everything", "description": "HIDDEN-TOOL", "inputSchema": {"type": "object"}},
]
PROMPTS: list[dict[str, Any]] = [{"name": "hidden_prompt", "description": "HIDDEN-PROMPT"}]
RESOURCES: list[dict[str, Any]] = [{"uri": "file:///hidden", "name": "hidden", "description": "HIDDEN-RESOURCE"}]
TEMPLATES: list[dict[str, Any]] = [{"uriTemplate": "file:///hidden/{x}", "name": "hidden"}]
LISTS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "tools/list": ("tools", TOOLS),
    "prompts/list": ("prompts", PROMPTS),
    "resources/list": ("resources", RESOURCES),
    "resources/templates/list": ("resourceTemplates", TEMPLATES),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One HTTP request as it came."""

    verb: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def rpc(self) -> dict[str, Any]:
        """The message, read by a lenient parser; empty where there is none."""
        return json.loads(self.body) if self.body else {}

    @property
    def method(self) -> str:
        return str(self.rpc.get("method", ""))


Answer = Callable[[Received], bytes | None]


@dataclass
class Spy:
    """`lie` is asked first for each answer; None leaves it to the honest one."""

    port: int = 0
    raw: bytearray = field(default_factory=bytearray)
    received: list[Received] = field(default_factory=list)
    lie: Answer = lambda request: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def acts(self) -> list[Received]:
        """What it was asked to do, as opposed to what it was asked to list."""
        return [request for request in self.received if request.method in ACTS]

    def forget(self) -> None:
        self.received.clear()
        self.raw.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await self._read(reader)) is not None:
                self.received.append(request)
                writer.write(self.lie(request) or honest(request))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Received | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        body = await reader.readexactly(int(dict(headers).get("content-length", "0")))
        self.raw += head + body
        verb, target, _ = first.split(" ", 2)
        return Received(verb=verb, target=target, headers=headers, body=body)


def answer(
    body: Any = b"", *, status: str = "200 OK", media: str = "application/json", headers: tuple[str, ...] = ()
) -> bytes:
    """Return one HTTP answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media}", f"Content-Length: {len(raw)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + raw


def result(request: Received, value: dict[str, Any], **kind: Any) -> bytes:
    """Return the result of a request, with what its era asks of it."""
    if MODERN in str(request.rpc.get("params", {}).get("_meta", {})):
        value = {"resultType": "complete", "ttlMs": 0, "cacheScope": "public", **value}
    return answer({"jsonrpc": "2.0", "id": request.rpc["id"], "result": value}, **kind)


def honest(request: Received) -> bytes:
    """Answer as a good upstream does."""
    if request.verb != "POST":
        return answer(status="405 Method Not Allowed" if request.verb == "GET" else "200 OK")
    rpc = request.rpc
    if "method" not in rpc or "id" not in rpc:
        return answer(status="202 Accepted")
    capabilities = {"tools": {}, "prompts": {}, "resources": {"subscribe": True}, "completions": {}, "logging": {}}
    info = {"name": "spy", "version": "1"}
    method = rpc["method"]
    if method == "initialize":
        found = {"protocolVersion": rpc["params"]["protocolVersion"], "capabilities": capabilities, "serverInfo": info}
        return result(request, found, headers=(f"Mcp-Session-Id: {SESSION}",))
    if method == "server/discover":
        return result(request, {"supportedVersions": [MODERN], "capabilities": capabilities, "serverInfo": info})
    if method in LISTS:
        member, items = LISTS[method]
        return result(request, {member: items})
    if method == "tools/call":
        return result(request, {"content": [{"type": "text", "text": "done"}]})
    return result(request, {})


@contextmanager
def spying() -> Iterator[Spy]:
    """Run a spy in a thread of its own, on a port of its own."""
    spy, loop, ready = Spy(), asyncio.new_event_loop(), threading.Event()
    tasks: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await spy.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over: nobody waits for this connection
        finally:
            tasks.discard(task)

    async def start() -> asyncio.Server:
        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=16 * 1024 * 1024)
        spy.port = server.sockets[0].getsockname()[1]
        ready.set()
        return server

    async def stop(server: asyncio.Server) -> None:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield spy
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
