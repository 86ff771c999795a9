"""The client that waits for its answers."""

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
from intended.transport import Transport
from intended.trust import AgentTrust, TrustHistory

__all__ = ["IntendedClient"]

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class IntendedClient:
    """Asks the service for decisions, and everything else that it answers. Usable from several threads at once.

    `base_url` beats the environment variable INTENDED_API_URL, that beats http://127.0.0.1:8787. `timeout` bounds one
    method, repetitions included; only what is safe to send twice is repeated, at most `retries` times.
    `transport` is for tests; `verify` is for a service with a certificate of your own authority.
    """

    def __init__(
        self,
        api_key: str | None = None,
        tenant_id: str | None = None,
        *,
        session_id: str | None = None,
        base_url: str | None = None,
        timeout: float = 10.0,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
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
        self._transport = Transport(where, transport=transport, verify=verify)

    def __repr__(self) -> str:
        return f"IntendedClient(base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Where the service is asked."""
        return self._transport.target.base_url

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> "IntendedClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- decisions --------------------------------------------------------------------------------------------------

    def submit_intent(
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
        return self._decided(call)

    def submit_agent_intent(
        self, *, proposed_action: str, actor: str, metadata: Mapping[str, Any] | None = None
    ) -> Decision:
        """Ask through `POST /agent-intent`, as the client that PyPI has does. Fails closed like `submit_intent`."""
        return self._decided(endpoints.submit_agent_intent(self._tenant(None), proposed_action, actor, metadata))

    def get_intent(self, intent_id: str) -> Intent:
        """Return an intent with its decision. After a human's yes the submitting agent gets the token here, once."""
        return self._run(endpoints.get_intent(intent_id))

    def report_outcome(
        self, intent_id: str, status: Literal["completed", "failed"], *, error: str | None = None
    ) -> Intent:
        """Tell how an allowed act went; trust and value depend on it."""
        return self._run(endpoints.report_outcome(intent_id, status, error))

    def create_intent(
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
        return self._run(
            endpoints.create_intent(intent_type, domain, agent_id, params, description, justification, idempotency_key)
        )

    def list_intents(
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
        return self._run(
            endpoints.list_intents(page, page_size, status, agent_id, domain, intent_type, from_date, to_date)
        )

    # --- approvals --------------------------------------------------------------------------------------------------

    def list_approvals(
        self, *, page: int | None = None, page_size: int | None = None, status: str | None = None
    ) -> Page[Approval]:
        """Return a page of approvals: the pending ones unless `status` says otherwise."""
        return self._run(endpoints.list_approvals(page, page_size, status))

    def get_approval(self, approval_id: str) -> Approval:
        """Return one approval."""
        return self._run(endpoints.get_approval(approval_id))

    def approve(
        self, approval_id: str, *, reason: str | None = None, lease: Mapping[str, Any] | None = None
    ) -> Approval:
        """Say yes to an escalated intent: that very act, once. `lease` says yes to calls of its shape, too."""
        return self._run(endpoints.resolve_approval(approval_id, "approve", reason, lease))

    def reject(self, approval_id: str, *, reason: str | None = None) -> Approval:
        """Say no to an escalated intent."""
        return self._run(endpoints.resolve_approval(approval_id, "reject", reason))

    def record_approval(
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
        return self._run(endpoints.record_approval(decision, intent_id, escalation_id, rationale, approver, lease))

    def list_leases(
        self, *, page: int | None = None, page_size: int | None = None, status: str | None = None
    ) -> Page[Lease]:
        """Return a page of leases: those in force unless `status` says otherwise."""
        return self._run(endpoints.list_leases(page, page_size, status))

    def get_lease(self, lease_id: str) -> Lease:
        """Return one lease."""
        return self._run(endpoints.get_lease(lease_id))

    def revoke_lease(self, lease_id: str, *, reason: str | None = None) -> Lease:
        """End a lease at once."""
        return self._run(endpoints.revoke_lease(lease_id, reason))

    # --- agents -----------------------------------------------------------------------------------------------------

    def register_agent(
        self,
        name: str,
        *,
        description: str | None = None,
        domains: Sequence[str] | None = None,
        intent_types: Sequence[str] | None = None,
    ) -> Agent:
        """Register an agent. Declared domains and intent types restrict it."""
        return self._run(endpoints.register_agent(name, description, domains, intent_types))

    def list_agents(self, *, page: int | None = None, page_size: int | None = None) -> Page[Agent]:
        """Return a page of the tenant's agents."""
        return self._run(endpoints.list_agents(page, page_size))

    def get_agent(self, agent_id: str) -> Agent:
        """Return one agent, by id or slug."""
        return self._run(endpoints.get_agent(agent_id))

    def agent_metrics(self, agent_id: str) -> AgentMetrics:
        """Return how one agent did."""
        return self._run(endpoints.agent_metrics(agent_id))

    def agent_trust(self, agent_id: str) -> AgentTrust:
        """Return the tier that an agent has earned, and what it rests on."""
        return self._run(endpoints.agent_trust(agent_id))

    def agent_trust_history(self, agent_id: str) -> TrustHistory:
        """Return how an agent's trust came about: score and tier over time, and the entries that moved them."""
        return self._run(endpoints.agent_trust_history(agent_id))

    def change_trust(
        self,
        agent_id: str,
        *,
        reason: str,
        frozen: bool | None = None,
        ceiling: str | None = None,
        version: int | None = None,
    ) -> AgentTrust:
        """Freeze an agent or let it go, and set its ceiling (`T0` to `T4`, `default`: the configuration's)."""
        return self._run(
            endpoints.change_trust(agent_id, reason=reason, frozen=frozen, ceiling=ceiling, version=version)
        )

    # --- budgets ----------------------------------------------------------------------------------------------------

    def budgets(
        self,
        *,
        agent: str | None = None,
        upstream: str | None = None,
        page: int | None = None,
        page_size: int | None = None,
    ) -> Page[BudgetAccount]:
        """Return a page of what is left: of all accounts, or of those that count an agent's calls or an upstream's."""
        return self._run(endpoints.budgets(page, page_size, agent=agent, upstream=upstream))

    def budget(self, name: str, *, agent: str | None = None, upstream: str | None = None) -> BudgetStatement:
        """Return one account with the entries that count; a budget per agent or upstream takes which one."""
        return self._run(endpoints.budget(name, agent=agent, upstream=upstream))

    # --- audit ------------------------------------------------------------------------------------------------------

    def timeline(
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
        return self._run(endpoints.timeline(tenant, actor, system, start, end, cursor, limit))

    def verify_chain(self, tenant_id: str | None = None) -> ChainReport:
        """Have the hash chain of the audit trail checked; the report names each break point."""
        return self._run(endpoints.verify_chain(tenant_id))

    def evidence_bundle(self, intent_id: str) -> dict[str, Any]:
        """Return the evidence bundle of an intent: to be kept as JSON, and checked by `intended.evidence`.

        Raises ApiError with the code PAYLOAD_TOO_LARGE for an intent with more entries than a bundle holds.
        """
        return self._run(bundles.evidence_bundle(intent_id))

    def evidence_keys(self) -> dict[str, Any]:
        """Return the public keys, as a JWK set, that the tenant's evidence is checked with."""
        return self._run(bundles.evidence_keys())

    def query_audit(
        self,
        *,
        event_type: str | None = None,
        from_date: str | None = None,
        to_date: str | None = None,
        page: int | None = None,
        page_size: int | None = None,
    ) -> Page[AuditEntry]:
        """Return a page of audit entries, newest first; `from_date` is inclusive, `to_date` exclusive."""
        return self._run(endpoints.query_audit(event_type, from_date, to_date, page, page_size))

    def verify_audit_chain(self) -> ChainReport:
        """Have the hash chain checked, through the Ops dialect."""
        return self._run(endpoints.verify_audit_chain())

    # --- settings, connectors, state --------------------------------------------------------------------------------

    def get_thresholds(self, tenant_id: str | None = None) -> Thresholds:
        """Return the risk thresholds of each trust tier."""
        return self._run(endpoints.get_thresholds(self._tenant(tenant_id)))

    def put_thresholds(
        self, tiers: Mapping[str, TierThreshold], *, version: int, tenant_id: str | None = None
    ) -> Thresholds:
        """Change risk thresholds. `version` is that of the thresholds that were read; raises ConflictError if stale."""
        return self._run(endpoints.put_thresholds(self._tenant(tenant_id), tiers, version))

    def switches(self) -> tuple[Switch, ...]:
        """Return what is stopped by a kill switch, the latest first."""
        return self._run(endpoints.switches())

    def throw_switch(self, kind: str, name: str, *, reason: str) -> Switch:
        """Stop an `agent`, an `upstream` or the `tenant`: nothing of it is forwarded once this returns."""
        return self._run(endpoints.throw_switch(kind, name, reason))

    def release_switch(self, kind: str, name: str, *, reason: str) -> Switch:
        """Let it go again; for admins alone. Raises NotFoundError where it is not stopped."""
        return self._run(endpoints.release_switch(kind, name, reason))

    def connectors(self) -> tuple[Connector, ...]:
        """Return the connected systems and their health."""
        return self._run(endpoints.connectors())

    def test_connector(self, connector_id: str) -> Connector:
        """Check the connection to one system and measure its latency."""
        return self._run(endpoints.test_connector(connector_id))

    def stats(self) -> Stats:
        """Return the numbers of today."""
        return self._run(endpoints.stats())

    def health(self) -> Health:
        """Return whether the service can decide."""
        return self._run(endpoints.health())

    # --- keys and people --------------------------------------------------------------------------------------------

    def create_key(
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
        return self._run(endpoints.create_key(name, scopes, role, agent, plan, per_minute, expires))

    def list_keys(self) -> tuple[Key, ...]:
        """Return the tenant's API keys, without secrets."""
        return self._run(endpoints.list_keys())

    def revoke_key(self, key_id: str) -> Key:
        """End a key at once."""
        return self._run(endpoints.revoke_key(key_id))

    def rotate_key(self, key_id: str, *, overlap_s: int | None = None) -> CreatedKey:
        """Replace a key; the old one works for `overlap_s` more seconds."""
        return self._run(endpoints.rotate_key(key_id, overlap_s))

    def create_user(self, name: str, *, role: str) -> User:
        """Make a human user."""
        return self._run(endpoints.create_user(name, role))

    def list_users(self) -> tuple[User, ...]:
        """Return the tenant's human users."""
        return self._run(endpoints.list_users())

    def change_user(self, user_id: str, *, role: str | None = None, disabled: bool | None = None) -> User:
        """Change a user's role, or disable or enable it; its sessions end."""
        return self._run(endpoints.change_user(user_id, role=role, disabled=disabled))

    def make_login_link(self, user_id: str) -> LoginLink:
        """Make a one-time code by which a user logs in."""
        return self._run(endpoints.make_login_link(user_id))

    def open_session(self, code: str) -> PortalSession:
        """Log in: exchange a one-time code for a portal session. Needs no credential but the code."""
        return self._run(endpoints.open_session(code))

    def close_session(self) -> None:
        """Log out: end the session that this client was made with."""
        self._run(endpoints.close_session())

    def rotate_signing_keys(self, *, revoke: bool = False) -> SigningKey:
        """Give the tenant a new key for its tokens. The old ones stay known until their last token has expired, unless
        `revoke` says that they may be in foreign hands.
        """
        return self._run(endpoints.rotate_signing_keys(revoke=revoke))

    def jwks(self, tenant_id: str | None = None) -> Mapping[str, Any]:
        """Return the public keys of a tenant's tokens; the default tenant's where the client knows no tenant."""
        return self._run(endpoints.jwks(tenant_id or self._transport.target.tenant_id or None))

    def _tenant(self, tenant_id: str | None) -> str:
        """Return the tenant that a path needs."""
        found = tenant_id or self._transport.target.tenant_id
        if not found:
            raise ValueError("this needs tenant_id: neither the client nor its key names one")
        return found

    def _run(self, call: Call[_T]) -> _T:
        return self._transport.run(call)

    def _decided(self, call: Call[Decision]) -> Decision:
        """Return a decision whatever happens to the service: without one it is DENY."""
        try:
            return self._transport.run(call)
        except ServiceUnavailableError as error:
            _log.warning("denied without a decision: %s", error)
            return refusal(f"Denied without a decision: {error}")
