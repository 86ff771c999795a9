"""Delivery of webhooks: each endpoint follows its tenant's chain from behind, and has its events sent.

Owns the tasks, one for each endpoint that is enabled, and their order: entries become deliveries in the transaction
that moves the endpoint's cursor, then whatever is due is tried. An endpoint has a few attempts in flight at once and
never two of one lane (an intent), so that a receiver gets the events of an intent in their order; one that is slow or
dead holds up its own events and nothing else. Nothing here is waited for by anybody.

A delivery that was made and not recorded, because the process died in between, is made again under the same id.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import anyio
from anyio.abc import TaskGroup

from gateway.core.ageing import Ageing
from gateway.core.audit.body import timestamp
from gateway.core.events import body_of, delivery_id, events_of
from gateway.core.webhooks import GONE, Delivery, DeliveryState, Endpoint, Posted, Told, attempted
from gateway.errors import StoreError
from gateway.ports import Clock
from gateway.services.jobs import Jobs
from gateway.services.webhooks import Courier, Outbox, Webhooks

__all__ = ["Delivering"]

LOOK_S: Final = 0.25
"""Between two looks at the chain: how late an event may be at most, where its receiver keeps up."""
AGAIN_S: Final = 2.0
"""After the outbox could not be used."""
ENTRIES: Final = 200
"""Entries turned into deliveries in one transaction, some 10 ms of a thread."""
IN_FLIGHT: Final = 4
"""Attempts of one endpoint at once."""
PURGE_EVERY_S: Final = 3600.0
JOB: Final = "webhook-delivery"
KEPT: Final = timedelta(days=30)
"""How long a settled delivery can be looked at and sent again."""

_log = logging.getLogger(__name__)


class _Lanes:
    """The lanes of one endpoint that have an attempt in flight, and a bell for when one has ended."""

    def __init__(self) -> None:
        self.busy: set[str] = set()
        self.bell = anyio.Event()

    def ring(self) -> None:
        bell, self.bell = self.bell, anyio.Event()
        bell.set()


class Delivering:
    """Takes the chain's entries to the receivers."""

    def __init__(
        self,
        *,
        webhooks: Webhooks,
        outbox: Outbox,
        courier: Courier,
        clock: Clock,
        jobs: Jobs | None = None,
        newest: datetime | None = None,
    ) -> None:
        """`newest` is the time of the newest entry that the start found."""
        self._ageing = Ageing(newest=newest, now=clock.now(), monotonic=clock.monotonic())
        self._jobs = jobs or Jobs()
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._webhooks = webhooks
        self._outbox = outbox
        self._courier = courier
        self._clock = clock
        self._followed: set[str] = set()
        self._purged: float | None = None

    @property
    def attempts(self) -> Mapping[tuple[str, str], int]:
        """Attempts of this process by (tenant, state of the delivery after it)."""
        return dict(self._attempts)

    async def backlog(self) -> Mapping[str, int]:
        """Return how many deliveries of each tenant are still to be made. Raises StoreError."""
        endpoints = self._webhooks.all()
        return await self._outbox.waiting() if endpoints else {}

    async def run(self) -> None:
        """Deliver, for ever; `app.py` owns the task. Without endpoints it only waits for the first."""
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    bell = self._webhooks.bell()
                    for endpoint in self._webhooks.all():
                        if endpoint.id not in self._followed:
                            self._followed.add(endpoint.id)
                            tasks.start_soon(self._follow, endpoint.id)
                    await self._purge()
                    with anyio.move_on_after(PURGE_EVERY_S):
                        await bell.wait()
        finally:
            await self._outbox.aclose()

    async def _follow(self, endpoint_id: str) -> None:
        """Serve one endpoint until it is deleted; while it is disabled, everything waits where it is."""
        lanes, troubled = _Lanes(), False
        async with anyio.create_task_group() as tasks:
            while True:
                changed, bell = self._webhooks.bell(), lanes.bell
                endpoint = self._webhooks.find(endpoint_id)
                if endpoint is None:
                    return
                if endpoint.disabled:
                    await changed.wait()
                    continue
                try:
                    busy = await self._step(tasks, endpoint, lanes)
                    troubled = False
                except StoreError as error:
                    if not troubled:
                        _log.error("webhook %s waits: %s", endpoint_id, error)
                    troubled, busy = True, False
                if not busy:
                    with anyio.move_on_after(AGAIN_S if troubled else LOOK_S):
                        await bell.wait()

    async def _step(self, tasks: TaskGroup, endpoint: Endpoint, lanes: _Lanes) -> bool:
        """Take over what is new, start what is due; returns whether there is more to take over. Raises StoreError."""
        more = await self.take_over(endpoint)
        now = timestamp(self._clock.now())
        for delivery in await self._outbox.due(endpoint.id, now=now, limit=IN_FLIGHT + len(lanes.busy)):
            if delivery.lane not in lanes.busy and len(lanes.busy) < IN_FLIGHT:
                lanes.busy.add(delivery.lane)
                tasks.start_soon(self._attempt, endpoint.id, delivery, lanes)
        return more

    async def take_over(self, endpoint: Endpoint) -> bool:
        """Turn the next entries into deliveries; returns whether there may be more. Raises StoreError."""
        unread = await self._outbox.unread(endpoint.tenant, endpoint.id, after=endpoint.after, limit=ENTRIES)
        if unread:
            made = [delivery for told in unread for delivery in self._deliveries(endpoint, told)]
            await self._outbox.put(endpoint.tenant, endpoint.id, made, seq=unread[-1].seq)
        return len(unread) == ENTRIES

    def _deliveries(self, endpoint: Endpoint, told: Told) -> list[Delivery]:
        """Return what one entry has to tell the endpoint. A damaged one tells nothing: verification tells of it."""
        if told.entry is None or told.body is None:
            return []
        try:
            entry_id, at = told.entry["id"], datetime.fromisoformat(told.entry["time"])
            events = [one for one in events_of(told.entry, told.body, told.earlier) if endpoint.wants(one.name)]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            _log.warning("entry %s of tenant %s cannot be read for webhooks", told.seq, endpoint.tenant)
            return []
        now, made = timestamp(self._clock.now()), []
        for event in events:
            id_ = delivery_id(endpoint.id, entry_id, event, milliseconds=round(at.timestamp() * 1000))
            made.append(
                Delivery(
                    tenant=endpoint.tenant,
                    endpoint=endpoint.id,
                    id=id_,
                    lane=event.lane,
                    event=event.name,
                    intent_id=event.intent_id,
                    body=body_of(event, id_),
                    created=now,
                    due=now,
                )
            )
        return made

    async def _attempt(self, endpoint_id: str, delivery: Delivery, lanes: _Lanes) -> None:
        """Try one delivery and keep how it went; what cannot be kept is tried again."""
        try:
            endpoint = self._webhooks.find(endpoint_id)
            if endpoint is None or endpoint.disabled:
                return
            await self.attempt(endpoint, delivery)
        except StoreError as error:
            _log.error("webhook delivery %s: %s", delivery.id, error)
            await anyio.sleep(AGAIN_S)
        finally:
            lanes.busy.discard(delivery.lane)
            lanes.ring()

    async def attempt(self, endpoint: Endpoint, delivery: Delivery) -> Delivery:
        """Try one delivery, and return it as it then stands. Raises StoreError where that could not be kept."""
        posted = await self._posted(endpoint, delivery)
        tried = attempted(delivery, posted, now=self._clock.now())
        self._attempts[endpoint.tenant, tried.state] += 1
        self._jobs.ran(JOB, well=tried.state is DeliveryState.DELIVERED)
        await self._outbox.settle(tried)
        if posted.status == GONE:
            await self._webhooks.gone(endpoint.id)
        return tried

    async def _posted(self, endpoint: Endpoint, delivery: Delivery) -> Posted:
        try:
            secrets = self._webhooks.secrets(endpoint)
        except StoreError:  # another data key: nothing that could be retried at once
            return Posted(reason="not sent: its secret cannot be opened; rotate it")
        return await self._courier.deliver(delivery, url=endpoint.url, secrets=secrets, at=self._clock.now())

    async def _purge(self) -> None:
        """Drop what is old, and what deleted endpoints left. A gateway that never had an endpoint has no outbox."""
        now = self._clock.monotonic()
        known = {one.id for one in self._webhooks.all()}
        deleted, self._followed = self._followed - known, self._followed & known
        if not deleted and (not known or (self._purged is not None and now - self._purged < PURGE_EVERY_S)):
            return
        self._purged = now
        try:
            old = self._ageing.at(self._clock.now(), now) - KEPT
            await self._outbox.purge(before=timestamp(old), endpoints=known)
        except StoreError as error:
            _log.error("old webhook deliveries stay: %s", error)
