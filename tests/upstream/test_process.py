"""How a child process is started and ended, and what it may see and cost."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamError, UpstreamUnreachable
from gateway.ports import Outbound
from gateway.upstream.process import TURN_BYTES, ChildProcess, Command, why_unstartable
from gateway.upstream.stdio import StdioUpstream
from tests.simulate.relay import RecordingRelay
from tests.upstream.puppets import PARAMS, PUPPET, alive, puppet, running, say, until


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
    async with running(StdioUpstream("files", command)) as upstream:
        with pytest.raises(UpstreamUnreachable, match=said) as caught:
            await upstream.support()
        assert command not in str(caught.value), "agents are told the text"
        assert command in caught.value.__notes__[0]
        assert not caught.value.may_have_run


async def test_a_folder_that_does_not_exist_is_named() -> None:
    """Else the system's message would blame the command."""
    async with running(puppet(cwd=Path("/no/such/folder"))) as upstream:
        with pytest.raises(UpstreamUnreachable, match="`cwd`") as caught:
            await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        assert caught.value.__notes__ == ["the folder is /no/such/folder"]
        assert "/no/such/folder" not in str(caught.value), "agents are told the text"


def test_what_would_not_be_found_is_told_without_a_start(tmp_path: Path) -> None:
    """An operator learns it when the gateway starts; a command that is there is never blamed."""
    tool = tmp_path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    path = {"PATH": str(tool.parent)}

    def why(program: str, cwd: Path | None = None, env: Mapping[str, str] = path) -> str:
        return why_unstartable(Command(program=program, env=env, cwd=cwd))

    assert why("tool") == "its command cannot be run: no permission to execute it; the command is 'tool'"
    tool.chmod(0o755)
    assert [why("tool"), why(str(tool)), why("bin/tool", tmp_path)] == ["", "", ""]
    assert why("bin/tool", tool.parent).startswith("its command was not found")
    assert why("tool", env={"PATH": str(tmp_path)}).endswith("the command is 'tool'")
    assert why("tool", tmp_path / "gone") == f"its folder (`cwd`) does not exist; the folder is {tmp_path / 'gone'}"


async def test_a_child_that_ignores_its_end_is_killed_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Always reaped, in bounded time: end of input, SIGTERM, SIGKILL to the whole group."""
    monkeypatch.setattr("gateway.upstream.process.GRACE_S", 0.1)
    noted = tmp_path / "grandchild"
    async with running(puppet("--ignore-end", "--grandchild", env={"PUPPET_GRANDCHILD": str(noted)})) as upstream:
        assert await say(upstream, "good") == "well"
        grandchild = int(noted.read_text())
        assert alive(grandchild)
    await until(lambda: not alive(grandchild))


async def test_what_a_child_leaves_behind_when_it_ends_well_is_killed_too(tmp_path: Path) -> None:
    """`npx` starts a shell that starts node."""
    noted = tmp_path / "grandchild"
    async with running(puppet("--grandchild", env={"PUPPET_GRANDCHILD": str(noted)})) as upstream:
        await say(upstream, "good")
    grandchild = int(noted.read_text())
    await until(lambda: not alive(grandchild))


async def test_a_child_sees_only_the_configured_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The gateway's own variables hold keys and other upstreams' secrets."""
    monkeypatch.setenv("INTENDED_GATEWAY_SECRET", "s3cret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    async with running(puppet(env={"TOKEN": "mine"}, cwd=tmp_path)) as upstream:
        environment = json.loads(await say(upstream, "environment"))
        assert await say(upstream, "where") == str(tmp_path)
    assert environment["TOKEN"] == "mine"
    assert environment["PATH"] == os.environ["PATH"]
    allowed = {"PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "TOKEN"}
    assert {name for name in environment if not name.startswith("LC_")} <= allowed


class Pipes:
    """A child's transport, and its pipes, that only note what is asked of them."""

    def __init__(self) -> None:
        self.turns: list[str] = []

    def get_pipe_transport(self, fd: int) -> "Pipes":
        return self

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.turns.append("pause")

    def resume_reading(self) -> None:
        self.turns.append("resume")


async def test_a_child_that_writes_as_fast_as_it_can_takes_turns_with_everybody_else() -> None:
    """Issue, "Upstreams": a flood hurts only its own call; what is put off comes whole and in order."""
    output: list[bytes] = []
    pipes: Any = Pipes()
    child = ChildProcess(output.append, lambda: None)
    child.connection_made(pipes)
    flood = bytes(range(256)) * (TURN_BYTES // 100)
    child.pipe_data_received(1, flood)
    assert (output, pipes.turns) == ([flood[:TURN_BYTES]], ["pause"])
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    assert b"".join(output) == flood
    assert [len(piece) <= TURN_BYTES for piece in output] == [True] * 3
    assert pipes.turns == ["pause", "pause", "resume"]


async def test_what_was_put_off_comes_before_the_end() -> None:
    """The last thing that a child says may be an answer."""
    said: list[bytes] = []
    pipes: Any = Pipes()
    child = ChildProcess(said.append, lambda: said.append(b"the end"))
    child.connection_made(pipes)
    child.pipe_data_received(1, b"x" * TURN_BYTES + b"an answer")
    child.connection_lost(None)
    assert said[1:] == [b"an answer", b"the end"]


async def test_standard_error_is_kept_in_part_only() -> None:
    """Memory: a child may write without end."""
    async with running(puppet()) as upstream:
        await say(upstream, "stderr_flood")
        await until(lambda: len(upstream.stderr_tail()) == 8192)


async def test_a_child_that_does_not_read_is_not_written_to_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory: what it leaves unread is bounded, and what was refused was not sent."""
    monkeypatch.setattr("gateway.upstream.process.MAX_UNREAD_INPUT", 100_000)
    upstream = StdioUpstream("files", sys.executable, ["-ISc", "import time; time.sleep(60)"])
    monkeypatch.setattr("gateway.upstream.process.GRACE_S", 0.05)
    async with running(upstream):
        big: JsonObject = {"name": "good", "arguments": {"text": "x" * 900_000}}
        outbound = Outbound(method="tools/call", params=big, version="2026-07-28", timeout_s=0.05)
        failures: list[UpstreamError] = []

        async def ask() -> None:
            with pytest.raises(UpstreamError) as caught:
                await upstream.request(outbound, RecordingRelay())
            failures.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            group.start_soon(ask)
        refused, sent = failures
        assert isinstance(refused, UpstreamUnreachable)
        assert "does not read its standard input" in str(refused)
        assert (refused.may_have_run, sent.may_have_run) == (False, True)


async def test_a_child_ends_when_the_gateway_is_killed() -> None:
    """Nothing of us runs any more: the end of standard input is what ends the child."""
    script = (
        "import asyncio, os, sys\n"
        "from gateway.upstream.process import Command, start\n"
        "async def main():\n"
        f"    command = Command(program=sys.executable, args=['-IS', {PUPPET!r}], env={{}})\n"
        "    child = await start(command, 'upstream x', print, print)\n"
        "    print(child._transport.get_pid(), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    with anyio.fail_after(5):
        killed = await anyio.run_process([sys.executable, "-c", script], check=False)
    child = int(killed.stdout)
    assert killed.returncode == -signal.SIGKILL
    await until(lambda: not alive(child))
