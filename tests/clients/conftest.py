"""Starts what the foreign clients need: a running gateway in front of a server, and the clients' own environments."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = Path(__file__).parent / "drivers"
# Interpreters and packages of other people start here, on a shared machine: seconds, but not milliseconds.
START_SECONDS = 30
CALL_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Environments:
    """Where `setup.sh` has put the foreign clients and servers."""

    folder: Path

    def python(self, name: str) -> str:
        return str(self.folder / name / "bin" / "python")

    def command(self, name: str) -> str:
        return str(self.folder / "servers" / "bin" / name)

    @property
    def node(self) -> str:
        return (self.folder / "node-path").read_text().strip()

    @property
    def node_folder(self) -> Path:
        return self.folder / "node"

    def npm_server(self, name: str) -> list[str]:
        return [self.node, str((self.node_folder / "node_modules" / ".bin" / name).resolve())]


@pytest.fixture(scope="session")
def environments() -> Environments:
    folder = Path(os.environ.get("INTENDED_CI_CACHE", ROOT / ".cache")).resolve() / "clients"
    if not (folder / "node-path").exists():
        pytest.fail(f"the foreign clients are not installed in {folder}: run tests/clients/setup.sh first")
    return Environments(folder=folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One foreign client: the command of its driver, and the protocol version it comes to with a modern server."""

    name: str
    environment: str
    script: str
    extra: tuple[str, ...] = ()
    protocol: str | None

    def drive(self, environments: Environments, url: str, plan: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Let the client connect, list the tools and make the calls of `plan`; return what its caller gets to see."""
        if self.environment == "node":
            runner, folder = environments.node, environments.node_folder
        elif self.environment == "ours":
            runner, folder = sys.executable, ROOT
        else:
            runner, folder = environments.python(self.environment), ROOT
        done = subprocess.run(
            [runner, str(DRIVERS / self.script), url, json.dumps(plan), *self.extra],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{self.name} did not finish: {done.stderr[-2000:]}"
        return json.loads(done.stdout)


CLIENTS = (
    Client(name="python-1", environment="mcp-v1", script="python_v1.py", protocol="2025-11-25"),
    Client(name="python-2", environment="ours", script="python_v2.py", protocol="2026-07-28"),
    Client(
        name="python-2-handshake", environment="ours", script="python_v2.py", extra=("legacy",), protocol="2025-11-25"
    ),
    Client(name="fastmcp", environment="fastmcp", script="fastmcp_client.py", protocol=None),
    Client(name="typescript-1", environment="node", script="typescript_v1.mjs", protocol="2025-11-25"),
    Client(name="typescript-2", environment="node", script="typescript_v2.mjs", protocol="2026-07-28"),
)


AGENTS = (
    Client(name="langchain", environment="langchain-mcp", script="langchain_mcp.py", protocol=None),
    Client(name="openai-agents", environment="openai-agents", script="openai_agents.py", protocol=None),
)
"""Frameworks: what they show is what a model gets to read."""


@contextmanager
def _announced(command: Sequence[str], folder: Path, sign: str, environment: dict[str, str]) -> Iterator[str]:
    """Run `command` until the block ends; yield the last word of the first line of its output that contains `sign`."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said: list[str] = []
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if sign in line:
                break
        else:
            pytest.fail(f"{command[:4]} stopped before it was ready: {''.join(said)[-2000:]}")
        watchdog.cancel()
        # What it says later must be read, or it would block on a full pipe.
        reader = threading.Thread(target=said.extend, args=(process.stdout,), daemon=True)
        reader.start()
        yield line.split()[-1]
    finally:
        watchdog.cancel()
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        if process.stdout is not None:
            process.stdout.close()


def _environment(holds_s: float = 0) -> dict[str, str]:
    """This process's environment without the gateway's own settings, but for how long an escalated call waits."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INTENDED_")}
    holds = {f"INTENDED_GATEWAY_HOLDS__{name}": str(holds_s) for name in ("LEG_S", "HOLD_S")}
    return kept | holds | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


GatewayUrl = Callable[..., str]


@pytest.fixture(scope="module")
def gateway_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayUrl]:
    """Start `intended run` and give its agent URL: `gateway_url(upstreams=["http://…"], policies=PATH, tier="T4")`.

    `upstreams` is what stands behind `intended run`: URLs, NAME=URL, or `["--", COMMAND, …]`. `folder` is where its
    data lies, `holds_s` how long a call waits for its human.
    """
    with ExitStack() as running:

        def start(
            *,
            upstreams: Sequence[str],
            policies: Path,
            tier: str = "T4",
            folder: Path | None = None,
            holds_s: float = 0,
        ) -> str:
            folder = folder or tmp_path_factory.mktemp("gateway")
            flags = ["--port", "0", "--data", str(folder / "data"), "--state", str(folder / "state")]
            flags += ["--policies", str(policies), "--tier", f"local={tier}"]
            command = [sys.executable, "-m", "gateway", "run", *flags, *upstreams]
            return running.enter_context(_announced(command, folder, "agent URL", _environment(holds_s)))

        yield start


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """The everything-server of `tests/fixtures`, running, and what reached it."""

    upstreams: list[str]
    journal: Path

    def called(self) -> list[tuple[str, dict[str, Any]]]:
        """The tool calls that arrived so far: name and arguments."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        messages = [json.loads(line) for line in lines]
        calls = [message["params"] for message in messages if message["method"] == "tools/call"]
        return [(call["name"], call.get("arguments", {})) for call in calls]


@pytest.fixture(scope="module", params=["http", "stdio"])
def everything(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    journal = tmp_path_factory.mktemp("everything") / "journal"
    server = [sys.executable, "-m", "tests.fixtures.everything_server", "--journal", str(journal)]
    if request.param == "stdio":
        # The gateway does not hand its environment on, so the module is found by its folder.
        here = f"import os, runpy, sys; os.chdir({str(ROOT)!r}); sys.path.insert(0, {str(ROOT)!r}); "
        run = f"sys.argv[1:] = ['--stdio', '--journal', {str(journal)!r}]; "
        module = "runpy.run_module('tests.fixtures.everything_server', run_name='__main__')"
        yield Everything(upstreams=["--", sys.executable, "-c", here + run + module], journal=journal)
        return
    with _announced([*server, "--port", "0"], ROOT, "ready", _environment()) as url:
        yield Everything(upstreams=[url], journal=journal)
