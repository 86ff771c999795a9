"""An agent whose key has a human's role says yes to another's calls: what an agent holds is no human's."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Gateway
from gateway.core.principal import Role
from gateway.services.operator import operator
from gateway.settings import Settings

POLICY = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, match: {methods: ["*"]}, reason: money}
"""
LEASE = {"minutes": 5, "uses": 5}


def answers(approval: str, intent: str) -> list[tuple[str, dict[str, Any]]]:
    """Return every way by REST to answer an approval."""
    return [
        (f"/v1/approvals/{approval}/approve", {}),
        (f"/v1/approvals/{approval}/approve", {"lease": LEASE}),
        (f"/v1/approvals/{approval}/reject", {}),
        ("/authority/approval", {"escalationId": approval, "decision": "approve"}),
        ("/authority/approval", {"intentId": intent, "decision": "approve", "lease": LEASE}),
        ("/authority/approval", {"intentId": intent, "decision": "reject"}),
    ]


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN])
async def test_an_agents_key_answers_no_approval_by_any_door(tmp_path: Path, role: Role) -> None:
    """The approval stays pending, nothing gets a token, and a human's key answers it afterwards."""
    policies = tmp_path / "policy.yaml"
    policies.write_text(POLICY)
    settings = Settings(port=0, data=tmp_path / "data", state=tmp_path / "state", policies=policies)
    async with Gateway.open(settings) as opened:
        keys, cli = opened.known.keys, operator("default")
        payer, accomplice, human = [
            {"x-api-key": (await keys.create(cli, tenant="default", name=name, role=role, agent=agent)).secret}
            for name, role, agent in (("p", Role.AGENT, "payer"), ("a", role, "accomplice"), ("h", Role.OPERATOR, ""))
        ]
        transport = httpx.ASGITransport(opened.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            body = {"action": "pay a bill", "actor": "payer"}
            asked = (await client.post("/intent", json=body, headers=payer)).json()
            intent = f"/v1/intents/{asked['intentId']}"
            approval = (await client.get(intent, headers=human)).json()["data"]["approvalId"]
            for path, said in answers(approval, asked["intentId"]):
                answer = await client.post(path, json=said, headers=accomplice)
                assert answer.status_code == 403, (path, answer.text)
            after = (await client.get(intent, headers=payer)).json()["data"]
            assert after["status"] == "pending", after
            answer = await client.post(f"/v1/approvals/{approval}/approve", json={}, headers=human)
            assert (answer.status_code, answer.json()["data"]["status"]) == (200, "approved")
