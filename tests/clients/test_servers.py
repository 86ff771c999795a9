"""Servers of other people work behind the gateway, over stdio and HTTP, as their own clients expect."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import CLIENTS, ROOT, Environments, GatewayUrl

pytestmark = pytest.mark.clients

ALLOW_ALL = ROOT / "policies" / "allow-all.yaml"
DEFAULT = ROOT / "policies" / "default.yaml"
MODERN, HANDSHAKE = CLIENTS[1], CLIENTS[2]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


@pytest.mark.parametrize("client", [MODERN, HANDSHAKE], ids=lambda client: client.name)
def test_server_everything_echoes(client: Any, environments: Environments, gateway_url: GatewayUrl) -> None:
    """The reference server of the protocol's authors; clients of both eras come to terms with it."""
    server = environments.npm_server("mcp-server-everything")
    seen = client.drive(
        environments, gateway_url(upstreams=["--", *server], policies=ALLOW_ALL), [call("echo", message="tea")]
    )
    assert [each["text"] for each in seen["calls"]] == ["Echo: tea"]


def test_server_filesystem_reads_and_writes_in_its_folder(
    environments: Environments, gateway_url: GatewayUrl, tmp_path: Path
) -> None:
    """The server most often put behind a gateway."""
    (tmp_path / "a.txt").write_text("hello")
    server = environments.npm_server("mcp-server-filesystem")
    url = gateway_url(upstreams=["--", *server, str(tmp_path)], policies=ALLOW_ALL)
    plan = [
        call("read_text_file", path=str(tmp_path / "a.txt")),
        call("write_file", path=str(tmp_path / "b.txt"), content="written"),
    ]
    seen = MODERN.drive(environments, url, plan)
    assert seen["calls"][0]["text"] == "hello"
    assert not seen["calls"][1]["isError"]
    assert (tmp_path / "b.txt").read_text() == "written"


def test_the_default_policy_stops_a_new_agent_from_writing_outside(
    environments: Environments, gateway_url: GatewayUrl, tmp_path: Path
) -> None:
    """The shipped policy is what most people run: it reads for a new agent, and keeps it off system files and keys."""
    (tmp_path / "a.txt").write_text("hello")
    folder = tmp_path / ".ssh"
    folder.mkdir()
    server = environments.npm_server("mcp-server-filesystem")
    url = gateway_url(upstreams=["--", *server, str(tmp_path)], policies=DEFAULT, tier="T0")
    plan = [
        call("read_text_file", path=str(tmp_path / "a.txt")),
        call("write_file", path=str(folder / "authorized_keys"), content="ssh-ed25519 AAAA"),
    ]
    seen = MODERN.drive(environments, url, plan)
    assert (seen["calls"][0]["isError"], seen["calls"][0]["text"]) == (False, "hello")
    assert seen["calls"][1]["isError"]
    assert not (folder / "authorized_keys").exists()


def test_server_memory_keeps_what_it_is_told(
    environments: Environments, gateway_url: GatewayUrl, tmp_path: Path
) -> None:
    """State in an upstream outlives a call: both calls must reach the same process."""
    server = ["env", f"MEMORY_FILE_PATH={tmp_path / 'memory.json'}", *environments.npm_server("mcp-server-memory")]
    url = gateway_url(upstreams=["--", *server], policies=ALLOW_ALL)
    entity = {"name": "Ada", "entityType": "person", "observations": ["likes tea"]}
    seen = MODERN.drive(environments, url, [call("create_entities", entities=[entity]), call("read_graph")])
    assert "likes tea" in seen["calls"][1]["text"]


def test_server_git_shows_a_repository(environments: Environments, gateway_url: GatewayUrl, tmp_path: Path) -> None:
    """A Python server over stdio that starts programs of its own."""
    identity = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com"}
    identity |= {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com"}
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "First"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, env=os.environ | identity, check=True)
    url = gateway_url(upstreams=["--", environments.command("mcp-server-git")], policies=ALLOW_ALL)
    seen = MODERN.drive(environments, url, [call("git_log", repo_path=str(tmp_path))])
    assert "First" in seen["calls"][0]["text"]


def test_server_time_tells_the_time(environments: Environments, gateway_url: GatewayUrl) -> None:
    """A Python server over stdio with structured answers."""
    url = gateway_url(upstreams=["--", environments.command("mcp-server-time")], policies=ALLOW_ALL)
    seen = MODERN.drive(environments, url, [call("get_current_time", timezone="Asia/Tokyo")])
    assert "Asia/Tokyo" in seen["calls"][0]["text"]
