"""The adapter makes real spans of ours; and with the official SDK on both sides, four nest in one trace."""

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gateway.core.tracing import TraceContext
from gateway.telemetry import tracing as module
from gateway.telemetry.tracing import OtelSpans, console_processor, otlp_processor

ROOT = Path(__file__).parents[2]
REMOTE = TraceContext(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", flags=1, state="a=1")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer has set must not decide."""
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kept() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.shutdown()


def made(kept: SpanExporter, sample: float | None = None) -> OtelSpans:
    return OtelSpans(SimpleSpanProcessor(kept), version="1", sample=sample)


def test_spans_nest_under_what_came_and_link_what_is_beside(kept: InMemorySpanExporter) -> None:
    """SERVER under the agent's, CLIENT under the SERVER; HTTP's trace is a link."""
    spans = made(kept)
    beside = TraceContext(trace_id="b" * 32, span_id="c" * 16, flags=0)
    server = spans.server("tools/call echo", {"mcp.method.name": "tools/call"}, parent=REMOTE, link=beside)
    client = spans.client("tools/call echo", {}, parent=server)
    inner = client.context
    client.end()
    server.end()
    asked, served = kept.get_finished_spans()
    assert (served.kind, asked.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert served.parent is not None
    assert served.parent.is_remote
    assert f"{served.parent.span_id:016x}" == REMOTE.span_id
    assert asked.parent == served.context
    assert [f"{link.context.trace_id:032x}" for link in served.links] == [beside.trace_id]
    assert inner == TraceContext(
        trace_id=REMOTE.trace_id, span_id=f"{asked.context.span_id:016x}", flags=inner.flags, state="a=1"
    )
    assert inner.flags & 1


def test_a_span_without_a_parent_begins_a_trace_whatever_else_is_current(kept: InMemorySpanExporter) -> None:
    """A program that embeds the gateway may have a span of its own open."""
    spans = made(kept)
    spans.server("a", {}, parent=None, link=None).end()
    spans.client("b", {}, parent=None).end()
    first, second = kept.get_finished_spans()
    assert (first.parent, second.parent) == (None, None)
    assert first.context.trace_id != second.context.trace_id


def test_a_failure_has_a_status_and_no_words(kept: InMemorySpanExporter) -> None:
    """An upstream's text may quote a call."""
    spans = made(kept)
    for noted in ({"error.type": "tool_error"}, {"intended.decision": "ALLOW"}, {}):
        span = spans.server("x", {}, parent=None, link=None)
        span.note(noted)
        span.end()
    failed, allowed, plain = kept.get_finished_spans()
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, None)
    assert (allowed.status.status_code, allowed.attributes) == (StatusCode.UNSET, {"intended.decision": "ALLOW"})
    assert plain.status.status_code is StatusCode.UNSET


def test_what_is_noted_after_the_end_is_lost_without_a_word(
    kept: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """The listener of a session outlives the request that opened it."""
    span = made(kept).server("x", {}, parent=None, link=None)
    span.end()
    span.note({"late": "yes"})
    assert kept.get_finished_spans()[0].attributes == {}
    assert caplog.records == []


def test_a_sample_holds_for_traces_that_begin_here(kept: InMemorySpanExporter) -> None:
    """Whoever began a trace has decided; ours carry their ids on all the same."""
    spans = made(kept, sample=0.0)
    dropped = spans.server("x", {}, parent=None, link=None)
    dropped.end()
    assert dropped.context is not None
    assert dropped.context.flags & 1 == 0
    spans.server("x", {}, parent=REMOTE, link=None).end()
    assert [span.name for span in kept.get_finished_spans()] == ["x"]


def test_the_service_has_a_name_unless_the_variables_say_another(
    kept: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`unknown_service` finds nobody."""
    made(kept).server("x", {}, parent=None, link=None).end()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gate")
    made(kept).server("x", {}, parent=None, link=None).end()
    monkeypatch.delenv("OTEL_SERVICE_NAME")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=door")
    made(kept).server("x", {}, parent=None, link=None).end()
    names = [span.resource.attributes["service.name"] for span in kept.get_finished_spans()]
    assert names == ["intended-mcp-gateway", "gate", "door"]


def test_attributes_are_bounded(kept: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent writes some of them; the standard variable says another bound."""
    made(kept).server("x", {"long": "x" * 10_000}, parent=None, link=None).end()
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7")
    made(kept).server("x", {"long": "x" * 10_000}, parent=None, link=None).end()
    lengths = [len(str(span.attributes["long"])) for span in kept.get_finished_spans() if span.attributes]
    assert lengths == [module.MAX_ATTRIBUTE_CHARS, 7]


def test_the_standard_switch_switches_off(kept: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """`OTEL_SDK_DISABLED`: there is nothing to pass on then, and the agent's context passes."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    span = made(kept).server("x", {}, parent=None, link=None)
    span.note({"error.type": "x"})
    span.end()
    assert span.context is None
    assert kept.get_finished_spans() == ()


async def test_the_end_exports_what_is_left(kept: InMemorySpanExporter) -> None:
    """The last calls before a stop are the interesting ones."""
    spans = OtelSpans(module.BatchSpanProcessor(kept), version="1")
    spans.server("last", {}, parent=None, link=None).end()
    await spans.aclose()
    assert [span.name for span in kept.get_finished_spans()] == ["last"]


class Stuck(SpanExporter):
    """A collector that never answers, until it is let go."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.release.wait(5)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.release.set()


async def test_a_collector_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are worth less than a stop in time."""
    monkeypatch.setattr(module, "END_S", 0.05)
    stuck = Stuck()
    spans = OtelSpans(module.BatchSpanProcessor(stuck), version="1")
    spans.server("last", {}, parent=None, link=None).end()
    with anyio.fail_after(4):
        await spans.aclose()
    stuck.release.set()


async def test_the_console_s_spans_go_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is data."""
    spans = OtelSpans(console_processor(), version="1")
    spans.server("tools/call echo", {}, parent=None, link=None).end()
    await spans.aclose()
    out, err = capfd.readouterr()
    assert (out, json.loads(err)["name"]) == ("", "tools/call echo")


async def test_a_collector_that_is_not_there_costs_a_call_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on port 9; the call's span is dropped, and the log says so once in a while."""
    monkeypatch.setattr(module, "END_S", 0.1)
    spans = OtelSpans(otlp_processor("http://127.0.0.1:9/v1/traces"), version="1")
    spans.server("tools/call echo", {}, parent=None, link=None).end()
    with anyio.fail_after(5):
        await spans.aclose()


async def test_a_gateway_without_tracing_does_not_load_it() -> None:
    """The SDK is a fifth of a second and some 10 MB; also without the extra there must be nothing to import."""
    program = "import sys, gateway.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    with anyio.fail_after(30):
        assert (await anyio.run_process([sys.executable, "-c", program], cwd=ROOT, check=False)).returncode == 0


@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_four_spans_of_one_call_nest_with_the_official_sdk_on_both_sides(transport: str, tmp_path: Path) -> None:
    """Agent, gateway in and out, upstream: each span once, each under the one before, in both eras.

    In a process of its own: the SDK's spans are those of the process's global provider.
    """
    command = [sys.executable, "-m", "tests.telemetry.traced_world", transport, str(tmp_path)]
    with anyio.fail_after(60):
        done = await anyio.run_process(command, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr.decode()
    spans = {one["id"]: one for one in json.loads(done.stdout)}
    calls = [one for one in spans.values() if one["name"].endswith("tools/call echo")]
    for era in ("handshake", "modern"):
        (root,) = [one for one in spans.values() if one["name"] == era]
        chain = [root]
        while under := [one for one in calls if one["parent"] == chain[-1]["id"]]:
            chain += under
        assert [(one["scope"], one["kind"]) for one in chain] == [
            ("agent", "INTERNAL"),
            ("mcp-python-sdk", "CLIENT"),
            ("gateway", "SERVER"),
            ("gateway", "CLIENT"),
            ("mcp-python-sdk", "SERVER"),
        ]
        assert {one["trace"] for one in chain} == {root["trace"]}
    assert len(calls) == 8
