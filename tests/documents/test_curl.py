"""Every `curl` line of the documents, run as written: only host, key, ids and registered agents are our own."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.documents.live import Service, run_shell
from tests.documents.rows import OPS, Row, rows_of

Expectation = Callable[[int, Any], None]

KEYS = {"intendedops_tenant123_xK9mN2pQ7rS4tU6v": "admin", "your-api-key": "admin", "mrt_live_abc123": "agent"}
"""Literal keys of the documents, and the role of ours that takes their place."""

INTENT_FIELDS = {"intentId", "status", "createdAt"}


def _health(status: int, body: Any) -> None:
    assert status == 200
    assert body["data"]["status"] == "healthy"


def _stats(status: int, body: Any) -> None:
    assert status == 200
    assert set(body["data"]) >= {"intentsToday", "pendingApprovals", "activeAgents", "valueGenerated"}


def _registered(status: int, body: Any) -> None:
    """The suite's own billing agent has the slug already, which the contract answers on `name`."""
    assert (status, body["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert body["error"]["details"][0]["path"] == ["name"]


def _created(status: int, body: Any) -> None:
    assert status == 201
    assert set(body["data"]) >= INTENT_FIELDS
    assert body["data"]["intentId"].startswith("int_")
    assert body["data"]["status"] in {"pending", "approved"}


def _decided(status: int, body: Any) -> None:
    assert status == 200
    assert body["decision"] in {"ALLOW", "ESCALATE"}
    assert ("token" in body and body["token"] is not None) == (body["decision"] == "ALLOW")


def _listed(status: int, body: Any) -> None:
    assert status == 200
    assert body["data"]["pageSize"] == 50
    assert {"id", "type", "domain", "status", "params", "createdAt"} <= set(body["data"]["items"][0])


def _waiting(status: int, body: Any) -> None:
    assert status == 200
    assert body["data"]["items"]
    assert all(one["id"].startswith("apr_") for one in body["data"]["items"])


def _resolved(state: str) -> Expectation:
    def check(status: int, body: Any) -> None:
        assert status == 200
        assert body["data"]["status"] == state

    return check


def _verified(status: int, body: Any) -> None:
    assert status == 200
    assert body["data"]["valid"] is True
    assert body["data"]["eventCount"] > 0


EXPECTED: dict[str, Expectation] = {
    "curl/key-in-header": _stats,
    "curl/separate-tenant": _stats,
    "curl/health": _health,
    "curl/stats": _stats,
    "curl/register-agent": _registered,
    "curl/submit-intent": _created,
    "curl/sales-create-opportunity": _created,
    "curl/compliance-process-dsar": _created,
    "curl/identity-initiate-access-review": _created,
    "curl/contracts-send-for-signature": _created,
    "curl/list-intents": _listed,
    "curl/pending-approvals": _waiting,
    "curl/approve": _resolved("approved"),
    "curl/reject": _resolved("rejected"),
    "curl/verify-audit": _verified,
    "curl/intent": _decided,
}


@pytest.mark.parametrize("row", rows_of("test_the_line_runs_as_written"), ids=lambda row: row.id)
def test_the_line_runs_as_written(row: Row, service: Service) -> None:
    """A newcomer pastes these lines first."""
    tenant = "tenant123" if row.document == OPS else "tenant_xyz"
    _, approval = service.escalated("tenant123", row.id)
    replaced = {text: service.keys[tenant, role] for text, role in KEYS.items()}
    status, body = run_shell(row, service, {**replaced, "apr_123": approval}, service.keys[tenant, "admin"])
    EXPECTED[row.id](status, body)


def test_the_line_that_registers_an_agent_registers_it_where_it_is_new(service: Service) -> None:
    """The same line in a tenant that has no such agent."""
    (row,) = (row for row in rows_of("test_the_line_runs_as_written") if row.id == "curl/register-agent")
    key = service.keys["tenant-a", "admin"]
    status, body = run_shell(row, service, {"intendedops_tenant123_xK9mN2pQ7rS4tU6v": key}, key)
    assert status == 201
    assert body["data"]["slug"] == "billing-agent"
    assert sorted(body["data"]["intentTypes"]) == ["billing.collect_payment", "billing.send_invoice"]
