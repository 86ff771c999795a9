"""An upstream with spans, by the official SDK: over stdio by itself, appending its spans to a file.

python -m tests.telemetry.traced_upstream FILE
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mcp.server import MCPServer
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult


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


def global_provider(path: Path) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ToFile(path)))
    trace.set_tracer_provider(provider)


if __name__ == "__main__":
    global_provider(Path(sys.argv[1]))
    upstream().run("stdio")
