"""The documents' Python, run as written: host and key are ours, and the upstream's address in the gateway's lines."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from mcp import Client
from mcp.types import TextContent

from gateway.demo.upstream import DemoUpstream, running
from tests.documents.live import HOSTS, PROCESS_S, Service, environment
from tests.documents.rows import Row, rows_of

TENANT = "tenant123"


def run(folder: Path, code: str, service: Service, **variables: str) -> list[str]:
    """Run a program of its own; return the lines that it printed."""
    for host in HOSTS:
        code = code.replace(host, service.url)
    (folder / "snippet.py").write_text(code, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "snippet.py"],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=PROCESS_S,
        env=environment(INTENDED_API_URL=service.url, **variables),
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize("row", rows_of("python.py::test_the_guides_client_runs_as_written"), ids=lambda row: row.id)
def test_the_guides_client_runs_as_written(row: Row, service: Service, tmp_path: Path) -> None:
    """Its own usage: stats, an intent, the pending approvals."""
    _, approval = service.escalated(TENANT, row.id)
    lines = run(tmp_path, row.text, service, INTENDEDOPS_API_KEY=service.keys[TENANT, "admin"])
    assert lines[0].startswith("Pending approvals: ")
    assert int(lines[0].rpartition(" ")[2]) >= 1
    assert lines[1].startswith("Created intent: int_")
    assert f"Pending approval: {approval}" in lines


EVERY_METHOD = """
import json, sys
client = IntendedOpsClient(os.environ['INTENDEDOPS_API_KEY'], BASE)
approved, rejected = json.loads(sys.stdin.readline() or os.environ['APPROVALS'])
seen = {
    'stats': sorted(client.get_stats()),
    'intents': client.list_intents(page=1, page_size=5, agent_id='billing-agent')['pageSize'],
    'agents': [one['slug'] for one in client.list_agents()['items']],
    'registered': client.register_agent(os.environ['NAME'], 'd', ['billing'], ['billing.send_invoice'])['slug'],
    'metrics': client.get_agent_metrics('billing-agent')['agent'],
    'approved': client.approve_intent(approved)['status'],
    'rejected': client.reject_intent(rejected, 'Amount exceeds approved limit')['status'],
    'audit': client.query_audit(event_type='approval.resolved', from_date='2020-01-01')['total'] > 0,
    'verified': client.verify_audit_chain()['valid'],
}
what = ('billing.send_invoice', 'billing', 'billing-agent')
created = client.create_intent(*what, {'amount': 1}, 'd', 'j', os.environ['NAME'])
seen['intent'] = client.get_intent(created['intentId'])['id'] == created['intentId']
try:
    client.create_intent('billing.send_invoice', 'billing', 'no-such-agent')
except Exception as error:
    seen['error'] = str(error).partition(':')[0]
print(json.dumps(seen))
"""


@pytest.mark.parametrize("whose", ["theirs", "ours"])
def test_every_method_of_the_guides_client_works(whose: str, service: Service, tmp_path: Path) -> None:
    """With its own class, and with ours under the same name: one import takes the place of 150 lines."""
    (row,) = rows_of("python.py::test_the_guides_client_runs_as_written")
    theirs = row.text.partition("# Usage\n")[0]
    ours = "import os\nfrom intended import IntendedOpsClient\n"
    approvals = [service.escalated(TENANT, f"{whose}-{number}")[1] for number in range(2)]
    code = (theirs if whose == "theirs" else ours) + EVERY_METHOD.replace("BASE", repr(HOSTS[0]))
    [line] = run(
        tmp_path,
        code,
        service,
        INTENDEDOPS_API_KEY=service.keys[TENANT, "admin"],
        APPROVALS=json.dumps(approvals),
        NAME=f"Method Agent {whose}",
    )
    seen = json.loads(line)
    assert "billing-agent" in seen.pop("agents")
    assert seen == {
        "stats": ["activeAgents", "intentsToday", "pendingApprovals", "valueGenerated"],
        "intents": 5,
        "registered": f"method-agent-{whose}",
        "metrics": "billing-agent",
        "approved": "approved",
        "rejected": "rejected",
        "audit": True,
        "verified": True,
        "intent": True,
        "error": "AGENT_NOT_FOUND",
    }


ITS_IMPORTS = "import os\nfrom intended import ApiError, ValidationError\n"
"""What the guide's function uses and does not define."""

