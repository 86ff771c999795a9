"""MCP servers behind standard input and output: their processes, their noise, their deaths."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import SessionLost, UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.ports import Outbound
from gateway.upstream.stdio import StdioUpstream
from tests.simulate.relay import RecordingRelay

PUPPET = str(Path(__file__).with_name("puppet.py"))
PARAMS: JsonObject = {"capabilities": {}, "clientInfo": {"name": "agent", "version": "1"}}


def _puppet(*options: str, env: dict[str, str] | None = None, **more: Any) -> StdioUpstream:
    return StdioUpstream("files", sys.executable, ["-IS", PUPPET, *options], env or {}, **more)


@asynccontextmanager
async def _running(upstream: StdioUpstream) -> AsyncIterator[StdioUpstream]:
    before = _children()
    try:
        with anyio.fail_after(5):
            yield upstream
    finally:
        await upstream.aclose()
        assert _children() == before


def _call(tool: str, *, version: str = "2026-07-28", timeout_s: float = 5.0, **meta: Any) -> Outbound:
    params: JsonObject = {"name": tool, "arguments": {}}
    if meta:
        params["_meta"] = meta
    return Outbound(method="tools/call", params=params, version=version, timeout_s=timeout_s)


async def _say(upstream: StdioUpstream, tool: str, relay: RecordingRelay | None = None, **more: Any) -> str:
    answer = await upstream.request(_call(tool, **more), relay or RecordingRelay())
    return str(answer["result"]["content"][0]["text"])


def _children() -> set[int]:
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


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def _until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not true():  # noqa: ASYNC110 - the process table tells nobody of changes
            await anyio.sleep(0.01)


# --- processes ---


async def test_modern_requests_share_one_process() -> None:
    """Stateless: a process is never a conversation."""
    async with _running(_puppet()) as upstream:
        pids: set[str] = set()

        async def ask() -> None:
            pids.add(await _say(upstream, "pid"))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
        assert len(pids) == 1


async def test_each_handshake_session_has_a_process_of_its_own_that_ends_with_it() -> None:
    """The era and the state belong to the process, so one agent's session must not be another's."""
    async with _running(_puppet()) as upstream:
        before = _children()
        sessions = [
            await upstream.connect(version="2025-06-18", params=PARAMS, relay=RecordingRelay()) for _ in range(2)
        ]
        pids = {
            (await session.request(_call("pid", version="2025-06-18"), RecordingRelay()))["result"]["content"][0][
                "text"
            ]
            for session in sessions
        }
        assert len(pids) == 2
        assert sessions[0].initialized["protocolVersion"] == "2025-06-18"
        for session in sessions:
            await session.aclose()
            await session.aclose()
        assert _children() == before
        with pytest.raises(SessionLost) as caught:
            await sessions[0].request(_call("good"), RecordingRelay())
        assert not caught.value.may_have_run


async def test_the_number_of_processes_is_bounded() -> None:
    """An agent that opens sessions without end must not fill the machine."""
    async with _running(_puppet(max_processes=1)) as upstream:
        session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        with pytest.raises(UpstreamUnreachable, match="all 1 processes"):
            await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        await session.aclose()
        session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_a_process_that_is_killed_ends_the_calls_in_flight_and_the_next_one_works(era: str) -> None:
    """kill -9: a clear error, in doubt, nothing sent twice, and the upstream is there again."""
    async with _running(_puppet()) as upstream:
        session = None
        if era == "handshake":
            session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        asked = upstream if session is None else session
        pid = int((await asked.request(_call("pid"), RecordingRelay()))["result"]["content"][0]["text"])
        errors: list[UpstreamError] = []

        async def hang() -> None:
            with pytest.raises(UpstreamBroken, match="ended by signal 9") as caught:
                await asked.request(_call("hang"), RecordingRelay())
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(hang)
            group.start_soon(hang)
            await anyio.wait_all_tasks_blocked()
            os.kill(pid, signal.SIGKILL)
        assert [error.may_have_run for error in errors] == [True, True]
        if session is not None:
            with pytest.raises(SessionLost):
                await session.request(_call("good"), RecordingRelay())
            asked = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        assert "result" in await asked.request(_call("good"), RecordingRelay())


async def test_a_process_that_dies_at_once_is_explained_to_the_operator_only() -> None:
    """Standard error may hold anything: it is a note of the error, not its text."""
    async with _running(_puppet("--dies")) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await upstream.support()
        assert "status 7" in str(caught.value)
        assert "cannot start" not in str(caught.value)
        assert "cannot start" in "".join(caught.value.__notes__)


async def test_an_answer_that_was_written_before_the_end_is_delivered() -> None:
    """And the next call finds a new process."""
    async with _running(_puppet()) as upstream:
        assert await _say(upstream, "answer_and_crash") == "well"
        await _until(lambda: upstream._shared is None or not upstream._shared.alive)
        assert await _say(upstream, "good") == "well"


async def test_a_process_that_keeps_dying_is_not_started_for_every_call() -> None:
    """A crash loop would cost a process per call."""
    async with _running(_puppet("--dies")) as upstream:
        for _ in range(2):
            with pytest.raises(UpstreamError):
                await upstream.request(_call("good"), RecordingRelay())
        await _until(lambda: upstream._not_before > 0)
        with pytest.raises(UpstreamUnreachable, match="a moment ago"):
            await upstream.request(_call("good"), RecordingRelay())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/no/such/command", "was not found"),
        ("no-such-command-anywhere", "was not found"),
        ("/etc/passwd", "cannot be run"),
    ],
)
async def test_a_command_that_cannot_be_run_is_named(command: str, said: str) -> None:
    """The commonest mistake in a configuration."""
    async with _running(StdioUpstream("files", command)) as upstream:
        with pytest.raises(UpstreamUnreachable, match=said) as caught:
            await upstream.support()
        assert command in str(caught.value)
        assert not caught.value.may_have_run


async def test_a_folder_that_does_not_exist_is_named() -> None:
    """Else the system's message would blame the command."""
    async with _running(_puppet(cwd=Path("/no/such/folder"))) as upstream:
        with pytest.raises(UpstreamUnreachable, match="/no/such/folder"):
            await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())


