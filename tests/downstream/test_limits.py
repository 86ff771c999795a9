"""Raw bytes against a tiny application under uvicorn: what HTTP itself must not let through."""

import asyncio
import random
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
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


async def test_an_ordinary_request_is_served() -> None:
    """The bounds must not be in the way of what is right."""
    async with serving() as application:
        answer = await converse(application, WHOLE)
    assert (status(answer), answer.rpartition(b"\r\n\r\n")[2], application.bodies) == (200, b"2", [b"hi"])


async def test_a_chunked_request_is_served() -> None:
    """Clients may stream their body, in chunks of one byte too."""
    chunks = b"".join(b"1\r\n%c\r\n" % char for char in b"x" * 2000)
    async with serving() as application:
        answer = await converse(
            application, HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n", chunks, b"0\r\n\r\n"
        )
    assert (status(answer), application.bodies) == (200, [b"x" * 2000])


async def test_a_request_that_comes_byte_by_byte_is_the_same_request() -> None:
    """Where a network cuts the bytes must not matter."""
    sent = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n"
    async with serving(header_timeout_s=5.0, body_timeout_s=5.0) as application:
        answer = await converse(application, *(bytes([byte]) for byte in sent))
    assert (status(answer), application.bodies) == (200, [b"hi"])


async def test_an_answer_that_nobody_fetches_is_given_up() -> None:
    """A peer that does not read would hold memory and a call for as long as it likes."""
    async with serving() as application:
        with anyio.fail_after(WAIT_S):
            _, writer = await asyncio.open_connection("127.0.0.1", application.port, limit=1024)
            writer.write(HEAD.replace(b"/mcp", b"/flood") + b"Content-Length: 0\r\n\r\n")
            await application.ended.wait()
            writer.close()


