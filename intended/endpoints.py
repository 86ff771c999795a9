"""Each route of the service as a value: method, path, body, and how its answer is read. Nothing is sent here.

Both clients, the waiting and the awaiting one, are these values put through a transport, so that they cannot differ.
`envelope` says where the answer lies: Ref answers the bare object, Ops wraps it as `{"data": …}`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from intended.budgets import BudgetAccount, BudgetStatement
from intended.reading import Fields
from intended.records import (
    Agent,
    AgentMetrics,
    AuditEntry,
    ChainReport,
    Connector,
    CreatedKey,
    Health,
    Key,
    LoginLink,
    PortalSession,
    SigningKey,
    Stats,
    Switch,
    Thresholds,
    TierThreshold,
    Timeline,
    User,
)
from intended.results import Approval, CreatedIntent, Decision, Intent, Lease, Page
from intended.trust import AgentTrust, TrustHistory

__all__ = ["Call", "segment"]

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[_T]):
    """One request. `repeatable` is True where sending it twice does no more than sending it once."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    read: Callable[[Any], _T]
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    statuses: frozenset[int] = frozenset({200})


def _object(read: Callable[[Fields], _T]) -> Callable[[Any], _T]:
    return lambda value: read(Fields(value))


def _data(read: Callable[[Fields], _T]) -> Callable[[Any], _T]:
    return lambda value: Fields(value).one("data", read)


def _page(read: Callable[[Fields], _T]) -> Callable[[Fields], Page[_T]]:
    def paged(fields: Fields) -> Page[_T]:
        items = fields.each("items", read)
        return Page(
            items=items,
            total=fields.count_or("total", len(items)),
            page=fields.count_or("page", 1),
            page_size=fields.count_or("pageSize", len(items)),
        )

    return paged


def _listed(name: str, read: Callable[[Fields], _T]) -> Callable[[Fields], tuple[_T, ...]]:
    return lambda fields: fields.each(name, read)


def segment(text: str) -> str:
    """Return one segment of a path. A dot segment would lead to another route."""
    if not text or text in {".", ".."}:
        raise ValueError("an id or name in a path must not be empty")
    return quote(text, safe="")


def _given(**members: Any) -> dict[str, Any]:
    """Return the members that were given; None is not sent."""
    return {name: value for name, value in members.items() if value is not None}


def _query(**members: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in members.items() if value is not None}


def _get(path: str, read: Callable[[Any], _T], query: Mapping[str, str] | None = None) -> Call[_T]:
    return Call(method="GET", path=path, read=read, query=query or {}, repeatable=True)


def _post(
    path: str, read: Callable[[Any], _T], body: Mapping[str, Any] | None = None, *, created: bool = False
) -> Call[_T]:
    statuses = frozenset({200, 201}) if created else frozenset({200})
    return Call(method="POST", path=path, read=read, body=body if body is not None else {}, statuses=statuses)


# --- intents and decisions (Ref) --------------------------------------------------------------------------------------


def submit_intent(
    action: str | Mapping[str, Any],
    actor: str,
    system: str | None,
    metadata: Mapping[str, Any] | None,
    idempotency_key: str | None,
) -> Call[Decision]:
    """`POST /intent`: decide one act."""
    body = _given(action=action, actor=actor, system=system, metadata=metadata, idempotencyKey=idempotency_key)
    return Call(
        method="POST", path="/intent", read=_object(Decision.read), body=body, repeatable=idempotency_key is not None
    )


def submit_agent_intent(
    tenant_id: str, proposed_action: str, actor: str, metadata: Mapping[str, Any] | None
) -> Call[Decision]:
    """`POST /agent-intent`: the same decision in the words of the client that PyPI has."""
    body = _given(
        tenantId=tenant_id, actor={"id": actor, "type": "service"}, proposedAction=proposed_action, metadata=metadata
    )
    return _post("/agent-intent", _object(Decision.read_agent_intent), body)


def get_intent(intent_id: str) -> Call[Intent]:
    """`GET /intent/{id}`. A token that it issued to an answer which got lost is not issued again."""
    return _get(f"/intent/{segment(intent_id)}", _object(Intent.read))


def report_outcome(intent_id: str, status: str, error: str | None) -> Call[Intent]:
    """`POST /intent/{id}/outcome`: how the allowed act went."""
    return _post(f"/intent/{segment(intent_id)}/outcome", _object(Intent.read), _given(status=status, error=error))


