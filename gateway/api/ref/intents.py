"""Intents in Ref's words: submit one, look at it, report how it went; and `/agent-intent` for the published client."""

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag

from gateway.api.fields import IDEMPOTENT, MAX_NAME_CHARS, MAX_TEXT_CHARS, Answer, Asked, IdempotencyKey, example
from gateway.api.operation import Call, Operation
from gateway.core.decision import Effect
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.core.submission import IntentRecord, Outcome, Submission
from gateway.errors import AgentNotFound, NotFound, SigningError, StateConflict, Unavailable
from gateway.services.intents import Submitted

__all__ = ["OPERATIONS"]

TAG: Final = "Intent evaluation"

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]


# --- what is asked ----------------------------------------------------------------------------------------------------


class StructuredAction(Asked):
    """An action by its intent type."""

    type: Name = Field(title="Intent type", description="An intent type of the taxonomy.", examples=["deploy.release"])
    params: dict[str, Any] | None = Field(default=None, description="Its parameters; the token is bound to them.")


def _kind(value: Any) -> str:
    return "<object>" if isinstance(value, dict | StructuredAction) else "<text>"


class IntentRequest(Asked):
    """An intent to be decided."""

    action: Annotated[
        Annotated[str, Field(min_length=1), Tag("<text>")] | Annotated[StructuredAction, Tag("<object>")],
        Discriminator(_kind),
    ] = Field(title="Action", description="What is to be done: free text, an intent type, or `{type, params}`.")
    actor: Name = Field(title="Actor", description="The agent that acts, by slug or id; `agent:` in front is dropped.")
    system: str | None = Field(default=None, max_length=MAX_NAME_CHARS, description="The system that is acted on.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="What else is known; policies read it as `args`, and a token is bound to it."
    )
    idempotencyKey: IdempotencyKey | None = Field(default=None, description=IDEMPOTENT)

    model_config = example(
        {
            "action": "deploy application to production",
            "actor": "agent:github-actions",
            "system": "github",
            "metadata": {"repo": "acme/frontend", "branch": "main"},
        }
    )


class Actor(Asked):
    """The agent that acts, as the published client names it."""

    id: Name = Field(title="Actor id", description="Slug or id of the agent.")
    type: str | None = Field(default=None, max_length=MAX_NAME_CHARS, description="Not looked at.")


class AgentIntentRequest(Asked):
    """An intent in the words of the client published on PyPI as `intended`."""

    tenantId: Name | None = Field(default=None, title="Tenant", description="Must be the credential's own.")
    actor: Actor = Field(title="Actor", description="The agent that acts.")
    proposedAction: str = Field(title="Proposed action", min_length=1, description="What is to be done.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="What else is known; its `system`, a text, is the system that is acted on."
    )
    idempotencyKey: IdempotencyKey | None = Field(default=None, description=IDEMPOTENT)

    model_config = example(
        {
            "tenantId": "tenant-a",
            "actor": {"id": "github-actions", "type": "service"},
            "proposedAction": "deploy to production",
            "metadata": {"system": "github"},
        }
    )


class OutcomeRequest(Asked):
    """How an allowed act went."""

    status: Literal["completed", "failed"] = Field(title="Status", description="How it went.")
    error: str | None = Field(default=None, max_length=MAX_TEXT_CHARS, description="Why it failed.")


# --- what is answered -------------------------------------------------------------------------------------------------


class RiskFactor(Answer):
    """One thing that raised or lowered the risk."""

    code: str
    points: int
    evidence: str = Field(description="Where it was seen.")


class Trace(Answer):
    """What the decision rests on."""

    policySet: str = Field(description="The policy set of the deciding rule; empty where none decided.")
    triggeredRules: list[str] = Field(description="The rules that applied, the deciding ones first.")
    evaluatedAt: str = Field(description="When it was decided.")


