"""`intended run`, as a process: start, serve, drain, stop. What it prints is in `test_start.py`."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest
from mcp import Client
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.demo.upstream import DemoUpstream, running

ROOT = Path(__file__).parents[2]
PROCESS_S = 30.0
"""For a process to start or end on a busy machine; it takes two seconds on an idle one."""


class Gateway:
    """A running `intended run`, its address and what it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        assert process.stderr is not None
        for line in process.stderr:
            self.lines.append(line.rstrip("\n"))
            if found := re.search(r"agent URL\s+(http\S+)", line):
                self.url = found[1]
            if line.startswith('{"event": "started"'):
                self.url = json.loads(line)["agentUrl"]
                break
            if "intended audit tail" in line:
                break

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        _, rest = self.process.communicate(timeout=PROCESS_S)
        self.lines.extend(rest.splitlines())
        return self.process.returncode

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()


@contextmanager
def gateway(folder: Path, *arguments: str) -> Iterator[Gateway]:
    command = [sys.executable, "-m", "gateway", "run", "--port", "0", "--data", "data", "--state", "state"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INTENDED_")}
    process = subprocess.Popen(
        [*command, *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield Gateway(process)
    finally:
        process.kill()
        process.communicate()


async def test_a_call_is_decided_recorded_and_logged_and_sigterm_ends_it(tmp_path: Path) -> None:
    """The main job through the command that users type."""
    upstream = DemoUpstream()
    async with running(upstream) as url:
        with gateway(tmp_path, url) as served:
            assert served.get("/health") == 200
            async with Client(served.url) as client:
                allowed = await client.call_tool("notes.search", {"q": "invoice"})
                denied = await client.call_tool("files.delete", {"path": "/etc/passwd"})
            status = await anyio.to_thread.run_sync(served.stop)
    assert (allowed.is_error, denied.is_error) == (False, True)
    assert upstream.record == ["notes.search"]
    assert status == 0, served.lines
    decisions = [json.loads(line) for line in served.lines if line.startswith("{")]
    assert [(line["effect"], line["target"]) for line in decisions] == [
        ("ALLOW", "notes.search"),
        ("DENY", "files.delete"),
    ]
    assert all(line["intent"].startswith("int_") for line in decisions)
    assert not any("/etc/passwd" in line or "invoice" in line for line in served.lines)


async def test_nothing_is_said_until_a_call_arrives(tmp_path: Path) -> None:
    """Probes and listings are no news."""
    upstream = DemoUpstream()
    async with running(upstream) as url:
        with gateway(tmp_path, url) as served:
            before = list(served.lines)
            assert served.get("/readyz") == 200
            assert served.get("/favicon.ico") == 404
            async with Client(served.url) as client:
                await client.list_tools()
            status = await anyio.to_thread.run_sync(served.stop)
    assert (status, served.lines) == (0, [*before, "stopped"])


def test_an_upstream_that_does_not_answer_is_told_at_the_start(tmp_path: Path) -> None:
    """A mistyped URL must not look like a good start until the first agent fails."""
    with gateway(tmp_path, "good=http://127.0.0.1:9/mcp", "files=http://127.0.0.1:9/other") as served:
        assert served.process.stderr is not None
        warned = [served.process.stderr.readline() for _ in range(2)]
        assert served.get("/readyz") == 200
    assert [line.split(":")[:3] for line in warned] == [
        ["WARNING", " unreachable", " upstream good cannot be connected to"],
        ["WARNING", " unreachable", " upstream files cannot be connected to"],
    ]


def test_where_the_log_is_set_to_json_nothing_else_is_said(tmp_path: Path) -> None:
    """The greeting, warnings and the end too: a collector parses each line, and the first one is no exception."""
    with gateway(tmp_path, "--log-format", "json", "files=http://127.0.0.1:9/mcp") as served:
        assert served.process.stderr is not None
        served.lines.append(served.process.stderr.readline())
        assert served.get("/readyz") == 200
        assert served.stop() == 0
    started, unreachable, stopped = map(json.loads, served.lines)
    assert [one["event"] for one in (started, unreachable, stopped)] == ["started", "unreachable", "stopped"]
    assert [one["level"] for one in (started, unreachable, stopped)] == ["info", "warning", "info"]
    assert started["upstreams"] == {"files": "http://127.0.0.1:9/mcp"}
    assert started["keyless"] is True
    assert unreachable["upstream"] == "files"


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    """Exit 3 with the remedy, and no traceback."""
    with gateway(tmp_path, "http://127.0.0.1:9/mcp") as served:
        port = str(urlsplit(served.url).port)
        command = [sys.executable, "-m", "gateway", "run", "http://127.0.0.1:9/mcp", "--port", port]
        other = subprocess.run(
            [*command, "--data", "other", "--state", "state"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=PROCESS_S,
        )
        assert served.stop() == 0
    assert other.returncode == 3
    assert "--port" in other.stderr
    assert "Traceback" not in other.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "nothing to protect"),
        (["npx"], 2, "write `--` before its command"),
        (["http://127.0.0.1:9/mcp", "--host", "0.0.0.0"], 3, "--unsafe-allow-unauthenticated"),
        (["http://127.0.0.1:9/mcp", "--policies", "none.yaml"], 3, "none.yaml: cannot be read"),
        (["http://127.0.0.1:9/mcp", "--config", "none.yaml"], 3, "none.yaml: cannot be read"),
        (["http://127.0.0.1:9/mcp", "--state", "data/inside"], 4, "inside the data folder"),
    ],
)
def test_what_cannot_be_run_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, message: str
) -> None:
    """Before anything is served, with what to do."""
    from gateway.cli.exits import exit_for
    from gateway.errors import GatewayError

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["run", "--port", "0", "--data", "data", "--state", "state", *arguments])
    if isinstance(result.exception, GatewayError):
        assert exit_for(result.exception) == status
        assert message in f"{result.exception}"
    else:
        assert result.exit_code == status
        assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_command_without_its_dashes_is_told_where_they_belong(command: str) -> None:
    """Not that `-y` is no option of the gateway: it is one of npx."""
    result = CliRunner().invoke(app, [command, "npx", "-y", "server"])
    assert result.exit_code == 2
    assert "'npx' is neither" in (said := " ".join(result.stderr.split()))
    assert "write `--` before its command" in said
    assert "No such option" not in said


def test_a_stdio_command_reaches_the_settings(tmp_path: Path) -> None:
    """With its own options, which are not the gateway's."""
    with gateway(tmp_path, "--", sys.executable, "-c", "pass", "--port", "1") as served:
        assert served.stop() == 0
    assert any("protects" in line and "-c pass --port 1" in line for line in served.lines)
