"""One child process that speaks over its standard input and output: started, fed, drained, and always reaped.

The child gets a session of its own, so that signals reach whatever it started (`npx` starts a shell that starts node),
and a terminal's Ctrl-C does not reach it before the gateway has closed its sessions. Its end: standard input is closed,
then it has `GRACE_S`, then SIGTERM to its group, `GRACE_S` again, then SIGKILL to what is left.

Where the gateway itself is killed (SIGKILL), standard input closes with it, which MCP servers must take as their end.
No parent-death signal is set: it needs a program of our own between (Python must not run code after a fork with
threads), costs a start of an interpreter for each process, and is not passed on to grandchildren, which are the ones
that do the work under `npx` and `uvx`. A child that ignores the end of its input outlives a killed gateway.

A child that closes its output and stays is noticed at once under asyncio's own loop; uvloop reports the end of a pipe
only with the exit, so there its calls end at their deadlines.

asyncio and not anyio: a `SubprocessProtocol` hands over output as it comes, and drains standard error without a task.
"""

import asyncio
import os
import shutil
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import anyio

from gateway.errors import UpstreamUnreachable

__all__ = ["ChildProcess", "Command", "start", "why_unstartable"]

GRACE_S: Final = 2.0
"""What a child gets to end by itself, and again after SIGTERM; the official SDK's figure."""
REAP_S: Final = 2.0
"""For the kernel to report the end of a killed child."""
LAST_WORDS_S: Final = 0.2
"""Between the end of a child and the end of its output, whichever is first: so that the reason can be told."""
STDERR_BYTES: Final = 8 * 1024
"""The end of standard error that is kept, for an operator."""
MAX_UNREAD_INPUT: Final = 8 * 1024 * 1024
"""What a child may leave unread of its standard input before messages are refused: two messages of the largest size."""
TURN_BYTES: Final = 8 * 1024
"""So much output is taken in one turn of the event loop; the rest waits for the next ones, and reading with it. A child
that writes as fast as it can holds up everybody else's calls otherwise (uvloop reads 256 KB at once)."""
NO_COMMAND: Final = "its command was not found; install it, or give its full path"
NO_FOLDER: Final = "its folder (`cwd`) does not exist"
INHERITED: Final = ("PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR")
"""Of the gateway's own environment; its other variables may hold secrets of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to start. `env` is added to PATH, HOME, TMPDIR and the locale."""

    program: str
    args: Sequence[str] = ()
    env: Mapping[str, str]
    cwd: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return the child's whole environment."""
        inherited = {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("LC_")}
        return {**inherited, **self.env}


