"""MCP servers behind standard input and output: one process per session or one for all, and their deaths."""

import os
import signal
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from gateway.errors import SessionLost, UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from tests.simulate.relay import RecordingRelay
from tests.upstream.puppets import PARAMS, alive, call_of, children, puppet, running, say, until


async def test_modern_requests_share_one_process() -> None:
    """Stateless: a process is never a conversation."""
    async with running(puppet()) as upstream:
        pids: set[str] = set()

        async def ask() -> None:
            pids.add(await say(upstream, "pid"))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
        assert len(pids) == 1


async def test_a_shared_process_that_is_stuck_is_replaced_for_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue, "Upstreams": a hung one hurts only its own call, and the next call works. A slow one is left alone."""
    monkeypatch.setattr("gateway.upstream.stdio.STUCK_S", 0.2)
    monkeypatch.setattr("gateway.upstream.process.GRACE_S", 0.1)
    async with running(puppet()) as upstream:
        pid = await say(upstream, "pid")
        with pytest.raises(UpstreamTimeout):
            await say(upstream, "hang", timeout_s=0.1)
        monkeypatch.setattr("gateway.upstream.stdio.STUCK_S", 5.0)
        assert await say(upstream, "pid") == pid
        monkeypatch.setattr("gateway.upstream.stdio.STUCK_S", 0.2)
        with pytest.raises(UpstreamTimeout):
            await say(upstream, "stuck", timeout_s=0.1)
        assert await say(upstream, "pid") != pid
        await until(lambda: not alive(int(pid)))


async def test_a_stuck_process_is_replaced_while_other_calls_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """They came later and have more time; were they waited for, a process that many call would never be replaced."""
    monkeypatch.setattr("gateway.upstream.stdio.STUCK_S", 0.1)
    monkeypatch.setattr("gateway.upstream.process.GRACE_S", 0.1)
    lost: list[UpstreamError] = []

    async def wait() -> None:
        try:
            await say(upstream, "pid", timeout_s=60)
        except UpstreamError as error:
            lost.append(error)

    async with running(puppet()) as upstream, anyio.create_task_group() as tasks:
        pid = await say(upstream, "pid")

        async def hang() -> None:
            with pytest.raises(UpstreamTimeout):
                await say(upstream, "stuck", timeout_s=0.3)
            assert await say(upstream, "pid") != pid

        tasks.start_soon(hang)
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(wait)
    assert len(lost) == 1


async def test_a_process_that_is_busy_with_an_older_call_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many servers do one thing at a time: a later call that has less time must not end the one that they are at."""
    monkeypatch.setattr("gateway.upstream.stdio.STUCK_S", 0.1)
    async with running(puppet()) as upstream, anyio.create_task_group() as tasks:
        pid = await say(upstream, "pid")
        tasks.start_soon(partial(say, upstream, "stuck", timeout_s=60))
        await anyio.lowlevel.checkpoint()
        for _ in range(2):
            with pytest.raises(UpstreamTimeout):
                await say(upstream, "pid", timeout_s=0.1)
        assert alive(int(pid))
        tasks.cancel_scope.cancel()


async def test_each_handshake_session_has_a_process_of_its_own_that_ends_with_it() -> None:
    """The era and the state belong to the process, so one agent's session must not be another's."""
    async with running(puppet()) as upstream:
        before = children()
        sessions = [
            await upstream.connect(version="2025-06-18", params=PARAMS, relay=RecordingRelay()) for _ in range(2)
        ]
        pids = {
            (await session.request(call_of("pid", version="2025-06-18"), RecordingRelay()))["result"]["content"][0][
                "text"
            ]
            for session in sessions
        }
        assert len(pids) == 2
        assert sessions[0].initialized["protocolVersion"] == "2025-06-18"
        for session in sessions:
            await session.aclose()
            await session.aclose()
        assert children() == before
        with pytest.raises(SessionLost) as caught:
            await sessions[0].request(call_of("good"), RecordingRelay())
        assert not caught.value.may_have_run


