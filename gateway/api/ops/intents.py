"""Intents in Ops' words: submit one by its declared type, list, look, report how it went."""

from typing import Any, Final, Literal

from pydantic import Field

from gateway.api.fields import (
    IDEMPOTENT,
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    Answer,
    Asked,
    IdempotencyKey,
    Moment,
    PageQuery,
    Word,
    example,
    paged,
)
from gateway.api.operation import Call, Operation
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.core.submission import IntentRecord, Outcome, Submission
from gateway.errors import AgentNotFound, NotFound, SigningError, StateConflict, Unavailable
from gateway.ports import IntentFilter

__all__ = ["OPERATIONS"]

TAG: Final = "Intents"

Status = Literal["pending", "approved", "rejected", "completed", "failed", "expired"]


# --- what is asked ----------------------------------------------------------------------------------------------------


class CreateIntentRequest(Asked):
    """An intent to be decided, by its declared type."""

    type: str = Field(
        title="Intent type", min_length=1, max_length=MAX_NAME_CHARS, description="An intent type of the taxonomy."
    )
    domain: str = Field(title="Domain", min_length=1, max_length=MAX_NAME_CHARS, description="The domain of the type.")
    agentId: str = Field(
        title="Agent ID", min_length=1, max_length=MAX_NAME_CHARS, description="The agent that acts, by id or slug."
    )
    params: dict[str, Any] | None = Field(default=None, description="Its parameters; policies read them as `args`.")
    description: str | None = Field(default=None, max_length=MAX_TEXT_CHARS, description="For people.")
    justification: str | None = Field(default=None, max_length=MAX_TEXT_CHARS, description="For approvers.")
    idempotencyKey: IdempotencyKey | None = Field(default=None, description=IDEMPOTENT)

    model_config = example(
        {
            "type": "billing.send_invoice",
            "domain": "billing",
            "agentId": "billing-agent",
            "params": {"customerId": "cust_123", "amount": 99.99},
            "description": "Send monthly subscription invoice",
            "idempotencyKey": "invoice-cust_123-2024-01",
        }
    )


class IntentsQuery(PageQuery):
    """Which intents."""

    status: Status | None = Field(default=None)
    agentId: Word | None = Field(default=None, description="By id or slug.")
    domain: Word | None = Field(default=None)
    type: Word | None = Field(default=None, description="An intent type.")
    fromDate: Moment | None = Field(default=None, description="Inclusive.")
    toDate: Moment | None = Field(default=None, description="Exclusive.")


class IntentOutcomeRequest(Asked):
    """How an allowed act went."""

    status: Literal["completed", "failed"] = Field(title="Status", description="How it went.")
    error: str | None = Field(default=None, max_length=MAX_TEXT_CHARS, description="Why it failed.")


# --- what is answered -------------------------------------------------------------------------------------------------


class CreatedIntent(Answer):
    """A decided intent."""

    intentId: str
    status: Status = Field(description="`pending` awaits a human.")
    createdAt: str

    model_config = example(
        {
            "intentId": "int_01HN4X7KQZ8Y1A2B3C4D5E6F7G",
            "status": "pending",
            "createdAt": "2024-01-15T10:30:00.000Z",
        }
    )


class IntentView(Answer):
    """An intent as it stands."""

    id: str
    type: str
    domain: str
    status: Status
    agentId: str = Field(description="The agent's `agt_…`; its slug where it is not registered.")
    agent: str = Field(description="The agent's slug.")
    params: dict[str, Any] = Field(description="Redacted, as the audit keeps them.")
    description: str
    justification: str
    decision: Literal["ALLOW", "DENY", "ESCALATE"]
    reason: str = Field(description="Why, in one sentence.")
    riskScore: int = Field(ge=0, le=100)
    confidence: float = Field(ge=0, le=1)
    trustTier: Literal["T0", "T1", "T2", "T3", "T4"]
    approvalId: str | None
    error: str | None = Field(description="What a failed outcome said.")
    createdAt: str
    updatedAt: str


class IntentViewWithToken(IntentView):
    """An intent as it stands, with its token where this answer is the one that carries it."""

    token: str = Field(default="", description="The authority token, once after a human's yes.")


class IntentPage(Answer):
    """A page of intents, newest first."""

    items: list[IntentView]
    total: int
    page: int
    pageSize: int


# --- the endpoints ----------------------------------------------------------------------------------------------------


async def create_intent(call: Call, body: CreateIntentRequest) -> JsonObject:
    """Every verdict is answered with 201; its `status` tells which. For a token ask `POST /intent`."""
    submission = Submission(
        agent=body.agentId,
        action=body.type,
        declared_type=body.type,
        domain=body.domain,
        params=body.params or {},
        description=body.description or "",
        justification=body.justification or "",
        idempotency_key=body.idempotencyKey or "",
    )
    record = (await call.services.intents.submit(call.principal, submission)).record
    return {"intentId": record.id, "status": record.status, "createdAt": record.created}


async def list_intents(call: Call, query: IntentsQuery) -> JsonObject:
    """Newest first; filters are joined by AND."""
    wanted = IntentFilter(
        status=query.status or "",
        agent=query.agentId or "",
        domain=query.domain or "",
        intent_type=query.type or "",
        since=query.fromDate or "",
        until=query.toDate or "",
    )
    found = await call.services.intents.list(call.principal, wanted, page=query.page, page_size=query.pageSize)
    return paged([_view(call, one) for one in found.items], total=found.total, query=query)


async def get_intent(call: Call, id: str) -> JsonObject:
    """The agent that submitted it is given the token here, once, after a human's yes."""
    submitted = await call.services.intents.show(call.principal, id)
    shown = _view(call, submitted.record)
    return {**shown, "token": submitted.token} if submitted.token else shown


async def report_intent_outcome(call: Call, id: str, body: IntentOutcomeRequest) -> JsonObject:
    """Trust and value depend on it. Calls by MCP report themselves."""
    record = await call.services.intents.outcome(call.principal, id, Outcome(body.status), body.error or "")
    return _view(call, record)


def _view(call: Call, record: IntentRecord) -> JsonObject:
    agent = call.services.agents.find(record.tenant, record.agent)
    return {
        "id": record.id,
        "type": record.type,
        "domain": record.domain,
        "status": record.status,
        "agentId": agent.id if agent is not None else record.agent,
        "agent": record.agent,
        "params": record.params,
        "description": record.description,
        "justification": record.justification,
        "decision": record.effect,
        "reason": record.explanation,
        "riskScore": record.risk,
        "confidence": record.confidence,
        "trustTier": f"T{record.tier}",
        "approvalId": record.approval_id or None,
        "error": record.error or None,
        "createdAt": record.created,
        "updatedAt": record.updated,
    }


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/intents",
        name="create_intent",
        summary="Create an intent",
        endpoint=create_intent,
        answers=CreatedIntent,
        status=201,
        scope=Scope.INTENTS_WRITE,
        also=(AgentNotFound, StateConflict, SigningError, Unavailable),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/intents",
        name="list_intents",
        summary="List intents",
        endpoint=list_intents,
        answers=IntentPage,
        scope=Scope.INTENTS_READ,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/intents/{id}",
        name="get_intent",
        summary="Get an intent",
        endpoint=get_intent,
        answers=IntentViewWithToken,
        scope=Scope.INTENTS_READ,
        also=(NotFound, SigningError, Unavailable),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/v1/intents/{id}/outcome",
        name="report_intent_outcome",
        summary="Report how an allowed act went",
        endpoint=report_intent_outcome,
        answers=IntentView,
        scope=Scope.INTENTS_WRITE,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
)