def record_approval(
    decision: str,
    intent_id: str | None,
    escalation_id: str | None,
    rationale: str | None,
    approver: str | None,
    lease: Mapping[str, Any] | None = None,
) -> Call[Approval]:
    """`POST /authority/approval`: a human's answer to an escalated intent."""
    if (intent_id is None) == (escalation_id is None):
        raise ValueError("name either intent_id or escalation_id")
    body = _given(
        intentId=intent_id,
        escalationId=escalation_id,
        decision=decision,
        rationale=rationale,
        approver=approver,
        lease=lease,
    )
    return _post("/authority/approval", _object(Approval.read), body)


# --- thresholds, switches, audit, connectors, health (Ref) ------------------------------------------------------------


def get_thresholds(tenant_id: str) -> Call[Thresholds]:
    """`GET /authority/thresholds/{tenantId}`."""
    return _get(f"/authority/thresholds/{segment(tenant_id)}", _object(Thresholds.read))


def put_thresholds(tenant_id: str, tiers: Mapping[str, TierThreshold], version: int) -> Call[Thresholds]:
    """`PUT /authority/thresholds/{tenantId}`: only where nobody changed them since `version`."""
    body = {
        "tiers": {name: {"allowBelow": one.allow_below, "denyFrom": one.deny_from} for name, one in tiers.items()},
        "version": version,
    }
    path = f"/authority/thresholds/{segment(tenant_id)}"
    return Call(method="PUT", path=path, read=_object(Thresholds.read), body=body)


def switches() -> Call[tuple[Switch, ...]]:
    """`GET /switches`."""
    return _get("/switches", _object(_listed("switches", Switch.read)))


def throw_switch(kind: str, name: str, reason: str) -> Call[Switch]:
    """`PUT /switches/{kind}/{name}`: where it is thrown already, the first reason stands."""
    path = f"/switches/{segment(kind)}/{segment(name)}"
    return Call(method="PUT", path=path, read=_object(Switch.read), body={"reason": reason}, repeatable=True)


def release_switch(kind: str, name: str, reason: str) -> Call[Switch]:
    """`DELETE /switches/{kind}/{name}`."""
    path = f"/switches/{segment(kind)}/{segment(name)}"
    return Call(method="DELETE", path=path, read=_object(Switch.read), query={"reason": reason})


def timeline(
    tenant_id: str,
    actor: str | None,
    system: str | None,
    start: str | None,
    end: str | None,
    cursor: int | None,
    limit: int | None,
) -> Call[Timeline]:
    """`GET /audit/{tenantId}/timeline`."""
    query = _query(actor=actor, system=system, to=end, cursor=cursor, limit=limit) | _query(**{"from": start})
    return _get(f"/audit/{segment(tenant_id)}/timeline", _object(Timeline.read), query)


def verify_chain(tenant_id: str | None) -> Call[ChainReport]:
    """`POST /audit/verify-chain`: reads only, so that it may be sent again."""
    body = _given(tenantId=tenant_id)
    return Call(method="POST", path="/audit/verify-chain", read=_object(ChainReport.read), body=body, repeatable=True)


def connectors() -> Call[tuple[Connector, ...]]:
    """`GET /connectors`."""
    return _get("/connectors", _object(_listed("connectors", Connector.read)))


def test_connector(connector_id: str) -> Call[Connector]:
    """`POST /connectors/{id}/test`."""
    return _post(f"/connectors/{segment(connector_id)}/test", _object(Connector.read))


def health() -> Call[Health]:
    """`GET /health`: 503 answers too, with `unhealthy`."""
    read = _object(Health.read)
    return Call(method="GET", path="/health", read=read, repeatable=True, statuses=frozenset({200, 503}))


# --- Ops --------------------------------------------------------------------------------------------------------------


def stats() -> Call[Stats]:
    """`GET /v1/stats`."""
    return _get("/v1/stats", _data(Stats.read))


def register_agent(
    name: str, description: str | None, domains: Sequence[str] | None, intent_types: Sequence[str] | None
) -> Call[Agent]:
    """`POST /v1/agents`."""
    body = _given(
        name=name,
        description=description,
        domains=None if domains is None else list(domains),
        intentTypes=None if intent_types is None else list(intent_types),
    )
    return _post("/v1/agents", _data(Agent.read), body, created=True)


def list_agents(page: int | None, page_size: int | None) -> Call[Page[Agent]]:
    """`GET /v1/agents`."""
    return _get("/v1/agents", _data(_page(Agent.read)), _query(page=page, pageSize=page_size))


