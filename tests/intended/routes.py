"""Every method of the clients: what it is called with, what it sends, what it may be answered, what it returns.

`test_client.py` and `test_aio.py` both go through this table, so that the two clients cannot drift apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from intended.records import TierThreshold
from tests.intended.answering import ALLOW, without

INTENT = without(ALLOW, "token") | {"status": "approved"}
APPROVAL = {"id": "apr_1", "status": "approved", "intentId": "int_1"}
AGENT = {"id": "agt_1", "slug": "billing-agent", "name": "Billing Agent"}
TRUST = {
    "agentId": "agt_1",
    "agent": "billing-agent",
    "tier": "T1",
    "score": 34,
    "ceiling": "T3",
    "frozen": False,
    "pinned": False,
    "since": "2026-11-22",
    "failuresInRow": 2,
    "version": 3,
}
SWITCH = {
    "kind": "agent",
    "name": "billing-agent",
    "reason": "amok",
    "by": "usr_1",
    "since": "2026-11-22T10:00:00.000Z",
}
THRESHOLDS = {"tenantId": "tenant123", "tiers": {"T0": {"allowBelow": 30, "denyFrom": 90}}, "version": 3}
ENTRY = {"id": "evt_1", "eventType": "call.decided", "timestamp": "2026-11-22T10:00:00.000Z", "sequence": 1}
EVENT = {"id": "evt_1", "type": "call.decided", "timestamp": "2026-11-22T10:00:00.000Z", "sequence": 1}
VALID = {"valid": True, "eventCount": 7}
KEY = {"id": "key_1", "name": "ci", "scopes": ["intents:write"]}
PAGE = {"total": 1, "page": 1, "pageSize": 20}
AGENT_INTENT = {
    "intentId": "int_1",
    "authorityDecision": {"decision": "DENY", "riskScore": 90, "confidence": 1},
    "explanation": "no",
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method: its arguments, the request that it makes, an answer, and what is looked at in its result."""

    method: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    sends: str
    body: Any = None
    answer: Any
    status: int = 200
    found: Callable[[Any], Any]
    expected: Any


def _ops(value: Any) -> dict[str, Any]:
    return {"data": value}


