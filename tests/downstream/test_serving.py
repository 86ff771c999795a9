"""The front behind uvicorn with the bounds of `limits.py`, with raw sockets and the official SDK's client."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import mcp_types as types
import pytest
import uvicorn
from mcp.client import Client

from gateway.core.principal import Principal
from gateway.downstream.limits import protocol_class
from tests.downstream.front import HANDSHAKE, LIMITS, MODERN, Event, World, call, eventually, initialize, modern, world

LOCAL = Principal(tenant="default", agent="local", credential="keyless")
BOTH = "application/json, text/event-stream"


class _Server(uvicorn.Server):
    """A server that leaves the test's signal handlers alone."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


@dataclass
class Serving:
    """A front on a port of the loopback."""

    world: World
    port: int
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def connect(self) -> "Line":
        return Line(await anyio.connect_tcp("127.0.0.1", self.port))


@asynccontextmanager
async def serving(limits: Any = LIMITS) -> AsyncIterator[Serving]:
    listening = socket.create_server(("127.0.0.1", 0))
    async with world(limits, keyless=LOCAL) as w:
        protocol = protocol_class(
            header_bytes=32768, header_count=100, header_timeout_s=10, body_timeout_s=30, connections_per_address=100
        )
        config = uvicorn.Config(
            w.front, http=protocol, lifespan="off", ws="none", log_level="error", timeout_graceful_shutdown=2
        )
        server = _Server(config)
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                await server.serve(sockets=[listening])

            tasks.start_soon(serve)
            await eventually(lambda: server.started)
            yield Serving(w, listening.getsockname()[1], server)
            w.dispatch.release.set()
            w.front.drain()
            server.should_exit = True


