"""Spans by OpenTelemetry's SDK: the only module that knows it, imported only where tracing is on (extra `tracing`).

Implements `ports.Spans`. Finished spans are exported in batches by a thread of the SDK, which drops what it cannot get
rid of: a collector that is down or slow costs spans, never a call. What is not given here (the service's name, headers
of the exporter, limits, the sampler) is read from the standard `OTEL_*` variables. No global provider is set: the
program that a gateway is embedded in may have one of its own.

A thread and not anyio for the end: the SDK's own shutdown waits for its exporter, and nothing may wait for that.
"""

import os
import sys
import threading
from typing import Final

import anyio
import anyio.to_thread
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from gateway.core.tracing import Attributes, TraceContext
from gateway.ports import Span

__all__ = ["OtelSpans", "console_processor", "otlp_processor"]

SERVICE: Final = "intended-mcp-gateway"
"""Where `OTEL_SERVICE_NAME` says nothing."""

SCOPE: Final = "gateway"

END_S: Final = 3.0
"""For what is left to be exported when the gateway stops; a collector that is gone must not hold it up."""

MAX_ATTRIBUTE_CHARS: Final = 4096
"""Of one attribute, where `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT` says nothing: redacted arguments fit."""


def otlp_processor(endpoint: str | None) -> SpanProcessor:
    """Return what posts spans to a collector (OTLP over HTTP); None: where `OTEL_EXPORTER_OTLP_*` says, or loopback."""
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))


def console_processor() -> SpanProcessor:
    """Return what writes each span to standard error, as JSON, for trying out."""
    return BatchSpanProcessor(ConsoleSpanExporter(out=sys.stderr))


class OtelSpans:
    """Implements `ports.Spans` over a provider of its own."""

    def __init__(self, processor: SpanProcessor, *, version: str, sample: float | None = None) -> None:
        """`sample` is the part of the traces that begin here which is kept; None: as `OTEL_TRACES_SAMPLER` says."""
        limits = SpanLimits()
        if limits.max_span_attribute_length is None:
            limits = SpanLimits(max_span_attribute_length=MAX_ATTRIBUTE_CHARS)
        self._provider = TracerProvider(
            sampler=_sampler(sample), resource=_resource(version), shutdown_on_exit=False, span_limits=limits
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SCOPE, version)

    def server(
        self, name: str, attributes: Attributes, *, parent: TraceContext | None, link: TraceContext | None
    ) -> "OtelSpan":
        """As `ports.Spans.server`."""
        context = Context() if parent is None else _under(_remote(parent))
        links = [] if link is None else [Link(_remote(link))]
        return OtelSpan(
            self._tracer.start_span(
                name, context=context, kind=SpanKind.SERVER, attributes=dict(attributes), links=links
            )
        )

    def client(self, name: str, attributes: Attributes, *, parent: Span | None) -> "OtelSpan":
        """As `ports.Spans.client`; the parent is one of these."""
        context = trace.set_span_in_context(parent.inner, Context()) if isinstance(parent, OtelSpan) else Context()
        return OtelSpan(
            self._tracer.start_span(name, context=context, kind=SpanKind.CLIENT, attributes=dict(attributes))
        )

    async def aclose(self) -> None:
        """Export what is left, for a bounded time."""
        ending = threading.Thread(target=self._provider.shutdown, name="tracing-ends", daemon=True)
        ending.start()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(ending.join, END_S)


class OtelSpan:
    """Implements `ports.Span`."""

    __slots__ = ("inner",)

    def __init__(self, inner: trace.Span) -> None:
        self.inner = inner

    @property
    def context(self) -> TraceContext | None:
        """As `ports.Span.context`."""
        found = self.inner.get_span_context()
        if not found.is_valid:
            return None
        return TraceContext(
            trace_id=trace.format_trace_id(found.trace_id),
            span_id=trace.format_span_id(found.span_id),
            flags=found.trace_flags,
            state=found.trace_state.to_header(),
        )

    def note(self, attributes: Attributes) -> None:
        """As `ports.Span.note`. No text goes with a failure: it may quote a call."""
        if not self.inner.is_recording():
            return
        self.inner.set_attributes(dict(attributes))
        if "error.type" in attributes:
            self.inner.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """As `ports.Span.end`."""
        self.inner.end()


def _sampler(sample: float | None) -> Sampler | None:
    return None if sample is None else ParentBased(TraceIdRatioBased(sample))


def _resource(version: str) -> Resource:
    named: dict[str, str] = {SERVICE_VERSION: version}
    if not (os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")):
        named[SERVICE_NAME] = SERVICE
    return Resource.create(named)


def _remote(context: TraceContext) -> SpanContext:
    return SpanContext(
        trace_id=int(context.trace_id, 16),
        span_id=int(context.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(context.flags),
        trace_state=TraceState.from_header([context.state]),
    )


def _under(context: SpanContext) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(context), Context())
