"""Webhook endpoints: where a tenant has its events sent, with which secret; and what became of each delivery.

Owns who may configure them, that each change is durable before it holds, and the directory in memory that the delivery
looks into (`services/delivering.py`). No decision waits for anything here, and no entry is made slower: an endpoint
follows the chain from behind.

A secret is shown once, and kept sealed. While an old one is still good both sign.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.events import EVENTS, body_of, probe
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Scope
from gateway.core.submitted import is_text
from gateway.core.webhooks import Delivery, DeliveryState, Endpoint, Posted, Told, make_secret, read_endpoint
from gateway.errors import FieldProblem, InvalidRequest, NotFound, StateConflict, StoreError
from gateway.ports import AuditLog, AuditReader, Clock, Conflict, Ids, Page, StateStore, Vault
from gateway.services.authentication import require_scope
from gateway.services.changing import Changing

__all__ = ["MAX_ENDPOINTS", "MAX_OVERLAP_S", "Courier", "CreatedEndpoint", "Outbox", "Webhooks"]

MAX_ENDPOINTS: Final = 20
"""Of one tenant: each follows the chain by itself."""
MAX_OVERLAP_S: Final = 7 * 86_400
MAX_DESCRIPTION_CHARS: Final = 256

DISABLED: Final = "disabled"
GONE: Final = "gone"
"""Why nothing is sent: an admin said so; or the receiver did, with the status 410."""

BY_ITSELF: Final = "gateway"

_ROW: Final = "webhook:"
_SEALED: Final = "webhook"
"""What a secret is sealed for, in the place of an intent."""


class Outbox(Protocol):
    """What of the chain has become deliveries, and where each stands. Every method raises StoreError."""

    async def unread(self, tenant: str, endpoint: str, *, after: int, limit: int) -> Sequence[Told]:
        """Return the next entries that the endpoint's cursor has not passed; a new one begins at `after`."""
        ...

    async def put(self, tenant: str, endpoint: str, deliveries: Iterable[Delivery], *, seq: int | None) -> None:
        """Keep deliveries and, in one transaction with them, move the endpoint's cursor to `seq` (None: not).

        One that is there already stays as it is.
        """
        ...

    async def due(self, endpoint: str, *, now: str, limit: int) -> Sequence[Delivery]:
        """Return deliveries whose time has come; of each lane only the oldest that is open."""
        ...

    async def settle(self, delivery: Delivery) -> None:
        """Keep where a delivery stands now."""
        ...

    async def get(self, tenant: str, endpoint: str, delivery_id: str) -> Delivery | None:
        """Return a delivery of the tenant's endpoint."""
        ...

    async def list(
        self, tenant: str, endpoint: str, state: DeliveryState | None, *, page: int, page_size: int
    ) -> Page[Delivery]:
        """Return one page (from 1) of an endpoint's deliveries, newest first."""
        ...

    async def waiting(self) -> Mapping[str, int]:
        """Return how many deliveries of each tenant are still to be made."""
        ...

    async def purge(self, *, before: str, endpoints: Iterable[str]) -> None:
        """Drop what was settled before that time, and everything of endpoints that are not among these."""
        ...

    async def aclose(self) -> None:
        """Let go of the file; the next question takes it again."""
        ...


