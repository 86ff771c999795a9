"""A tool call in either era to a misbehaving server, and the table of its ways by what they should lead to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.core.jsonvalue import JsonObject
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