def get_agent(agent_id: str) -> Call[Agent]:
    """`GET /v1/agents/{id}`."""
    return _get(f"/v1/agents/{segment(agent_id)}", _data(Agent.read))


def agent_metrics(agent_id: str) -> Call[AgentMetrics]:
    """`GET /v1/agents/{id}/metrics`."""
    return _get(f"/v1/agents/{segment(agent_id)}/metrics", _data(AgentMetrics.read))


def agent_trust(agent_id: str) -> Call[AgentTrust]:
    """`GET /v1/agents/{id}/trust`."""
    return _get(f"/v1/agents/{segment(agent_id)}/trust", _data(AgentTrust.read))


def agent_trust_history(agent_id: str) -> Call[TrustHistory]:
    """`GET /v1/agents/{id}/trust/history`."""
    return _get(f"/v1/agents/{segment(agent_id)}/trust/history", _data(TrustHistory.read))


def change_trust(
    agent_id: str, *, reason: str, frozen: bool | None, ceiling: str | None, version: int | None
) -> Call[AgentTrust]:
    """`PUT /v1/agents/{id}/trust`: with `version` only where nobody changed it since."""
    return Call(
        method="PUT",
        path=f"/v1/agents/{segment(agent_id)}/trust",
        read=_data(AgentTrust.read),
        body=_given(frozen=frozen, ceiling=ceiling, reason=reason),
        headers={} if version is None else {"if-match": f'"{version}"'},
    )


def budgets(page: int | None = None, page_size: int | None = None, **of: str | None) -> Call[Page[BudgetAccount]]:
    """`GET /v1/budgets`."""
    return _get("/v1/budgets", _data(_page(BudgetAccount.read)), _query(page=page, pageSize=page_size, **of))


def budget(name: str, **of: str | None) -> Call[BudgetStatement]:
    """`GET /v1/budgets/{name}`."""
    return _get(f"/v1/budgets/{segment(name)}", _data(BudgetStatement.read), _query(**of))


def create_intent(
    intent_type: str,
    domain: str,
    agent_id: str,
    params: Mapping[str, Any] | None,
    description: str | None,
    justification: str | None,
    idempotency_key: str | None,
) -> Call[CreatedIntent]:
    """`POST /v1/intents`."""
    body = _given(
        type=intent_type,
        domain=domain,
        agentId=agent_id,
        params=params,
        description=description,
        justification=justification,
        idempotencyKey=idempotency_key,
    )
    return Call(
        method="POST",
        path="/v1/intents",
        read=_data(CreatedIntent.read),
        body=body,
        repeatable=idempotency_key is not None,
        statuses=frozenset({200, 201}),
    )


def list_intents(
    page: int | None,
    page_size: int | None,
    status: str | None,
    agent_id: str | None,
    domain: str | None,
    intent_type: str | None,
    from_date: str | None,
    to_date: str | None,
) -> Call[Page[Intent]]:
    """`GET /v1/intents`."""
    query = _query(
        page=page,
        pageSize=page_size,
        status=status,
        agentId=agent_id,
        domain=domain,
        type=intent_type,
        fromDate=from_date,
        toDate=to_date,
    )
    return _get("/v1/intents", _data(_page(Intent.read)), query)


def list_approvals(page: int | None, page_size: int | None, status: str | None) -> Call[Page[Approval]]:
    """`GET /v1/approvals`: the pending ones unless `status` says otherwise."""
    query = _query(page=page, pageSize=page_size, status=status)
    return _get("/v1/approvals", _data(_page(Approval.read)), query)


def get_approval(approval_id: str) -> Call[Approval]:
    """`GET /v1/approvals/{id}`."""
    return _get(f"/v1/approvals/{segment(approval_id)}", _data(Approval.read))


def resolve_approval(
    approval_id: str, verb: Literal["approve", "reject"], reason: str | None, lease: Mapping[str, Any] | None = None
) -> Call[Approval]:
    """`POST /v1/approvals/{id}/approve` and `/reject`; a lease goes with a yes."""
    body = _given(reason=reason, lease=lease)
    return _post(f"/v1/approvals/{segment(approval_id)}/{verb}", _data(Approval.read), body)


def list_leases(page: int | None, page_size: int | None, status: str | None) -> Call[Page[Lease]]:
    """`GET /v1/leases`: the active ones unless `status` says otherwise."""
    query = _query(page=page, pageSize=page_size, status=status)
    return _get("/v1/leases", _data(_page(Lease.read)), query)


