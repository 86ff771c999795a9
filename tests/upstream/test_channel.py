"""Whose each message of a process is, and what is only noise."""

import json
from math import inf
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamBroken, UpstreamError, UpstreamTimeout
from tests.simulate.relay import RecordingRelay
from tests.upstream.puppets import PARAMS, call_of, puppet, running, say, until


@pytest.mark.parametrize("tool", ["noise", "pieces", "stderr_flood"])
async def test_noise_is_survived(tool: str) -> None:
    """Servers print banners, logs and half characters on standard output."""
    async with running(puppet("--noisy")) as upstream:
        assert await say(upstream, tool) == "well"
        assert await say(upstream, "good") == "well"
        assert upstream.noise >= 6


@pytest.mark.parametrize("tool", ["two_replies", "huge_line", "duplicate_keys", "not_json"])
async def test_an_answer_that_is_none_ends_its_own_call_as_broken(tool: str) -> None:
    """At once where the line says whose it was; the process and everybody else go on."""
    async with running(puppet(max_line_bytes=1_000_000)) as upstream:
        errors: list[UpstreamError] = []
        async with anyio.create_task_group() as group:
            group.start_soon(say, upstream, "good")
            with pytest.raises(UpstreamBroken) as caught:
                await say(upstream, tool)
            errors.append(caught.value)
        assert errors[0].may_have_run
        pid = await say(upstream, "pid")
        assert await say(upstream, "pid") == pid


@pytest.mark.parametrize("tool", ["hang", "wrong_id", "id_as_text", "no_id"])
async def test_an_answer_to_somebody_else_is_noise_and_the_call_ends_at_its_deadline(tool: str, tmp_path: Path) -> None:
    """On a shared pipe a wrong id says nothing about whose it should have been. The upstream is told to stop."""
    journal = tmp_path / "journal"
    async with running(puppet(env={"PUPPET_JOURNAL": str(journal)})) as upstream:
        await say(upstream, "good")
        with pytest.raises(UpstreamTimeout) as caught:
            await say(upstream, tool, timeout_s=0.1)
        assert caught.value.may_have_run
        assert await say(upstream, "good") == "well"
    messages = [json.loads(line) for line in journal.read_text().splitlines()]
    (call,) = [message for message in messages if message.get("params", {}).get("name") == tool]
    assert [m["params"] for m in messages if m["method"] == "notifications/cancelled"] == [{"requestId": call["id"]}]


async def test_progress_on_a_shared_process_reaches_only_its_own_agent() -> None:
    """One agent's messages must never reach another: what names no request in flight reaches nobody."""
    async with running(puppet()) as upstream:
        mine, others = RecordingRelay(), RecordingRelay()
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: upstream.request(call_of("hang"), others))
            await anyio.wait_all_tasks_blocked()
            assert await say(upstream, "progress", mine, progressToken="same") == "well"
            group.cancel_scope.cancel()
    assert mine.told == [("notifications/progress", {"progressToken": "same", "progress": step}) for step in (1, 2)]
    assert others.told == []


async def test_on_a_sessions_own_process_everything_reaches_the_session() -> None:
    """Logs of the one call that runs go to its own stream; changes of lists to the session's."""
    async with running(puppet()) as upstream:
        mine, session_relay = RecordingRelay(), RecordingRelay()
        session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=session_relay)
        await session.request(call_of("progress", version="2025-11-25", progressToken=5), mine)
        await session_relay.until(lambda relay: bool(relay.told))
    assert mine.methods() == ["notifications/progress", "notifications/progress", "notifications/message"]
    assert mine.told[0][1]["progressToken"] == 5
    assert session_relay.methods() == ["notifications/tools/list_changed"]


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_questions_of_the_upstream_have_a_place_in_the_handshake_era_only(era: str) -> None:
    """A shared process that asks cannot mean anybody; it gets an error and can go on."""
    relay = RecordingRelay({"result": {"roots": []}})
    async with running(puppet()) as upstream:
        asked: Any = upstream
        if era == "handshake":
            asked = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        answer = await asked.request(call_of("ask"), relay)
    said = json.loads(answer["result"]["content"][0]["text"])
    assert said["id"] == "q"
    assert ("result" in said) == (era == "handshake")
    assert bool(relay.asked) == (era == "handshake")


async def test_an_agent_that_takes_nothing_holds_up_nobody_else() -> None:
    """One slow agent on a shared process; its own messages are dropped beyond a bound, never anybody's answer."""

    class Stuck(RecordingRelay):
        async def notification(self, method: str, params: JsonObject) -> None:
            await anyio.sleep_forever()

    async with running(puppet()) as upstream, anyio.create_task_group() as group:
        logs = {"io.modelcontextprotocol/logLevel": "info"}
        group.start_soon(lambda: upstream.request(call_of("flood", **logs), Stuck()))
        await until(lambda: upstream.noise >= 3000)
        assert await say(upstream, "good") == "well"
        group.cancel_scope.cancel()


async def test_cancelling_a_request_tells_the_upstream(tmp_path: Path) -> None:
    """On this transport both eras cancel by notification."""
    journal = tmp_path / "journal"
    async with running(puppet(env={"PUPPET_JOURNAL": str(journal)})) as upstream:
        await say(upstream, "good")
        with anyio.move_on_after(0.05):
            await upstream.request(call_of("hang", timeout_s=inf), RecordingRelay())
        assert await say(upstream, "good") == "well"
    assert "notifications/cancelled" in journal.read_text()