class ChildProcess(asyncio.SubprocessProtocol):
    """`output` gets standard output as it comes; `ended` is called once when no more will come."""

    def __init__(self, output: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._output = output
        self._ended = ended
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._stdout: asyncio.ReadTransport | None = None
        self._rest = b""
        self._exited = asyncio.Event()
        self._closing = asyncio.Lock()
        self._closed = False
        self._output_over = False
        self._stderr: deque[bytes] = deque()
        self._stderr_size = 0
        self._over = False

    # --- what the channel asks ---

    @property
    def alive(self) -> bool:
        """False once the child has exited or closed its output."""
        return not self._output_over and not self._exited.is_set()

    @property
    def listens(self) -> bool:
        """True while its standard input is open."""
        return self.alive and self._stdin is not None and not self._stdin.is_closing()

    def write(self, line: bytes) -> bool:
        """Queue one line for standard input; False where the child is gone or leaves too much unread."""
        if self._stdin is None or not self.listens or self._stdin.get_write_buffer_size() > MAX_UNREAD_INPUT:
            return False
        self._stdin.write(line)
        return True

    def how_it_ended(self) -> str:
        """Say in a few words how it ended."""
        code = None if self._transport is None else self._transport.get_returncode()
        if code is None:
            return "closed its output" if self._output_over else "closed its input"
        return f"was ended by signal {-code}" if code < 0 else f"exited with status {code}"

    def stderr_tail(self) -> str:
        """Return the end of what it wrote to standard error, for an operator only."""
        return b"".join(self._stderr)[-STDERR_BYTES:].decode("utf-8", "replace")

    async def aclose(self) -> None:
        """End the child and what it started, bounded; see the module for the steps."""
        with anyio.CancelScope(shield=True):
            async with self._closing:
                if self._transport is not None and not self._closed:
                    self._closed = True
                    await self._end_group(self._transport)

    async def _end_group(self, transport: asyncio.SubprocessTransport) -> None:
        if self._stdin is not None:
            self._stdin.close()
        if not await self._wait(GRACE_S):
            _signal_group(transport, signal.SIGTERM)
            await self._wait(GRACE_S)
        _signal_group(transport, signal.SIGKILL)  # also to what a child that ended well has left behind
        await self._wait(REAP_S)
        transport.close()

    async def _wait(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        except TimeoutError:
            return False
        return True

    # --- asyncio.SubprocessProtocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the pipes."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        self._stdout = cast("asyncio.ReadTransport", self._transport.get_pipe_transport(1))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Pass on output; keep the end of standard error."""
        if fd == 1:
            if len(data) > TURN_BYTES:
                data, self._rest = data[:TURN_BYTES], data[TURN_BYTES:]
            self._output(data)
            if len(data) == TURN_BYTES and self._stdout is not None:
                self._stdout.pause_reading()
                asyncio.get_running_loop().call_soon(self._next_turn)
            return
        self._stderr.append(data[-STDERR_BYTES:])
        self._stderr_size += len(self._stderr[-1])
        while self._stderr_size - len(self._stderr[0]) >= STDERR_BYTES:
            self._stderr_size -= len(self._stderr.popleft())

    def _next_turn(self) -> None:
        rest, self._rest = self._rest, b""
        if rest:
            self.pipe_data_received(1, rest)
        if len(rest) < TURN_BYTES and self._stdout is not None and not self._stdout.is_closing():
            self._stdout.resume_reading()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Output has ended: nothing can be answered any more, whether or not the child still runs."""
        if fd == 1:
            self._output_over = True
            self._end_soon()

    def process_exited(self) -> None:
        """Note the exit; output that is still in the pipe comes before its end is reported."""
        self._exited.set()
        self._end_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """All pipes are closed and the child was reaped."""
        self._exited.set()
        self._end()

    def _end_soon(self) -> None:
        if self._output_over and self._exited.is_set():
            self._end()
        else:
            asyncio.get_running_loop().call_later(LAST_WORDS_S, self._end)

    def _end(self) -> None:
        if not self._over:
            self._over = True
            if self._rest:
                self._output(self._rest)
                self._rest = b""
            self._ended()


def _signal_group(transport: asyncio.SubprocessTransport, number: signal.Signals) -> None:
    try:
        os.killpg(transport.get_pid(), number)
    except (ProcessLookupError, PermissionError):
        return  # nothing of it is left (some systems say so by EPERM, for a group of zombies)


async def start(
    command: Command, label: str, output: Callable[[bytes], None], ended: Callable[[], None]
) -> ChildProcess:
    """Start a child. Raises UpstreamUnreachable where the command cannot be run."""
    loop = asyncio.get_running_loop()
    if _no_folder(command):
        raise _cannot_start(f"{label}: {NO_FOLDER}", f"the folder is {command.cwd}")
    try:
        _, child = await loop.subprocess_exec(
            lambda: ChildProcess(output, ended),
            command.program,
            *command.args,
            env=command.environment(),
            cwd=command.cwd,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise _cannot_start(f"{label}: {NO_COMMAND}", f"the command is {command.program!r}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its arguments or environment cannot be used"
        text = f"{label}: its command cannot be run: {reason}"
        raise _cannot_start(text, f"the command is {command.program!r}") from error
    return child


def why_unstartable(command: Command) -> str:
    """Say, to an operator, why `start` would not find what to run; empty where it would. Nothing is started."""
    if _no_folder(command):
        return f"{NO_FOLDER}; the folder is {command.cwd}"
    program, path = command.program, command.environment().get("PATH")
    if os.path.dirname(program):  # then PATH is not searched, and the child is in its folder before it looks
        program = os.path.join(command.cwd or "", program)
    if shutil.which(program, path=path):
        return ""
    there = shutil.which(program, mode=os.F_OK, path=path)
    why = "its command cannot be run: no permission to execute it" if there else NO_COMMAND
    return f"{why}; the command is {command.program!r}"


def _no_folder(command: Command) -> bool:
    return command.cwd is not None and not command.cwd.is_dir()


def _cannot_start(text: str, detail: str) -> UpstreamUnreachable:
    """Return the error; `detail` is a note, because the text is told to agents."""
    error = UpstreamUnreachable(text, may_have_run=False)
    error.add_note(detail)
    return error
