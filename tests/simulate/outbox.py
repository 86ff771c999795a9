"""An outbox in memory over a store in memory, and a courier that obeys. The outbox passes `tests/contracts`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import anyio
import orjson

from gateway.core.webhooks import Delivery, DeliveryState, Posted, Told
from gateway.errors import StoreError
from gateway.ports import Page
from tests.simulate.store import MemoryStore

__all__ = ["MemoryOutbox", "Sent", "ToldCourier"]


@dataclass(kw_only=True)
class MemoryOutbox:
    """Set `down` to a reason and every method raises StoreError."""

    store: MemoryStore
    down: str = ""
    cursors: dict[str, int] = field(default_factory=dict)
    rows: dict[str, Delivery] = field(default_factory=dict)
    purges: list[tuple[str, set[str]]] = field(default_factory=list)
    closed: bool = False

    def _check(self) -> None:
        if self.down:
            raise StoreError(self.down)

    async def unread(self, tenant: str, endpoint: str, *, after: int, limit: int) -> Sequence[Told]:
        self._check()
        head, _ = await self.store.head(tenant)
        at = min(self.cursors.get(endpoint, after), head)
        if endpoint in self.cursors:
            self.cursors[endpoint] = at
        told = []
        decided = {}
        async for one in self.store.read(tenant):
            try:
                entry, body = orjson.loads(one.content), orjson.loads(one.body)
            except ValueError:
                found = Told(seq=one.seq)
            else:
                relevant = entry["type"] in ("call.decided", "call.completed", "approval.resolved")
                earlier = decided.get(entry["intentId"]) if relevant else None
                found = Told(seq=one.seq, entry=entry, body=body, earlier=earlier)
                if entry["type"] == "call.decided" and entry["intentId"]:
                    decided[entry["intentId"]] = entry, body
            if one.seq > at and len(told) < limit:
                told.append(found)
        return told

    async def put(self, tenant: str, endpoint: str, deliveries: Iterable[Delivery], *, seq: int | None) -> None:
        self._check()
        for one in deliveries:
            self.rows.setdefault(one.id, one)
        if seq is not None:
            self.cursors[endpoint] = seq

    async def due(self, endpoint: str, *, now: str, limit: int) -> Sequence[Delivery]:
        self._check()
        first: dict[str, Delivery] = {}
        for one in self.rows.values():
            if one.endpoint == endpoint and one.state.open:
                first.setdefault(one.lane, one)
        return sorted((one for one in first.values() if one.due <= now), key=lambda one: one.due)[:limit]

    async def settle(self, delivery: Delivery) -> None:
        self._check()
        self.rows[delivery.id] = delivery

    async def get(self, tenant: str, endpoint: str, delivery_id: str) -> Delivery | None:
        self._check()
        found = self.rows.get(delivery_id)
        return found if found is not None and (found.tenant, found.endpoint) == (tenant, endpoint) else None

    async def list(
        self, tenant: str, endpoint: str, state: DeliveryState | None, *, page: int, page_size: int
    ) -> Page[Delivery]:
        self._check()
        found = [
            one
            for one in reversed(self.rows.values())
            if (one.tenant, one.endpoint) == (tenant, endpoint) and state in (None, one.state)
        ]
        return Page(items=tuple(found[(page - 1) * page_size : page * page_size]), total=len(found))

    async def waiting(self) -> Mapping[str, int]:
        self._check()
        return Counter(one.tenant for one in self.rows.values() if one.state.open)

    async def purge(self, *, before: str, endpoints: Iterable[str]) -> None:
        self._check()
        known = set(endpoints)
        self.purges.append((before, known))
        self.cursors = {name: seq for name, seq in self.cursors.items() if name in known}
        self.rows = {
            id_: one
            for id_, one in self.rows.items()
            if one.endpoint in known and (one.state.open or one.last >= before)
        }

    async def aclose(self) -> None:
        self.closed = True


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One attempt."""

    delivery: Delivery
    url: str
    secrets: tuple[str, ...]


class ToldCourier:
    """Delivers by appending to `sent`. `answers` are given in turn, then success; `held` holds attempts up by URL."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.answers: list[Posted] = []
        self.held: dict[str, anyio.Event] = {}
        self.refuses = ""
        self.waiting = 0
        self.most = 0

    async def check(self, url: str) -> str:
        return self.refuses

    def origin(self, url: str) -> str:
        return url.rpartition("/")[0]

    async def deliver(self, delivery: Delivery, *, url: str, secrets: Sequence[str], at: datetime) -> Posted:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await anyio.lowlevel.checkpoint()
            if url in self.held:
                await self.held[url].wait()
            self.sent.append(Sent(delivery=delivery, url=url, secrets=tuple(secrets)))
            return self.answers.pop(0) if self.answers else Posted(status=200)
        finally:
            self.waiting -= 1
