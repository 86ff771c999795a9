"""Collects the tool lists of real MCP servers, as the servers give them, into `<server>.json` beside this file.

    python tests/golden/corpus/collect.py [SERVER ...]      all servers of servers.json, or only those named

Each server is installed in a throw-away folder from npm (`npm`, Node 22 or later on the path) or PyPI (`uv`), started
over stdio with dummy credentials in an environment of its own, asked for its tools page by page, and stopped. A server
whose licence is not permissive is left out. Names, versions and start commands are data: `servers.json`.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

HERE = Path(__file__).parent
PERMISSIVE = ("MIT", "Apache", "ISC", "BSD", "0BSD", "CC0", "Unlicense")
INSTALL_SECONDS = 420
ANSWER_SECONDS = 60
LONGEST_LINE = 16 * 1024 * 1024
MOST_PAGES = 50


class NotCollectedError(Exception):
    """Why a server's list could not be collected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPackage:
    """One row of servers.json. In `command` and `environment`, {work} is the server's throw-away folder."""

    name: str
    registry: str
    package: str
    version: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    also: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    python: str = ""  # the Python that the package needs, where it is not this one
    licence: str = ""  # as the package's README states it, for packages whose manifest does not


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotCollectedError(f"cannot run {command[0]}: {error}") from error
    if done.returncode != 0:
        raise NotCollectedError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def _own_environment(folder: Path, bin_folder: Path) -> dict[str, str]:
    """An environment without this machine's variables, so that no real credential can be picked up."""
    home = folder / "home"
    home.mkdir()
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", "NO_COLOR": "1", "CI": "1"}


def _install(server: ServerPackage, folder: Path) -> tuple[Path, str]:
    """Install the package; give the folder of its commands and its licence as the package states it."""
    if server.registry == "npm":
        (folder / "package.json").write_text('{"private": true}')
        wanted = [f"{server.package}@{server.version}", *server.also]
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        _run(["npm", "install", *quiet, *wanted], folder, dict(os.environ))
        manifest = json.loads((folder / "node_modules" / server.package / "package.json").read_text())
        licence = manifest.get("license", manifest.get("licenses", ""))
        return folder / "node_modules" / ".bin", licence if isinstance(licence, str) else json.dumps(licence)
    python = folder / "venv" / "bin" / "python"
    version = ["--python", server.python] if server.python else []
    _run(["uv", "venv", "--quiet", "--no-python-downloads", *version, str(folder / "venv")], folder, dict(os.environ))
    wanted = [f"{server.package}=={server.version}", *server.also]
    _run(["uv", "pip", "install", "--quiet", "--python", str(python), *wanted], folder, dict(os.environ))
    script = (
        "from importlib.metadata import metadata; import sys; m = metadata(sys.argv[1]); "
        "c = [x.split(' :: ')[-1] for x in m.get_all('Classifier', []) if x.startswith('License')]; "
        "print(m.get('License-Expression') or (c and c[0]) or (m.get('License') or '').strip().partition('\\n')[0])"
    )
    return python.parent, _run([str(python), "-c", script, server.package], folder, dict(os.environ)).strip()


class _Conversation:
    """JSON-RPC lines with one server process; everything but the awaited answer is passed over."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise NotCollectedError("the process has no pipes")
        self._stdin, self._lines = process.stdin, BufferedByteReceiveStream(process.stdout)
        self._last_id = 0

    async def tell(self, method: str, params: dict[str, Any] | None = None, number: int | None = None) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if number is not None:
            message["id"] = number
        if params is not None:
            message["params"] = params
        await self._stdin.send(json.dumps(message).encode() + b"\n")

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self._last_id += 1
        await self.tell(method, params, self._last_id)
        with anyio.fail_after(ANSWER_SECONDS):
            while True:
                line = await self._lines.receive_until(b"\n", LONGEST_LINE)
                try:
                    message = json.loads(line)
                except ValueError:
                    continue  # servers print banners on standard output
                if isinstance(message, dict) and message.get("id") == self._last_id and "method" not in message:
                    if "error" in message:
                        raise NotCollectedError(f"{method}: {message['error'].get('message')}")
                    return dict(message["result"])


async def _converse(conversation: _Conversation) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    hello = await conversation.ask(
        "initialize",
        {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "tool-list-collector", "version": "1"},
        },
    )
    await conversation.tell("notifications/initialized")
    tools: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await conversation.ask("tools/list", {"cursor": cursor} if cursor else {})
        tools += page["tools"]
        cursor = page.get("nextCursor")
        if not cursor:
            return hello, tools
    raise NotCollectedError(f"more than {MOST_PAGES} pages")


async def _ask_for_tools(
    command: list[str], folder: Path, environment: dict[str, str], log: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    with log.open("wb") as noise:
        process = await anyio.open_process(command, cwd=folder, env=environment, stderr=noise, start_new_session=True)
        try:
            return await _converse(_Conversation(process))
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                with contextlib.suppress(ProcessLookupError):  # it may have stopped by itself
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


def _collect(server: ServerPackage) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix=f"corpus-{server.name}-"))
    try:
        bin_folder, stated = _install(server, folder)
        licence = server.licence or stated
        if not any(word.lower() in licence.lower() for word in PERMISSIVE):
            raise NotCollectedError(f"licence is not known to be permissive: {licence!r}")
        work = folder / "work"
        work.mkdir()
        for name, content in server.files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(content)

        def filled(text: str) -> str:
            return text.replace("{work}", str(work)).replace("{bin}", str(bin_folder))

        environment = _own_environment(folder, bin_folder)
        environment |= {name: filled(value) for name, value in server.environment.items()}
        command = [filled(part) for part in server.command]
        if (bin_folder / command[0]).exists():
            command[0] = str(bin_folder / command[0])
        log = folder / "noise.txt"
        try:
            hello, tools = anyio.run(_ask_for_tools, command, work, environment, log)
        except (OSError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError) as error:
            said = log.read_text(errors="replace").strip()[-400:]
            raise NotCollectedError(f"{type(error).__name__}: {error}; it said: {said}") from error
        # What a server says must not carry the folder it ran in: the next run would differ.
        text = json.dumps(tools).replace(str(work), "/work-folder").replace(str(folder), "/throw-away-folder")
        return {
            "server": server.name,
            "registry": server.registry,
            "package": server.package,
            "version": server.version,
            "licence": licence,
            "command": server.command,
            "protocolVersion": hello.get("protocolVersion"),
            "serverInfo": hello.get("serverInfo"),
            "tools": json.loads(text),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    rows = [ServerPackage(**row) for row in json.loads((HERE / "servers.json").read_text())]
    wanted = set(sys.argv[1:])
    missed = 0
    for server in rows:
        if wanted and server.name not in wanted:
            continue
        try:
            collected = _collect(server)
        except NotCollectedError as error:
            missed += 1
            print(f"MISSED {server.name}: {error}", flush=True)
            continue
        text = json.dumps(collected, indent=1, ensure_ascii=False)
        (HERE / f"{server.name}.json").write_text(text + "\n")
        print(f"{server.name}: {len(collected['tools'])} tools, {collected['licence']}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
