"""The audit trail in Ops' words: its entries, and whether the chain is whole."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from gateway.api.fields import Answer, Moment, PageQuery, paged
from gateway.api.operation import Call, Operation
from gateway.core.audit.entry import EntryType
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.ports import EntryFilter

__all__ = ["OPERATIONS"]

TAG: Final = "Audit"


class AuditQuery(PageQuery):
    """Which entries."""

    eventType: Annotated[EntryType, Field(strict=False)] | None = Field(
        default=None, description="One of the closed list of event types."
    )
    fromDate: Moment | None = Field(default=None, description="Inclusive.")
    toDate: Moment | None = Field(default=None, description="Exclusive.")


class AuditItem(Answer):
    """One entry of the audit chain."""

    id: str
    sequence: int = Field(description="Its place in the chain, from 1.")
    eventType: EntryType
    timestamp: str
    agent: str = Field(description="The agent's slug; empty where no agent acted.")
    intentId: str | None
    upstream: str
    tool: str
    decision: Literal["ALLOW", "DENY", "ESCALATE"] | None
    reasons: list[str]
    riskScore: int
    hash: str
    previousHash: str
    data: dict[str, Any] = Field(description="The entry's body, as it was stored: redacted.")


class AuditPage(Answer):
    """A page of entries, newest first."""

    items: list[AuditItem]
    total: int
    page: int
    pageSize: int


class ChainBreak(Answer):
    """One place where the chain does not hold."""

    sequence: int
    kind: str
    expected: str
    found: str


class ChainVerdict(Answer):
    """The finding about the chain."""

    valid: bool
    eventCount: int
    headSequence: int
    headHash: str
    breaks: list[ChainBreak] = Field(description="The first thousand at most.")


async def query_audit(call: Call, query: AuditQuery) -> JsonObject:
    """Newest first; filters are joined by AND."""
    wanted = EntryFilter(type=query.eventType or "", since=query.fromDate or "", until=query.toDate or "")
    found = await call.services.audit.entries(call.principal, wanted, page=query.page, page_size=query.pageSize)
    return paged(map(_item, found.items), total=found.total, query=query)


async def verify_audit_chain(call: Call) -> JsonObject:
    """Every entry is read and hashed again."""
    report = await call.services.audit.verify(call.principal)
    return {
        "valid": report.valid,
        "eventCount": report.count,
        "headSequence": report.head_seq,
        "headHash": report.head_hash.hex(),
        "breaks": [
            {"sequence": one.seq, "kind": one.kind, "expected": one.expected, "found": one.found}
            for one in report.breaks
        ],
    }


def _item(entry: JsonObject) -> JsonObject:
    return {
        "id": entry["id"],
        "sequence": entry["seq"],
        "eventType": entry["type"],
        "timestamp": entry["time"],
        "agent": entry["agent"],
        "intentId": entry["intentId"] or None,
        "upstream": entry["upstream"],
        "tool": entry["tool"],
        "decision": entry["effect"] or None,
        "reasons": entry["reasons"],
        "riskScore": entry["risk"],
        "hash": entry["hash"],
        "previousHash": entry["prev"],
        "data": entry["body"],
    }


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/audit",
        name="query_audit",
        summary="Query the audit trail",
        endpoint=query_audit,
        answers=AuditPage,
        scope=Scope.AUDIT_READ,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/audit/verify",
        name="verify_audit_chain",
        summary="Verify the audit chain",
        endpoint=verify_audit_chain,
        answers=ChainVerdict,
        scope=Scope.AUDIT_READ,
        tag=TAG,
    ),
)