ITS_CALLS = """
import json
good = {'type': 'billing.send_invoice', 'domain': 'billing', 'agentId': 'billing-agent', 'params': {'amount': 99.99}}
seen = [sorted(submit_intent(good))]
for bad in ({'domain': 'billing'}, good | {'agentId': 'no-such-agent'}):
    try:
        submit_intent(bad)
    except (ApiError, ValidationError) as error:
        seen.append([type(error).__name__, error.code, [one['path'] for one in error.details or ()]])
print(json.dumps(seen))
"""


@pytest.mark.parametrize("row", rows_of("python.py::test_the_guides_function_runs_as_written"), ids=lambda row: row.id)
def test_the_guides_function_runs_as_written(row: Row, service: Service, tmp_path: Path) -> None:
    """With our error classes in the place of the ones that it leaves to the reader."""
    code = ITS_IMPORTS + row.text + ITS_CALLS
    [line] = run(tmp_path, code, service, INTENDEDOPS_API_KEY=service.keys[TENANT, "operator"])
    created, invalid, unknown = json.loads(line)
    assert {"intentId", "status", "createdAt"} <= set(created)
    assert invalid == ["ValidationError", "VALIDATION_ERROR", [["type"], ["agentId"]]]
    assert unknown == ["ApiError", "AGENT_NOT_FOUND", []]


@pytest.mark.parametrize(
    "row", [row for row in rows_of("python.py::test_the_quick_start_runs_as_written") if "print" in row.text]
)
def test_the_quick_start_runs_as_written(row: Row, service: Service, tmp_path: Path) -> None:
    """The first lines that anybody tries."""
    code = row.text.replace("mrt_live_...", service.keys["tenant-a", "operator"])
    [line] = run(tmp_path, code, service)
    assert line in {"ALLOW", "DENY", "ESCALATE"}


def test_the_quick_start_denies_where_nobody_answers(service: Service, tmp_path: Path) -> None:
    """Fail closed, as the documents say; and without the variable the address is this machine's."""
    [row] = [row for row in rows_of("python.py::test_the_quick_start_runs_as_written") if "print" in row.text]
    nobody = Service(url="http://127.0.0.1:9", folder=tmp_path)
    assert run(tmp_path, row.text + "\nprint(decision.reason)", nobody)[0] == "DENY"


FIVE_LINES = """
from gateway import create_intended_gateway

gateway = create_intended_gateway(
    api_key="mrt_live_...",
    tenant_id="tenant-a",
    upstream="http://localhost:8080/mcp",
)
"""


async def calls(url: str) -> list[tuple[bool, str]]:
    """Call two tools with a client that sends no credential."""
    found = []
    async with Client(url) as client:
        for name, arguments in (("notes.search", {"q": "invoice"}), ("files.delete", {"path": "/etc/passwd"})):
            result = await client.call_tool(name, arguments)
            text = "".join(block.text for block in result.content if isinstance(block, TextContent))
            found.append((bool(result.is_error), text))
    return found


def test_the_five_lines_of_the_gateway_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The TypeScript in Python's words; the agent is pointed to its URL and sends no header."""
    rows = rows_of("python.py::test_the_five_lines_of_the_gateway_in_python")
    [theirs] = [row.text for row in rows if "createIntendedGateway({" in row.text]
    for value in ('"mrt_live_..."', '"tenant-a"', '"http://localhost:8080/mcp"'):
        assert value in theirs
        assert value in FIVE_LINES
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    upstream = DemoUpstream()
    names: dict[str, Any] = {}
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running(upstream)) as address,
    ):
        exec(FIVE_LINES.replace("http://localhost:8080/mcp", address), names)
        with names["gateway"] as gateway:
            allowed, denied = portal.call(calls, gateway.url)
    assert not allowed[0]
    assert "Invoice" in allowed[1]
    assert denied[0]
    assert "deny-protected-paths" in denied[1]
    assert upstream.record == ["notes.search"]
