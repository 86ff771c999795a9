"""`check` really looks: at the address, the policies, the store and every upstream."""

import os
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway import checking
from gateway.app import Gateway
from gateway.checking import Findings, check
from gateway.demo.upstream import DemoUpstream, on_loopback, running
from gateway.records import database_path
from gateway.settings import Settings, UpstreamSettings
from tests.remote.service import Service, answered


def settings_in(folder: Path, **changes: Any) -> Settings:
    return Settings(**{"port": 0, "data": folder / "data", "state": folder / "state"} | changes)


def messages(findings: Findings) -> str:
    return "\n".join(map(str, [*findings.problems, *findings.unreachable]))


@asynccontextmanager
async def serving(answer: dict[str, Any]) -> AsyncIterator[str]:
    """An upstream of the handshake era that answers `tools/list` with `answer`."""

    async def post(request: Request) -> JSONResponse:
        message = await request.json()
        if "id" not in message:
            return JSONResponse(None, status_code=202)
        results = {
            "initialize": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "x", "version": "1"},
            },
            "tools/list": answer,
        }
        if message["method"] in results:
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]})
        error = {"code": -32601, "message": "Method not found"}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})

    async def other(request: Request) -> JSONResponse:
        return JSONResponse({}, status_code=405)

    app = Starlette(
        routes=[Route("/mcp", post, methods=["POST"]), Route("/mcp", other, methods=["GET", "DELETE"])],
    )
    async with on_loopback(app) as address:
        yield f"{address}/mcp"


async def test_what_is_sound_is_told(tmp_path: Path) -> None:
    """Over HTTP in the modern era, with tools and the versions spoken."""
    async with running(DemoUpstream()) as url:
        findings = await check(settings_in(tmp_path, upstreams={"demo": UpstreamSettings(url=url)}))
    assert messages(findings) == ""
    assert any(note.startswith("policy default.yaml: ") for note in findings.notes)
    assert f"store {tmp_path / 'data'}: none yet, it is made at the first start" in findings.notes
    assert any(note.startswith("upstream demo: 5 tools, 0 resources, speaks ") for note in findings.notes)


async def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    """No store, no lock, no process."""
    await check(settings_in(tmp_path))
    assert os.listdir(tmp_path) == []


async def test_a_stdio_upstream_is_started_asked_and_ended(tmp_path: Path) -> None:
    """Its tools count like those of any other."""
    script = tmp_path / "server.py"
    script.write_text(
        "from mcp.server import MCPServer\n"
        "server = MCPServer('x')\n"
        "@server.tool()\n"
        "def ping(q: str) -> str:\n"
        "    return q\n"
        "server.run('stdio')\n"
    )
    upstream = UpstreamSettings(command=sys.executable, args=(str(script),))
    findings = await check(settings_in(tmp_path, upstreams={"x": upstream}))
    assert messages(findings) == ""
    assert any(note.startswith("upstream x: 1 tools") for note in findings.notes)


async def test_everything_is_looked_at_even_where_something_fails(tmp_path: Path) -> None:
    """An operator wants all problems at once."""
    (tmp_path / "policy.yaml").write_text("apiVersion: intended/v1\npolicySet: p\nrules: [{id: a, effect: permit}]\n")
    findings = await check(
        settings_in(
            tmp_path,
            host="0.0.0.0",
            policies=tmp_path / "policy.yaml",
            state=tmp_path / "data" / "inside",
            upstreams={"gone": UpstreamSettings(url="http://127.0.0.1:9/mcp")},
        )
    )
    assert [problem.field for problem in findings.problems] == ["host", "rules.0.effect", "state"]
    assert [problem.source for problem in findings.unreachable] == ["upstream gone"]
    assert findings.unreachable[0].message.startswith("cannot be connected to: ")
    assert "its address is 127.0.0.1:9" in findings.unreachable[0].message
    assert all(problem.remedy for problem in findings.problems)


async def test_a_policy_problem_has_its_line(tmp_path: Path) -> None:
    """`file:line:column` leads an editor there."""
    (tmp_path / "p.yaml").write_text("apiVersion: intended/v1\npolicySet: p\nrules:\n  - {id: a, effect: permit}\n")
    findings = await check(settings_in(tmp_path, policies=tmp_path / "p.yaml"))
    [problem] = findings.problems
    assert (problem.line, problem.field) == (4, "rules.0.effect")


async def test_a_rule_for_a_tool_that_nobody_lists_is_told_where_all_lists_are_known(tmp_path: Path) -> None:
    """With an upstream that does not answer, its tool may be the one that is meant."""
    text = "apiVersion: intended/v1\npolicySet: p\nrules:\n  - {id: a, effect: deny, match: {tools: [x.good]}}\n"
    (tmp_path / "p.yaml").write_text(text)
    async with serving({"tools": [GOOD]}) as url:
        upstreams = {"x": UpstreamSettings(url=url)}
        known = await check(settings_in(tmp_path, policies=tmp_path / "p.yaml", upstreams=upstreams))
        upstreams["gone"] = UpstreamSettings(url="http://127.0.0.1:9/mcp")
        partly = await check(settings_in(tmp_path, policies=tmp_path / "p.yaml", upstreams=upstreams))
    warning = "warning: rule 'a' fits no tool of these upstreams: `tools` has names as a server lists them"
    assert known.notes[-1] == warning
    assert warning not in partly.notes


