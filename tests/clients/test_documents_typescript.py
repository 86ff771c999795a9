"""The guide's TypeScript, run by Node as written: only the host is ours; what a snippet leaves out comes first."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import CALL_SECONDS, Environments
from tests.documents import live
from tests.documents.conftest import behind_upstream
from tests.documents.rows import Row, rows_of

pytestmark = pytest.mark.clients

TENANT = "tenant123"
ERRORS = """
class ApiError extends Error { constructor(public code: string, message: string) { super(message); } }
class ValidationError extends Error { constructor(message: string, public details: any) { super(message); } }
class NotFoundError extends Error {}
type CreateIntentRequest = any; type Intent = any;
const slept: number[] = [];
const sleep = async (ms: number) => { slept.push(ms); };
"""
"""What the guide's functions use and do not define. Sleeping is noted and not done: no test waits for a minute."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Service]:
    with behind_upstream(tmp_path_factory.mktemp("typescript")) as started:
        live.register_agents(started, TENANT)
        yield started


def run(environments: Environments, folder: Path, code: str, service: live.Service, key: str) -> list[str]:
    """Run TypeScript with Node's own type stripping; return the lines that it printed."""
    for host in live.HOSTS:
        code = code.replace(host, service.url)
    (folder / "snippet.mts").write_text(code, encoding="utf-8")
    ran = subprocess.run(
        [environments.node, "--no-warnings", "--experimental-transform-types", "snippet.mts"],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=CALL_SECONDS,
        env=live.environment(INTENDEDOPS_API_KEY=key),
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize(
    "row", rows_of("typescript.py::test_the_guides_client_runs_as_written"), ids=lambda row: row.id
)
def test_the_guides_client_runs_as_written(
    row: Row, environments: Environments, service: live.Service, tmp_path: Path
) -> None:
    """Its own usage: stats, an intent, the pending approvals."""
    _, approval = service.escalated(TENANT, row.id)
    lines = run(environments, tmp_path, row.text, service, service.keys[TENANT, "admin"])
    assert lines[0].startswith("Pending approvals: ")
    assert int(lines[0].rpartition(" ")[2]) >= 1
    assert lines[1].startswith("Created intent: int_")
    assert f"Pending approval: {approval}" in lines


CALLS = """
const seen: any[] = [];
const good = {type: 'billing.send_invoice', domain: 'billing', agentId: 'billing-agent', params: {amount: 99.99}};
seen.push(await submitIntent(good));
for (const bad of [{domain: 'billing'}, {...good, agentId: 'no-such-agent'}, {...good, idempotencyKey: 7}]) {
  try { await submitIntent(bad); seen.push('accepted'); }
  catch (error: any) { seen.push({kind: error.constructor.name, message: error.message, details: error.details}); }
}
console.log(JSON.stringify(seen));
"""


@pytest.mark.parametrize("row", rows_of("test_the_guides_function_runs"), ids=lambda row: row.id)
def test_the_guides_function_runs(row: Row, environments: Environments, service: live.Service, tmp_path: Path) -> None:
    """An answer, and each error of its switch that a caller can bring about."""
    key = service.keys[TENANT, "admin"]
    (line,) = run(environments, tmp_path, ERRORS + row.text + CALLS, service, key)
    made, missing, unknown, ill_typed = json.loads(line)
    assert made["intentId"].startswith("int_")
    assert missing["kind"] == "ValidationError"
    assert [one["path"] for one in missing["details"]] == [["type"], ["agentId"]]
    assert (unknown["kind"], unknown["message"]) == ("NotFoundError", "Agent not found")
    assert (ill_typed["kind"], ill_typed["details"][0]["path"]) == ("ValidationError", ["idempotencyKey"])


RETRIED = """
const keys = [process.env.INTENDEDOPS_API_KEY!.split(' ')[0], process.env.INTENDEDOPS_API_KEY!.split(' ')[1]];
let asked = 0;
const stats = await withRetry(async () => {
  const answer = await fetch('https://api.intendedops.dev/v1/stats', {headers: {'x-api-key': keys[asked++ ? 1 : 0]}});
  const result = await answer.json();
  if (!answer.ok) throw new ApiError(result.error.code, result.error.message);
  return result.data;
});
console.log(JSON.stringify({asked, slept, stats}));
"""


@pytest.mark.parametrize("row", rows_of("test_the_guides_retry_gets_through_a_limit"), ids=lambda row: row.id)
def test_the_guides_retry_gets_through_a_limit(
    row: Row, environments: Environments, service: live.Service, tmp_path: Path
) -> None:
    """A real 429 has the code that the guide's backoff looks for."""
    spent = service.make_key(TENANT, "viewer", plan="enterprise", perMinute=1)
    while httpx.get(f"{service.url}/v1/stats", headers={"x-api-key": spent}, timeout=30).status_code == 200:
        pass
    keys = f"{spent} {service.keys[TENANT, 'admin']}"
    (line,) = run(environments, tmp_path, ERRORS + row.text + RETRIED, service, keys)
    told = json.loads(line)
    assert "pendingApprovals" in told["stats"]
    assert told["asked"] == 1 + len(told["slept"])
    assert told["slept"] in ([], [1000])
