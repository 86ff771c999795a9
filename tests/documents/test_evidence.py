"""The evidence bundle of the reference: downloaded as the page writes it, checked by who has only the file."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import jsonschema
import pytest
from mcp import Client

from gateway.app import Gateway
from gateway.demo.upstream import DemoUpstream, running
from gateway.services.audit_query import export
from gateway.services.operator import operator
from gateway.serving import serving
from gateway.settings import HoldSettings, Settings, UpstreamSettings
from intended.evidence import verify
from intended.evidence.keys import key_of
from tests.documents.evidence import PAGE, schema_text
from tests.documents.live import Service, environment
from tests.documents.rows import Row, rows_of

ROOT = Path(__file__).parents[2]
X = "tenant_xyz"


def block() -> str:
    """Return the shell lines of the page."""
    [text] = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "evidence.md").read_text("utf-8"), re.DOTALL)
    return str(text)


def story(service: Service) -> dict[str, str]:
    """Have one intent denied, and one approved by somebody else; return their ids by what came of them."""
    with service.client(X, "agent") as agent, service.client(X, "operator") as human:
        leaking = {"action": "refund the payment", "actor": "bot", "metadata": {"password": "hunter2-hunter2"}}
        denied = agent.post("/intent", json=leaking).json()
        assert denied["decision"] == "DENY", denied
        asked = agent.post("/intent", json={"action": "refund the payment", "actor": "bot"}).json()
        assert asked["decision"] == "ESCALATE", asked
        yes = {"intentId": asked["intentId"], "decision": "approve", "rationale": "agreed"}
        assert human.post("/authority/approval", json=yes).is_success
        assert agent.get(f"/intent/{asked['intentId']}").json()["token"]
        done = agent.post(f"/intent/{asked['intentId']}/outcome", json={"status": "completed"})
        assert done.is_success, done.text
    return {"rejected": denied["intentId"], "completed": asked["intentId"]}


def run(script: str, folder: Path, **given: str) -> "subprocess.CompletedProcess[str]":
    python = f'python() {{ "{sys.executable}" "$@"; }}\n'
    return subprocess.run(
        ["bash", "-uc", python + script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(PYTHONPATH=str(ROOT), **given),
        check=False,
    )


@pytest.mark.parametrize("row", rows_of("test_a_bundle_is_downloaded_and_checked"), ids=lambda row: row.id)
def test_a_bundle_is_downloaded_and_checked(row: Row, service: Service, tmp_path: Path) -> None:
    """ALLOW after a human's yes, and DENY; a file in which one word was changed is refused."""
    assert "HMAC-signed evidence bundle" in row.text
    for status, intent in story(service).items():
        given = {"INTENT": intent, "INTENDED_URL": service.url, "INTENDED_KEY": service.keys[X, "admin"]}
        done = run(block(), tmp_path, **given)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"verified: intent {intent} of tenant {X}" in done.stdout
        bundle = tmp_path / "evidence.json"
        document = json.loads(bundle.read_bytes())
        assert (document["status"], len(document["hmac"])) == (status, 64)
        assert "hunter2" not in bundle.read_text("utf-8")
        bundle.write_text(bundle.read_text("utf-8").replace("refund", "payout"), "utf-8")
        changed = run("python -m intended.evidence evidence.json --key keys.json", tmp_path)
        assert (changed.returncode, "NOT VALID: signature" in changed.stdout) == (4, True)


def test_a_bundle_has_the_schema_of_the_page(service: Service) -> None:
    """Another language's checker is written from it; `python -m tests.documents.evidence` writes it anew."""
    assert PAGE.read_text("utf-8") == schema_text()
    schema = json.loads(schema_text())
    with service.client(X, "admin") as client:
        for intent in story(service).values():
            jsonschema.validate(client.get(f"/v1/intent/{intent}/evidence-bundle").json(), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({}, schema)


async def test_calls_by_mcp_are_evidence_too(tmp_path: Path) -> None:
    """The demo's calls: one that is allowed, one denied, one that a human allows; against the whole chain."""
    by = operator("default")
    refund = {"amount": 900, "to": "ACME"}
    async with running(DemoUpstream()) as url:
        settings = Settings(
            port=0,
            data=tmp_path / "data",
            state=tmp_path / "state",
            holds=HoldSettings(leg_s=0),
            upstreams={"default": UpstreamSettings(url=url)},
        )
        async with (
            Gateway.open(settings) as gateway,
            serving(gateway, settings) as served,
            Client(f"{served.url}/mcp") as client,
        ):
            await client.call_tool("notes.search", {"q": "invoice"})
            await client.call_tool("files.delete", {"path": "/etc/passwd"})
            await client.call_tool("payments.refund", refund)
            [listed] = (await gateway.known.approval_list.list(by, page=1, page_size=10)).items
            await gateway.known.approvals.resolve(by, approval_id=listed.approval.id, approve=True, rationale="agreed")
            await client.call_tool("payments.refund", refund)
            decided = [one async for one in gateway._store.read("default")]
            intents = dict.fromkeys(json.loads(one.content)["intentId"] for one in decided)
            local = httpx.ASGITransport(gateway.operator)
            async with httpx.AsyncClient(transport=local, base_url="http://localhost") as at:
                asked = {"headers": {"x-tenant-id": "default"}}
                bundles = [(await at.get(f"/intent/{one}/evidence-bundle", **asked)).content for one in intents if one]
            lines = [line async for line in export(gateway._store, "default")]
            keys = [key_of(one) for one in gateway.known.tokens.checkable("default")["keys"]]
    reasons = []
    for raw in bundles:
        report = verify(raw, keys=keys, export=lines)
        assert report.trusted, report.failed
        reasons.append(json.loads(raw)["decision"]["reason"])
    assert reasons == ["policy-allow", "policy-deny", "approved"]
