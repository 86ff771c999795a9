"""A connection is kept where that is safe, and never read past its answer."""

import math

import anyio

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
