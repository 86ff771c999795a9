"""A connection is kept where that is safe, and never read past its answer."""

import asyncio
import math
import socket
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.connection import EVENT_COST, HIGH_WATER, TURN_BYTES, Connection, ConnectionLimits, Outbox
from gateway.upstream.messages import Shape
from gateway.upstream.reading import read_stream
from tests.upstream.eras import modern
from tests.upstream.misbehaving import Misbehaving


async def test_a_connection_that_was_closed_while_idle_costs_nothing() -> None:
    """A known-closed connection is discarded before use: no error, no second request."""
    async with Misbehaving() as server, modern(server) as call:
        for expected in (1, 2, 3):
            await call("good_then_closed_while_idle")
            await server.until(lambda expected=expected: server.closed_connections == expected)
        assert server.calls("good_then_closed_while_idle") == 3
        assert server.connections == 3


async def test_a_late_second_answer_is_never_read_as_the_answer_to_the_next_call() -> None:
    """Response smuggling: bytes on an idle connection end it, and the next call uses another."""
    async with Misbehaving() as server, modern(server) as call:
        await call("good_then_a_second_answer_later")
        server.poked.set()
        with anyio.fail_after(5):
            await server.poked_back.wait()
        answer = await call("good")
        assert "stolen" not in answer["result"]
        assert server.connections == 2


async def test_calls_of_one_upstream_share_kept_connections() -> None:
    """Performance: never open a connection per call."""
    async with Misbehaving() as server, modern(server) as call:
        for _ in range(5):
            await call("good")
            await call("good_stream")
        assert server.connections == 1


async def test_a_stream_may_live_without_deadline_until_it_is_cancelled() -> None:
    """`subscriptions/listen` lives as long as the agent listens; cancelling closes it."""
    async with Misbehaving() as server, modern(server) as call:
        with anyio.move_on_after(0.1) as scope:
            await call("slow_stream", timeout_s=math.inf)
        assert scope.cancelled_caught
        await server.until(lambda: server.closed_connections == 1)


class Gauged:
    """A transport that counts how often reading was paused and resumed."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.turns: list[str] = []

    def get_extra_info(self, name: str) -> socket.socket:
        return self.sock

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def pause_reading(self) -> None:
        self.turns.append("pause")

    def resume_reading(self) -> None:
        self.turns.append("resume")


async def test_one_that_sends_as_fast_as_it_can_takes_turns_with_everybody_else() -> None:
    """Issue, "Upstreams": a flood hurts only its own call; uvloop would read megabytes of it in a row."""

    def told(connection: Any) -> None: ...

    with socket.socket() as sock:
        transport: Any = Gauged(sock)
        connection = Connection("upstream flood", told, told, told)
        connection.connection_made(transport)
        limits = ConnectionLimits(answer_bytes=1024 * 1024)
        exchange = asyncio.create_task(connection.send(b"", math.inf, limits))
        await anyio.lowlevel.checkpoint()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.data_received(head)
        assert transport.turns == []
        flood = b":\n" * TURN_BYTES
        connection.data_received(b"%x\r\n%b\r\n" % (len(flood), flood))
        assert transport.turns == ["pause"]
        await exchange
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        assert transport.turns == ["pause", "pause", "resume"]


async def test_a_piece_that_takes_many_turns_is_the_same_answer() -> None:
    """What was put off comes before what is read next, and its end is the end of the exchange."""
    body = bytes(range(256)) * (TURN_BYTES // 100)
    with socket.socket() as sock:
        connection, transport = _opened(sock, Outbox())
        exchange = asyncio.create_task(connection.send(b"ask", math.inf, ConnectionLimits(answer_bytes=len(body))))
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await exchange
        assert await connection.body() == body
        connection.done()
        assert not transport.closing


async def test_the_end_of_a_connection_does_not_cut_what_waits_for_its_turn() -> None:
    """With TLS the last bytes and the end are read in one: an answer without a length would be cut, and look whole."""
    body = bytes(range(256)) * (TURN_BYTES // 100)
    with socket.socket() as sock:
        connection, _ = _opened(sock, Outbox())
        exchange = asyncio.create_task(connection.send(b"ask", math.inf, ConnectionLimits(answer_bytes=len(body))))
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        connection.data_received(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%b" % body)
        connection.connection_lost(None)
        await exchange
        assert await connection.body() == body


async def test_what_is_put_off_behind_the_answer_is_never_the_next_one() -> None:
    """Response smuggling, in a piece so long that the second answer was not parsed together with the first."""
    with socket.socket() as sock:
        connection, transport = _opened(sock, Outbox())
        exchange = asyncio.create_task(connection.send(b"ask", math.inf, ConnectionLimits(answer_bytes=TURN_BYTES)))
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        first = head % (TURN_BYTES - len(head % TURN_BYTES)) + b"x" * (TURN_BYTES - len(head % TURN_BYTES))
        connection.data_received(first + head % 6 + b"stolen")
        await exchange
        with pytest.raises(UpstreamBroken, match="more than one answer"):
            await connection.body()
        connection.done()
        assert transport.closing


async def test_events_without_content_are_not_kept_without_end() -> None:
    """Each costs memory: one that sends nothing but empty events must wait for its reader, too."""
    with socket.socket() as sock:
        connection, _ = _opened(sock, Outbox())
        exchange = asyncio.create_task(connection.send(b"ask", math.inf, ConnectionLimits(answer_bytes=1024)))
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await exchange
        flood = 2 * HIGH_WATER // EVENT_COST
        connection.data_received(b"data:\n\n" * flood)
        for _ in range(flood * 7 // TURN_BYTES + 3):
            await anyio.lowlevel.checkpoint()
        kept = 0
        while connection.events_waiting:
            kept += 1
            await connection.event()
        assert HIGH_WATER // EVENT_COST <= kept < flood
        for _ in range(flood - kept):  # and none is lost
            await connection.event()
        assert not connection.events_waiting


async def test_what_is_dropped_takes_its_turn_like_everything_else() -> None:
    """Issue, "Upstreams": one that sends nothing but small notifications is no reason for other calls to wait."""
    turns = 0

    async def take(shape: Shape, message: JsonObject) -> None: ...

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with socket.socket() as sock:
        connection, _ = _opened(sock, Outbox())
        exchange = asyncio.create_task(connection.send(b"ask", math.inf, ConnectionLimits(answer_bytes=1024)))
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        note = b'data:{"jsonrpc":"2.0","method":"x"}\n\n'
        answer = b'data:{"jsonrpc":"2.0","id":1,"result":{}}\n\n'
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + note * 50 + answer)
        await exchange
        other = asyncio.create_task(somebody_else())
        assert await read_stream(connection, 1, "upstream flood", take, math.inf) == {"result": {}}
        other.cancel()
    assert turns >= 50


class Kept(Gauged):
    """A transport that keeps what is written to it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.written: list[bytes] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.closing = True