async def test_a_child_that_ignores_its_end_is_killed_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Always reaped, in bounded time: end of input, SIGTERM, SIGKILL to the whole group."""
    monkeypatch.setattr("gateway.upstream.process.GRACE_S", 0.1)
    noted = tmp_path / "grandchild"
    async with _running(_puppet("--ignore-end", "--grandchild", env={"PUPPET_GRANDCHILD": str(noted)})) as upstream:
        assert await _say(upstream, "good") == "well"
        grandchild = int(noted.read_text())
        assert _alive(grandchild)
    await _until(lambda: not _alive(grandchild))


async def test_what_a_child_leaves_behind_when_it_ends_well_is_killed_too(tmp_path: Path) -> None:
    """`npx` starts a shell that starts node."""
    noted = tmp_path / "grandchild"
    async with _running(_puppet("--grandchild", env={"PUPPET_GRANDCHILD": str(noted)})) as upstream:
        await _say(upstream, "good")
    grandchild = int(noted.read_text())
    await _until(lambda: not _alive(grandchild))


async def test_a_child_sees_only_the_configured_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The gateway's own variables hold keys and other upstreams' secrets."""
    monkeypatch.setenv("INTENDED_GATEWAY_SECRET", "s3cret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    async with _running(_puppet(env={"TOKEN": "mine"}, cwd=tmp_path)) as upstream:
        environment = json.loads(await _say(upstream, "environment"))
        assert await _say(upstream, "where") == str(tmp_path)
    assert environment["TOKEN"] == "mine"
    assert environment["PATH"] == os.environ["PATH"]
    allowed = {"PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "TOKEN"}
    assert {name for name in environment if not name.startswith("LC_")} <= allowed


# --- answers ---


@pytest.mark.parametrize("tool", ["noise", "pieces", "stderr_flood"])
async def test_noise_is_survived(tool: str) -> None:
    """Servers print banners, logs and half characters on standard output."""
    async with _running(_puppet("--noisy")) as upstream:
        assert await _say(upstream, tool) == "well"
        assert await _say(upstream, "good") == "well"
        assert upstream.noise >= 6


async def test_standard_error_is_kept_in_part_only() -> None:
    """Memory: a child may write without end."""
    async with _running(_puppet()) as upstream:
        await _say(upstream, "stderr_flood")
        await _until(lambda: len(upstream.stderr_tail()) == 8192)


@pytest.mark.parametrize("tool", ["two_replies", "huge_line", "duplicate_keys", "not_json"])
async def test_an_answer_that_is_none_ends_its_own_call_as_broken(tool: str) -> None:
    """At once where the line says whose it was; the process and everybody else go on."""
    async with _running(_puppet(max_line_bytes=1_000_000)) as upstream:
        errors: list[UpstreamError] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_say, upstream, "good")
            with pytest.raises(UpstreamBroken) as caught:
                await _say(upstream, tool)
            errors.append(caught.value)
        assert errors[0].may_have_run
        pid = await _say(upstream, "pid")
        assert await _say(upstream, "pid") == pid


@pytest.mark.parametrize("tool", ["hang", "wrong_id", "id_as_text", "no_id"])
async def test_an_answer_to_somebody_else_is_noise_and_the_call_ends_at_its_deadline(tool: str, tmp_path: Path) -> None:
    """On a shared pipe a wrong id says nothing about whose it should have been. The upstream is told to stop."""
    journal = tmp_path / "journal"
    async with _running(_puppet(env={"PUPPET_JOURNAL": str(journal)})) as upstream:
        await _say(upstream, "good")
        with pytest.raises(UpstreamTimeout) as caught:
            await _say(upstream, tool, timeout_s=0.1)
        assert caught.value.may_have_run
        assert await _say(upstream, "good") == "well"
    messages = [json.loads(line) for line in journal.read_text().splitlines()]
    (call,) = [message for message in messages if message.get("params", {}).get("name") == tool]
    assert [m["params"] for m in messages if m["method"] == "notifications/cancelled"] == [{"requestId": call["id"]}]


async def test_a_process_that_ends_instead_of_answering_is_broken() -> None:
    """In doubt; the reason in a few words, its last words as a note."""
    async with _running(_puppet()) as upstream:
        with pytest.raises(UpstreamBroken, match="status 3") as caught:
            await _say(upstream, "crash")
        assert caught.value.may_have_run
        assert "last words" in "".join(caught.value.__notes__)
        assert await _say(upstream, "good") == "well"


async def test_a_child_that_does_not_read_is_not_written_to_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory: what it leaves unread is bounded, and what was refused was not sent."""
    monkeypatch.setattr("gateway.upstream.process.MAX_UNREAD_INPUT", 100_000)
    upstream = StdioUpstream("files", sys.executable, ["-ISc", "import time; time.sleep(60)"])
    monkeypatch.setattr("gateway.upstream.process.GRACE_S", 0.05)
    async with _running(upstream):
        big: JsonObject = {"name": "good", "arguments": {"text": "x" * 900_000}}
        outbound = Outbound(method="tools/call", params=big, version="2026-07-28", timeout_s=0.05)
        with pytest.raises(UpstreamTimeout):
            await upstream.request(outbound, RecordingRelay())
        with pytest.raises(UpstreamUnreachable, match="does not read its standard input") as caught:
            await upstream.request(outbound, RecordingRelay())
        assert not caught.value.may_have_run


# --- whose message it is ---


async def test_progress_on_a_shared_process_reaches_only_its_own_agent() -> None:
    """One agent's messages must never reach another: what names no request in flight reaches nobody."""
    async with _running(_puppet()) as upstream:
        mine, others = RecordingRelay(), RecordingRelay()
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: upstream.request(_call("hang"), others))
            await anyio.wait_all_tasks_blocked()
            assert await _say(upstream, "progress", mine, progressToken="same") == "well"
            group.cancel_scope.cancel()
    assert mine.told == [("notifications/progress", {"progressToken": "same", "progress": step}) for step in (1, 2)]
    assert others.told == []


