"""What a start does with the past: calls that were decided and never completed are closed as in doubt.

They may have run. They are listed for a human and never sent again by the gateway itself (design, section 3).
"""

from collections.abc import Sequence

from gateway.core.audit.body import completed_body, timestamp
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.errors import StoreError
from gateway.ports import AuditLog, AuditReader, Clock, Ids, OpenCall
from gateway.services.enforcement import Completion

__all__ = ["close_disowned", "close_open_calls"]


async def close_open_calls(audit: AuditLog, reader: AuditReader, clock: Clock, ids: Ids) -> Sequence[OpenCall]:
    """Write a completed entry for each open call and return them. Raises StoreError; the gateway then must not start.

    To be called before anything is served: a call of this process is open while it runs.
    """
    open_calls = await reader.open_calls()
    for call in open_calls:
        await audit.append(
            EntryDraft(
                tenant=call.tenant,
                id=ids.new("evt"),
                type=EntryType.CALL_COMPLETED,
                time=timestamp(clock.now()),
                intent_id=call.intent_id,
                reasons=(Completion.IN_DOUBT,),
                body=completed_body({"completion": Completion.IN_DOUBT, "mayHaveRun": True, "decidedSeq": call.seq}),
                closes=True,
            )
        )
    return open_calls


async def close_disowned(audit: AuditLog, decided: EntryDraft, clock: Clock, ids: Ids) -> None:
    """Close a decided ALLOW that became durable only after its call had been refused as unrecorded: it did not run.

    A store that fails leaves it open; the next start then closes it as in doubt.
    """
    try:
        await audit.append(
            EntryDraft(
                tenant=decided.tenant,
                id=ids.new("evt"),
                type=EntryType.CALL_COMPLETED,
                time=timestamp(clock.now()),
                intent_id=decided.intent_id,
                agent=decided.agent,
                upstream=decided.upstream,
                tool=decided.tool,
                reasons=(Completion.DISOWNED,),
                policy_digest=decided.policy_digest,
                risk=decided.risk,
                args_digest=decided.args_digest,
                body=completed_body({"completion": Completion.DISOWNED, "mayHaveRun": False}),
                closes=True,
            )
        )
    except StoreError:
        return
