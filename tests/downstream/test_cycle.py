"""The short way past ASGI: what it takes, what it leaves to ASGI, and the bytes of its answers."""

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from gateway.downstream.cycle import Cycle, Outbox


class Wire:
    """A transport that keeps each write, so that system calls can be counted."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def writelines(self, pieces: tuple[bytes, ...]) -> None:
        self.writes.append(b"".join(pieces))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Made:
    """A cycle with everything around it."""

    def __init__(self, method: str = "POST", *, expects: bool = False, keep: bool = True, date: bytes = b"now") -> None:
        self.wire: Any = Wire()
        self.flow = FlowControl(self.wire)
        self.completed = 0
        self.outbox = Outbox(asyncio.get_running_loop())
        self.cycle = Cycle(
            {"method": method, "http_version": "1.1"},
            self.wire,
            self.flow,
            self.outbox,
            [(b"date", date)],
            self._complete,
            expect_100_continue=expects,
            keep_alive=keep,
        )

    def _complete(self) -> None:
        self.completed += 1

    def whole(self, *pieces: bytes) -> "Made":
        for piece in pieces:
            self.cycle.feed(piece)
        self.cycle.end()
        return self


async def test_head_and_body_of_an_answer_are_one_write() -> None:
    """Each write is a system call, the dearest thing that an answer does."""
    made = Made().whole(b"{}")
    assert made.cycle.answer(200, b'{"a":1}')
    made.outbox.flush()
    assert made.wire.writes == [
        b'HTTP/1.1 200 OK\r\ndate: now\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}'
    ]
    assert (made.completed, made.wire.closed, made.cycle.response_complete) == (1, False, True)


async def test_the_date_is_that_of_the_server() -> None:
    """uvicorn renews it each second; what was written before must not be repeated."""
    for date in (b"monday", b"tuesday"):
        made = Made(date=date).whole()
        assert made.cycle.answer(200, b"{}")
        made.outbox.flush()
        assert b"date: " + date in made.wire.writes[0]


async def test_a_connection_that_is_not_kept_is_told_so_and_closed() -> None:
    """The peer must not send a second request into it."""
    made = Made(keep=False).whole()
    assert made.cycle.answer(404, b"{}")
    assert (b"\r\nconnection: close\r\n\r\n{}" in made.wire.writes[0], made.wire.closed) == (True, True)


async def test_the_answers_of_one_turn_are_written_together_and_in_order() -> None:
    """Each write wakes a peer; whose connection is closing meanwhile gets nothing, and the others get theirs."""
    first, closing, last = (Made().whole() for _ in range(3))
    for made in (first, closing, last):
        made.cycle.outbox = first.outbox
        assert made.cycle.answer(200, b"{}")
    closing.wire.close()
    assert [made.wire.writes for made in (first, closing, last)] == [[], [], []]
    await anyio.lowlevel.checkpoint()
    assert [len(made.wire.writes) for made in (first, closing, last)] == [1, 0, 1]


@pytest.mark.parametrize("why", ["head", "slow", "gone", "begun", "answered"])
async def test_what_does_not_fit_is_left_to_asgi(why: str) -> None:
    """Back-pressure, HEAD and a begun stream are uvicorn's to get right."""
    made = Made("HEAD" if why == "head" else "POST").whole()
    if why == "slow":
        made.flow.pause_writing()
    elif why == "gone":
        made.cycle.disconnected = True
    elif why == "begun":
        await made.cycle.send({"type": "http.response.start", "status": 200, "headers": []})
    elif why == "answered":
        made.cycle.answer(200, b"{}")
    before = list(made.wire.writes)
    assert not made.cycle.answer(200, b"{}")
    assert made.wire.writes == before


async def test_a_body_is_handed_over_once_and_only_whole() -> None:
    """Half of a message is none, and the same bytes twice would be two messages."""
    made = Made()
    assert made.cycle.whole_body() is None
    made.cycle.feed(b"ab")
    assert made.cycle.whole_body() is None
    made.whole(b"c", b"d")
    assert [made.cycle.whole_body(), made.cycle.whole_body()] == [b"abcd", None]


@pytest.mark.parametrize("why", ["expects", "gone"])
async def test_a_body_that_needs_more_than_handing_over_is_received_by_asgi(why: str) -> None:
    """`100 Continue` and a peer that has left are events of ASGI."""
    made = Made(expects=why == "expects").whole(b"ab")
    made.cycle.disconnected = why == "gone"
    assert made.cycle.whole_body() is None


async def test_what_was_not_handed_over_can_be_received() -> None:
    """Both ways read the same body; pieces that come later wake who waits."""
    made = Made()
    made.cycle.feed(b"ab")
    assert await made.cycle.receive() == {"type": "http.request", "body": b"ab", "more_body": True}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_later, made)
        with anyio.fail_after(5):
            assert await made.cycle.receive() == {"type": "http.request", "body": b"cd", "more_body": False}


async def _later(made: Made) -> None:
    made.whole(b"c", b"d")


async def test_after_the_body_was_handed_over_only_the_end_is_received() -> None:
    """Who watches for a disconnect must not be given the message again."""
    made = Made().whole(b"ab")
    assert made.cycle.whole_body() == b"ab"
    events: list[Any] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_receive, made.cycle, events)
        await anyio.wait_all_tasks_blocked()
        assert events == []
        assert made.cycle.answer(200, b"{}")
    assert events == [{"type": "http.disconnect"}]


async def _receive(cycle: Cycle, events: list[Any]) -> None:
    events.append(await cycle.receive())


async def test_nobody_is_there_once_the_peer_has_left_or_was_answered() -> None:
    """An allowed call is not forwarded for nobody."""
    left, answered, waiting = (Made().whole() for _ in range(3))
    left.cycle.disconnected = True
    answered.cycle.answer(200, b"{}")
    assert [made.cycle.gone() for made in (left, answered, waiting)] == [True, True, False]
