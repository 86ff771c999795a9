"""What a misbehaving upstream can do to the gateway: nothing but end its own call, with a clear error."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import SessionLost, UpstreamBroken, UpstreamError, UpstreamRefused, UpstreamTimeout
from gateway.ports import Outbound
from gateway.upstream.http import HttpUpstream
from tests.simulate.relay import RecordingRelay
from tests.upstream.misbehaving import MODES, Misbehaving

BOUND = 256 * 1024
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
Call = Callable[..., Awaitable[JsonObject]]

SLOW = {"hang", "late", "slow_drip", "slow_stream"}
REFUSED = {"status_500": 500, "status_401": 401, "status_403": 403, "status_404": 404}
WELL = {name for name in MODES if name.startswith("good")} | {"error_with_404"}
RESUMED = {"resumable", "resumable_after_a_reset", "never_resumed"}
PLAIN = {"echo", "fail", "progress"}
BROKEN = sorted(set(MODES) - SLOW - set(REFUSED) - WELL - RESUMED - PLAIN)


@asynccontextmanager
async def modern(server: Misbehaving) -> AsyncIterator[Call]:
    upstream = HttpUpstream("files", server.url, max_answer_bytes=BOUND)

    async def call(tool: str, *, timeout_s: float = 5.0) -> JsonObject:
        params = {"name": tool, "arguments": {}, "_meta": META}
        outbound = Outbound(method="tools/call", params=params, version="2026-07-28", timeout_s=timeout_s)
        return await upstream.request(outbound, RecordingRelay())

    try:
        yield call
    finally:
        await upstream.aclose()


@asynccontextmanager
async def handshake(server: Misbehaving) -> AsyncIterator[Call]:
    upstream = HttpUpstream("files", server.url, max_answer_bytes=BOUND)
    session = await upstream.connect(version="2025-11-25", params={"capabilities": {}}, relay=RecordingRelay())

    async def call(tool: str, *, timeout_s: float = 5.0) -> JsonObject:
        params = {"name": tool, "arguments": {}}
        outbound = Outbound(method="tools/call", params=params, version="2025-11-25", timeout_s=timeout_s)
        return await session.request(outbound, RecordingRelay())

    try:
        yield call
    finally:
        await upstream.aclose()


ERAS = pytest.mark.parametrize("era", [modern, handshake], ids=["modern", "handshake"])


async def _fails(call: Call, server: Misbehaving, tool: str, *, timeout_s: float = 5.0) -> UpstreamError:
    """Call a tool that fails, others meanwhile and one afterwards; return the error."""
    errors: list[UpstreamError] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call, "good")
            with pytest.raises(UpstreamError) as caught:
                await call(tool, timeout_s=timeout_s)
            errors.append(caught.value)
        after = await call("good")
    assert after["result"]["content"][0]["text"] == "well"
    assert server.calls(tool) == 1
    assert server.calls("good") == 4
    return errors[0]


@ERAS
@pytest.mark.parametrize("tool", BROKEN)
async def test_an_answer_that_is_none_ends_its_own_call_as_broken(tool: str, era: Callable[..., object]) -> None:
    """Security 4: clear error, in doubt, exactly one request, others served meanwhile, the next call works."""
    async with Misbehaving() as server, era(server) as call:  # type: ignore[attr-defined]
        if era is handshake and tool == "asks_in_the_stream":
            return
        error = await _fails(call, server, tool)
    assert type(error) is UpstreamBroken
    assert error.may_have_run
    assert str(error).startswith("upstream files")


@ERAS
@pytest.mark.parametrize("tool", sorted(SLOW))
async def test_an_answer_that_does_not_come_ends_at_the_deadline(tool: str, era: Callable[..., object]) -> None:
    """Security 4, upstream hang: the deadline is the call's own, whatever drips meanwhile."""
    async with Misbehaving() as server, era(server) as call:  # type: ignore[attr-defined]
        error = await _fails(call, server, tool, timeout_s=0.2)
        if era is handshake:
            await server.until(lambda: bool(server.seen("notifications/cancelled")))
            cancelled = server.seen("notifications/cancelled")[0].body["params"]
            called = next(request for request in server.requests if request.tool == tool)
            assert cancelled == {"requestId": called.body["id"]}
    assert type(error) is UpstreamTimeout
    assert error.may_have_run


@ERAS
@pytest.mark.parametrize("tool", sorted(REFUSED))
async def test_a_status_that_is_no_answer_ends_the_call_as_refused(tool: str, era: Callable[..., object]) -> None:
    """The operator must see which status came; the upstream's own challenge and body go nowhere."""
    async with Misbehaving() as server, era(server) as call:  # type: ignore[attr-defined]
        with pytest.raises(UpstreamError) as caught:
            await call(tool)
        assert server.calls(tool) == 1
    error = caught.value
    if era is handshake and tool == "status_404":
        assert type(error) is SessionLost
    else:
        assert isinstance(error, UpstreamRefused)
        assert error.status == REFUSED[tool]
    assert error.may_have_run
    assert "secret place" not in str(error)


@ERAS
@pytest.mark.parametrize("tool", sorted(WELL - {"error_with_404", "good_then_a_second_answer_later"}))
async def test_an_odd_but_sound_answer_is_an_answer(tool: str, era: Callable[..., object]) -> None:
    """Transparency: streams, bodies that last until the end of the connection and interim answers are HTTP too."""
    async with Misbehaving() as server, era(server) as call:  # type: ignore[attr-defined]
        for _ in range(2):
            with anyio.fail_after(5):
                answer = await call(tool)
            assert answer["result"]["content"][0]["text"] == "well"
        assert server.calls(tool) == 2


async def test_an_error_that_comes_with_an_http_error_status_is_the_answer() -> None:
    """2026-07-28: unknown methods are answered with 404 and the JSON-RPC error in the body."""
    async with Misbehaving() as server, modern(server) as call:
        assert await call("error_with_404") == {"error": {"code": -32601, "message": "no"}}


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
