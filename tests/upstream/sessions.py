"""A session with a misbehaving server, and the messages that a test puts on its streams."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from gateway.core.jsonvalue import JsonObject
from gateway.ports import Outbound, UpstreamSession
from gateway.upstream.http import HttpUpstream
from tests.simulate.relay import RecordingRelay
from tests.upstream.misbehaving import Misbehaving

PARAMS: JsonObject = {"capabilities": {"sampling": {}}, "clientInfo": {"name": "agent", "version": "1"}}


def call_of(tool: str, *, timeout_s: float = 5.0, **meta: Any) -> Outbound:
    params: JsonObject = {"name": tool, "arguments": {}}
    if meta:
        params["_meta"] = meta
    return Outbound(method="tools/call", params=params, version="2025-11-25", timeout_s=timeout_s)


@asynccontextmanager
async def session_with(server: Misbehaving, relay: RecordingRelay | None = None) -> AsyncIterator[UpstreamSession]:
    upstream = HttpUpstream("files", server.url)
    try:
        with anyio.fail_after(5):
            yield await upstream.connect(version="2025-11-25", params=PARAMS, relay=relay or RecordingRelay())
    finally:
        await upstream.aclose()


def sse(*messages: JsonObject, event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return b"".join(f"{head}data: {json.dumps(message)}\n\n".encode() for message in messages)


def note(method: str, **params: Any) -> JsonObject:
    return {"jsonrpc": "2.0", "method": method, "params": params}
