"""A puppet behind standard input and output, what is asked of it, and how many processes there are."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from gateway.core.jsonvalue import JsonObject
from gateway.ports import Outbound
from gateway.upstream.stdio import StdioUpstream
from tests.simulate.relay import RecordingRelay

PUPPET = str(Path(__file__).with_name("puppet.py"))
PARAMS: JsonObject = {"capabilities": {}, "clientInfo": {"name": "agent", "version": "1"}}


def puppet(*options: str, env: dict[str, str] | None = None, **more: Any) -> StdioUpstream:
    return StdioUpstream("files", sys.executable, ["-IS", PUPPET, *options], env or {}, **more)


@asynccontextmanager
async def running(upstream: StdioUpstream) -> AsyncIterator[StdioUpstream]:
    before = children()
    try:
        with anyio.fail_after(5):
            yield upstream
    finally:
        await upstream.aclose()
        assert children() == before


def call_of(tool: str, *, version: str = "2026-07-28", timeout_s: float = 5.0, **meta: Any) -> Outbound:
    params: JsonObject = {"name": tool, "arguments": {}}
    if meta:
        params["_meta"] = meta
    return Outbound(method="tools/call", params=params, version=version, timeout_s=timeout_s)


async def say(upstream: StdioUpstream, tool: str, relay: RecordingRelay | None = None, **more: Any) -> str:
    answer = await upstream.request(call_of(tool, **more), relay or RecordingRelay())
    return str(answer["result"]["content"][0]["text"])


def children() -> set[int]:
    found = set()
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == os.getpid():
                found.add(int(place.name))
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not true():  # noqa: ASYNC110 - the process table tells nobody of changes
            await anyio.sleep(0.01)
