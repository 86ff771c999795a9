"""The official SDK's server behind both transports, in both eras."""

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamBroken, UpstreamTimeout
from gateway.ports import Outbound, Upstream, UpstreamSession
from gateway.upstream.http import HttpUpstream
from gateway.upstream.stdio import StdioUpstream
from tests.fixtures.everything.server import EverythingServer
from tests.fixtures.everything_server import http_app
from tests.simulate.relay import RecordingRelay

ROOT = str(Path(__file__).parents[2])
CAPABILITIES: JsonObject = {"sampling": {}, "elicitation": {}}
META: JsonObject = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": CAPABILITIES,
    "io.modelcontextprotocol/logLevel": "info",
}
PARAMS: JsonObject = {"capabilities": CAPABILITIES, "clientInfo": {"name": "agent", "version": "1"}}


@asynccontextmanager
async def _http() -> AsyncIterator[Upstream]:
    """Over HTTP, served in this process."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(http_app(EverythingServer(None)), log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        upstream = HttpUpstream("real", f"http://127.0.0.1:{listening.getsockname()[1]}/mcp")
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: server.serve(sockets=[listening]))
            try:
                yield upstream
            finally:
                await upstream.aclose()
                server.should_exit = True


@asynccontextmanager
async def _stdio() -> AsyncIterator[Upstream]:
    """Over standard input and output."""
    args = ["-m", "tests.fixtures.everything_server", "--stdio"]
    upstream = StdioUpstream("real", sys.executable, args, {"PYTHONPATH": ROOT})
    try:
        yield upstream
    finally:
        await upstream.aclose()


BOTH = pytest.mark.parametrize("transport", [_http, _stdio], ids=["http", "stdio"])


async def _call(
    asked: Upstream | UpstreamSession, tool: str, relay: RecordingRelay | None = None, **arguments: Any
) -> JsonObject:
    modern = not hasattr(asked, "initialized")
    params: JsonObject = {"name": tool, "arguments": arguments, "_meta": {"progressToken": "mine"}}
    if modern:
        params["_meta"] |= META
    version = "2026-07-28" if modern else "2025-11-25"
    outbound = Outbound(method="tools/call", params=params, version=version, timeout_s=5)
    answer = await asked.request(outbound, relay or RecordingRelay())
    result: JsonObject = answer["result"]
    return result


@BOTH
async def test_the_modern_era_works(transport: Any) -> None:
    """Discovery, an answer, a stream with progress and logs, an error, a subscription."""
    async with transport() as upstream:
        with anyio.fail_after(15):
            found = await upstream.support()
            assert found.modern == ("2026-07-28",)
            assert len(found.handshake) == 4
            assert (await _call(upstream, "test_simple_text"))["resultType"] == "complete"
            relay = RecordingRelay()
            await _call(upstream, "test_tool_with_progress", relay)
            assert [params["progress"] for _, params in relay.told] == [0, 50, 100]
            assert {params["progressToken"] for _, params in relay.told} == {"mine"}
            relay = RecordingRelay()
            await _call(upstream, "test_tool_with_logging", relay)
            assert relay.methods() == ["notifications/message"] * 3
            unknown = Outbound(method="no/such", params={"_meta": META}, version="2026-07-28", timeout_s=5)
            assert (await upstream.request(unknown, RecordingRelay()))["error"]["code"] == -32601
            await _listens(upstream)


async def _listens(upstream: Upstream) -> None:
    relay = RecordingRelay()
    params: JsonObject = {"notifications": {"toolsListChanged": True}, "_meta": META}
    listen = Outbound(method="subscriptions/listen", params=params, version="2026-07-28", timeout_s=float("inf"))
    async with anyio.create_task_group() as group:
        group.start_soon(upstream.request, listen, relay)
        await relay.until(lambda relay: "notifications/subscriptions/acknowledged" in relay.methods())
        await _call(upstream, "test_trigger_tool_change")
        await relay.until(lambda relay: "notifications/tools/list_changed" in relay.methods())
        group.cancel_scope.cancel()


@BOTH
async def test_the_handshake_era_works(transport: Any) -> None:
    """A session: progress, logs, sampling, elicitation, a stream that is resumed, changes of lists."""
    session_relay = RecordingRelay()

    async def answer(method: str, params: JsonObject) -> JsonObject:
        if method == "sampling/createMessage":
            content = {"type": "text", "text": "sampled"}
            return {"result": {"role": "assistant", "content": content, "model": "m"}}
        return {"result": {"action": "accept", "content": {"username": "u", "email": "e@x"}}}

    async with transport() as upstream:
        with anyio.fail_after(15):
            session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=session_relay)
            relay = RecordingRelay(answer)
            await _call(session, "test_tool_with_progress", relay)
            assert [params["progress"] for _, params in relay.told] == [0, 50, 100]
            assert "sampled" in str(await _call(session, "test_sampling", relay, prompt="x"))
            assert "accept" in str(await _call(session, "test_elicitation", relay, message="x"))
            assert [method for method, _ in relay.asked] == ["sampling/createMessage", "elicitation/create"]
            assert "Resumed" in str(await _call(session, "test_reconnection", relay))
            await _call(session, "test_trigger_tool_change")
            await session_relay.until(lambda relay: "notifications/tools/list_changed" in relay.methods())
            await session.aclose()


@BOTH
async def test_a_slow_call_holds_up_nobody(transport: Any) -> None:
    """Deadline and cancellation against a server that is really busy."""
    async with transport() as upstream:
        with anyio.fail_after(15):
            await _call(upstream, "test_simple_text")
            params: JsonObject = {"name": "slow_compute", "arguments": {"seconds": 5}, "_meta": META}
            slow = Outbound(method="tools/call", params=params, version="2026-07-28", timeout_s=0.3)
            with pytest.raises(UpstreamTimeout):
                await upstream.request(slow, RecordingRelay())
            assert "isError" in await _call(upstream, "test_simple_text")


async def test_closing_an_upstream_ends_the_calls_in_flight() -> None:
    """Shutdown does not wait for the slowest server."""
    async with anyio.create_task_group() as group, _http() as upstream:
        await _call(upstream, "test_simple_text")

        async def slow() -> None:
            with pytest.raises(UpstreamBroken):
                await _call(upstream, "slow_compute", seconds=5)

        group.start_soon(slow)
        await anyio.wait_all_tasks_blocked()
