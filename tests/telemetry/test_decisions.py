"""Lines for the operator come off the path of a call, and forge nothing on a terminal."""

import io
import json
import os
from dataclasses import replace

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect, Reason
from gateway.services.judged import NO_ROWS, Judged
from gateway.telemetry import decisions as module
from gateway.telemetry.decisions import DecisionLines
from tests.services.test_enforcement import READ
from tests.simulate.world import LOCAL, FakeCaller, World


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def judged(world: World, uri: str = "notes://1") -> None:
    async def answer() -> dict[str, object]:
        return {"result": {}}

    await world.enforcement.call(LOCAL, replace(READ, uri=uri), answer, FakeCaller())


async def written(lines: DecisionLines, stream: io.StringIO) -> list[str]:
    """Run the writer and stop it; what has come by then is written."""
    async with anyio.create_task_group() as group:
        group.start_soon(lines.run)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    return stream.getvalue().splitlines()


def noted(lines: DecisionLines, world: World) -> None:
    for one in world.judged:
        lines.note(one.call, one.intent, one.decision, one.facts, one.intent_id)


async def test_a_pipe_gets_json_with_names_and_codes_only() -> None:
    """One line per decision, with its id; never an argument."""
    world, stream = World(), io.StringIO()
    await judged(world)
    lines = DecisionLines(stream)
    noted(lines, world)
    (line,) = await written(lines, stream)
    entry = world.entries(EntryType.CALL_DECIDED)[0]
    assert json.loads(line) == {
        "timestamp": "2026-11-22T12:00:00Z",
        "effect": "ALLOW",
        "upstream": "default",
        "target": "notes://1",
        "tenant": "default",
        "agent": "local",
        "tier": "T4",
        "risk": entry.risk,
        "reason": "policy-allow",
        "rule": "allow-all",
        "intent": entry.intent_id,
    }


@pytest.mark.parametrize("text", [True, False])
async def test_the_form_is_as_the_operator_says_wherever_it_goes(text: bool) -> None:
    """A terminal that is recorded as JSON, or a file that people read: without colours, which only a terminal has."""
    for stream in (Terminal(), io.StringIO()):
        world = World()
        await judged(world)
        lines = DecisionLines(stream, colours=False, text=text)
        noted(lines, world)
        (line,) = await written(lines, stream)
        assert line.startswith("{") is not text
        assert "\x1b" not in line


@pytest.mark.parametrize("text", [True, False])
async def test_a_line_names_the_trace_where_there_is_one(text: bool) -> None:
    """From a line to the spans of its call, without a search."""
    world, stream = World(), io.StringIO()
    await judged(world)
    lines = DecisionLines(stream, text=text)
    (one,) = world.judged
    lines.note(one.call, one.intent, one.decision, one.facts, one.intent_id, trace="4bf9")
    (line,) = await written(lines, stream)
    assert line.endswith("trace 4bf9") if text else json.loads(line)["trace"] == "4bf9"


async def test_a_line_for_people_names_the_tenant_where_there_are_several() -> None:
    """As everywhere: TENANT/AGENT."""
    world, stream = World(), io.StringIO()
    await judged(world)
    (one,) = world.judged
    other = replace(one.facts, principal=replace(LOCAL, tenant="acme", agent="a\nb"))
    lines = DecisionLines(stream, text=True)
    lines.note(one.call, one.intent, one.decision, other, one.intent_id)
    (line,) = await written(lines, stream)
    assert "  acme/a\\nb  " in line


async def test_a_rule_that_the_tier_overruled_is_not_named_as_the_cause() -> None:
    """A line such as "ESCALATE allow-all" would send the operator to the wrong place."""
    world, stream = World(), Terminal()
    await judged(world)
    (one,) = world.judged
    lines = DecisionLines(stream, colours=False)
    escalated = replace(one.decision, effect=Effect.ESCALATE, reason=Reason.TIER_ESCALATE)
    lines.note(one.call, one.intent, escalated, one.facts, one.intent_id)
    (line,) = await written(lines, stream)
    assert "tier-escalate" in line
    assert "allow-all" not in line