class Courier(Protocol):
    """Reaches receivers."""

    async def check(self, url: str) -> str:
        """Return why nothing may be sent to a URL, or an empty string."""
        ...

    def origin(self, url: str) -> str:
        """Return what of a URL may be recorded for good: scheme, host and port."""
        ...

    async def deliver(self, delivery: Delivery, *, url: str, secrets: Sequence[str], at: datetime) -> Posted:
        """Sign and send once; never raises. `secrets` are good now, the newest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedEndpoint:
    """A new endpoint, or an old one with a new secret: shown now and never again."""

    endpoint: Endpoint
    secret: str = field(repr=False)


class Webhooks:
    """The endpoints of all tenants. `load` it before anybody is served."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        state: StateStore,
        reader: AuditReader,
        outbox: Outbox,
        courier: Courier,
        vault: Vault,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._audit = audit
        self._state = state
        self._reader = reader
        self._outbox = outbox
        self._courier = courier
        self._vault = vault
        self._clock = clock
        self._ids = ids
        self._held: dict[str, Endpoint] = {}
        self._changing = Changing(self._read)
        self._changed = anyio.Event()

    async def load(self, tenants: Iterable[str]) -> None:
        """Read the endpoints of these tenants; part of the start. Raises StoreError."""
        for tenant in tenants:
            await self._read(tenant)

    # --- what the delivery looks into ---------------------------------------------------------------------------------

    def all(self) -> tuple[Endpoint, ...]:
        """Return every endpoint of every tenant."""
        return tuple(self._held.values())

    def find(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint as it is now."""
        return self._held.get(endpoint_id)

    def secrets(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Return the secrets that are good now, the newest first. Raises StoreError where one does not open."""
        sealed = [endpoint.secret]
        if endpoint.former and endpoint.former_until > timestamp(self._clock.now()):
            sealed.append(endpoint.former)
        return tuple(
            self._vault.unseal(one, tenant=endpoint.tenant, intent_id=_SEALED, entry_id=endpoint.id).decode()
            for one in sealed
        )

    def bell(self) -> anyio.Event:
        """Return what is set at the next change of any endpoint."""
        return self._changed

    async def gone(self, endpoint_id: str) -> None:
        """Stop sending to a receiver that said it wants nothing any more (410). Raises StoreError."""
        endpoint = self._held.get(endpoint_id)
        if endpoint is None or endpoint.disabled:
            return
        async with self._changing.settled(endpoint.tenant):
            endpoint = self._held.get(endpoint_id)
            if endpoint is not None and not endpoint.disabled:
                told = {"action": GONE, "by": BY_ITSELF}
                await self._change(EntryType.WEBHOOK_CHANGED, replace(endpoint, disabled=GONE), told)

    # --- use cases ----------------------------------------------------------------------------------------------------

    def list(self, by: Principal) -> tuple[Endpoint, ...]:
        """Return the tenant's endpoints, oldest first. Raises Forbidden."""
        require_scope(by, Scope.WEBHOOKS_WRITE)
        found = (one for one in self._held.values() if one.tenant == by.tenant)
        return tuple(sorted(found, key=lambda one: one.id))

    def show(self, by: Principal, endpoint_id: str) -> Endpoint:
        """Return an endpoint of the principal's tenant. Raises Forbidden and NotFound."""
        require_scope(by, Scope.WEBHOOKS_WRITE)
        endpoint = self._held.get(endpoint_id)
        if endpoint is None or endpoint.tenant != by.tenant:
            raise NotFound("There is no such webhook.")
        return endpoint

    async def create(
        self, by: Principal, *, url: str, description: str = "", events: Iterable[str] = ()
    ) -> CreatedEndpoint:
        """Make an endpoint, to which everything that happens from now on is sent.

        Raises:
            Forbidden: the principal may not.
            InvalidRequest: fields that cannot be used; among them a URL that leads inside.
            StateConflict: the tenant has as many as it may have.
            StoreError: it could not be made durable; there is no such endpoint.
        """
        require_scope(by, Scope.WEBHOOKS_WRITE)
        wanted = frozenset(events)
        await self._require_usable(url=url, description=description, events=wanted)
        async with self._changing.settled(by.tenant):
            if len(self.list(by)) >= MAX_ENDPOINTS:
                msg = f"The tenant has {MAX_ENDPOINTS} webhooks, which is as many as it may have."
                raise StateConflict(msg)
            after, _ = await self._reader.head(by.tenant)
            id_, secret = self._ids.new("hook"), make_secret(self._ids.secret())
            endpoint = Endpoint(
                tenant=by.tenant,
                id=id_,
                url=url,
                description=description,
                events=wanted,
                created=timestamp(self._clock.now()),
                created_by=by.credential,
                after=after,
                secret=self._seal(by.tenant, id_, secret),
            )
            made = await self._change(EntryType.WEBHOOK_CREATED, endpoint, _who(by))
            return CreatedEndpoint(endpoint=made, secret=secret)

    async def update(
        self,
        by: Principal,
        endpoint_id: str,
        *,
        url: str | None = None,
        description: str | None = None,
        events: Iterable[str] | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        """Change what is given. One that is enabled again goes on where it stopped: nothing was lost meanwhile.

        Raises as `create`, and NotFound.
        """
        endpoint = self.show(by, endpoint_id)
        wanted = None if events is None else frozenset(events)
        await self._require_usable(url=url, description=description, events=wanted)
        async with self._changing.settled(by.tenant):
            endpoint = self.show(by, endpoint_id)
            changed = replace(
                endpoint,
                url=endpoint.url if url is None else url,
                description=endpoint.description if description is None else description,
                events=endpoint.events if wanted is None else wanted,
                disabled=endpoint.disabled if enabled is None else "" if enabled else endpoint.disabled or DISABLED,
            )
            if changed == endpoint:
                return endpoint
            return await self._change(EntryType.WEBHOOK_CHANGED, changed, {"action": "changed", **_who(by)})

    async def delete(self, by: Principal, endpoint_id: str) -> Endpoint:
        """Remove an endpoint; what was not delivered yet is not.

        Raises Forbidden, NotFound, StateConflict, StoreError.
        """
        self.show(by, endpoint_id)
        async with self._changing.settled(by.tenant):
            endpoint = self.show(by, endpoint_id)
            return await self._change(EntryType.WEBHOOK_DELETED, endpoint, _who(by), keep=False)

    async def rotate(self, by: Principal, endpoint_id: str, *, overlap_s: int = 0) -> CreatedEndpoint:
        """Give an endpoint a new secret; for `overlap_s` the one before it signs too. One before that ends now.

        Raises Forbidden, NotFound, InvalidRequest, StateConflict, StoreError.
        """
        self.show(by, endpoint_id)
        if isinstance(overlap_s, bool) or not 0 <= overlap_s <= MAX_OVERLAP_S:
            raise InvalidRequest(FieldProblem(path=("overlapSeconds",), message=f"must be from 0 to {MAX_OVERLAP_S}"))
        async with self._changing.settled(by.tenant):
            endpoint = self.show(by, endpoint_id)
            secret = make_secret(self._ids.secret())
            until = timestamp(self._clock.now() + timedelta(seconds=overlap_s))
            changed = replace(
                endpoint,
                secret=self._seal(endpoint.tenant, endpoint.id, secret),
                former=endpoint.secret if overlap_s else b"",
                former_until=until if overlap_s else "",
            )
            told = {"action": "rotated", "formerUntil": changed.former_until, **_who(by)}
            made = await self._change(EntryType.WEBHOOK_CHANGED, changed, told)
            return CreatedEndpoint(endpoint=made, secret=secret)

    # --- deliveries ---------------------------------------------------------------------------------------------------

    async def deliveries(
        self, by: Principal, endpoint_id: str, *, state: DeliveryState | None = None, page: int, page_size: int
    ) -> Page[Delivery]:
        """Return one page (from 1) of an endpoint's deliveries, newest first.

        Raises Forbidden, NotFound, StoreError.
        """
        endpoint = self.show(by, endpoint_id)
        return await self._outbox.list(endpoint.tenant, endpoint.id, state, page=page, page_size=page_size)

    async def resend(self, by: Principal, endpoint_id: str, delivery_id: str) -> Delivery:
        """Send a delivery again, now and as if it were new, under the same id, whatever became of it.

        Raises Forbidden, NotFound, StateConflict (nothing is sent to this endpoint) and StoreError.
        """
        endpoint = self._require_enabled(self.show(by, endpoint_id))
        found = await self._outbox.get(endpoint.tenant, endpoint.id, delivery_id)
        if found is None:
            raise NotFound("There is no such delivery.")
        again = replace(
            found,
            state=DeliveryState.PENDING,
            due=timestamp(self._clock.now()),
            attempts=0,
            first="",
            last="",
            status=0,
            reason="",
        )
        await self._outbox.settle(again)
        return again

    async def test(self, by: Principal, endpoint_id: str) -> Delivery:
        """Have a test event sent. Raises as `resend`."""
        endpoint = self._require_enabled(self.show(by, endpoint_id))
        now, id_ = timestamp(self._clock.now()), self._ids.new("whk")
        event = probe(endpoint.tenant, time=now, lane=id_)
        delivery = Delivery(
            tenant=endpoint.tenant,
            endpoint=endpoint.id,
            id=id_,
            lane=event.lane,
            event=event.name,
            intent_id="",
            body=body_of(event, id_),
            created=now,
            due=now,
        )
        await self._outbox.put(endpoint.tenant, endpoint.id, (delivery,), seq=None)
        return delivery

    def _require_enabled(self, endpoint: Endpoint) -> Endpoint:
        if endpoint.disabled:
            msg = f"Nothing is sent to this webhook ({endpoint.disabled}); enable it first."
            raise StateConflict(msg)
        return endpoint

    # --- memory and store ---------------------------------------------------------------------------------------------

    async def _require_usable(self, *, url: str | None, description: str | None, events: frozenset[str] | None) -> None:
        """Raise InvalidRequest with every field that cannot be used."""
        problems = []
        refused = await self._courier.check(url) if url is not None else ""
        if refused:
            problems.append(FieldProblem(path=("url",), message=refused))
        if not is_text(description or "", MAX_DESCRIPTION_CHARS):
            message = f"must be a text of at most {MAX_DESCRIPTION_CHARS} characters"
            problems.append(FieldProblem(path=("description",), message=message))
        problems += [
            FieldProblem(path=("events",), message=f"there is no event '{one}'")
            for one in sorted((events or frozenset()) - EVENTS.keys())
        ]
        if problems:
            raise InvalidRequest(*problems)

    def _seal(self, tenant: str, endpoint_id: str, secret: str) -> bytes:
        return self._vault.seal(secret.encode(), tenant=tenant, intent_id=_SEALED, entry_id=endpoint_id)

    async def _read(self, tenant: str) -> None:
        """Read one tenant's endpoints anew."""
        rows = await self._state.scan(tenant, _ROW)
        try:
            found = [read_endpoint(tenant, row.value, row.version) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"a webhook of tenant {tenant} cannot be read; was it written by a newer version?"
            raise StoreError(msg) from error
        self._held = {id_: one for id_, one in self._held.items() if one.tenant != tenant}
        self._held |= {one.id: one for one in found}
        self._changing.known(tenant)
        bell, self._changed = self._changed, anyio.Event()
        bell.set()

    async def _change(self, kind: EntryType, endpoint: Endpoint, told: JsonObject, *, keep: bool = True) -> Endpoint:
        """Make an endpoint's new form durable, then let it hold. Raises StoreError and StateConflict."""
        key = f"{_ROW}{endpoint.id}"
        shown = {
            "id": endpoint.id,
            "origin": self._courier.origin(endpoint.url),
            "events": sorted(endpoint.events),
            "disabled": endpoint.disabled,
        }
        draft = EntryDraft(
            tenant=endpoint.tenant,
            id=self._ids.new("evt"),
            type=kind,
            time=timestamp(self._clock.now()),
            body=orjson.dumps({**shown, **told}),
            expects=(Expect(key=key, version=endpoint.version),),
            puts=(Put(key=key, value=endpoint.written() if keep else None),),
        )
        self._changing.doubt(endpoint.tenant)  # until it is known what became of it
        if isinstance(await self._audit.append(draft), Conflict):
            raise StateConflict("The webhook changed meanwhile; look again, then repeat the request.")
        await self._read(endpoint.tenant)
        return self._held[endpoint.id] if keep else endpoint


def _who(by: Principal) -> JsonObject:
    return {"by": by.credential, **({"byUser": by.human} if by.human else {})}
