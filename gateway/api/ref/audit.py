"""The audit trail in Ref's words: a tenant's timeline, and whether its chain is whole."""

from typing import Any, Final, Literal

from pydantic import Field

from gateway.api.fields import Answer, Asked, Moment, Query, WholeNumber, Word, example
from gateway.api.operation import Call, Operation
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.ports import EntryFilter

__all__ = ["OPERATIONS"]

TAG: Final = "Audit and evidence"

MAX_CURSOR: Final = 2**53 - 1


# --- what is asked ----------------------------------------------------------------------------------------------------


class TimelineQuery(Query):
    """Which events of the timeline."""

    actor: Word | None = Field(default=None, description="Those of this agent, by slug or id, also with `agent:`.")
    system: Word | None = Field(default=None, description="Those about this system (of MCP calls: the upstream).")
    from_: Moment | None = Field(default=None, alias="from", description="Inclusive.")
    to: Moment | None = Field(default=None, description="Exclusive.")
    cursor: WholeNumber | None = Field(
        default=None, ge=1, le=MAX_CURSOR, description="`nextCursor` of the page before."
    )
    limit: WholeNumber = Field(default=20, ge=1, le=100, description="Events on a page.")


class VerifyChainRequest(Asked):
    """Whose chain is verified."""

    tenantId: str | None = Field(default=None, title="Tenant", description="Must be the credential's own.")

    model_config = example({"tenantId": "tenant-a"})


# --- what is answered -------------------------------------------------------------------------------------------------


class TimelineEvent(Answer):
    """One entry of the audit chain."""

    id: str
    sequence: int = Field(description="Its place in the chain, from 1.")
    type: str = Field(description="One of the closed list of event types.")
    timestamp: str
    actor: str = Field(description="The agent's slug; empty where no agent acted.")
    system: str = Field(description="The upstream, or the system that a program named.")
    target: str = Field(description="The tool or action.")
    intentId: str
    decision: Literal["ALLOW", "DENY", "ESCALATE", ""]
    reasons: list[str]
    riskScore: int
    policyDigest: str
    argsDigest: str
    hash: str
    previousHash: str
    details: dict[str, Any] = Field(description="The entry's body, as it was stored: redacted.")


class Timeline(Answer):
    """A page of the timeline, newest first."""

    tenantId: str
    events: list[TimelineEvent]
    nextCursor: int | None = Field(description="Asks for the next page; null on the last one.")


class BreakPoint(Answer):
    """One place where the chain does not hold."""

    sequence: int
    kind: str
    expected: str
    found: str


class ChainReport(Answer):
    """The finding about a chain."""

    tenantId: str
    status: Literal["valid", "broken"]
    valid: bool
    eventCount: int
    headSequence: int
    headHash: str
    root: str = Field(description="The RFC 6962 root over the entries.")
    breakPoints: list[BreakPoint] = Field(description="The first thousand at most.")
    breakCount: int


# --- the endpoints ----------------------------------------------------------------------------------------------------


async def show_timeline(call: Call, query: TimelineQuery) -> JsonObject:
    """Newest first; filters are joined by AND."""
    services, principal = call.services, call.principal
    actor = (query.actor or "").removeprefix("agent:")
    agent = services.agents.find(principal.tenant, actor)
    wanted = EntryFilter(
        agent=agent.slug if agent is not None else actor,
        upstream=query.system or "",
        since=query.from_ or "",
        until=query.to or "",
        before=query.cursor or 0,
    )
    page = await services.audit.entries(principal, wanted, page=1, page_size=query.limit)
    more = page.total > len(page.items)
    return {
        "tenantId": principal.tenant,
        "events": [_event(entry) for entry in page.items],
        "nextCursor": page.items[-1]["seq"] if more and page.items else None,
    }


async def verify_chain(call: Call, body: VerifyChainRequest) -> JsonObject:
    """Every entry is read and hashed again; what does not hold is listed."""
    report = await call.services.audit.verify(call.principal)
    return {
        "tenantId": report.tenant,
        "status": "valid" if report.valid else "broken",
        "valid": report.valid,
        "eventCount": report.count,
        "headSequence": report.head_seq,
        "headHash": report.head_hash.hex(),
        "root": report.root.hex(),
        "breakPoints": [
            {"sequence": one.seq, "kind": one.kind, "expected": one.expected, "found": one.found}
            for one in report.breaks
        ],
        "breakCount": report.broken,
    }


def _event(entry: JsonObject) -> JsonObject:
    return {
        "id": entry["id"],
        "sequence": entry["seq"],
        "type": entry["type"],
        "timestamp": entry["time"],
        "actor": entry["agent"],
        "system": entry["upstream"],
        "target": entry["tool"],
        "intentId": entry["intentId"],
        "decision": entry["effect"],
        "reasons": entry["reasons"],
        "riskScore": entry["risk"],
        "policyDigest": entry["policyDigest"],
        "argsDigest": entry["argsDigest"],
        "hash": entry["hash"],
        "previousHash": entry["prev"],
        "details": entry["body"],
    }


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/audit/{tenantId}/timeline",
        name="show_timeline",
        summary="Show a tenant's audit timeline",
        endpoint=show_timeline,
        answers=Timeline,
        scope=Scope.AUDIT_READ,
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/audit/verify-chain",
        name="verify_chain",
        summary="Verify the audit chain",
        endpoint=verify_chain,
        answers=ChainReport,
        scope=Scope.AUDIT_READ,
        body_optional=True,
        tag=TAG,
    ),
)