async def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """Before a client's handshake fails."""
    (tmp_path / "c.pem").write_text("not a certificate")
    findings = await check(settings_in(tmp_path, tls_certificate=tmp_path / "c.pem", tls_key=tmp_path / "none.pem"))
    [problem] = findings.problems
    assert problem.field == "tls_certificate"


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start would refuse; root may write anywhere, so the question itself is answered here."""
    monkeypatch.setattr(checking.os, "access", lambda path, mode: False)
    findings = await check(settings_in(tmp_path))
    assert [problem.field for problem in findings.problems] == ["data", "state"]


async def test_it_may_run_beside_a_gateway(tmp_path: Path) -> None:
    """It takes no lock; the chain is verified as it is now."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings):
        findings = await check(settings)
    assert messages(findings) == ""
    assert any("chain of _system verified" in note for note in findings.notes)


async def test_a_broken_chain_is_told(tmp_path: Path) -> None:
    """With the first place where it does not hold."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings):
        pass
    with closing(sqlite3.connect(database_path(settings))) as connection:
        connection.execute("UPDATE entries SET body = CAST('{}' AS BLOB) WHERE seq = 1")
        connection.commit()
    [problem] = (await check(settings)).problems
    assert "broken at entry 1 (body-mismatch)" in problem.message


async def test_a_store_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """With the store's own remedy."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings):
        pass
    database_path(settings).write_bytes(b"no database" * 1000)
    [problem] = (await check(settings)).problems
    assert problem.field == "data"
    assert problem.remedy


GOOD = {"name": "good", "inputSchema": {"type": "object"}}


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        ({"name": "bad", "inputSchema": {"type": "nonsense"}}, "schema"),
        ({"name": "outside", "inputSchema": {"$ref": "http://x.test/schema.json"}}, "schema"),
        ({"inputSchema": {"type": "object"}}, "no name"),
    ],
    ids=["invalid schema", "schema elsewhere", "no name"],
)
async def test_a_withheld_tool_is_told(tmp_path: Path, tool: dict[str, Any], reason: str) -> None:
    """Agents do not see it and would wonder (design, "Pinning")."""
    async with serving({"tools": [GOOD, tool]}) as url:
        findings = await check(settings_in(tmp_path, upstreams={"x": UpstreamSettings(url=url)}))
    [problem] = findings.problems
    assert problem.field == tool.get("name", "")
    assert "withheld" in problem.message
    assert reason in problem.message
    assert any("upstream x: 2 tools" in note for note in findings.notes)


async def test_an_answer_that_is_no_list_is_the_upstreams_fault(tmp_path: Path) -> None:
    """Reported as unreachable: nothing of ours is wrong."""
    async with serving({"toolz": []}) as url:
        findings = await check(settings_in(tmp_path, upstreams={"x": UpstreamSettings(url=url)}))
    assert findings.problems == []
    assert "without `tools`" in messages(findings)


async def test_an_upstream_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told all the same."""
    monkeypatch.setattr(checking, "UPSTREAM_S", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"
        findings = await check(settings_in(tmp_path, upstreams={"x": UpstreamSettings(url=url)}))
    assert "did not answer within" in messages(findings)


async def test_a_resource_that_two_upstreams_have_is_told(tmp_path: Path) -> None:
    """The first in configuration order wins; `check` reports the others (design, "Upstreams and names")."""

    class WithResource(DemoUpstream):
        def server(self) -> MCPServer:
            server = super().server()

            @server.resource("note://one")
            def one() -> str:
                return "x"

            return server

    async with running(WithResource()) as first, running(WithResource()) as second:
        upstreams = {"b": UpstreamSettings(url=first), "a": UpstreamSettings(url=second)}
        findings = await check(settings_in(tmp_path, upstreams=upstreams))
    assert "upstream a: note://one is hidden on /mcp by the same URI of b" in findings.notes


async def test_pages_are_followed_and_what_cannot_be_pinned_is_told(tmp_path: Path) -> None:
    """A list ends where the cursor does; a definition without a canonical form is withheld."""
    numbers = {"name": "numbers", "inputSchema": {"type": "object", "maximum": 2**60}}
    async with serving({"tools": [GOOD, numbers], "nextCursor": "again"}) as url:
        findings = await check(settings_in(tmp_path, upstreams={"x": UpstreamSettings(url=url)}))
    assert {problem.field for problem in findings.problems} == {"numbers"}
    assert "canonical" in findings.problems[0].message
    assert any(f"upstream x: {2 * checking.PAGES} tools" in note for note in findings.notes)


@pytest.mark.parametrize("installed", [True, False])
async def test_tracing_without_its_extra_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, installed: bool
) -> None:
    """Found before the start that it would stop."""
    if not installed:
        monkeypatch.setitem(sys.modules, "gateway.telemetry.tracing", None)
    findings = await check(settings_in(tmp_path, tracing={"exporter": "otlp"}))
    assert ("intended-mcp-gateway[tracing]" in messages(findings)) is not installed


async def test_a_remote_authority_is_asked_whether_it_takes_the_key(tmp_path: Path) -> None:
    """Before an agent finds out that everything is denied."""
    given = {"url": "http://127.0.0.1:1", "key": "mrt_live_a", "tenant": "acme"}
    findings = await check(settings_in(tmp_path, authority=given))
    assert "it was not reached" in messages(findings)
    assert "acme" in messages(findings)
    service = Service(answer=lambda one, method, *asked: answered({}, 404 if method == "GET" else 400))
    async with on_loopback(service) as url:
        findings = await check(settings_in(tmp_path, authority={**given, "url": url}))
    assert f"authority {url}: takes the key for tenant acme" in findings.notes
    assert findings.unreachable == []
    findings = await check(settings_in(tmp_path, authority={"url": url}))
    assert "INTENDED_API_KEY" in messages(findings)
