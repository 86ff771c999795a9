"""An agent, the gateway and an upstream, each with spans, as one program: prints every span as JSON.

    python -m tests.telemetry.traced_world (http | stdio) FOLDER
    python -m tests.telemetry.traced_world upstream FILE          the stdio upstream, which appends its spans to FILE

Agent and upstream are the official SDK's, whose spans are those of the process's global provider; the gateway's own
provider writes to the same place here.
"""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from mcp import Client
from mcp.server import MCPServer
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from gateway import parts
from gateway.app import Gateway
from gateway.demo.upstream import on_loopback
from gateway.serving import serving
from gateway.settings import Settings, UpstreamSettings
from gateway.telemetry import tracing

ROOT = Path(__file__).parents[2]


class ToFile(SpanExporter):
    """Appends one JSON line for each span."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._path.open("a") as file:
            file.writelines(json.dumps(_shown(span)) + "\n" for span in spans)
        return SpanExportResult.SUCCESS


def _shown(span: ReadableSpan) -> dict[str, object]:
    return {
        "scope": span.instrumentation_scope.name if span.instrumentation_scope else "",
        "name": span.name,
        "kind": span.kind.name,
        "trace": f"{span.context.trace_id:032x}",
        "id": f"{span.context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else "",
    }


def echo(text: str) -> str:
    """Return the text."""
    return text


def upstream() -> MCPServer:
    server = MCPServer("traced")
    server.add_tool(echo)
    return server


@asynccontextmanager
async def reached_by(transport: str, path: Path) -> AsyncIterator[UpstreamSettings]:
    if transport == "stdio":
        args = ("-m", "tests.telemetry.traced_world", "upstream", str(path))
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


def global_provider(path: Path) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ToFile(path)))
    trace.set_tracer_provider(provider)


if __name__ == "__main__":
    if sys.argv[1] == "upstream":
        global_provider(Path(sys.argv[2]))
        upstream().run("stdio")
    else:
        anyio.run(main, sys.argv[1], Path(sys.argv[2]))
