"""A gateway with keys and users, through the commands that people type: made, used, revoked, refused."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import httpx

from gateway.app import Gateway
from gateway.demo.upstream import DemoUpstream, running
from gateway.records import reading
from gateway.services.audit_query import tail
from gateway.serving import serving
from gateway.settings import Settings, UpstreamSettings
from tests.cli.test_run import PROCESS_S, ROOT, gateway


def intended(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside the gateway that `tests/cli/test_run.py` starts, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INTENDED_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments, "--data", "data", "--state", "state"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        timeout=PROCESS_S,
    )


async def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = await anyio.to_thread.run_sync(intended, folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done


async def searched(url: str, key: str) -> bool:
    """Call a tool as whoever has this key (empty: nobody); return whether it ran. Refused is 401 and nothing else."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "billing-agent", "version": "1"},
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "notes.search",
        **({"authorization": f"Bearer {key}"} if key else {}),
    }
    params = {"name": "notes.search", "arguments": {"q": "invoice"}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with httpx.AsyncClient(timeout=PROCESS_S) as client:
        answer = await client.post(url, json=message, headers=headers)
    if answer.status_code == 200:
        assert '"isError":true' not in answer.text
        return True
    assert (answer.status_code, "error" in answer.json()) == (401, True)
    return False


async def test_a_key_is_made_used_revoked_and_refused_while_the_gateway_runs(tmp_path: Path) -> None:
    """The first key ends keyless mode at once, and its revocation ends the key at once."""
    upstream = DemoUpstream()
    async with running(upstream) as url:
        with gateway(tmp_path, url) as served:
            assert await searched(served.url, "")
            made = await typed(tmp_path, "keys", "create", "ci", "--agent", "Billing Agent", "--role", "agent")
            key = made.stdout.strip()
            assert not await searched(served.url, "")
            assert not await searched(served.url, key[:-1])
            assert await searched(served.url, key)
            await typed(tmp_path, "keys", "revoke", "ci")
            assert not await searched(served.url, key)
            assert not await searched(served.url, "")
            status = await anyio.to_thread.run_sync(served.stop)
    assert status == 0, served.lines
    assert upstream.record == ["notes.search", "notes.search"]
    assert not any(key in line for line in served.lines)
    async with reading(Settings(data=tmp_path / "data")) as reader:
        entries = await tail(reader, "default", 100)
    told = [
        (one["type"], one["agent"]) for one in entries if one["type"] in ("key.created", "call.decided", "key.revoked")
    ]
    assert [kind for kind, _ in told] == ["call.decided", "key.created", "call.decided", "key.revoked"]
    assert [agent for kind, agent in told if kind == "call.decided"] == ["local", "billing-agent"]


async def test_without_a_gateway_the_next_one_knows_what_was_done(tmp_path: Path) -> None:
    """Keys can be made before anything is ever served."""
    first = await typed(tmp_path, "keys", "create", "ci")
    async with running(DemoUpstream()) as url:
        with gateway(tmp_path, url) as served:
            assert any("1 key: every request needs one" in line for line in served.lines)
            assert not await searched(served.url, "")
            assert await searched(served.url, first.stdout.strip())
            refused = await anyio.to_thread.run_sync(intended, tmp_path, "keys", "revoke", "nobody")
            await anyio.to_thread.run_sync(served.stop)
    assert (refused.returncode, refused.stdout) == (6, "")
    assert refused.stderr.startswith("error: There is no key 'nobody'")


async def test_a_human_logs_in_with_a_code_and_is_nobody_on_mcp(tmp_path: Path) -> None:
    """Contract, section 1: a portal session is accepted wherever a key is, except on MCP."""
    settings = Settings(
        port=0,
        data=tmp_path / "data",
        state=tmp_path / "state",
        upstreams={"default": UpstreamSettings(url="http://127.0.0.1:9/mcp")},
    )
    async with Gateway.open(settings) as gateway, serving(gateway, settings) as served:
        operator = httpx.AsyncHTTPTransport(uds=str(tmp_path / "data" / "admin.sock"))
        async with httpx.AsyncClient(transport=operator, base_url="http://localhost", timeout=PROCESS_S) as cli:
            await cli.post("/users", json={"name": "jane@example.org", "role": "viewer"})
            code = (await cli.post("/users/jane@example.org/login-link")).json()["code"]
        async with httpx.AsyncClient(base_url=served.url, timeout=PROCESS_S) as browser:
            assert (await browser.get("/users")).status_code == 401
            session = await browser.post("/portal/sessions", json={"code": code})
            again = await browser.post("/portal/sessions", json={"code": code})
            header = {"x-portal-session-id": session.json()["sessionId"]}
            seen = await browser.get("/v1/agents", headers=header)
            forbidden = await browser.get("/users", headers=header)
            public_id = await browser.get("/v1/agents", headers={"x-portal-session-id": session.json()["id"]})
            secret = session.json()["sessionId"]
            on_mcp = [
                await browser.post("/mcp", json={}, headers={"authorization": f"Bearer {secret}"}),
                await browser.post("/mcp", json={}, headers={"x-api-key": secret}),
            ]
            gone = await browser.delete("/portal/sessions/current", headers=header)
            after = await browser.get("/v1/agents", headers=header)
    assert [one.status_code for one in (session, again, seen, forbidden, public_id)] == [201, 401, 200, 403, 401]
    assert [one.status_code for one in on_mcp] == [401, 401]
    assert [one.status_code for one in (gone, after)] == [200, 401]
