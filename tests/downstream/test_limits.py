"""Raw bytes against a tiny application under uvicorn: what HTTP itself must not let through."""

import asyncio
import resource
import socket
from typing import Any

import anyio
import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.downstream.limits import protocol_class
from tests.downstream.limited import HEAD, WAIT_S, WHOLE, Application, converse, serving, status


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


class Gauged:
    """A transport that notes when reading is paused and resumed."""

    def __init__(self) -> None:
        self.turns: list[str] = []

    def get_extra_info(self, name: str) -> None:
        return None

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def pause_reading(self) -> None:
        self.turns.append("pause")

    def resume_reading(self) -> None:
        self.turns.append("resume")


async def test_one_that_sends_as_fast_as_it_can_takes_turns_with_everybody_else() -> None:
    """The rest of a body that was answered early in chunks of eight bytes held every other request up for 0.3 s."""
    bounds = {"header_bytes": 4096, "header_count": 20, "header_timeout_s": 5, "body_timeout_s": 5}
    made = protocol_class(**bounds, connections_per_address=1)
    config = uvicorn.Config(Application(), http=made, lifespan="off", log_config=None)  # type: ignore[arg-type]
    config.load()
    transport: Any = Gauged()
    protocol = made(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(transport)
    protocol.data_received(HEAD.replace(b"/mcp", b"/early") + b"Content-Length: 1000000\r\n\r\n")
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    assert transport.turns == []
    protocol.data_received(b"x" * 100_000)
    assert transport.turns == ["pause"]
    await anyio.lowlevel.checkpoint()
    assert transport.turns == ["pause", "resume"]
    protocol.flow.pause_reading()  # the application has enough for now
    protocol.data_received(b"x" * 100_000)
    await anyio.lowlevel.checkpoint()
    assert transport.turns == ["pause", "resume", "pause"]
    protocol.connection_lost(None)
