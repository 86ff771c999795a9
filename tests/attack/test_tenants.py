"""Two tenants on one gateway: whatever one of them sends, it neither sees nor changes anything of the other's.

The matrix is made of the routes themselves: every operation of the REST API, times every way to name the other tenant
that it has room for. A new operation joins by itself; one with a body has to say what a hostile body of it looks like.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.api import ops, ref
from gateway.api.operation import Operation
from gateway.app import Gateway
from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.credentials import KeyFormat
from gateway.core.lease_rows import Lease, lease_key
from gateway.core.leases import Leased
from gateway.core.principal import Role
from gateway.core.switches import SwitchKind
from gateway.identity.ids import RandomIds
from gateway.policyfiles.shipped import shipped_policy
from gateway.services.operator import operator
from gateway.settings import Settings, WebhookSettings

ALPHA, BETA = "alpha", "beta"
MARK = "zanzibar"
"""In every name and text of beta's, so that a leak shows."""
STOPPED = "stopped-bot"
"""An agent that both have and both have stopped: the name is a tenant's own."""

OPERATIONS = [
    operation
    for operation in (*ref.OPERATIONS, *ops.OPERATIONS)
    if not operation.public and not operation.path.startswith("/connectors")
]
"""Connectors are the gateway's own and equal for all; public operations have no tenant to cross."""


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """What one tenant has, by the way it is named."""

    name: str
    key: str
    session: str
    ids: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class House:
    """The gateway with both tenants in it."""

    client: httpx.AsyncClient
    alpha: Tenant
    beta: Tenant

    async def everything(self, tenant: Tenant) -> list[Any]:
        """Return all that the tenant can see of itself, but for the reading's own traces."""
        seen = []
        own = ("/keys", "/users", "/webhooks", "/switches", "/v1/leases", "/v1/budgets")
        for path in ("/v1/intents", "/v1/agents", "/v1/approvals", "/v1/audit", *own):
            answer = await self.client.get(path, headers={"x-api-key": tenant.key}, params=PAGE.get(path))
            assert answer.status_code == 200, answer.text
            body = answer.json()
            for item in body.get("data", body).get("keys", []):
                del item["lastUsedAt"]
            seen.append(body)
        thresholds = await self.client.get(f"/authority/thresholds/{tenant.name}", headers={"x-api-key": tenant.key})
        return [*seen, thresholds.json()]


BUDGETS = """
apiVersion: intended/v1
policySet: budgets
budgets:
  acts: {count: calls, per: agent, window: 31d, match: {methods: [prompts/get]}}
rules:
  - {id: many-acts, effect: escalate, match: {methods: [prompts/get]}, when: count.acts >= 10}
"""
"""What counts is nothing that the hostile requests could add to."""