def get_lease(lease_id: str) -> Call[Lease]:
    """`GET /v1/leases/{id}`."""
    return _get(f"/v1/leases/{segment(lease_id)}", _data(Lease.read))


def revoke_lease(lease_id: str, reason: str | None) -> Call[Lease]:
    """`DELETE /v1/leases/{id}`: one that has ended stays as it is."""
    path = f"/v1/leases/{segment(lease_id)}"
    return Call(method="DELETE", path=path, read=_data(Lease.read), query=_query(reason=reason))


def query_audit(
    event_type: str | None, from_date: str | None, to_date: str | None, page: int | None, page_size: int | None
) -> Call[Page[AuditEntry]]:
    """`GET /v1/audit`."""
    query = _query(eventType=event_type, fromDate=from_date, toDate=to_date, page=page, pageSize=page_size)
    return _get("/v1/audit", _data(_page(AuditEntry.read)), query)


def verify_audit_chain() -> Call[ChainReport]:
    """`GET /v1/audit/verify`."""
    return _get("/v1/audit/verify", _data(ChainReport.read))


# --- management -------------------------------------------------------------------------------------------------------


def create_key(
    name: str,
    scopes: Sequence[str] | None,
    role: str | None,
    agent: str | None,
    plan: str | None,
    per_minute: int | None,
    expires: str | None,
) -> Call[CreatedKey]:
    """`POST /keys`."""
    body = _given(
        name=name,
        scopes=None if scopes is None else list(scopes),
        role=role,
        agent=agent,
        plan=plan,
        perMinute=per_minute,
        expires=expires,
    )
    return _post("/keys", _object(CreatedKey.read), body, created=True)


def list_keys() -> Call[tuple[Key, ...]]:
    """`GET /keys`."""
    return _get("/keys", _object(_listed("keys", Key.read)))


def revoke_key(key_id: str) -> Call[Key]:
    """`POST /keys/{id}/revoke`."""
    return _post(f"/keys/{segment(key_id)}/revoke", _object(Key.read))


def rotate_key(key_id: str, overlap_s: int | None) -> Call[CreatedKey]:
    """`POST /keys/{id}/rotate`."""
    body = _given(overlapSeconds=overlap_s)
    return _post(f"/keys/{segment(key_id)}/rotate", _object(CreatedKey.read), body)


def create_user(name: str, role: str) -> Call[User]:
    """`POST /users`."""
    return _post("/users", _object(User.read), {"name": name, "role": role}, created=True)


def list_users() -> Call[tuple[User, ...]]:
    """`GET /users`."""
    return _get("/users", _object(_listed("users", User.read)))


def change_user(user_id: str, *, role: str | None, disabled: bool | None) -> Call[User]:
    """`PATCH /users/{id}`."""
    body = _given(role=role, disabled=disabled)
    return Call(method="PATCH", path=f"/users/{segment(user_id)}", read=_object(User.read), body=body)


def make_login_link(user_id: str) -> Call[LoginLink]:
    """`POST /users/{id}/login-link`."""
    return _post(f"/users/{segment(user_id)}/login-link", _object(LoginLink.read), created=True)


def open_session(code: str) -> Call[PortalSession]:
    """`POST /portal/sessions`: the code is the credential."""
    return _post("/portal/sessions", _object(PortalSession.read), {"code": code}, created=True)


def close_session() -> Call[None]:
    """`DELETE /portal/sessions/current`."""
    return Call(method="DELETE", path="/portal/sessions/current", read=_nothing)


def _nothing(value: Any) -> None:
    Fields(value)


def rotate_signing_keys(*, revoke: bool) -> Call[SigningKey]:
    """`POST /authority/keys/rotate`: a new key pair for the tenant's tokens."""
    return _post("/authority/keys/rotate", _object(SigningKey.read), {"revoke": True} if revoke else {})


def jwks(tenant_id: str | None) -> Call[Mapping[str, Any]]:
    """`GET /.well-known/jwks/{tenantId}.json`, or that of the default tenant."""
    path = "/.well-known/jwks.json" if tenant_id is None else f"/.well-known/jwks/{segment(tenant_id)}.json"
    return _get(path, _object(_key_set))


def _key_set(fields: Fields) -> Mapping[str, Any]:
    fields.each("keys", Fields.whole)
    return fields.whole()
