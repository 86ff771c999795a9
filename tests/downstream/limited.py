"""A bounded server on a socket and a client that writes bytes, for the tests of `downstream/limits.py`."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn

from gateway.downstream.limits import protocol_class

WAIT_S = 5.0
"""No wait of a test is longer."""
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class Application:
    """Answers every request with the number of bytes it read, and keeps what it saw."""

    port: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    hung_up: int = 0
    release: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        if scope["path"] == "/early":
            await self.answer(send, b"early")
            return
        if scope["path"] == "/tail":
            await self.answer(send, b"tail")
            await self.release.wait()
            return
        if scope["path"] == "/lump":
            await self.answer(send, b"x" * 20_000_000)
            return
        if scope["path"] == "/flood":
            await self.flood(receive, send)
            return
        if scope["path"] == "/started":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        body = b""
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.hung_up += 1
                self.ended.set()
                return
            body += event["body"]
            if not event["more_body"]:
                break
        self.bodies.append(body)
        if scope["path"] == "/hold":
            await self.release.wait()
        await self.answer(send, b"%d" % len(body))

    async def flood(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        await receive()
        self.ended.set()

    async def answer(self, send: Send, body: bytes) -> None:
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(**bounds: Any) -> AsyncIterator[Application]:
    """Serve an Application on a free loopback port with these bounds."""
    application = Application()
    wanted = {
        "header_bytes": 4096,
        "header_count": 20,
        "header_timeout_s": 0.3,
        "body_timeout_s": 0.3,
        "connections_per_address": 4000,
        **bounds,
    }
    config = uvicorn.Config(
        application,  # type: ignore[arg-type]
        http=protocol_class(**wanted),
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        timeout_keep_alive=1,
        backlog=4096,
    )
    config.load()
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    application.port = listening.getsockname()[1]
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    try:
        yield application
    finally:
        application.release.set()
        server.should_exit = True
        with anyio.fail_after(WAIT_S):
            await server.shutdown(sockets=[listening])


async def converse(application: Application, *pieces: bytes) -> bytes:
    """Send the pieces one after the other, read until the server closes."""
    with anyio.fail_after(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", application.port)
        answer = bytearray()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await anyio.lowlevel.checkpoint()
            while chunk := await reader.read(65536):
                answer += chunk
        except ConnectionError:
            pass
        finally:
            writer.close()
        return bytes(answer)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


HEAD = b"POST /mcp HTTP/1.1\r\nHost: x\r\n"
WHOLE = HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi"