async def test_on_a_sessions_own_process_everything_reaches_the_session() -> None:
    """Logs of the one call that runs go to its own stream; changes of lists to the session's."""
    async with _running(_puppet()) as upstream:
        mine, session_relay = RecordingRelay(), RecordingRelay()
        session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=session_relay)
        await session.request(_call("progress", version="2025-11-25", progressToken=5), mine)
        await session_relay.until(lambda relay: bool(relay.told))
    assert mine.methods() == ["notifications/progress", "notifications/progress", "notifications/message"]
    assert mine.told[0][1]["progressToken"] == 5
    assert session_relay.methods() == ["notifications/tools/list_changed"]


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_questions_of_the_upstream_have_a_place_in_the_handshake_era_only(era: str) -> None:
    """A shared process that asks cannot mean anybody; it gets an error and can go on."""
    relay = RecordingRelay({"result": {"roots": []}})
    async with _running(_puppet()) as upstream:
        asked: Any = upstream
        if era == "handshake":
            asked = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        answer = await asked.request(_call("ask"), relay)
    said = json.loads(answer["result"]["content"][0]["text"])
    assert said["id"] == "q"
    assert ("result" in said) == (era == "handshake")
    assert bool(relay.asked) == (era == "handshake")


async def test_an_agent_that_takes_nothing_holds_up_nobody_else() -> None:
    """One slow agent on a shared process; its own messages are dropped beyond a bound, never anybody's answer."""

    class Stuck(RecordingRelay):
        async def notification(self, method: str, params: JsonObject) -> None:
            await anyio.sleep_forever()

    async with _running(_puppet()) as upstream, anyio.create_task_group() as group:
        logs = {"io.modelcontextprotocol/logLevel": "info"}
        group.start_soon(lambda: upstream.request(_call("flood", **logs), Stuck()))
        await _until(lambda: upstream.noise >= 3000)
        assert await _say(upstream, "good") == "well"
        group.cancel_scope.cancel()