async def test_the_number_of_processes_is_bounded() -> None:
    """An agent that opens sessions without end must not fill the machine."""
    async with running(puppet(max_processes=1)) as upstream:
        session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        with pytest.raises(UpstreamUnreachable, match="all 1 processes"):
            await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        await session.aclose()
        session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_a_process_that_is_killed_ends_the_calls_in_flight_and_the_next_one_works(era: str) -> None:
    """kill -9: a clear error, in doubt, nothing sent twice, and the upstream is there again."""
    async with running(puppet()) as upstream:
        session = None
        if era == "handshake":
            session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        asked = upstream if session is None else session
        pid = int((await asked.request(call_of("pid"), RecordingRelay()))["result"]["content"][0]["text"])
        errors: list[UpstreamError] = []

        async def hang() -> None:
            with pytest.raises(UpstreamBroken, match="ended by signal 9") as caught:
                await asked.request(call_of("hang"), RecordingRelay())
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(hang)
            group.start_soon(hang)
            await anyio.wait_all_tasks_blocked()
            os.kill(pid, signal.SIGKILL)
        assert [error.may_have_run for error in errors] == [True, True]
        if session is not None:
            with pytest.raises(SessionLost):
                await session.request(call_of("good"), RecordingRelay())
            asked = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        assert "result" in await asked.request(call_of("good"), RecordingRelay())


async def test_a_process_that_dies_at_once_is_explained_to_the_operator_only() -> None:
    """Standard error may hold anything: it is a note of the error, not its text."""
    async with running(puppet("--dies")) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await upstream.support()
        assert "status 7" in str(caught.value)
        assert "cannot start" not in str(caught.value)
        assert "cannot start" in "".join(caught.value.__notes__)


async def test_an_answer_that_was_written_before_the_end_is_delivered() -> None:
    """And the next call finds a new process."""
    async with running(puppet()) as upstream:
        assert await say(upstream, "answer_and_crash") == "well"
        await until(lambda: upstream._shared is None or not upstream._shared.alive)
        assert await say(upstream, "good") == "well"


async def test_a_process_that_keeps_dying_is_not_started_for_every_call() -> None:
    """A crash loop would cost a process per call."""
    async with running(puppet("--dies")) as upstream:
        for _ in range(2):
            with pytest.raises(UpstreamError):
                await upstream.request(call_of("good"), RecordingRelay())
        await until(lambda: upstream._not_before > 0)
        with pytest.raises(UpstreamUnreachable, match="a moment ago"):
            await upstream.request(call_of("good"), RecordingRelay())


async def test_a_process_that_ends_instead_of_answering_is_broken() -> None:
    """In doubt; the reason in a few words, its last words as a note."""
    async with running(puppet()) as upstream:
        with pytest.raises(UpstreamBroken, match="status 3") as caught:
            await say(upstream, "crash")
        assert caught.value.may_have_run
        assert "last words" in "".join(caught.value.__notes__)
        assert await say(upstream, "good") == "well"


@pytest.mark.parametrize(
    ("options", "handshake", "modern"),
    [((), 4, 1), (("--no-modern",), 4, 0), (("--no-handshake",), 0, 1), (("--noisy",), 4, 1)],
)
async def test_both_eras_are_found_out(options: tuple[str, ...], handshake: int, modern: int) -> None:
    """Asked once of a process each, and kept."""
    async with running(puppet(*options)) as upstream:
        found = await upstream.support()
        assert (len(found.handshake), len(found.modern)) == (handshake, modern)
        assert bool(found.discovered) == bool(modern)
        assert await upstream.support() is found
        assert await upstream.support(refresh=True) == found


async def test_a_server_of_neither_era_is_no_upstream() -> None:
    """Fail closed, with the reason."""
    async with running(puppet("--no-modern", "--no-handshake")) as upstream:
        with pytest.raises(UpstreamBroken, match="refused to initialise"):
            await upstream.support()


async def test_a_closed_upstream_starts_no_process() -> None:
    """Whoever still calls is told."""
    upstream = puppet()
    await upstream.aclose()
    for attempt in (upstream.support, lambda: upstream.request(call_of("good"), RecordingRelay())):
        with pytest.raises(UpstreamUnreachable):
            await attempt()