@dataclass
class Line:
    """One TCP connection, on which requests are written and answers read by hand."""

    stream: Any
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, body: Any = b"", method: str = "POST", **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {
            "Host": "127.0.0.1",
            "Accept": BOTH,
            "Content-Type": "application/json",
            "Content-Length": str(len(raw)),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if isinstance(body, dict) and "_meta" in body.get("params", {}):
            lines.update({"MCP-Protocol-Version": MODERN, "Mcp-Method": body["method"]})
            lines.update({"Mcp-Name": body["params"]["name"]} if "name" in body["params"] else {})
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await self.stream.send(f"{method} /mcp HTTP/1.1\r\n{head}\r\n".encode() + raw)

    async def until(self, mark: bytes) -> bytes:
        """Read up to and with `mark`."""
        with anyio.fail_after(5):
            while mark not in self.data:
                self.data += await self.stream.receive()
        found, _, self.data = self.data.partition(mark)
        return found + mark

    async def head(self) -> int:
        head = (await self.until(b"\r\n\r\n")).decode()
        self.headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        return int(head.split(" ", 2)[1])

    async def body(self) -> bytes:
        length = int(self.headers["content-length"])
        with anyio.fail_after(5):
            while len(self.data) < length:
                self.data += await self.stream.receive()
        body, self.data = self.data[:length], self.data[length:]
        return body

    async def event(self) -> Event:
        frame = (await self.until(b"\n\n")).decode()
        return Event(frame[:-2].rpartition("\r\n")[2])  # behind the lines of the chunked encoding


async def open_session(line: Line) -> str:
    await line.send(initialize())
    assert await line.head() == 200
    await line.body()
    return line.headers["mcp-session-id"]


@pytest.mark.parametrize(("mode", "version"), [("legacy", HANDSHAKE), ("auto", MODERN), (MODERN, MODERN)])
async def test_the_official_client_lists_and_calls(mode, version):
    """Both eras on one endpoint, with the client that most agents are built on."""
    seen = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append(done)

    async with serving() as s:
        async with Client(s.url, mode=mode) as client:
            assert client.protocol_version == version
            assert "echo" in [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool("echo", {"a": "ä"})
            assert json.loads(result.content[0].text) == {"a": "ä"}
            assert (await client.call_tool("progress", {}, progress_callback=progress)).content[0].text == "done"
        assert seen == [1, 2, 3]
        assert [c.closed for c in s.world.dispatch.conversations] == ([1] if mode == "legacy" else [])


async def test_the_official_client_answers_an_elicitation():
    """A question in the middle of a call (handshake era)."""

    async def elicit(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async with serving() as s, Client(s.url, mode="legacy", elicitation_callback=elicit) as client:
        result = await client.call_tool("elicit", {})
        assert json.loads(result.content[0].text) == {"result": {"action": "accept", "content": {"name": "Ada"}}}


async def test_the_official_client_hears_the_get_stream():
    """What belongs to no request arrives as well."""
    heard = anyio.Event()

    async def handler(message: Any) -> None:
        if isinstance(message, types.LoggingMessageNotification):
            heard.set()

    async with serving() as s, Client(s.url, mode="legacy", message_handler=handler, cache=None):
        await s.world.dispatch.channels[0].notify("notifications/message", {"level": "info", "data": "x"})
        with anyio.fail_after(5):
            await heard.wait()


async def test_the_official_client_resumes_a_paused_call():
    """SEP-1699 as a client does it: reconnect after `retry`, with the last event id."""
    async with serving(replace(LIMITS, retry_ms=1)) as s, Client(s.url, mode="legacy") as client:
        async with anyio.create_task_group() as tasks:

            async def release() -> None:
                with anyio.fail_after(5):
                    await s.world.dispatch.arrived.wait()
                s.world.dispatch.release.set()

            tasks.start_soon(release)
            result = await client.call_tool("pause", {})
        assert "released" in result.content[0].text


async def test_the_official_client_cancels_in_both_eras():
    """By a notification in one era, by closing the stream in the other."""
    for mode in ("legacy", MODERN):
        async with serving() as s, Client(s.url, mode=mode) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "hang", {})
                with anyio.fail_after(5):
                    await s.world.dispatch.arrived.wait()
                tasks.cancel_scope.cancel()
            await eventually(lambda s=s: s.world.dispatch.ended == ["cancelled"])
            # The client breaks if it is closed just while it reads the answer to what it cancelled.
            assert (await client.call_tool("echo", {})).content


async def test_one_connection_serves_many_calls():
    """Keep-alive, one after the other; the usual way of a pool."""
    async with serving() as s:
        line = await s.connect()
        session = await open_session(line)
        for number in range(3):
            await line.send(call("echo", number), Mcp_Session_Id=session)
            assert await line.head() == 200
            assert json.loads(await line.body())["id"] == number
        for name in ("a", "b"):
            await line.send(modern(name="echo", request_id=name))
            assert await line.head() == 200
            assert json.loads(await line.body())["id"] == name
        await line.stream.aclose()


async def test_a_closed_connection_cancels_a_modern_call():
    """The kernel's word is enough; no task stays behind."""
    async with serving() as s:
        tasks = len(anyio.get_running_tasks())
        line = await s.connect()
        await line.send(modern(name="hang"))
        with anyio.fail_after(5):
            await s.world.dispatch.arrived.wait()
        assert not s.world.dispatch.callers[-1].gone()
        await line.stream.aclose()
        await eventually(lambda: s.world.dispatch.ended == ["cancelled"])
        await eventually(lambda: len(anyio.get_running_tasks()) == tasks)


async def test_a_closed_connection_is_seen_on_demand():
    """Before any attendant has come: asked without a task, through `receive` itself."""
    async with serving(replace(LIMITS, attend_after_s=60)) as s:
        line = await s.connect()
        await line.send(modern(name="hang"))
        with anyio.fail_after(5):
            await s.world.dispatch.arrived.wait()
        [caller] = s.world.dispatch.callers
        assert not caller.gone()
        await line.stream.aclose()
        await eventually(caller.gone)


async def test_a_handshake_call_outlives_its_connection():
    """The agent reconnects with the last event id and gets the rest."""
    async with serving() as s:
        line = await s.connect()
        session = await open_session(line)
        await line.send(call("talk"), Mcp_Session_Id=session)
        assert await line.head() == 200
        assert (await line.event()).data is None
        before = await line.event()
        await line.stream.aclose()
        line = await s.connect()
        await line.send(method="GET", Mcp_Session_Id=session, Last_Event_ID=before.id)
        assert await line.head() == 200
        s.world.dispatch.release.set()
        assert (await line.event()).data["params"]["data"] == "after"
        assert (await line.event()).data["result"]["content"]
        assert s.world.dispatch.ended == ["done"]
        await line.stream.aclose()


async def test_a_body_over_the_bound_is_answered_at_once_and_thrown_away():
    """By its declared length, before a byte of it is sent, and while it comes in chunks.

    Who is cut off while it writes never reads the answer: to the SDK's client that was the end of all its calls.
    """
    async with serving() as s:
        line = await s.connect()
        await line.send(Content_Length="100000")
        assert await line.head() == 413
        assert json.loads(await line.body())["error"]["code"] == -32600
        await line.stream.send(b"x" * 100_000)
        await line.send(modern(name="echo"))
        assert await line.head() == 200
        await line.stream.aclose()
        line = await s.connect()
        head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {BOTH}\r\nTransfer-Encoding: chunked\r\n\r\n"
        await line.stream.send(head.encode())
        for _ in range(5):
            await line.stream.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert await line.head() == 413
        assert len(s.world.dispatch.reached) == 1
        await line.stream.aclose()


async def test_a_server_that_stops_is_not_held_up_by_open_streams():
    """`drain` ends what only waits; uvicorn then finds its connections closed before its time-out."""
    async with serving() as s:
        line = await s.connect()
        session = await open_session(line)
        await line.send(method="GET", Mcp_Session_Id=session)
        assert await line.head() == 200
        other = await s.connect()
        await other.send(modern("subscriptions/listen"))
        assert await other.head() == 200
        await other.event()
        s.world.front.drain()
        s.server.should_exit = True
        for stream in (line, other):
            assert (await stream.until(b"0\r\n\r\n")).endswith(b"0\r\n\r\n")
        await line.stream.aclose()
        await other.stream.aclose()
