"""`intended health`, against a server that answers as told."""

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.admin.address import NAME
from gateway.cli.main import app


@contextmanager
def answering(status: int, told: object = None) -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            if told is not None and self.path == "/readyz?verbose":
                self.wfile.write(json.dumps(told).encode())

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join(5)


def test_a_healthy_gateway_is_exit_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the variable that the gateway in the same container is set by."""
    with answering(200) as (port, asked):
        monkeypatch.setenv("INTENDED_GATEWAY_PORT", str(port))
        result = CliRunner().invoke(app, ["health"])
    assert (result.exit_code, result.stdout, asked) == (0, "healthy\n", ["/health", "/readyz?verbose"])
    assert result.stderr == ""


def test_the_url_that_agents_are_given_will_do() -> None:
    """It is the one that a start prints, so it is the one that people paste."""
    with answering(200) as (port, asked):
        assert CliRunner().invoke(app, ["health", "--url", f"http://127.0.0.1:{port}/mcp"]).exit_code == 0
    assert asked[0] == "/health"


@pytest.mark.parametrize("path", ["", "/health", "/readyz"])
def test_what_is_wrong_though_it_decides_is_named(path: str) -> None:
    """It stays in service, so that whoever looks must be told which files are not in force."""
    told = {"status": "degraded", "checks": {"audit": "ok", "policies": "p.yaml:1:1: no"}}
    with answering(200, told) as (port, _):
        url = f"http://127.0.0.1:{port}{path}"
        result = CliRunner().invoke(app, ["health", "--url", url])
        found = CliRunner().invoke(app, ["health", "--url", url, "-o", "json"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "healthy\n", "degraded: policies: p.yaml:1:1: no\n")
    assert json.loads(found.stdout)["problems"] == {"policies": "p.yaml:1:1: no"}


def test_an_unready_one_names_its_checks() -> None:
    """The status alone sends people looking."""
    told = {"status": "unready", "checks": {"draining": "the gateway is stopping"}}
    with answering(503, told) as (port, _):
        result = CliRunner().invoke(app, ["health", "--url", f"http://127.0.0.1:{port}/readyz"])
    assert result.exit_code == 5
    assert "unready: draining: the gateway is stopping" in result.stderr


@pytest.mark.parametrize("told", [[], "x", {"checks": []}, {"status": "degraded"}])
def test_an_answer_that_names_no_checks_counts_by_its_status(told: object) -> None:
    """Whatever else answers there, as a proxy does."""
    with answering(200, told) as (port, _):
        result = CliRunner().invoke(app, ["health", "--url", f"http://127.0.0.1:{port}"])
    assert (result.exit_code, result.stderr) == (0, "")


def test_an_unhealthy_one_is_exit_5() -> None:
    """A container whose gateway cannot decide gets no traffic."""
    with answering(503) as (port, asked):
        result = CliRunner().invoke(app, ["health", "--url", f"http://127.0.0.1:{port}/readyz"])
    assert (result.exit_code, asked) == (5, ["/readyz?verbose"])
    assert "503" in result.stderr


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_there_is_exit_5(scheme: str) -> None:
    """Neither is something that speaks no TLS healthy."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    result = CliRunner().invoke(app, ["health", "--url", f"{scheme}://127.0.0.1:{port}"])
    assert result.exit_code == 5
    assert "unreachable" in result.stderr


def test_a_certificate_makes_it_ask_by_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same variable that makes the gateway speak TLS."""
    with answering(200) as (port, asked):
        monkeypatch.setenv("INTENDED_GATEWAY_PORT", str(port))
        monkeypatch.setenv("INTENDED_GATEWAY_TLS_CERTIFICATE", "cert.pem")
        result = CliRunner().invoke(app, ["health"])
    assert (result.exit_code, asked) == (5, [])
    assert "https://" in result.stderr


def test_a_gateway_is_found_by_its_data_folder(tmp_path: Path) -> None:
    """As every other command finds it, wherever it listens."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def address_string(self) -> str:
            return "local"

        def log_message(self, *args: object) -> None:
            pass

    with socketserver.UnixStreamServer(str(tmp_path / NAME), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            result = CliRunner().invoke(app, ["health", "--data", str(tmp_path)])
        finally:
            server.shutdown()
            thread.join(5)
    assert (result.exit_code, result.stdout, asked) == (0, "healthy\n", ["/health", "/readyz?verbose"])
    gone = CliRunner().invoke(app, ["health", "--data", str(tmp_path)])
    assert (gone.exit_code, str(tmp_path) in gone.stderr) == (5, True)


def test_one_gateway_is_asked(tmp_path: Path) -> None:
    """Two answers would be one too many."""
    both = ["health", "--url", "http://127.0.0.1:8787", "--data", str(tmp_path)]
    assert CliRunner().invoke(app, both).exit_code == 2


def test_what_is_no_url_is_a_usage_error() -> None:
    """Exit 2, not 5: nobody was asked."""
    assert CliRunner().invoke(app, ["health", "--url", "localhost:8787"]).exit_code == 2


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_programs_are_told_in_json(status: int, healthy: bool) -> None:
    """With what was asked, and the same exit status."""
    with answering(status) as (port, _):
        url = f"http://127.0.0.1:{port}/health"
        result = CliRunner().invoke(app, ["health", "--url", url, "-o", "json"])
    assert json.loads(result.stdout) == {"healthy": healthy, "url": url, "status": status, "problems": {}}
    assert result.exit_code == (0 if healthy else 5)
    nobody = CliRunner().invoke(app, ["health", "--url", url, "-o", "json"])
    assert (nobody.exit_code, json.loads(nobody.stdout)["status"]) == (5, None)