def _opened(sock: socket.socket, outbox: Outbox) -> tuple[Connection, Kept]:
    def told(connection: Any) -> None: ...

    transport = Kept(sock)
    connection = Connection("upstream kept", told, told, told, outbox)
    connection.connection_made(cast("Any", transport))
    return connection, transport


LIMITS = ConnectionLimits(answer_bytes=1024)


async def test_the_requests_of_one_turn_are_written_together_and_once() -> None:
    """Each write wakes the other side; the bytes of an exchange that was given up meanwhile do not leave at all."""
    outbox = Outbox()
    with socket.socket() as one, socket.socket() as two:
        opened = [_opened(one, outbox), _opened(two, outbox)]
        asked = [asyncio.create_task(connection.send(b"ask", math.inf, LIMITS)) for connection, _ in opened]
        asyncio.get_running_loop().call_soon(opened[1][0].abort)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        assert [transport.written for _, transport in opened] == [[b"ask"], []]
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_a_connection_that_closes_before_the_request_is_written_was_not_asked() -> None:
    """A call may be made again by its agent if it is certain that it did not run."""
    with socket.socket() as sock:
        connection, transport = _opened(sock, Outbox())
        asyncio.get_running_loop().call_soon(connection.connection_lost, None)
        with pytest.raises(UpstreamUnreachable) as caught:
            await connection.send(b"ask", math.inf, LIMITS)
        await anyio.lowlevel.checkpoint()
    assert (caught.value.may_have_run, transport.written) == (False, [])


async def test_an_answer_before_the_request_is_none() -> None:
    """Response smuggling: what comes before the request was written belongs to nobody."""
    with socket.socket() as sock:
        connection, transport = _opened(sock, Outbox())
        asked = asyncio.create_task(connection.send(b"ask", math.inf, LIMITS))
        asyncio.get_running_loop().call_soon(
            connection.data_received, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"
        )
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        assert (asked.done(), transport.closing, transport.written) == (False, True, [])
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


async def test_a_deadline_that_comes_sooner_than_the_one_before_is_kept() -> None:
    """One timer serves a connection's exchanges; the next one may have less time than the last."""
    with socket.socket() as sock:
        connection, _ = _opened(sock, Outbox())
        loop = asyncio.get_running_loop()
        asked = asyncio.create_task(connection.send(b"ask", loop.time() + 60, LIMITS))
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await asked
        connection.done()
        with anyio.fail_after(5), pytest.raises(UpstreamTimeout):
            await connection.send(b"ask", loop.time() + 0.02, LIMITS)