async def test_cancelling_a_request_tells_the_upstream(tmp_path: Path) -> None:
    """On this transport both eras cancel by notification."""
    journal = tmp_path / "journal"
    async with _running(_puppet(env={"PUPPET_JOURNAL": str(journal)})) as upstream:
        await _say(upstream, "good")
        with anyio.move_on_after(0.05):
            await upstream.request(_call("hang", timeout_s=inf), RecordingRelay())
        assert await _say(upstream, "good") == "well"
    assert "notifications/cancelled" in journal.read_text()


# --- what it speaks ---


@pytest.mark.parametrize(
    ("options", "handshake", "modern"),
    [((), 4, 1), (("--no-modern",), 4, 0), (("--no-handshake",), 0, 1), (("--noisy",), 4, 1)],
)
async def test_both_eras_are_found_out(options: tuple[str, ...], handshake: int, modern: int) -> None:
    """Asked once of a process each, and kept."""
    async with _running(_puppet(*options)) as upstream:
        found = await upstream.support()
        assert (len(found.handshake), len(found.modern)) == (handshake, modern)
        assert bool(found.discovered) == bool(modern)
        assert await upstream.support() is found
        assert await upstream.support(refresh=True) == found


async def test_a_server_of_neither_era_is_no_upstream() -> None:
    """Fail closed, with the reason."""
    async with _running(_puppet("--no-modern", "--no-handshake")) as upstream:
        with pytest.raises(UpstreamBroken, match="refused to initialise"):
            await upstream.support()


async def test_a_closed_upstream_starts_no_process() -> None:
    """Whoever still calls is told."""
    upstream = _puppet()
    await upstream.aclose()
    for attempt in (upstream.support, lambda: upstream.request(_call("good"), RecordingRelay())):
        with pytest.raises(UpstreamUnreachable):
            await attempt()
