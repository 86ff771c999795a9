"""An agent, the gateway and an upstream, each with spans, as one program: prints every span as JSON.

    python -m tests.telemetry.traced_world (http | stdio) FOLDER

Agent and upstream are the official SDK's, whose spans are those of the process's global provider; the gateway's own
provider writes to the same place here.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from mcp import Client
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from gateway import parts
from gateway.app import Gateway
from gateway.demo.upstream import on_loopback
from gateway.serving import serving
from gateway.settings import Settings, UpstreamSettings
from gateway.telemetry import tracing
from tests.telemetry.traced_upstream import ToFile, global_provider, upstream

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def reached_by(transport: str, path: Path) -> AsyncIterator[UpstreamSettings]:
    if transport == "stdio":
        args = ("-m", "tests.telemetry.traced_upstream", str(path))
        yield UpstreamSettings(command=sys.executable, args=args, env={"PYTHONPATH": str(ROOT)})
        return
    async with on_loopback(upstream().streamable_http_app()) as address:
        yield UpstreamSettings(url=f"{address}/mcp")


async def main(transport: str, folder: Path) -> None:
    path = folder / "spans"
    global_provider(path)
    parts.make_spans = lambda _: tracing.OtelSpans(SimpleSpanProcessor(ToFile(path)), version="1")
    import gateway.app

    gateway.app.make_spans = parts.make_spans
    async with reached_by(transport, path) as settings:
        whole = Settings(
            port=0,
            data=folder / "data",
            state=folder / "state",
            upstreams={"default": settings},
            policies=ROOT / "policies/allow-all.yaml",
            tiers={"default": "T4"},
            tracing={"exporter": "console"},
        )
        async with Gateway.open(whole) as opened, serving(opened, whole) as served:
            for era, mode in (("handshake", "legacy"), ("modern", "auto")):
                async with Client(f"{served.url}/mcp", mode=mode) as client:
                    with trace.get_tracer("agent").start_as_current_span(era):
                        await client.call_tool("echo", {"text": "hi"})
    print(json.dumps([json.loads(line) for line in path.read_text().splitlines()]))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], Path(sys.argv[2]))
