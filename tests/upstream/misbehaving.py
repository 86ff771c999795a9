"""An MCP server on raw sockets that misbehaves on request: the name of the tool that is called is the way it fails.

It records every request as it came, so that a test can count what reached it. Everything but a tool call is answered
well, in both eras, so that the same server serves sessions and stateless requests.
"""

import asyncio
import gzip
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

__all__ = ["MODES", "Misbehaving", "Reply", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. `headers` has lower-case names; `raw_head` is what came."""

    verb: str
    headers: dict[str, str]
    raw_head: bytes
    body: dict[str, Any]
    connection: int

    @property
    def method(self) -> str:
        return str(self.body.get("method", ""))

    @property
    def tool(self) -> str:
        params = self.body.get("params") or {}
        return str(params.get("name", "")) if self.method == "tools/call" else ""


@dataclass(slots=True)
class Reply:
    """The means to answer one request, well or badly."""

    server: "Misbehaving"
    request: Request
    writer: asyncio.StreamWriter
    close: bool = field(default=False)

    def message(self, **changes: Any) -> bytes:
        result = {"content": [{"type": "text", "text": "well"}], "resultType": "complete"}
        return json.dumps({"jsonrpc": "2.0", "id": self.request.body.get("id"), "result": result, **changes}).encode()

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def flush(self) -> None:
        await self.writer.drain()

    def http(self, body: bytes, *, status: str = "200 OK", media: str = "application/json", more: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.write(head.encode() + body)

    def sse_head(self, more: str = "") -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{more}\r\n"
        self.write(head.encode())

    def chunk(self, data: bytes) -> None:
        self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def sse(self, *events: bytes) -> None:
        self.sse_head()
        self.chunk(b"".join(b"data: " + event + b"\n\n" for event in events))
        self.write(b"0\r\n\r\n")

    async def hang(self) -> None:
        """Wait until the test ends or the other side has gone."""
        await self.server.released.wait()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        self.close = True


Mode = Callable[[Reply], Awaitable[None]]
MODES: dict[str, Mode] = {}


def mode(function: Mode) -> Mode:
    MODES[function.__name__] = function
    return function


# --- well ---


@mode
async def good(reply: Reply) -> None:
    reply.http(reply.message())


@mode
async def good_stream(reply: Reply) -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}
    reply.sse(json.dumps(note).encode(), reply.message())


@mode
async def good_until_eof(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + reply.message())
    reply.close = True


@mode
async def good_after_interim_answers(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")
    reply.http(reply.message(), media="application/json; charset=utf-8")


@mode
async def good_then_closed_while_idle(reply: Reply) -> None:
    reply.http(reply.message())
    reply.close = True


@mode
async def good_stream_that_never_ends(reply: Reply) -> None:
    reply.sse_head()
    reply.chunk(b"data: " + reply.message() + b"\n\n")
    await reply.hang()


@mode
async def good_then_a_second_answer_later(reply: Reply) -> None:
    reply.http(reply.message())
    await reply.flush()
    await reply.server.poked.wait()
    reply.http(b'{"jsonrpc":"2.0","id":%d,"result":{"stolen":true}}' % (reply.request.body["id"] + 1))
    await reply.flush()
    reply.server.poked_back.set()


@mode
async def error_with_404(reply: Reply) -> None:
    body = {"jsonrpc": "2.0", "id": reply.request.body["id"], "error": {"code": -32601, "message": "no"}}
    reply.http(json.dumps(body).encode(), status="404 Not Found")


@mode
async def echo(reply: Reply) -> None:
    said = json.dumps(reply.request.body["params"]["arguments"])
    reply.http(reply.message(result={"content": [{"type": "text", "text": said}], "resultType": "complete"}))


@mode
async def fail(reply: Reply) -> None:
    body = {
        "jsonrpc": "2.0",
        "id": reply.request.body["id"],
        "error": {"code": 7, "message": "no", "data": [1.0, None]},
    }
    reply.http(json.dumps(body).encode())


@mode
async def progress(reply: Reply) -> None:
    token = reply.request.body["params"]["_meta"]["progressToken"]
    notes = [
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": step}}
        for step in (1, 2)
    ]
    reply.sse(*(json.dumps(note).encode() for note in notes), reply.message())


# --- silence and time ---


@mode
async def hang(reply: Reply) -> None:
    await reply.hang()


@mode
async def late(reply: Reply) -> None:
    await reply.hang()
    reply.http(reply.message())


@mode
async def slow_drip(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while not reply.server.released.is_set():
        reply.write(b" ")
        await reply.flush()
        await asyncio.sleep(0.01)


@mode
async def slow_stream(reply: Reply) -> None:
    reply.sse_head()
    while not reply.server.released.is_set():
        reply.chunk(b": still here\n\n")
        await reply.flush()
        await asyncio.sleep(0.01)


# --- broken connections and framing ---


@mode
async def reset(reply: Reply) -> None:
    reply.reset()


@mode
async def reset_in_the_body(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    await reply.flush()
    reply.reset()


@mode
async def close_early(reply: Reply) -> None:
    reply.close = True


@mode
async def close_in_the_head(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    reply.close = True


@mode
async def truncated_length(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" + reply.message())
    reply.close = True


@mode
async def truncated_chunked(reply: Reply) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply.write(head + b"400\r\n" + reply.message())
    reply.close = True


@mode
async def truncated_stream(reply: Reply) -> None:
    reply.sse_head()
    reply.chunk(b"data: " + reply.message()[:20])
    reply.close = True


@mode
async def garbage(reply: Reply) -> None:
    reply.write(bytes(range(256)) * 4)


@mode
async def bad_chunk(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")


@mode
async def two_lengths(reply: Reply) -> None:
    reply.http(reply.message(), more="Content-Length: 3\r\n")


@mode
async def upgrade(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")


@mode
async def endless_interim_answers(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 50)


@mode
async def endless_header(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 400_000)


@mode
async def endless_chunk_extension(reply: Reply) -> None:
    reply.sse_head()
    reply.write(b"1;" + b"x" * 400_000)


# --- too much ---


@mode
async def huge(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{")


@mode
async def huge_chunked(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    await _flood(reply, b" " * 65536)


@mode
async def huge_event(reply: Reply) -> None:
    reply.sse_head()
    reply.chunk(b"data: {")
    await _flood(reply, b" " * 65536)


@mode
async def huge_event_of_many_lines(reply: Reply) -> None:
    reply.sse_head()
    await _flood(reply, b"data:\n" * 10_000)


@mode
async def endless_stream(reply: Reply) -> None:
    reply.sse_head()
    await _flood(reply, b": comment\n" * 10_000)


async def _flood(reply: Reply, piece: bytes) -> None:
    while not reply.writer.is_closing() and not reply.server.released.is_set():
        reply.chunk(piece)
        await reply.flush()


# --- not an answer ---


@mode
async def status_500(reply: Reply) -> None:
    reply.http(b"oops", status="500 Internal Server Error", media="text/plain")


@mode
async def status_401(reply: Reply) -> None:
    reply.http(reply.message(), status="401 Unauthorized", more='WWW-Authenticate: Bearer realm="secret place"\r\n')


@mode
async def status_403(reply: Reply) -> None:
    reply.http(b"{}", status="403 Forbidden")


@mode
async def status_404(reply: Reply) -> None:
    reply.http(b"not here", status="404 Not Found", media="text/html")


@mode
async def status_202(reply: Reply) -> None:
    reply.http(b"", status="202 Accepted")


@mode
async def status_204(reply: Reply) -> None:
    reply.write(b"HTTP/1.1 204 No Content\r\n\r\n")


@mode
async def redirect(reply: Reply) -> None:
    reply.http(b"", status="307 Temporary Redirect", more=f"Location: {reply.server.url}/elsewhere\r\n")


@mode
async def compressed(reply: Reply) -> None:
    reply.http(gzip.compress(reply.message()), more="Content-Encoding: gzip\r\n")


@mode
async def compressed_bomb(reply: Reply) -> None:
    reply.http(gzip.compress(b" " * 5_000_000 + reply.message()), more="Content-Encoding: gzip\r\n")


@mode
async def compressed_stream(reply: Reply) -> None:
    reply.sse_head("Content-Encoding: gzip\r\n")
    reply.chunk(gzip.compress(b"data: " + reply.message() + b"\n\n"))
    reply.write(b"0\r\n\r\n")


@mode
async def wrong_media_type(reply: Reply) -> None:
    reply.http(reply.message(), media="text/plain")


@mode
async def wrong_media_type_like_json(reply: Reply) -> None:
    reply.http(reply.message(), media="application/json5")


@mode
async def empty_body(reply: Reply) -> None:
    reply.http(b"")


@mode
async def bom(reply: Reply) -> None:
    reply.http(b"\xef\xbb\xbf" + reply.message())


@mode
async def not_json(reply: Reply) -> None:
    reply.http(b"<html>")


@mode
async def not_utf8(reply: Reply) -> None:
    reply.http(reply.message().replace(b"well", b"\xff"))


@mode
async def batch(reply: Reply) -> None:
    reply.http(b"[" + reply.message() + b"]")


@mode
async def duplicate_keys(reply: Reply) -> None:
    reply.http(reply.message()[:-1] + b',"result":{}}')


@mode
async def result_and_error(reply: Reply) -> None:
    reply.http(reply.message(error={"code": 1, "message": "x"}))


@mode
async def result_that_is_no_object(reply: Reply) -> None:
    reply.http(reply.message(result=[1]))


@mode
async def not_json_rpc(reply: Reply) -> None:
    reply.http(reply.message(jsonrpc="1.0"))


@mode
async def garbage_event(reply: Reply) -> None:
    reply.sse(b"{nonsense", reply.message())


# --- the answer to something else ---


@mode
async def wrong_id(reply: Reply) -> None:
    reply.http(reply.message(id=reply.request.body["id"] + 1))


@mode
async def id_as_text(reply: Reply) -> None:
    reply.http(reply.message(id=str(reply.request.body["id"])))


@mode
async def wrong_id_in_a_stream(reply: Reply) -> None:
    reply.sse(reply.message(id=999_999), reply.message())


@mode
async def no_id(reply: Reply) -> None:
    reply.http(reply.message(id=None))


@mode
async def two_replies(reply: Reply) -> None:
    reply.sse(reply.message(), reply.message())


@mode
async def two_documents(reply: Reply) -> None:
    reply.http(reply.message() + b"\n" + reply.message())


@mode
async def two_http_answers(reply: Reply) -> None:
    first = reply.message()
    reply.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(first), first, len(first), first)
    )


@mode
async def a_request_instead(reply: Reply) -> None:
    reply.http(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % reply.request.body["id"])


@mode
async def a_stream_without_answer(reply: Reply) -> None:
    reply.sse(b'{"jsonrpc":"2.0","method":"notifications/message","params":{}}')


@mode
async def asks_in_the_stream(reply: Reply) -> None:
    reply.sse_head()
    reply.chunk(b'data: {"jsonrpc":"2.0","id":"q","method":"roots/list","params":{}}\n\n')
    await reply.flush()
    await reply.server.answered.wait()
    reply.chunk(b"data: " + reply.message() + b"\n\n")
    reply.write(b"0\r\n\r\n")


# --- resumption ---


@mode
async def resumable(reply: Reply) -> None:
    """End the stream behind an event with an id; the answer is given to whoever resumes."""
    reply.server.parked = reply.message()
    reply.sse_head()
    reply.chunk(b"id: ev-1\nretry: 20\ndata:\n\n")
    reply.write(b"0\r\n\r\n")


@mode
async def resumable_after_a_reset(reply: Reply) -> None:
    reply.server.parked = reply.message()
    reply.sse_head()
    reply.chunk(b"id: ev-1\nretry: 20\ndata:\n\n")
    await reply.flush()
    reply.reset()


@mode
async def never_resumed(reply: Reply) -> None:
    reply.sse_head()
    reply.chunk(b"id: ev-1\nretry: 20\ndata:\n\n")
    reply.write(b"0\r\n\r\n")


class Misbehaving:
    """`async with Misbehaving() as server:`; `server.url` is its endpoint."""

    def __init__(self, *, get: Mode | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.get = get
        self.tls = tls
        self.session_id = "session-1"
        self.known = True
        self.special: dict[str, Mode | None] = {}
        """How to answer a method, instead of well."""
        self.requests: list[Request] = []
        self.connections = 0
        self.released = asyncio.Event()
        self.poked = asyncio.Event()
        self.poked_back = asyncio.Event()
        self.answered = asyncio.Event()
        self.answers: list[dict[str, Any]] = []
        self.parked = b""
        self.closed_connections = 0
        self._changed = anyio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    async def __aenter__(self) -> "Misbehaving":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/mcp"
        return self

    async def __aexit__(self, *_: object) -> None:
        for event in (self.released, self.poked, self.answered):
            event.set()
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await self.until(lambda: not self._writers)
        await self._server.wait_closed()

    def calls(self, tool: str) -> int:
        """Return how many calls of this tool have come."""
        return sum(request.tool == tool for request in self.requests)

    def seen(self, method: str) -> list[Request]:
        """Return the messages with this method that have come."""
        return [request for request in self.requests if request.method == method]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true` holds, at most five seconds."""
        with anyio.fail_after(5):
            while not true():
                await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        try:
            while True:
                request = await self._read(reader, number)
                self.requests.append(request)
                self._wake()
                reply = Reply(self, request, writer)
                await self._answer(reply)
                if reply.close:
                    return
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            self._writers.discard(writer)
            self.closed_connections += 1
            self._wake()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Request:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        parsed = json.loads(body) if body else {}
        return Request(verb=first.split()[0], headers=headers, raw_head=head, body=parsed, connection=number)

    async def _answer(self, reply: Reply) -> None:
        request = reply.request
        if request.verb == "GET":
            await self._get(reply)
        elif request.verb == "DELETE":
            reply.http(b"")
        elif not self.known and request.headers.get("mcp-session-id"):
            reply.http(b"gone", status="404 Not Found", media="text/plain")
        elif (special := self.special.get(request.method)) is not None:
            await special(reply)
        elif request.method == "tools/call":
            await MODES[request.tool](reply)
        elif request.method == "initialize":
            result = {
                "protocolVersion": request.body["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "misbehaving", "version": "1"},
            }
            reply.http(reply.message(result=result), more=f"Mcp-Session-Id: {self.session_id}\r\n")
        elif request.method == "server/discover":
            versions = {"supportedVersions": ["2026-07-28"], "capabilities": {}, "resultType": "complete"}
            reply.http(reply.message(result=versions))
        elif "method" not in request.body:
            self.answers.append(request.body)
            reply.http(b"", status="202 Accepted")
            self.answered.set()
            self._wake()
        else:
            reply.http(b"", status="202 Accepted")

    async def _get(self, reply: Reply) -> None:
        if reply.request.headers.get("last-event-id") and self.parked:
            reply.sse_head()
            reply.chunk(b"id: ev-2\ndata: " + self.parked + b"\n\n")
            reply.write(b"0\r\n\r\n")
        elif self.get is not None:
            await self.get(reply)
        else:
            reply.http(b"", status="405 Method Not Allowed")
