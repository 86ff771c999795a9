"""The API guide's own Python client: its method names and signatures, its dicts and its `CODE: message` errors.

For programs that were written after the guide. New ones use `IntendedClient`, whose answers are typed.
"""

import ssl
from types import TracebackType
from typing import Any

import httpx

from intended.endpoints import Call, segment
from intended.reading import Fields
from intended.target import target
from intended.transport import Transport

__all__ = ["IntendedOpsClient"]


class IntendedOpsClient:
    """Speaks the Ops dialect. Every method returns the answer's `data`, or raises ApiError (`CODE: message`)."""

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        where = target(api_key=api_key, tenant_id=None, base_url=base_url, timeout=timeout, retries=retries)
        self._transport = Transport(where, transport=transport, verify=verify)

    def __repr__(self) -> str:
        return f"IntendedOpsClient(base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Where the service is asked."""
        return self._transport.target.base_url

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> "IntendedOpsClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- stats and intents --------------------------------------------------------------------------------------------

    def get_stats(self) -> dict[str, Any]:
        """`GET /v1/stats`."""
        return self._get("/v1/stats")

    def list_intents(
        self, page: int = 1, page_size: int = 20, status: str | None = None, agent_id: str | None = None
    ) -> dict[str, Any]:
        """`GET /v1/intents`."""
        return self._get("/v1/intents", page=str(page), pageSize=str(page_size), status=status, agentId=agent_id)

    def create_intent(
        self,
        intent_type: str,
        domain: str,
        agent_id: str,
        params: dict[str, Any] | None = None,
        description: str | None = None,
        justification: str | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """`POST /v1/intents`."""
        body = {"type": intent_type, "domain": domain, "agentId": agent_id}
        extra = {
            "params": params,
            "description": description,
            "justification": justification,
            "idempotencyKey": idempotency_key,
        }
        given = {name: value for name, value in extra.items() if value}
        return self._post("/v1/intents", body | given, repeatable=bool(idempotency_key))

    def get_intent(self, intent_id: str) -> dict[str, Any]:
        """`GET /v1/intents/{id}`."""
        return self._get(f"/v1/intents/{segment(intent_id)}")

    # --- agents -------------------------------------------------------------------------------------------------------

    def list_agents(self) -> dict[str, Any]:
        """`GET /v1/agents`."""
        return self._get("/v1/agents")

    def register_agent(
        self,
        name: str,
        description: str | None = None,
        domains: list[str] | None = None,
        intent_types: list[str] | None = None,
    ) -> dict[str, Any]:
        """`POST /v1/agents`."""
        extra = {"description": description, "domains": domains, "intentTypes": intent_types}
        return self._post("/v1/agents", {"name": name} | {name: value for name, value in extra.items() if value})

    def get_agent_metrics(self, agent_id: str) -> dict[str, Any]:
        """`GET /v1/agents/{id}/metrics`."""
        return self._get(f"/v1/agents/{segment(agent_id)}/metrics")

    # --- approvals ----------------------------------------------------------------------------------------------------

    def list_approvals(self) -> dict[str, Any]:
        """`GET /v1/approvals`: the pending ones."""
        return self._get("/v1/approvals")

    def approve_intent(self, approval_id: str) -> dict[str, Any]:
        """`POST /v1/approvals/{id}/approve`."""
        return self._post(f"/v1/approvals/{segment(approval_id)}/approve", {})

    def reject_intent(self, approval_id: str, reason: str | None = None) -> dict[str, Any]:
        """`POST /v1/approvals/{id}/reject`."""
        return self._post(f"/v1/approvals/{segment(approval_id)}/reject", {"reason": reason} if reason else {})

    # --- audit --------------------------------------------------------------------------------------------------------

    def query_audit(
        self, event_type: str | None = None, from_date: str | None = None, to_date: str | None = None
    ) -> dict[str, Any]:
        """`GET /v1/audit`."""
        return self._get("/v1/audit", eventType=event_type, fromDate=from_date, toDate=to_date)

    def verify_audit_chain(self) -> dict[str, Any]:
        """`GET /v1/audit/verify`."""
        return self._get("/v1/audit/verify")

    # --- how ----------------------------------------------------------------------------------------------------------

    def _get(self, path: str, **query: str | None) -> dict[str, Any]:
        given = {name: value for name, value in query.items() if value}
        return self._transport.run(Call(method="GET", path=path, read=_data, query=given, repeatable=True))

    def _post(self, path: str, body: dict[str, Any], *, repeatable: bool = False) -> dict[str, Any]:
        statuses = frozenset({200, 201})
        return self._transport.run(
            Call(method="POST", path=path, read=_data, body=body, repeatable=repeatable, statuses=statuses)
        )


def _data(value: Any) -> dict[str, Any]:
    return dict(Fields(value).one("data", Fields.whole))
