"""The client that awaits its answers."""

import logging
import ssl
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar

import httpx

from intended import bundles, endpoints
from intended.budgets import BudgetAccount, BudgetStatement
from intended.endpoints import Call
from intended.errors import ServiceUnavailableError
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
from intended.results import Approval, CreatedIntent, Decision, Intent, Lease, Page, refusal
from intended.target import target
from intended.transport import AsyncTransport
from intended.trust import AgentTrust, TrustHistory

__all__ = ["AsyncIntendedClient"]

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class AsyncIntendedClient:
    """Asks the service for decisions, and everything else that it answers. As `IntendedClient`, awaited."""

    def __init__(
        self,
        api_key: str | None = None,
        tenant_id: str | None = None,
        *,
        session_id: str | None = None,
        base_url: str | None = None,
        timeout: float = 10.0,
        retries: int = 2,
        transport: httpx.AsyncBaseTransport | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        where = target(
            api_key=api_key,
            session_id=session_id,
            tenant_id=tenant_id,
            base_url=base_url,
            timeout=timeout,
            retries=retries,
        )
        self._transport = AsyncTransport(where, transport=transport, verify=verify)

    def __repr__(self) -> str:
        return f"AsyncIntendedClient(base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Where the service is asked."""
        return self._transport.target.base_url

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> "AsyncIntendedClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- decisions --------------------------------------------------------------------------------------------------

    async def submit_intent(
        self,
        *,
        action: str | Mapping[str, Any],
        actor: str,
        system: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Decision:
        """Ask whether `actor` may do `action`. Do it only where the answer's verdict is ALLOW.

        `action` is plain language, an intent type, or `{"type": …, "params": {…}}`. With an `idempotency_key` the same
        question is asked once: it is safe to send again, and its token is issued once.
        Where the service gives no usable answer the verdict is DENY, with `fail_closed` set and the reason in `reason`.

        Raises:
            ApiError: the service refused the request itself (4xx): nothing was decided.
        """
        call = endpoints.submit_intent(action, actor, system, metadata, idempotency_key)
        return await self._decided(call)

    async def submit_agent_intent(
        self, *, proposed_action: str, actor: str, metadata: Mapping[str, Any] | None = None
    ) -> Decision:
        """Ask through `POST /agent-intent`, as the client that PyPI has does. Fails closed like `submit_intent`."""
        return await self._decided(endpoints.submit_agent_intent(self._tenant(None), proposed_action, actor, metadata))

    async def get_intent(self, intent_id: str) -> Intent:
        """Return an intent with its decision. After a human's yes the submitting agent gets the token here, once."""
        return await self._run(endpoints.get_intent(intent_id))

    async def report_outcome(
        self, intent_id: str, status: Literal["completed", "failed"], *, error: str | None = None
    ) -> Intent:
        """Tell how an allowed act went; trust and value depend on it."""
        return await self._run(endpoints.report_outcome(intent_id, status, error))

    async def create_intent(
        self,
        intent_type: str,
        domain: str,
        agent_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        description: str | None = None,
        justification: str | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedIntent:
        """Create an intent in the Ops dialect; its `status` says whether it is approved."""
        return await self._run(
            endpoints.create_intent(intent_type, domain, agent_id, params, description, justification, idempotency_key)
        )

    async def list_intents(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        status: str | None = None,
        agent_id: str | None = None,
        domain: str | None = None,
        intent_type: str | None = None,
        from_date: str | None = None,
        to_date: str | None = None,
    ) -> Page[Intent]:
        """Return a page of the tenant's intents, newest first."""
        return await self._run(
            endpoints.list_intents(page, page_size, status, agent_id, domain, intent_type, from_date, to_date)
        )

    # --- approvals --------------------------------------------------------------------------------------------------

    async def list_approvals(
        self, *, page: int | None = None, page_size: int | None = None, status: str | None = None
    ) -> Page[Approval]:
        """Return a page of approvals: the pending ones unless `status` says otherwise."""
        return await self._run(endpoints.list_approvals(page, page_size, status))

    async def get_approval(self, approval_id: str) -> Approval:
        """Return one approval."""
        return await self._run(endpoints.get_approval(approval_id))

    async def approve(
        self, approval_id: str, *, reason: str | None = None, lease: Mapping[str, Any] | None = None
    ) -> Approval:
        """Say yes to an escalated intent: that very act, once. `lease` says yes to calls of its shape, too."""
        return await self._run(endpoints.resolve_approval(approval_id, "approve", reason, lease))

    async def reject(self, approval_id: str, *, reason: str | None = None) -> Approval:
        """Say no to an escalated intent."""
        return await self._run(endpoints.resolve_approval(approval_id, "reject", reason))

    async def record_approval(
        self,
        decision: Literal["approve", "reject"],
        *,
        intent_id: str | None = None,
        escalation_id: str | None = None,
        rationale: str | None = None,
        approver: str | None = None,
        lease: Mapping[str, Any] | None = None,
    ) -> Approval:
        """Answer an escalated intent with rationale and approver; name it by intent or by escalation."""
        return await self._run(
            endpoints.record_approval(decision, intent_id, escalation_id, rationale, approver, lease)
        )

    async def list_leases(
        self, *, page: int | None = None, page_size: int | None = None, status: str | None = None
    ) -> Page[Lease]:
        """Return a page of leases: those in force unless `status` says otherwise."""
        return await self._run(endpoints.list_leases(page, page_size, status))

    async def get_lease(self, lease_id: str) -> Lease:
        """Return one lease."""
        return await self._run(endpoints.get_lease(lease_id))

    async def revoke_lease(self, lease_id: str, *, reason: str | None = None) -> Lease:
        """End a lease at once."""
        return await self._run(endpoints.revoke_lease(lease_id, reason))

    # --- agents -----------------------------------------------------------------------------------------------------

    async def register_agent(
        self,
        name: str,
        *,
        description: str | None = None,
        domains: Sequence[str] | None = None,
        intent_types: Sequence[str] | None = None,
    ) -> Agent:
        """Register an agent. Declared domains and intent types restrict it."""
        return await self._run(endpoints.register_agent(name, description, domains, intent_types))

    async def list_agents(self, *, page: int | None = None, page_size: int | None = None) -> Page[Agent]:
        """Return a page of the tenant's agents."""
        return await self._run(endpoints.list_agents(page, page_size))

    async def get_agent(self, agent_id: str) -> Agent:
        """Return one agent, by id or slug."""
        return await self._run(endpoints.get_agent(agent_id))

    async def agent_metrics(self, agent_id: str) -> AgentMetrics:
        """Return how one agent did."""
        return await self._run(endpoints.agent_metrics(agent_id))

    async def agent_trust(self, agent_id: str) -> AgentTrust:
        """Return the tier that an agent has earned, and what it rests on."""
        return await self._run(endpoints.agent_trust(agent_id))

    async def agent_trust_history(self, agent_id: str) -> TrustHistory:
        """Return how an agent's trust came about: score and tier over time, and the entries that moved them."""
        return await self._run(endpoints.agent_trust_history(agent_id))

    async def change_trust(
        self,
        agent_id: str,
        *,
        reason: str,
        frozen: bool | None = None,
        ceiling: str | None = None,
        version: int | None = None,
    ) -> AgentTrust:
        """Freeze an agent or let it go, and set its ceiling (`T0` to `T4`, `default`: the configuration's)."""
        return await self._run(
            endpoints.change_trust(agent_id, reason=reason, frozen=frozen, ceiling=ceiling, version=version)
        )

    # --- budgets ----------------------------------------------------------------------------------------------------

    async def budgets(
        self,
        *,
        agent: str | None = None,
        upstream: str | None = None,
        page: int | None = None,
        page_size: int | None = None,
    ) -> Page[BudgetAccount]:
        """Return a page of what is left: of all accounts, or of those that count an agent's calls or an upstream's."""
        return await self._run(endpoints.budgets(page, page_size, agent=agent, upstream=upstream))

    async def budget(self, name: str, *, agent: str | None = None, upstream: str | None = None) -> BudgetStatement:
        """Return one account with the entries that count; a budget per agent or upstream takes which one."""
        return await self._run(endpoints.budget(name, agent=agent, upstream=upstream))

    # --- audit ------------------------------------------------------------------------------------------------------

    async def timeline(
        self,
        *,
        actor: str | None = None,
        system: str | None = None,
        start: str | None = None,
        end: str | None = None,
        cursor: int | None = None,
        limit: int | None = None,
        tenant_id: str | None = None,
    ) -> Timeline:
        """Return a stretch of the audit timeline; `start` is inclusive, `end` exclusive (RFC 3339)."""
        tenant = self._tenant(tenant_id)
        return await self._run(endpoints.timeline(tenant, actor, system, start, end, cursor, limit))

    async def verify_chain(self, tenant_id: str | None = None) -> ChainReport:
        """Have the hash chain of the audit trail checked; the report names each break point."""
        return await self._run(endpoints.verify_chain(tenant_id))

    async def evidence_bundle(self, intent_id: str) -> dict[str, Any]:
        """Return the evidence bundle of an intent: to be kept as JSON, and checked by `intended.evidence`.

        Raises ApiError with the code PAYLOAD_TOO_LARGE for an intent with more entries than a bundle holds.
        """
        return await self._run(bundles.evidence_bundle(intent_id))

    async def evidence_keys(self) -> dict[str, Any]:
        """Return the public keys, as a JWK set, that the tenant's evidence is checked with."""
        return await self._run(bundles.evidence_keys())

    async def query_audit(
        self,
        *,
        event_type: str | None = None,
        from_date: str | None = None,
        to_date: str | None = None,
        page: int | None = None,
        page_size: int | None = None,
    ) -> Page[AuditEntry]:
        """Return a page of audit entries, newest first; `from_date` is inclusive, `to_date` exclusive."""
        return await self._run(endpoints.query_audit(event_type, from_date, to_date, page, page_size))

    async def verify_audit_chain(self) -> ChainReport:
        """Have the hash chain checked, through the Ops dialect."""
        return await self._run(endpoints.verify_audit_chain())

    # --- settings, connectors, state --------------------------------------------------------------------------------

    async def get_thresholds(self, tenant_id: str | None = None) -> Thresholds:
        """Return the risk thresholds of each trust tier."""
        return await self._run(endpoints.get_thresholds(self._tenant(tenant_id)))

    async def put_thresholds(
        self, tiers: Mapping[str, TierThreshold], *, version: int, tenant_id: str | None = None
    ) -> Thresholds:
        """Change risk thresholds. `version` is that of the thresholds that were read; raises ConflictError if stale."""
        return await self._run(endpoints.put_thresholds(self._tenant(tenant_id), tiers, version))

    async def switches(self) -> tuple[Switch, ...]:
        """Return what is stopped by a kill switch, the latest first."""
        return await self._run(endpoints.switches())

    async def throw_switch(self, kind: str, name: str, *, reason: str) -> Switch:
        """Stop an `agent`, an `upstream` or the `tenant`: nothing of it is forwarded once this returns."""
        return await self._run(endpoints.throw_switch(kind, name, reason))

    async def release_switch(self, kind: str, name: str, *, reason: str) -> Switch:
        """Let it go again; for admins alone. Raises NotFoundError where it is not stopped."""
        return await self._run(endpoints.release_switch(kind, name, reason))

    async def connectors(self) -> tuple[Connector, ...]:
        """Return the connected systems and their health."""
        return await self._run(endpoints.connectors())

    async def test_connector(self, connector_id: str) -> Connector:
        """Check the connection to one system and measure its latency."""
        return await self._run(endpoints.test_connector(connector_id))

    async def stats(self) -> Stats:
        """Return the numbers of today."""
        return await self._run(endpoints.stats())

    async def health(self) -> Health:
        """Return whether the service can decide."""
        return await self._run(endpoints.health())

    # --- keys and people --------------------------------------------------------------------------------------------

    async def create_key(
        self,
        name: str,
        *,
        scopes: Sequence[str] | None = None,
        role: str | None = None,
        agent: str | None = None,
        plan: str | None = None,
        per_minute: int | None = None,
        expires: str | None = None,
    ) -> CreatedKey:
        """Make an API key; its secret is shown in this answer only."""
        return await self._run(endpoints.create_key(name, scopes, role, agent, plan, per_minute, expires))

    async def list_keys(self) -> tuple[Key, ...]:
        """Return the tenant's API keys, without secrets."""
        return await self._run(endpoints.list_keys())

    async def revoke_key(self, key_id: str) -> Key:
        """End a key at once."""
        return await self._run(endpoints.revoke_key(key_id))

    async def rotate_key(self, key_id: str, *, overlap_s: int | None = None) -> CreatedKey:
        """Replace a key; the old one works for `overlap_s` more seconds."""
        return await self._run(endpoints.rotate_key(key_id, overlap_s))

    async def create_user(self, name: str, *, role: str) -> User:
        """Make a human user."""
        return await self._run(endpoints.create_user(name, role))

    async def list_users(self) -> tuple[User, ...]:
        """Return the tenant's human users."""
        return await self._run(endpoints.list_users())

    async def change_user(self, user_id: str, *, role: str | None = None, disabled: bool | None = None) -> User:
        """Change a user's role, or disable or enable it; its sessions end."""
        return await self._run(endpoints.change_user(user_id, role=role, disabled=disabled))

    async def make_login_link(self, user_id: str) -> LoginLink:
        """Make a one-time code by which a user logs in."""
        return await self._run(endpoints.make_login_link(user_id))

    async def open_session(self, code: str) -> PortalSession:
        """Log in: exchange a one-time code for a portal session. Needs no credential but the code."""
        return await self._run(endpoints.open_session(code))

    async def close_session(self) -> None:
        """Log out: end the session that this client was made with."""
        await self._run(endpoints.close_session())

    async def rotate_signing_keys(self, *, revoke: bool = False) -> SigningKey:
        """Give the tenant a new key for its tokens. The old ones stay known until their last token has expired, unless
        `revoke` says that they may be in foreign hands.
        """
        return await self._run(endpoints.rotate_signing_keys(revoke=revoke))

    async def jwks(self, tenant_id: str | None = None) -> Mapping[str, Any]:
        """Return the public keys of a tenant's tokens; the default tenant's where the client knows no tenant."""
        return await self._run(endpoints.jwks(tenant_id or self._transport.target.tenant_id or None))

    def _tenant(self, tenant_id: str | None) -> str:
        """Return the tenant that a path needs."""
        found = tenant_id or self._transport.target.tenant_id
        if not found:
            raise ValueError("this needs tenant_id: neither the client nor its key names one")
        return found

    async def _run(self, call: Call[_T]) -> _T:
        return await self._transport.run(call)

    async def _decided(self, call: Call[Decision]) -> Decision:
        """Return a decision whatever happens to the service: without one it is DENY."""
        try:
            return await self._transport.run(call)
        except ServiceUnavailableError as error:
            _log.warning("denied without a decision: %s", error)
            return refusal(f"Denied without a decision: {error}")
