"""A webhook receiver on loopback that behaves as told, byte by byte, and keeps what it got."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

__all__ = ["OK", "Got", "Receiver", "answering", "receiver"]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK"

Behave = Callable[[SocketStream], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Got:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass(kw_only=True)
class Receiver:
    """Where it listens, what it got, and how it answers each request in turn; the last way goes on."""

    port: int
    ways: list[Behave]
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    greeting: bytes = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"

    async def serve(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            try:
                if self.greeting:
                    await stream.send(self.greeting)
                data = b""
                while b"\r\n\r\n" not in data:
                    data += await stream.receive()
                head, _, body = data.partition(b"\r\n\r\n")
                line, *rest = head.decode("latin-1").split("\r\n")
                headers = dict(one.split(": ", 1) for one in rest)
                headers = {name.lower(): value for name, value in headers.items()}
                while len(body) < int(headers["content-length"]):
                    body += await stream.receive()
                self.got.append(Got(line=line, headers=headers, body=body))
                way = self.ways.pop(0) if len(self.ways) > 1 else self.ways[0]
                await way(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
                return


def answering(answer: bytes) -> Behave:
    """Answer with these bytes."""

    async def way(stream: SocketStream) -> None:
        await stream.send(answer)

    return way


@asynccontextmanager
async def receiver(*ways: Behave, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Listen on loopback for as long as the block runs."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port, reuse_port=True)
    one = Receiver(port=listener.extra(SocketAttribute.local_port), ways=list(ways) or [answering(OK)])

    async def handle(stream: SocketStream) -> None:
        try:
            if tls is None:
                await one.serve(stream)
            else:
                wrapped = await TLSStream.wrap(stream, server_side=True, ssl_context=tls, standard_compatible=False)
                await one.serve(wrapped)  # type: ignore[arg-type]
        except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
            return
        finally:
            with anyio.CancelScope(shield=True):
                await stream.aclose()

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield one
        tasks.cancel_scope.cancel()