@pytest.mark.parametrize("colours", [None, False])
async def test_a_terminal_gets_a_line_in_which_nothing_can_be_forged(colours: bool | None) -> None:
    """A tool name with escape sequences or line breaks must not draw a second line."""
    world, stream = World(), Terminal()
    await judged(world, "x://\x1b[2Jfake\nALLOW all")
    lines = DecisionLines(stream, colours=colours)
    noted(lines, world)
    (line,) = await written(lines, stream)
    assert "\\x1b[2Jfake\\nALLOW all" in line
    assert line.startswith("\x1b[32m") is (colours is None)


async def test_a_line_in_a_pipe_is_one_line_for_every_reader() -> None:
    """JSON leaves U+2028 and the C1 controls as they are; `less` and terminals act on them."""
    world, stream = World(), io.StringIO()
    await judged(world, "x://\x9b2J\u2028{}\u0085\u202e")
    lines = DecisionLines(stream)
    noted(lines, world)
    (line,) = await written(lines, stream)
    assert line.isascii()
    assert json.loads(line)["target"] == "x://\x9b2J\u2028{}\u0085\u202e"


async def test_lines_that_nobody_reads_are_counted_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stuck reader must not fill the memory."""
    monkeypatch.setattr(module, "LINES_KEPT", 1)
    world, stream = World(), io.StringIO()
    await judged(world)
    await judged(world)
    await judged(world)
    lines = DecisionLines(stream)
    noted(lines, world)
    told = json.loads((await written(lines, stream))[1])
    assert told["event"].startswith("2 more decisions were not shown")
    assert set(told) == {"event", "level", "logger", "timestamp"}  # as every line of the log that is no decision


async def test_no_color_leaves_out_the_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As https://no-color.org asks, of every program."""
    monkeypatch.setenv("NO_COLOR", "1")
    world, stream = World(), Terminal()
    await judged(world)
    lines = DecisionLines(stream)
    noted(lines, world)
    assert "\x1b" not in (await written(lines, stream))[0]


async def test_lines_are_written_while_the_gateway_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches sees a decision at once, not at the end."""
    monkeypatch.setattr(module, "FLUSH_S", 0)
    put = anyio.Event()

    class Watched(io.StringIO):
        def flush(self) -> None:
            anyio.from_thread.run_sync(put.set)

    world, stream = World(), Watched()
    await judged(world)
    lines = DecisionLines(stream)
    async with anyio.create_task_group() as group:
        group.start_soon(lines.run)
        noted(lines, world)
        with anyio.fail_after(5):
            await put.wait()
        group.cancel_scope.cancel()
    assert len(stream.getvalue().splitlines()) == 1


async def test_a_reader_that_is_gone_stops_nothing() -> None:
    """Decisions do not depend on their lines."""
    world, stream = World(), io.StringIO()
    await judged(world)
    lines = DecisionLines(stream)
    stream.close()
    noted(lines, world)
    async with anyio.create_task_group() as group:
        group.start_soon(lines.run)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


def test_lines_that_nobody_reads_are_dropped_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pipe must not keep a thread, and with it the process, from ending; what was read is whole."""
    monkeypatch.setattr(module, "UNREAD_S", 0.05)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        module._put(stream, "one line\n")
        assert os.read(reader.fileno(), 100) == b"one line\n"
        module._put(stream, "x" * 1_000_000)
        assert set(os.read(reader.fileno(), 10_000_000)) == {ord("x")}


async def test_the_words_of_a_submitted_intent_are_shown_without_secrets() -> None:
    """They are a program's own, and lines are kept by whoever collects them."""
    secret = "ghp_" + "a1" * 20
    world = World()
    call = replace(READ, method="intent", uri="", name=f"deploy with {secret}")
    decided = await world.enforcement.judge(LOCAL, call, lambda judged: NO_ROWS)
    assert isinstance(decided, Judged)
    stream = io.StringIO()
    lines = DecisionLines(stream)
    lines.note(decided.call, decided.intent, decided.decision, decided.facts, decided.intent_id)
    (line,) = await written(lines, stream)
    assert "deploy with" in line
    assert secret not in line