ROUTES = (
    Route(
        method="submit_intent",
        keywords={
            "action": "deploy to production",
            "actor": "github-actions",
            "system": "github",
            "metadata": {"repo": "acme/frontend"},
            "idempotency_key": "deploy-1",
        },
        sends="POST /intent",
        body={
            "action": "deploy to production",
            "actor": "github-actions",
            "system": "github",
            "metadata": {"repo": "acme/frontend"},
            "idempotencyKey": "deploy-1",
        },
        answer=ALLOW,
        found=lambda decision: decision.verdict,
        expected="ALLOW",
    ),
    Route(
        method="submit_intent",
        keywords={"action": {"type": "code.deploy", "params": {"to": "production"}}, "actor": "ci"},
        sends="POST /intent",
        body={"action": {"type": "code.deploy", "params": {"to": "production"}}, "actor": "ci"},
        answer=ALLOW,
        found=lambda decision: decision.token,
        expected=ALLOW["token"],
    ),
    Route(
        method="submit_agent_intent",
        keywords={"proposed_action": "mcp.tool.search", "actor": "mcp-agent", "metadata": {"tool": "search"}},
        sends="POST /agent-intent",
        body={
            "tenantId": "tenant123",
            "actor": {"id": "mcp-agent", "type": "service"},
            "proposedAction": "mcp.tool.search",
            "metadata": {"tool": "search"},
        },
        answer=AGENT_INTENT,
        found=lambda decision: decision.reason,
        expected="no",
    ),
    Route(
        method="get_intent",
        arguments=("int_abc123",),
        sends="GET /intent/int_abc123",
        answer=INTENT,
        found=lambda intent: (intent.id, intent.status, intent.decision.verdict),
        expected=("int_abc123", "approved", "ALLOW"),
    ),
    Route(
        method="report_outcome",
        arguments=("int_1", "failed"),
        keywords={"error": "no such branch"},
        sends="POST /intent/int_1/outcome",
        body={"status": "failed", "error": "no such branch"},
        answer=INTENT | {"status": "failed"},
        found=lambda intent: intent.status,
        expected="failed",
    ),
    Route(
        method="create_intent",
        arguments=("billing.send_invoice", "billing", "billing-agent"),
        keywords={
            "params": {"amount": 99.99},
            "description": "d",
            "justification": "j",
            "idempotency_key": "i",
        },
        sends="POST /v1/intents",
        body={
            "type": "billing.send_invoice",
            "domain": "billing",
            "agentId": "billing-agent",
            "params": {"amount": 99.99},
            "description": "d",
            "justification": "j",
            "idempotencyKey": "i",
        },
        answer=_ops({"intentId": "int_1", "status": "pending", "createdAt": "t"}),
        status=201,
        found=lambda created: (created.intent_id, created.status, created.token),
        expected=("int_1", "pending", None),
    ),
    Route(
        method="list_intents",
        keywords={
            "page": 2,
            "page_size": 50,
            "status": "pending",
            "agent_id": "billing-agent",
            "domain": "billing",
            "intent_type": "billing.send_invoice",
            "from_date": "2026-01-01",
            "to_date": "2026-02-01",
        },
        sends="GET /v1/intents?page=2&pageSize=50&status=pending&agentId=billing-agent&domain=billing"
        "&type=billing.send_invoice&fromDate=2026-01-01&toDate=2026-02-01",
        answer=_ops({"items": [{"id": "int_1", "status": "pending"}]} | PAGE),
        found=lambda page: ([one.id for one in page], page.total),
        expected=(["int_1"], 1),
    ),
    Route(
        method="list_approvals",
        keywords={"status": "approved"},
        sends="GET /v1/approvals?status=approved",
        answer=_ops({"items": [APPROVAL]}),
        found=lambda page: page.items[0].intent_id,
        expected="int_1",
    ),
    Route(
        method="get_approval",
        arguments=("apr_1",),
        sends="GET /v1/approvals/apr_1",
        answer=_ops(APPROVAL | {"resolution": "seen"}),
        found=lambda approval: approval.rationale,
        expected="seen",
    ),
    Route(
        method="approve",
        arguments=("apr_1",),
        keywords={"reason": "seen"},
        sends="POST /v1/approvals/apr_1/approve",
        body={"reason": "seen"},
        answer=_ops(APPROVAL),
        found=lambda approval: approval.status,
        expected="approved",
    ),
    Route(
        method="reject",
        arguments=("apr_1",),
        sends="POST /v1/approvals/apr_1/reject",
        body={},
        answer=_ops(APPROVAL | {"status": "rejected"}),
        found=lambda approval: approval.status,
        expected="rejected",
    ),
    Route(
        method="record_approval",
        arguments=("approve",),
        keywords={"intent_id": "int_1", "rationale": "seen", "approver": "mara"},
        sends="POST /authority/approval",
        body={"intentId": "int_1", "decision": "approve", "rationale": "seen", "approver": "mara"},
        answer={"escalationId": "apr_1", "intentId": "int_1", "status": "denied", "rationale": "no"},
        found=lambda approval: (approval.id, approval.status, approval.rationale),
        expected=("apr_1", "rejected", "no"),
    ),
    Route(
        method="register_agent",
        arguments=("Billing Agent",),
        keywords={"description": "d", "domains": ("billing",), "intent_types": ["billing.send_invoice"]},
        sends="POST /v1/agents",
        body={
            "name": "Billing Agent",
            "description": "d",
            "domains": ["billing"],
            "intentTypes": ["billing.send_invoice"],
        },
        answer=_ops(AGENT),
        status=201,
        found=lambda agent: agent.slug,
        expected="billing-agent",
    ),
    Route(
        method="list_agents",
        sends="GET /v1/agents",
        answer=_ops({"items": [AGENT]} | PAGE),
        found=lambda page: [one.name for one in page],
        expected=["Billing Agent"],
    ),
    Route(
        method="get_agent",
        arguments=("billing-agent",),
        sends="GET /v1/agents/billing-agent",
        answer=_ops(AGENT),
        found=lambda agent: agent.id,
        expected="agt_1",
    ),
    Route(
        method="agent_metrics",
        arguments=("agt_1",),
        sends="GET /v1/agents/agt_1/metrics",
        answer=_ops({"agentId": "agt_1", "intentsTotal": 3}),
        found=lambda metrics: (metrics.agent_id, metrics.intents_total),
        expected=("agt_1", 3),
    ),
    Route(
        method="timeline",
        keywords={
            "actor": "ci",
            "system": "github",
            "start": "2026-01-01",
            "end": "2026-02-01",
            "limit": 5,
            "cursor": 9,
        },
        sends="GET /audit/tenant123/timeline?actor=ci&system=github&to=2026-02-01&cursor=9&limit=5&from=2026-01-01",
        answer={"events": [EVENT], "nextCursor": 2},
        found=lambda line: (line.events[0].type, line.next_cursor),
        expected=("call.decided", 2),
    ),
    Route(
        method="verify_chain",
        sends="POST /audit/verify-chain",
        body={},
        answer={"valid": False, "eventCount": 7, "breakPoints": [{"sequence": 3, "expected": "a", "found": "b"}]},
        found=lambda report: (report.valid, report.breaks[0].sequence),
        expected=(False, 3),
    ),
    Route(
        method="query_audit",
        keywords={"event_type": "call.decided", "from_date": "2026-01-01", "to_date": "2026-02-01"},
        sends="GET /v1/audit?eventType=call.decided&fromDate=2026-01-01&toDate=2026-02-01",
        answer=_ops({"items": [ENTRY]} | PAGE),
        found=lambda page: page.items[0].sequence,
        expected=1,
    ),
    Route(
        method="verify_audit_chain",
        sends="GET /v1/audit/verify",
        answer=_ops(VALID | {"breaks": []}),
        found=lambda report: (report.valid, report.event_count),
        expected=(True, 7),
    ),
    Route(
        method="get_thresholds",
        sends="GET /authority/thresholds/tenant123",
        answer=THRESHOLDS,
        found=lambda table: (table.version, table.tiers["T0"].allow_below),
        expected=(3, 30),
    ),
    Route(
        method="put_thresholds",
        arguments=({"T0": TierThreshold(allow_below=20, deny_from=80)},),
        keywords={"version": 3, "tenant_id": "acme"},
        sends="PUT /authority/thresholds/acme",
        body={"tiers": {"T0": {"allowBelow": 20, "denyFrom": 80}}, "version": 3},
        answer=THRESHOLDS,
        found=lambda table: table.tenant_id,
        expected="tenant123",
    ),
    Route(
        method="agent_trust",
        arguments=("billing-agent",),
        sends="GET /v1/agents/billing-agent/trust",
        answer={"data": TRUST},
        found=lambda trust: (trust.agent_id, trust.agent, trust.tier, trust.score, trust.failures_in_row),
        expected=("agt_1", "billing-agent", "T1", 34, 2),
    ),
    Route(
        method="change_trust",
        arguments=("billing-agent",),
        keywords={"reason": "reviewed", "frozen": False, "ceiling": "T3", "version": 2},
        sends="PUT /v1/agents/billing-agent/trust",
        body={"frozen": False, "ceiling": "T3", "reason": "reviewed"},
        answer={"data": TRUST},
        found=lambda trust: (trust.ceiling, trust.frozen, trust.pinned, trust.version, trust.raw["since"]),
        expected=("T3", False, False, 3, "2026-11-22"),
    ),
    Route(
        method="change_trust",
        arguments=("billing-agent",),
        keywords={"reason": "an audit", "frozen": True},
        sends="PUT /v1/agents/billing-agent/trust",
        body={"frozen": True, "reason": "an audit"},
        answer={"data": TRUST | {"frozen": True}},
        found=lambda trust: trust.frozen,
        expected=True,
    ),
    Route(
        method="switches",
        sends="GET /switches",
        answer={"switches": [SWITCH]},
        found=lambda switches: [(one.kind, one.name, one.reason, one.by, one.since) for one in switches],
        expected=[tuple(SWITCH.values())],
    ),
    Route(
        method="throw_switch",
        arguments=("agent", "billing-agent"),
        keywords={"reason": "amok"},
        sends="PUT /switches/agent/billing-agent",
        body={"reason": "amok"},
        answer=SWITCH,
        found=lambda switch: switch.name,
        expected="billing-agent",
    ),
    Route(
        method="release_switch",
        arguments=("tenant", "acme"),
        keywords={"reason": "all clear & fixed"},
        sends="DELETE /switches/tenant/acme?reason=all+clear+%26+fixed",
        answer=SWITCH | {"kind": "tenant", "name": "acme"},
        found=lambda switch: switch.kind,
        expected="tenant",
    ),
    Route(
        method="connectors",
        sends="GET /connectors",
        answer={"connectors": [{"id": "default", "status": "healthy"}]},
        found=lambda found: [(one.id, one.status) for one in found],
        expected=[("default", "healthy")],
    ),
    Route(
        method="test_connector",
        arguments=("default",),
        sends="POST /connectors/default/test",
        body={},
        answer={"id": "default", "status": "healthy", "latencyMs": 3.5},
        found=lambda test: test.latency_ms,
        expected=3.5,
    ),
    Route(
        method="stats",
        sends="GET /v1/stats",
        answer=_ops({"intentsToday": 145, "pendingApprovals": 12, "activeAgents": 5, "valueGenerated": 5420.00}),
        found=lambda stats: (stats.intents_today, stats.pending_approvals, stats.active_agents, stats.value_generated),
        expected=(145, 12, 5, 5420.0),
    ),
    Route(
        method="health",
        sends="GET /health",
        answer={"status": "unhealthy", "version": "0.1.0", "uptime": 3, "timestamp": "t", "data": {}},
        status=503,
        found=lambda health: (health.status, health.healthy, health.uptime),
        expected=("unhealthy", False, 3),
    ),
    Route(
        method="create_key",
        arguments=("ci",),
        keywords={
            "scopes": ("intents:write",),
            "role": "agent",
            "agent": "ci",
            "plan": "free",
            "per_minute": 5,
            "expires": "t",
        },
        sends="POST /keys",
        body={
            "name": "ci",
            "scopes": ["intents:write"],
            "role": "agent",
            "agent": "ci",
            "plan": "free",
            "perMinute": 5,
            "expires": "t",
        },
        answer=KEY | {"key": "mrt_live_s3cret"},
        status=201,
        found=lambda created: (created.key.id, created.secret, "s3cret" in repr(created), "key" in created.key.raw),
        expected=("key_1", "mrt_live_s3cret", False, False),
    ),
    Route(
        method="list_keys",
        sends="GET /keys",
        answer={"keys": [KEY]},
        found=lambda keys: keys[0].scopes,
        expected=("intents:write",),
    ),
    Route(
        method="revoke_key",
        arguments=("key_1",),
        sends="POST /keys/key_1/revoke",
        body={},
        answer=KEY | {"revokedAt": "t"},
        found=lambda key: key.revoked_at,
        expected="t",
    ),
    Route(
        method="rotate_key",
        arguments=("key_1",),
        keywords={"overlap_s": 60},
        sends="POST /keys/key_1/rotate",
        body={"overlapSeconds": 60},
        answer=KEY | {"key": "mrt_live_new"},
        found=lambda created: created.secret,
        expected="mrt_live_new",
    ),
    Route(
        method="create_user",
        arguments=("Mara",),
        keywords={"role": "operator"},
        sends="POST /users",
        body={"name": "Mara", "role": "operator"},
        answer={"id": "usr_1", "name": "Mara", "role": "operator"},
        status=201,
        found=lambda user: user.role,
        expected="operator",
    ),
    Route(
        method="list_users",
        sends="GET /users",
        answer={"users": [{"id": "usr_1"}]},
        found=lambda users: users[0].id,
        expected="usr_1",
    ),
    Route(
        method="change_user",
        arguments=("usr_1",),
        keywords={"disabled": True},
        sends="PATCH /users/usr_1",
        body={"disabled": True},
        answer={"id": "usr_1", "disabled": True},
        found=lambda user: user.disabled,
        expected=True,
    ),
    Route(
        method="make_login_link",
        arguments=("usr_1",),
        sends="POST /users/usr_1/login-link",
        body={},
        answer={"userId": "usr_1", "code": "s3cret", "expiresAt": "t"},
        status=201,
        found=lambda link: (link.code, "s3cret" in repr(link)),
        expected=("s3cret", False),
    ),
    Route(
        method="open_session",
        arguments=("s3cret",),
        sends="POST /portal/sessions",
        body={"code": "s3cret"},
        answer={"sessionId": "ps_1", "id": "pse_1", "userId": "usr_1", "role": "operator", "expiresAt": "t"},
        status=201,
        found=lambda session: (session.session_id, "ps_1" in repr(session)),
        expected=("ps_1", False),
    ),
    Route(
        method="close_session",
        sends="DELETE /portal/sessions/current",
        answer={"id": "pse_1", "userId": "usr_1"},
        found=lambda nothing: nothing,
        expected=None,
    ),
    Route(
        method="rotate_signing_keys",
        keywords={"revoke": True},
        sends="POST /authority/keys/rotate",
        body={"revoke": True},
        answer={"kid": "k2", "signsFrom": "t"},
        found=lambda key: (key.kid, key.signs_from),
        expected=("k2", "t"),
    ),
    Route(
        method="jwks",
        sends="GET /.well-known/jwks/tenant123.json",
        answer={"keys": [{"kty": "RSA"}]},
        found=lambda keys: keys["keys"],
        expected=[{"kty": "RSA"}],
    ),
)
