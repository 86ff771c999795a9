"""Recorded decisions and tiers made again, from the store alone: what they rest on is on record with them.

Composes the read-only store, the policy compiler, `services/recompute.py` and `services/trust_check.py` for the command
line. Writes nothing.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import orjson

from gateway.core.audit.entry import EntryType, StoredEntry
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import SYSTEM_TENANT
from gateway.parts import data_folder
from gateway.policyfiles.recorded import compile_recorded
from gateway.ports import AuditReader
from gateway.records import database_path, reading
from gateway.services.audit_query import RecordedDecision, decided
from gateway.services.recompute import Recomputation, recompute
from gateway.services.trust import ROWS
from gateway.services.trust_check import TrustCheck, TrustReport
from gateway.settings import Settings
from gateway.store.sealing import Sealer, data_key
from gateway.store.sqlite.trust import read_kept

__all__ = ["replayed", "trust_reports"]


@dataclass(slots=True)
class _OnRecord:
    """What the chain of `_system` holds: policy files by bundle digest, tool definitions by pin."""

    policies: dict[str, list[JsonObject]] = field(default_factory=dict)
    definitions: dict[str, JsonObject] = field(default_factory=dict)
    bundles: dict[str, Bundle | None] = field(default_factory=dict)

    def bundle(self, digest: str) -> Bundle | None:
        """Return the bundle of that digest, compiled anew; None where it is not on record or compiles no more."""
        if digest not in self.bundles:
            self.bundles[digest] = compile_recorded(self.policies.get(digest, []))
        return self.bundles[digest]


async def replayed(settings: Settings, tenant: str, intent_id: str = "") -> AsyncIterator[Recomputation]:
    """Yield the recomputation of each decision of a tenant, or of one intent. Raises StoreError."""
    key = data_folder(settings) / "keys" / "data.key"
    sealer = Sealer(data_key(key)) if key.exists() else None
    async with reading(settings, sealer=sealer) as reader:
        on_record = await _on_record(reader)
        async for entry in _entries(reader, tenant, intent_id):
            decision = decided(entry)
            if decision is not None:
                yield _recomputed(decision, on_record)


async def trust_reports(settings: Settings, tenant: str | None = None) -> list[TrustReport]:
    """Return what the log of each tenant, or of one, gives its agents, and what says otherwise. Raises StoreError."""
    reports = []
    async with reading(settings) as reader:
        for one in await reader.tenants():
            if one == SYSTEM_TENANT or tenant not in (None, one):
                continue
            head, _ = await reader.head(one)
            rows = await reader.scan(one, ROWS)
            check = TrustCheck(one, kept=read_kept(database_path(settings), one), rows=rows, rows_as_of=head)
            async for entry in reader.read(one):
                check.feed(entry)
            reports.append(check.report())
    return reports


async def _entries(reader: AuditReader, tenant: str, intent_id: str) -> AsyncIterator[StoredEntry]:
    if intent_id:
        for entry in await reader.by_intent(tenant, intent_id):
            yield entry
        return
    async for entry in reader.read(tenant):
        yield entry


def _recomputed(decision: RecordedDecision, on_record: _OnRecord) -> Recomputation:
    called: Mapping[str, object] = (decision.evaluation_input or {}).get("call", {})
    return recompute(
        decision,
        bundle=on_record.bundle(str(decision.entry["policyDigest"])),
        definition=on_record.definitions.get(str(called.get("pin", ""))),
        taxonomy=TAXONOMY,
    )


async def _on_record(reader: AuditReader) -> _OnRecord:
    """Read the gateway's own chain once."""
    found = _OnRecord()
    async for entry in reader.read(SYSTEM_TENANT):
        content, body = orjson.loads(entry.content), orjson.loads(entry.body)
        if content["type"] == EntryType.POLICY_LOADED:
            found.policies[content["policyDigest"]] = body["files"]
        elif content["type"] in (EntryType.TOOL_PINNED, EntryType.TOOL_CHANGED):
            found.definitions[body["pin"]] = body["definition"]
    return found