class Judged(Answer):
    """What an authority decision says."""

    intentId: str
    decision: Literal["ALLOW", "DENY", "ESCALATE"]
    riskScore: int = Field(ge=0, le=100)
    confidence: float = Field(ge=0, le=1, description="Of the classification.")
    reason: str = Field(description="Why, in one sentence.")
    reasonCode: str = Field(description="Why, as a stable code.")
    token: str = Field(default="", description="The authority token (compact JWS), only with ALLOW, and only once.")
    trace: Trace
    intentType: str
    domain: str
    agentId: str = Field(description="The agent's `agt_…`; its slug where it is not registered.")
    agent: str = Field(description="The agent's slug.")
    trustTier: Literal["T0", "T1", "T2", "T3", "T4"]
    riskFactors: list[RiskFactor]
    policyDigest: str = Field(description="SHA-256 of the policies in force.")
    escalationId: str = Field(default="", description="The approval that waits for a human; only while one is open.")
    approvalUrl: str = Field(default="", description="The page on which a human answers; only while it is open.")
    retryAfterSeconds: int = Field(
        default=0,
        description="When a DENY may be asked again; only at once, and where what was spent of a budget says.",
    )


class Decision(Judged):
    """An authority decision."""

    model_config = example(
        {
            "intentId": "int_abc123",
            "decision": "ALLOW",
            "riskScore": 42,
            "confidence": 0.94,
            "reason": "Rule `allow-ci-deploy` allows it.",
            "reasonCode": "policy-allow",
            "token": "mrt_tok_...",
            "trace": {
                "policySet": "prod-deploy-v3",
                "triggeredRules": ["allow-ci-deploy"],
                "evaluatedAt": "2026-03-22T14:30:00.000Z",
            },
            "intentType": "deploy.release",
            "domain": "deploy",
            "agentId": "agt_01HN4X7KQZ8Y1A2B3C4D5E6F7G",
            "agent": "github-actions",
            "trustTier": "T0",
            "riskFactors": [{"code": "production", "points": 20, "evidence": "action"}],
            "policyDigest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        }
    )


class IntentDetails(Judged):
    """An intent as it stands, with its decision."""

    status: Literal["pending", "approved", "rejected", "completed", "failed", "expired"]
    front: Literal["rest", "mcp"] = Field(description="How it came in.")
    action: str = Field(description="As submitted; of an MCP call the tool.")
    actor: str = Field(description="The agent's slug.")
    system: str = Field(description="As submitted; of an MCP call the upstream.")
    metadata: dict[str, Any] = Field(description="Parameters or metadata, redacted as the audit keeps them.")
    argsDigest: str = Field(description="SHA-256 of the canonical parameters: what a token is bound to.")
    createdAt: str
    updatedAt: str
    error: str = Field(default="", description="What a failed outcome said.")


class AuthorityDecision(Answer):
    """The verdict, as the published client reads it."""

    decision: Literal["ALLOW", "DENY", "ESCALATE"]
    riskScore: int = Field(ge=0, le=100)
    confidence: float = Field(ge=0, le=1)


class AgentDecision(Answer):
    """An authority decision in the words of the client published on PyPI as `intended`."""

    intentId: str
    authorityDecision: AuthorityDecision
    authorityDecisionToken: str | None = Field(description="The authority token, only with ALLOW.")
    escalationId: str | None = Field(description="The approval that waits for a human.")
    explanation: str = Field(description="Why, in one sentence.")


# --- the endpoints ----------------------------------------------------------------------------------------------------


async def submit_intent(call: Call, body: IntentRequest) -> JsonObject:
    """Every verdict is answered with 200. What cannot be classified is decided as of type `unknown`."""
    action, params, declared = body.action, body.metadata, ""
    if isinstance(action, StructuredAction):
        declared, params = action.type, body.metadata if action.params is None else action.params
    submission = Submission(
        agent=body.actor,
        action=declared or str(action),
        declared_type=declared,
        system=body.system or "",
        params=params or {},
        idempotency_key=body.idempotencyKey or "",
    )
    return decision(call, await call.services.intents.submit(call.principal, submission))


async def submit_agent_intent(call: Call, body: AgentIntentRequest) -> JsonObject:
    """For the client published on PyPI as `intended`; every verdict is answered with 200."""
    metadata = body.metadata or {}
    system = metadata.get("system", "")
    submission = Submission(
        agent=body.actor.id,
        action=body.proposedAction,
        system=system[:MAX_NAME_CHARS] if isinstance(system, str) else "",
        params=metadata,
        idempotency_key=body.idempotencyKey or "",
    )
    submitted = await call.services.intents.submit(call.principal, submission)
    record = submitted.record
    return {
        "intentId": record.id,
        "authorityDecision": {
            "decision": record.effect,
            "riskScore": record.risk,
            "confidence": record.confidence,
        },
        "authorityDecisionToken": submitted.token or None,
        "escalationId": _open_approval(record) or None,
        "explanation": record.explanation,
    }


async def show_intent(call: Call, id: str) -> JsonObject:
    """The agent that submitted it is given the token here, once, after a human's yes."""
    return details(call, await call.services.intents.show(call.principal, id))


async def report_outcome(call: Call, id: str, body: OutcomeRequest) -> JsonObject:
    """Trust and value depend on it. Calls by MCP report themselves."""
    record = await call.services.intents.outcome(call.principal, id, Outcome(body.status), body.error or "")
    return details(call, Submitted(record=record, token="", repeated=False))


# --- views ------------------------------------------------------------------------------------------------------------


def decision(call: Call, submitted: Submitted) -> JsonObject:
    """Return a decision as the reference shows it."""
    record = submitted.record
    found = call.services.agents.find(record.tenant, record.agent)
    shown: JsonObject = {
        "intentId": record.id,
        "decision": record.effect,
        "riskScore": record.risk,
        "confidence": record.confidence,
        "reason": record.explanation,
        "reasonCode": record.reason,
        "trace": {
            "policySet": record.policy_set,
            "triggeredRules": record.rules,
            "evaluatedAt": record.decided,
        },
        "intentType": record.type,
        "domain": record.domain,
        "agentId": found.id if found is not None else record.agent,
        "agent": record.agent,
        "trustTier": f"T{record.tier}",
        "riskFactors": [
            {"code": code, "points": points, "evidence": evidence} for code, points, evidence in record.factors
        ],
        "policyDigest": record.policy_digest,
    }
    if submitted.token:
        shown["token"] = submitted.token
    if approval := _open_approval(record):
        shown["escalationId"] = approval
        shown["approvalUrl"] = call.services.links.approval(approval)
    if submitted.respite is not None and submitted.respite.after_s is not None:
        shown["retryAfterSeconds"] = submitted.respite.after_s
    return shown


def details(call: Call, submitted: Submitted) -> JsonObject:
    """Return an intent as it stands."""
    record = submitted.record
    shown = decision(call, submitted)
    shown |= {
        "status": record.status,
        "front": record.front,
        "action": record.action,
        "actor": record.agent,
        "system": record.system,
        "metadata": record.params,
        "argsDigest": record.args_digest,
        "createdAt": record.created,
        "updatedAt": record.updated,
    }
    if record.error:
        shown["error"] = record.error
    return shown


def _open_approval(record: IntentRecord) -> str:
    return record.approval_id if record.status == "pending" and record.effect is Effect.ESCALATE else ""


_SUBMITS: Final = (AgentNotFound, StateConflict, SigningError, Unavailable)

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/intent",
        name="submit_intent",
        summary="Submit an intent for evaluation",
        endpoint=submit_intent,
        answers=Decision,
        scope=Scope.INTENTS_WRITE,
        also=_SUBMITS,
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/agent-intent",
        name="submit_agent_intent",
        summary="Submit an intent, for the published client",
        endpoint=submit_agent_intent,
        answers=AgentDecision,
        scope=Scope.INTENTS_WRITE,
        also=_SUBMITS,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/intent/{id}",
        name="show_intent",
        summary="Show an intent and its decision",
        endpoint=show_intent,
        answers=IntentDetails,
        scope=Scope.INTENTS_READ,
        also=(SigningError, Unavailable, NotFound),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/intent/{id}/outcome",
        name="report_outcome",
        summary="Report how an allowed act went",
        endpoint=report_outcome,
        answers=IntentDetails,
        scope=Scope.INTENTS_WRITE,
        also=(StateConflict, NotFound),
        tag=TAG,
    ),
)