async def test_an_answer_that_is_fetched_slowly_is_not_given_up() -> None:
    """A large result over a thin line takes its time; only a line at rest is cut."""
    async with serving(body_timeout_s=0.3) as application:
        with anyio.fail_after(WAIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", application.port, limit=1 << 16)
            writer.write(HEAD.replace(b"/mcp", b"/lump") + b"Content-Length: 0\r\n\r\n")
            fetched = 0
            while fetched < 20_000_000:
                chunk = await reader.read(1 << 20)
                assert chunk
                fetched += len(chunk)
                with anyio.move_on_after(0.005):
                    await application.ended.wait()
            writer.close()


async def test_a_long_answer_that_is_fetched_arrives_whole() -> None:
    """However often the peer makes the server wait."""
    async with serving(body_timeout_s=WAIT_S) as application:
        answer = await converse(application, HEAD.replace(b"/mcp", b"/flood") + b"Content-Length: 0\r\n\r\n")
    assert answer.count(b"x") == 400 * 100_000


async def test_a_request_does_not_wait_for_what_the_one_before_does_after_its_answer() -> None:
    """Requests of one connection share a task, and an application may go on after it has answered."""
    async with serving() as application:
        reader, writer = await asyncio.open_connection("127.0.0.1", application.port)
        with anyio.fail_after(WAIT_S):
            for path in (b"/tail", b"/tail", b"/early"):
                writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = await reader.readuntil(path[1:])
                assert answer.startswith(b"HTTP/1.1 200")
        application.release.set()
        writer.close()


async def test_a_second_request_after_the_answer_is_served_on_the_same_connection() -> None:
    """Keep-alive is what makes agents cheap; each request gets its own deadlines and counts."""
    async with serving() as application:
        with anyio.fail_after(WAIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", application.port)
            for _ in range(3):
                writer.write(HEAD + b"X: " + b"y" * 3000 + b"\r\nContent-Length: 2\r\n\r\nhi")
                assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(1) == b"2"
            writer.close()
    assert len(application.seen) == 3


BAD_HEADS = {
    "length and chunked": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked and length": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    "the same length twice": (HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    "a length list": (HEAD + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "a signed length": (HEAD + b"Content-Length: +5\r\n\r\nhello", 400),
    "a negative length": (HEAD + b"Content-Length: -5\r\n\r\nhello", 400),
    "a hexadecimal length": (HEAD + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "a huge length": (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nhello", 400),
    "xchunked": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "gzip before chunked": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a space before the colon": (HEAD + b"Content-Length : 5\r\n\r\nhello", 400),
    "a folded header": (HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", 400),
    "a header that begins folded": (b"POST /mcp HTTP/1.1\r\n Host: x\r\nContent-Length: 0\r\n\r\n", 400),
    "bare line feeds": (b"POST /mcp HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 400),
    "one bare line feed": (HEAD + b"X: a\nContent-Length: 0\r\n\r\n", 400),
    "a bare carriage return": (HEAD + b"X: a\rContent-Length: 0\r\n\r\n", 400),
    "NUL in a header": (HEAD + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n", 400),
    "no Host": (b"POST /mcp HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
    "two Hosts": (HEAD + b"Host: y\r\nContent-Length: 0\r\n\r\n", 400),
    "CONNECT": (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "TRACE": (b"TRACE /mcp HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "no method": (b"FROBNICATE /mcp HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an absolute target": (b"POST http://x/mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    "two slashes": (b"POST //mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a fragment": (b"POST /mcp#x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    "a space in the target": (b"POST /m cp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    "an upgrade": (HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "another version": (b"POST /mcp HTTP/3.7\r\nHost: x\r\n\r\n", 400),
    "10000 headers": (HEAD + b"A: b\r\n" * 10_000 + b"\r\n", 431),
    "21 headers": (HEAD + b"A: b\r\n" * 20 + b"\r\n", 431),
    "a header line of 1 MiB": (HEAD + b"A: " + b"b" * 1024 * 1024 + b"\r\n\r\n", 431),
    "a header name of 1 MiB": (HEAD + b"b" * 1024 * 1024 + b": b\r\n\r\n", 431),
    "a target of 1 MiB": (b"POST /" + b"b" * 1024 * 1024 + b" HTTP/1.1\r\n\r\n", 431),
    "1 MiB of empty lines": (b"\r\n" * 512 * 1024, 431),
}


@pytest.mark.parametrize(("sent", "expected"), BAD_HEADS.values(), ids=BAD_HEADS)
async def test_a_head_with_two_readings_is_refused_before_the_application(sent: bytes, expected: int) -> None:
    """What another hop could frame otherwise is how a request is smuggled past the gate."""
    async with serving(header_timeout_s=5.0, body_timeout_s=5.0) as application:
        answer = await converse(application, sent)
    assert (status(answer), answer.count(b"HTTP/1.1 "), application.seen) == (expected, 1, [])
    assert b"connection: close\r\n" in answer


BAD_BODIES = {
    "a chunk size that is none": b"zz\r\nhi\r\n0\r\n\r\n",
    "a negative chunk size": b"-2\r\nhi\r\n0\r\n\r\n",
    "a signed chunk size": b"+2\r\nhi\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": b"fffffffffffffffff\r\nhi\r\n0\r\n\r\n",
    "a chunk longer than said": b"2\r\nhello\r\n0\r\n\r\n",
    "a chunk size behind a bare line feed": b"2\nhi\r\n0\r\n\r\n",
    "an endless chunk extension": b"2;" + b"x" * 200_000,
    "a trailer": b"2\r\nhi\r\n0\r\nMcp-Name: other\r\n\r\n",
    "a trailer that repeats a header": b"2\r\nhi\r\n0\r\nHost: other\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_chunked_body_with_two_readings_never_reaches_the_application_whole(body: bytes) -> None:
    """uvicorn would add trailers to the headers, and bound nothing of this."""
    async with serving(body_timeout_s=5.0) as application:
        answer = await converse(application, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", body)
        if application.seen:
            with anyio.fail_after(WAIT_S):
                await application.ended.wait()
    assert (status(answer), answer.count(b"HTTP/1.1 "), application.bodies) == (400, 1, [])
    assert all((b"mcp-name", b"other") not in scope["headers"] for scope in application.seen)


@pytest.mark.parametrize("name", ["pipelined", "junk"])
async def test_what_follows_an_unanswered_request_is_thrown_away(name: str) -> None:
    """A second request is never run on the word of how the first one was framed."""
    more = {"pipelined": WHOLE.replace(b"/mcp", b"/second"), "junk": b"\x00\x01 what?\r\n\r\n"}[name]
    async with serving() as application:
        answer = await converse(application, WHOLE.replace(b"Connection: close\r\n", b"") + more)
    assert (status(answer), answer.count(b"HTTP/1.1 ")) == (200, 1)
    assert [scope["path"] for scope in application.seen] == ["/mcp"]


async def test_bytes_behind_a_held_request_are_bounded() -> None:
    """While a call waits for a human, its connection is no sink for gigabytes."""
    async with serving(header_timeout_s=5.0) as application:
        request = HEAD.replace(b"/mcp", b"/hold") + b"Content-Length: 2\r\n\r\nhi"
        answer = await converse(application, request, *[WHOLE + b"x" * 50_000] * 6)
        with anyio.fail_after(WAIT_S):
            while not application.bodies:
                await anyio.lowlevel.checkpoint()
    assert (answer, [scope["path"] for scope in application.seen]) == (b"", ["/hold"])


SLOW = {
    "half a request line": (b"POST /mcp HT", 408, 0),
    "half a header": (HEAD + b"X: y", 408, 0),
    "line ends only": (b"\r\n\r\n", 408, 0),
    "half a body": (HEAD + b"Content-Length: 10\r\n\r\nhalf", 408, 1),
    "half a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nha", 408, 1),
}


@pytest.mark.parametrize(("sent", "expected", "seen"), SLOW.values(), ids=SLOW)
async def test_half_a_request_ends_at_the_deadline(sent: bytes, expected: int, seen: int) -> None:
    """A peer that says no more must not be waited for; the application learns that the rest will not come."""
    async with serving() as application:
        answer = await converse(application, sent)
        if seen:
            with anyio.fail_after(WAIT_S):
                await application.ended.wait()
    assert (status(answer), answer.count(b"HTTP/1.1 ")) == (expected, 1)
    assert (len(application.seen), application.hung_up, application.bodies) == (seen, seen, [])


async def test_a_silent_connection_is_closed_without_an_answer() -> None:
    """Nothing was asked."""
    async with serving() as application:
        assert (await converse(application), application.seen) == (b"", [])


@pytest.mark.parametrize("kind", ["headers", "body"])
async def test_bytes_that_trickle_in_do_not_extend_the_deadline(kind: str) -> None:
    """The slow-loris attack sends one byte at a time, forever."""
    begin = HEAD if kind == "headers" else HEAD + b"Content-Length: 100000\r\n\r\n"
    async with serving() as application:
        with anyio.fail_after(WAIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", application.port)
            writer.write(begin)

            answer = b""
            while not answer:
                writer.write(b"x")
                with anyio.move_on_after(0.02):
                    answer = await reader.readuntil(b"\r\n\r\n")
            writer.close()
    assert status(answer) == 408
    assert application.bodies == []


@pytest.mark.parametrize(("headers_s", "body_s"), [(0.1, 0.3), (4.0, 0.3)])
async def test_the_body_has_a_deadline_of_its_own(headers_s: float, body_s: float) -> None:
    """Large bodies need longer than headers, and must not inherit what is left of the headers' time."""
    async with serving(header_timeout_s=headers_s, body_timeout_s=body_s) as application:
        answer = await converse(application, HEAD + b"Content-Length: 10\r\n\r\nhalf")
    assert (status(answer), application.hung_up) == (408, 1)


async def test_an_answered_connection_outlives_the_header_deadline_until_it_is_idle_too_long() -> None:
    """The deadline is for requests that have begun; idle connections are uvicorn's keep-alive's business."""
    async with serving(header_timeout_s=0.1) as application:
        answer = await converse(application, WHOLE.replace(b"Connection: close\r\n", b""))
    assert (status(answer), answer.count(b"HTTP/1.1 "), len(application.seen)) == (200, 1, 1)


async def test_a_body_that_stays_out_after_an_early_answer_ends_the_connection() -> None:
    """The answer is given, so no second one may follow it."""
    async with serving() as application:
        answer = await converse(application, HEAD.replace(b"/mcp", b"/early") + b"Content-Length: 10\r\n\r\nhalf")
    assert (answer.count(b"HTTP/1.1 "), answer.rpartition(b"\r\n\r\n")[2]) == (1, b"early")


@pytest.mark.parametrize("path", [b"/early", b"/mcp"])
async def test_a_connection_whose_body_waited_to_be_asked_for_is_not_used_again(path: bytes) -> None:
    """Who is answered before its `Expect: 100-continue` may keep its body: the next request would be read as that."""
    head = HEAD.replace(b"/mcp", path) + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    async with serving() as application:
        answer = await converse(application, head, b"hi" if path == b"/mcp" else b"", WHOLE)
    assert b"connection: close\r\n" in answer.lower()
    assert (answer.count(b"HTTP/1.1 200 "), len(application.seen)) == (1, 1)


@pytest.mark.parametrize("size", [10, 50_000])
async def test_a_request_behind_the_rest_of_an_answered_body_is_served(size: int) -> None:
    """Its sender has seen that answer: nothing of the old body may be counted against the new request."""
    head = HEAD.replace(b"/mcp", b"/early") + b"Content-Length: %d\r\n\r\n" % size
    async with serving(body_timeout_s=WAIT_S) as application:
        reader, writer = await asyncio.open_connection("127.0.0.1", application.port)
        with anyio.fail_after(WAIT_S):
            writer.write(head)
            assert (await reader.readuntil(b"early")).startswith(b"HTTP/1.1 200 ")
            writer.write(b"x" * size + WHOLE)
            answer = await reader.read()
        writer.close()
    assert (status(answer), application.bodies) == (200, [b"hi"])


async def test_the_headers_behind_an_answered_body_are_bounded() -> None:
    """What was said before is no way past the bounds."""
    head = HEAD.replace(b"/mcp", b"/early") + b"Content-Length: 10\r\n\r\n"
    async with serving(body_timeout_s=WAIT_S) as application:
        reader, writer = await asyncio.open_connection("127.0.0.1", application.port)
        with anyio.fail_after(WAIT_S):
            writer.write(head)
            await reader.readuntil(b"early")
            writer.write(b"x" * 10 + HEAD + b"x: " + b"y" * 10_000 + WHOLE[len(HEAD) :])
            answer = await reader.read()
        writer.close()
    assert (status(answer), len(application.seen)) == (431, 1)


async def test_a_body_that_breaks_under_a_begun_answer_cuts_it() -> None:
    """A cut stream cannot be mistaken for a whole answer."""
    async with serving() as application:
        answer = await converse(application, HEAD.replace(b"/mcp", b"/started") + b"Content-Length: 10\r\n\r\nhalf")
        with anyio.fail_after(WAIT_S):
            await application.ended.wait()
    assert b"408" not in answer
    assert not answer.endswith(b"0\r\n\r\n")


async def test_2000_half_sent_requests_are_gone_after_the_deadline() -> None:
    """uvicorn alone kept every one of them open (research/security.md, section 0)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    half = HEAD + b"X: y"
    async with serving(header_timeout_s=1.0) as application:
        sockets = [socket.create_connection(("127.0.0.1", application.port)) for _ in range(2000)]
        try:
            for sock in sockets:
                sock.send(half)
                sock.setblocking(False)
            loop = asyncio.get_running_loop()
            with anyio.fail_after(WAIT_S):
                assert status(await converse(application, WHOLE)) == 200
                for sock in sockets:
                    answer = await loop.sock_recv(sock, 1000)
                    assert status(answer) == 408
                    assert await loop.sock_recv(sock, 1000) == b""
        finally:
            for sock in sockets:
                sock.close()
    assert len(application.seen) == 1


async def test_connections_above_the_cap_of_one_address_are_refused_until_one_closes() -> None:
    """One peer must not use up the sockets of all."""
    async with serving(connections_per_address=2, header_timeout_s=5.0) as application:
        with anyio.fail_after(WAIT_S):
            first = await asyncio.open_connection("127.0.0.1", application.port)
            second = await asyncio.open_connection("127.0.0.1", application.port)
            answer = await converse(application)
            assert (status(answer), application.seen) == (503, [])
            first[1].close()
            await first[1].wait_closed()
            for _ in range(50):
                if status(await converse(application, WHOLE)) == 200:
                    break
            assert len(application.seen) == 1
            second[1].close()


async def test_counts_are_those_of_one_class() -> None:
    """Two listeners of one process must not share their counts by accident."""
    bounds = {"header_bytes": 1, "header_count": 1, "header_timeout_s": 1, "body_timeout_s": 1}
    one, other = (protocol_class(**bounds, connections_per_address=1) for _ in range(2))
    assert one.open_by_address is not other.open_by_address  # type: ignore[attr-defined]


def mutated(source: random.Random, request: bytes) -> bytes:
    """Return the request with a few bytes changed, left out, doubled or swapped for telling ones."""
    bytes_of = bytearray(request)
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(bytes_of))
        piece = source.choice(
            [
                b"",
                b"\r",
                b"\n",
                b"\r\n",
                b"\x00",
                b" ",
                b":",
                b",",
                b"\t",
                b"0",
                b"f",
                b";",
                b"/",
                bytes([source.randrange(256)]),
            ]
        )
        span = source.choice([0, 1, 1, 2, 10])
        bytes_of[place : place + span] = piece + (request[place : place + span] if source.random() < 0.3 else b"")
    return bytes(bytes_of)


async def test_no_mutation_of_a_request_is_more_than_one_request_or_stops_the_server() -> None:
    """Whatever a stranger finds between two readings of HTTP ends here."""
    source = random.Random(20261122)
    chunked = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    answers: list[bytes] = []

    async def attempt(application: Application, sent: bytes) -> None:
        answers.append(await converse(application, sent))

    async with serving() as application:
        async with anyio.create_task_group() as tasks:
            for _ in range(300):
                tasks.start_soon(attempt, application, mutated(source, source.choice([WHOLE, chunked])))
        assert status(await converse(application, WHOLE)) == 200
    assert len(answers) == 300
    assert all(answer.count(b"HTTP/1.1 ") <= 1 for answer in answers)
    assert {status(answer) for answer in answers if answer} <= {200, 400, 405, 408, 431}
    assert len(application.seen) <= 301
