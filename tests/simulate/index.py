"""`ports.RecordIndex` over a store in memory: reads the whole chain for each answer, so that it is never behind.

Set `unreadable` of the store to a reason and every question raises StoreError, as with the real one.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.core.audit.entry import EntryType, StoredEntry
from gateway.core.projection import status_after
from gateway.ports import EntryFilter, HeldFilter, HeldRow, IntentFilter, IntentRow, Page
from tests.simulate.store import MemoryStore

__all__ = ["MemoryIndex"]


class MemoryIndex:
    """Answers from what the store holds now."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def intents(self, tenant: str, wanted: IntentFilter, *, page: int, page_size: int) -> Page[IntentRow]:
        """As `ports.RecordIndex.intents`."""
        found = [row for row in await self._rows(tenant) if _fits(row, wanted)]
        return Page(items=tuple(found[(page - 1) * page_size : page * page_size]), total=len(found))

    async def entries(self, tenant: str, wanted: EntryFilter, *, page: int, page_size: int) -> Page[StoredEntry]:
        """As `ports.RecordIndex.entries`."""
        found = [entry async for entry in self._store.read(tenant) if _is_wanted(orjson.loads(entry.content), wanted)]
        found.reverse()
        return Page(items=tuple(found[(page - 1) * page_size : page * page_size]), total=len(found))

    async def intent_counts(self, tenant: str, wanted: IntentFilter) -> Mapping[tuple[str, str, str], int]:
        """As `ports.RecordIndex.intent_counts`."""
        return Counter((row.agent, row.type, row.status) for row in await self._rows(tenant) if _fits(row, wanted))

    async def earned(self, tenant: str, *, agent: str = "", since: str = "") -> Mapping[str, int]:
        """As `ports.RecordIndex.earned`."""
        sums: Counter[str] = Counter()
        credited = set()
        async for entry in self._store.read(tenant):
            content, body = orjson.loads(entry.content), orjson.loads(entry.body)
            if content["type"] == EntryType.CALL_COMPLETED and "value" in body and content["intentId"] not in credited:
                credited.add(content["intentId"])
                if agent in ("", content["agent"]) and content["time"] >= since:
                    sums[body["value"]["currency"]] += body["value"]["cents"]
        return sums

    async def held(self, tenant: str, wanted: HeldFilter, *, page: int, page_size: int) -> Page[HeldRow]:
        """As `ports.RecordIndex.held`."""
        found = [row for row, state, group, _ in await self._held(tenant, wanted.kind) if _is(wanted, state, group)]
        return Page(items=tuple(found[(page - 1) * page_size : page * page_size]), total=len(found))

    async def held_one(self, tenant: str, kind: str, *, id: str = "", intent_id: str = "") -> HeldRow | None:
        """As `ports.RecordIndex.held_one`."""
        every = await self._held(tenant, kind) if id or intent_id else []
        return next((row for row, _, _, of in every if id in ("", row.id) and intent_id in ("", of)), None)

    async def _held(self, tenant: str, kind: str) -> list[tuple[HeldRow, str, str, str]]:
        """Return approvals or leases with state, group and intent, newest first."""
        found: dict[str, tuple[HeldRow, str, str, str]] = {}
        async for entry in self._store.read(tenant):
            content, body = orjson.loads(entry.content), orjson.loads(entry.body)
            opens = content["type"] == EntryType.CALL_DECIDED and content["effect"] == "ESCALATE"
            id_ = body.get("approvalId", "") if opens and kind == "approval" else ""
            if content["type"] == EntryType.LEASE_GRANTED and kind == "lease":
                id_ = body["leaseId"]
            if id_ and id_ not in found:
                row = self._store.row(tenant, f"{kind}:{id_}")
                told = {} if row is None else orjson.loads(row.value)
                found[id_] = (HeldRow(id=id_), told.get("state", ""), _group(told), content["intentId"])
            for kept in body["kept"] if content["type"] == EntryType.ROWS_REMOVED and body["kind"] == kind else ():
                told = kept["row"]
                intent = told["intentId"] if kind == "approval" else told["intent_id"]
                row = HeldRow(id=kept["id"], kept=orjson.dumps(kept))
                found[kept["id"]] = (row, told["state"], _group(told), intent)
        return list(found.values())[::-1]

    async def _rows(self, tenant: str) -> list[IntentRow]:
        """Return the tenant's intents, newest first."""
        found: dict[str, dict[str, Any]] = {}
        async for entry in self._store.read(tenant):
            content = orjson.loads(entry.content)
            intent, kind, reason = content["intentId"], content["type"], next(iter(content["reasons"]), "")
            if kind == EntryType.CALL_DECIDED:
                judged = orjson.loads(entry.body).get("intent", {})
                row = found.setdefault(
                    intent,
                    {"id": intent, "agent": content["agent"], "created": content["time"]}
                    | {name: judged.get(name, "") for name in ("domain", "type")},
                )
                row |= {"effect": content["effect"], "risk": content["risk"]}
            status = status_after(kind, effect=content["effect"], reason=reason)
            if status is not None and intent in found:
                found[intent] |= {"status": status, "updated": content["time"]}
        return [IntentRow(**row) for row in reversed(found.values())]


def _group(told: dict[str, Any]) -> str:
    return str((told.get("about") or {}).get("group", ""))


def _is(wanted: HeldFilter, state: str, group: str) -> bool:
    return wanted.state in ("", state) and wanted.group in ("", group)


def _fits(row: IntentRow, wanted: IntentFilter) -> bool:
    asked = (
        (wanted.status, row.status),
        (wanted.agent, row.agent),
        (wanted.domain, row.domain),
        (wanted.intent_type, row.type),
    )
    return all(not text or text == has for text, has in asked) and _between(row.created, wanted)


def _is_wanted(content: dict[str, Any], wanted: EntryFilter) -> bool:
    asked = (
        (wanted.type, content["type"]),
        (wanted.agent, content["agent"]),
        (wanted.upstream, content["upstream"]),
    )
    before = not wanted.before or content["seq"] < wanted.before
    return before and all(not text or text == has for text, has in asked) and _between(content["time"], wanted)


def _between(time: str, wanted: IntentFilter | EntryFilter) -> bool:
    return wanted.since <= time and (not wanted.until or time < wanted.until)