PAGE = {path: {"pageSize": 100} for path in ("/v1/intents", "/v1/agents", "/v1/approvals", "/v1/audit")}


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    hooks = WebhookSettings(allow_hosts=("127.0.0.1",))
    policies = folder / "policies"
    policies.mkdir()
    (policies / "shipped.yaml").write_bytes(shipped_policy("default").read_bytes())
    (policies / "budgets.yaml").write_text(BUDGETS)
    settings = Settings(port=0, data=folder / "data", state=folder / "state", webhooks=hooks, policies=policies)
    async with Gateway.open(settings) as gateway:
        transport = httpx.ASGITransport(gateway.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            alpha = await furnished(gateway, client, ALPHA, "plain")
            beta = await furnished(gateway, client, BETA, MARK)
            yield House(client=client, alpha=alpha, beta=beta)


async def furnished(gateway: Gateway, client: httpx.AsyncClient, tenant: str, word: str) -> Tenant:
    """Give a tenant one of everything, each with the word in its name."""
    by = operator(tenant)
    made = await gateway.known.keys.create(
        by,
        tenant=tenant,
        name=f"{word} key",
        role=Role.ADMIN,
        plan="enterprise",
        per_minute=10**6,
        format=KeyFormat.MRT_LIVE,
    )
    user = await gateway.known.people.create(by, name=f"{word} user", role=Role.ADMIN)
    code = (await gateway.known.people.login_code(by, user.id)).code
    await gateway.known.switches.throw(by, SwitchKind.AGENT, STOPPED, reason=f"{word} reason")
    headers = {"x-api-key": made.secret}

    async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    session = (await post("/portal/sessions", {"code": code}))["sessionId"]
    agent = (await post("/v1/agents", {"name": f"{word} agent"}))["data"]
    asked = {"action": f"refund the payment of {word}", "actor": agent["slug"], "metadata": {"to": word}}
    intent = await post("/intent", asked)
    assert intent["decision"] == "ESCALATE", intent
    hook = await post("/webhooks", {"url": f"http://127.0.0.1:9/{word}", "description": f"{word} hook"})
    ids = {
        "lease": await leased(gateway, tenant, word),
        "budget": await spent(gateway, tenant, word),
        "intent": intent["intentId"],
        "approval": intent["escalationId"],
        "agent": agent["id"],
        "slug": agent["slug"],
        "key": made.record.id,
        "user": user.id,
        "webhook": hook["id"],
        "delivery": (await post(f"/webhooks/{hook['id']}/test", {}))["id"],
    }
    return Tenant(name=tenant, key=made.secret, session=session, ids=ids)


async def leased(gateway: Gateway, tenant: str, word: str) -> str:
    """Give a tenant a lease; none can be granted here, since there is no upstream with a tool."""
    id_ = RandomIds().new("lse")
    lease = Lease(
        **dict.fromkeys(
            ("agent", "upstream", "tool", "pin", "approval_id", "intent_id", "requested_by", "human"), word
        ),
        **dict.fromkeys(("granted_by", "claimed", "rationale"), word),
        id=id_,
        tenant=tenant,
        granted="2026-11-22T12:00:00.000Z",
        expires="2999-11-22T12:00:00.000Z",
        uses=1,
        fact=Leased(id=id_),
    )
    await gateway._store.append(
        EntryDraft(
            tenant=tenant,
            id=f"evt_{word}",
            type=EntryType.LEASE_GRANTED,
            time=lease.granted,
            puts=(Put(key=lease_key(id_), value=lease.written()),),
        )
    )
    return id_


SPENT = {"plain": 3, MARK: 4711}
"""So much of a budget has each spent."""


async def spent(gateway: Gateway, tenant: str, word: str) -> str:
    """Give an agent of a tenant an account of a budget, and return its name."""
    agent, bucket_s = f"{word}-spender", 31 * 86_400 // 60
    held = b"1 %d %d:%d" % (bucket_s, int(gateway._clock.now().timestamp()) // bucket_s, SPENT[word])
    await gateway._store.append(
        EntryDraft(
            tenant=tenant,
            id=f"evt_spent_{word}",
            type=EntryType.GATEWAY_STARTED,
            time="2026-11-22T12:00:00.000Z",
            puts=(Put(key=f"budget:acts:count:agent:{agent}", value=held),),
        )
    )
    return agent


# --- hostile requests -------------------------------------------------------------------------------------------------

CAPS = {f"T{tier}": {"allowBelow": 101, "denyFrom": 101} for tier in range(5)}


def bodies(tenant: Tenant) -> dict[tuple[str, str], dict[str, Any]]:
    """Return for each operation with a body one that names everything it can of a tenant's."""
    ids = tenant.ids
    return {
        ("POST", "/intent"): {"action": "read", "actor": ids["agent"], "metadata": {"tenantId": tenant.name}},
        ("POST", "/agent-intent"): {
            "tenantId": tenant.name,
            "actor": {"id": ids["agent"], "type": "agent"},
            "proposedAction": "read",
        },
        ("POST", "/intent/{id}/outcome"): {"status": "completed"},
        ("POST", "/authority/approval"): {"intentId": ids["intent"], "decision": "approve"},
        ("PUT", "/v1/agents/{id}/trust"): {"frozen": True, "ceiling": "T4", "reason": f"of {tenant.name}"},
        ("PUT", "/switches/{kind}/{name}"): {"reason": f"of {tenant.name}"},
        ("PUT", "/authority/thresholds/{tenantId}"): {"tenantId": tenant.name, "tiers": CAPS, "version": 0},
        ("POST", "/authority/keys/rotate"): {"revoke": True},
        ("POST", "/audit/verify-chain"): {"tenantId": tenant.name},
        ("POST", "/keys"): {"tenantId": tenant.name, "name": "stolen", "role": "admin", "agent": ids["agent"]},
        ("POST", "/keys/{id}/rotate"): {"overlapSeconds": 0},
        ("POST", "/webhooks"): {"tenantId": tenant.name, "url": "http://127.0.0.1:9/"},
        ("PATCH", "/webhooks/{id}"): {"url": "http://127.0.0.1:9/", "enabled": False},
        ("POST", "/webhooks/{id}/rotate"): {"overlapSeconds": 0},
        ("POST", "/users"): {"tenantId": tenant.name, "name": "intruder", "role": "admin"},
        ("PATCH", "/users/{id}"): {"role": "viewer", "disabled": True},
        ("POST", "/v1/intents"): {"type": "billing.apply_credit", "domain": "billing", "agentId": ids["agent"]},
        ("POST", "/v1/intents/{id}/outcome"): {"status": "failed", "error": "x"},
        ("POST", "/v1/agents"): {"name": "intruder"},
        ("POST", "/v1/approvals/{id}/approve"): {"reason": "mine", "lease": {}},
        ("POST", "/v1/approvals/{id}/reject"): {"reason": "mine"},
    }


KINDS = {
    "intent": "intent",
    "intents": "intent",
    "approvals": "approval",
    "agents": "agent",
    "keys": "key",
    "users": "user",
    "webhooks": "webhook",
    "leases": "lease",
}


def place(operation: Operation, *, ids: Tenant, named: Tenant) -> str:
    """Return the operation's path with the ids of one tenant, and the name of one where the path has room for it."""
    kind = next((KINDS[part] for part in operation.path.split("/") if part in KINDS), "")
    path = operation.path.replace("{tenantId}", named.name).replace("{kind}/{name}", f"tenant/{named.name}")
    path = path.replace("{deliveryId}", ids.ids["delivery"])
    return path.replace("{id}", ids.ids[kind]) if "{id}" in path else path


def crossings(operation: Operation, house: House) -> Iterator[tuple[str, str, dict[str, str], Any]]:
    """Yield each way to reach for beta with what alpha has: what is crossed, path, headers, body."""
    alpha, beta = house.alpha, house.beta
    key, session = {"x-api-key": alpha.key}, {"x-portal-session-id": alpha.session}
    own, foreign = bodies(alpha), bodies(beta)
    body = own.get((operation.method, operation.path))
    hostile = foreign.get((operation.method, operation.path))
    at_home = place(operation, ids=alpha, named=alpha)
    for way, who in (("key", key), ("session", session)):
        yield f"{way}, header", at_home, {**who, "x-tenant-id": beta.name}, body
        if "{id}" in operation.path:
            yield f"{way}, id in path", place(operation, ids=beta, named=alpha), who, body
        if "{kind}/{name}" in operation.path:
            agent = operation.path.replace("{kind}/{name}", f"agent/{STOPPED}") + "?reason=mine"
            yield f"{way}, agent of that name", agent, who, body
            foreign_tenant = operation.path.replace("{kind}/{name}", f"tenant/{beta.name}") + "?reason=mine"
            yield f"{way}, tenant in path", foreign_tenant, who, body
        if "{tenantId}" in operation.path:
            yield f"{way}, tenant in path", place(operation, ids=alpha, named=beta), who, body
        if operation.path.startswith("/v1/budgets"):
            named = at_home.replace("{name}", "acts")
            yield f"{way}, agent's budget", f"{named}?agent={beta.ids['budget']}", {**who}, body
        if hostile is not None and hostile != body:
            yield f"{way}, body", at_home, who, hostile
        yield f"{way}, query", f"{at_home}?tenantId={beta.name}&agentId={beta.ids['slug']}", who, body
    yield "two credentials", at_home, {**key, "authorization": f"Bearer {beta.key}"}, body
    yield "key and foreign session", at_home, {**key, "x-portal-session-id": beta.session}, body
    yield "no credential, tenant named", at_home, {"x-tenant-id": beta.name}, body


REFUSED = ("header", "id in path", "tenant in path", "two credentials", "key and foreign session", "no credential")
"""Crossings that nothing could answer in alpha's own right."""


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
async def test_nothing_crosses_from_one_tenant_to_another(operation: Operation, tmp_path: Path) -> None:
    """Every way to name the other tenant is refused, or answered as if that tenant did not exist."""
    async with house(tmp_path) as both:
        before = await both.everything(both.beta)
        assert MARK in str(before)
        for crossed, path, headers, body in crossings(operation, both):
            for prefix in ("", "/v1") if operation.both_prefixes else ("",):
                answer = await both.client.request(operation.method, prefix + path, headers=headers, json=body)
                assert answer.status_code < 500, (crossed, path, answer.text)
                if any(word in crossed for word in REFUSED):
                    assert answer.status_code in (401, 403, 404), (crossed, path, answer.text)
                told = answer.text.replace(both.beta.ids["slug"], "") if "agentId=" in path else answer.text
                told = told.replace(both.beta.ids["budget"], "") if "agent=" in path else told
                assert MARK not in told, (crossed, path, answer.text)
                assert "budgets" not in path or str(SPENT[MARK]) not in told, (crossed, path, answer.text)
                for name, secret in both.beta.ids.items():
                    sent = secret in path or secret in str(body)
                    assert sent or secret not in answer.text, (crossed, name, answer.text)
        assert await both.everything(both.beta) == before


def test_every_operation_with_a_body_has_a_hostile_one() -> None:
    """A route that nobody thought about would be tried with nothing."""
    beta = Tenant(name=BETA, key="", session="", ids=dict.fromkeys(("intent", "approval", "agent", "slug"), "x"))
    known = bodies(beta)
    for operation in OPERATIONS:
        if operation.model("body") is not None:
            assert (operation.method, operation.path) in known
