"""Webhook endpoints: who may configure them, that a change is durable before it holds, and their deliveries."""

from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.principal import Principal, Scope
from gateway.core.webhooks import DeliveryState
from gateway.errors import Forbidden, InvalidRequest, NotFound, StateConflict, StoreError
from gateway.services.webhooks import MAX_ENDPOINTS, MAX_OVERLAP_S, Webhooks
from gateway.store.sealing import Sealer
from tests.simulate.outbox import MemoryOutbox, ToldCourier
from tests.simulate.store import MemoryStore, Moment
from tests.simulate.world import FakeClock, FakeIds

MAY = frozenset({Scope.WEBHOOKS_WRITE})
ADMIN = Principal(tenant="acme", agent="key-1", credential="key_1", scopes=MAY)
JANE = replace(ADMIN, credential="ps_1", human="usr_1")
OTHER = replace(ADMIN, tenant="other")
VIEWER = replace(ADMIN, scopes=frozenset(Scope) - MAY)
URL = "https://example.com/hunter2"


@dataclass
class Place:
    store: MemoryStore = field(default_factory=MemoryStore)
    courier: ToldCourier = field(default_factory=ToldCourier)
    clock: FakeClock = field(default_factory=FakeClock)
    ids: FakeIds = field(default_factory=FakeIds)

    def __post_init__(self) -> None:
        self.outbox = MemoryOutbox(store=self.store)
        self.webhooks = self.again()

    def again(self) -> Webhooks:
        return Webhooks(
            audit=self.store,
            state=self.store,
            reader=self.store,
            outbox=self.outbox,
            courier=self.courier,
            vault=Sealer(b"k" * 32),
            clock=self.clock,
            ids=self.ids,
        )

    def told(self) -> list[tuple[EntryType, dict[str, Any]]]:
        return [(draft.type, orjson.loads(draft.body)) for draft in self.store.drafts]


async def test_an_endpoint_is_made_and_its_secret_shown_once() -> None:
    """It is kept sealed; the entry has neither it nor the path of the URL."""
    place = Place()
    made = await place.webhooks.create(JANE, url=URL, description="ops", events=["intent.approved"])
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    assert place.webhooks.show(ADMIN, made.endpoint.id) == made.endpoint
    assert place.webhooks.secrets(made.endpoint) == (made.secret,)
    [(kind, body)] = place.told()
    assert kind is EntryType.WEBHOOK_CREATED
    assert body == {
        "id": made.endpoint.id,
        "origin": "https://example.com",
        "events": ["intent.approved"],
        "disabled": "",
        "by": "ps_1",
        "byUser": "usr_1",
    }
    row = (await place.store.scan("acme", "webhook:"))[0]
    assert made.secret.encode() not in row.value
    again = place.again()
    await again.load(["acme"])
    assert again.all() == (made.endpoint,)


async def test_an_endpoint_begins_after_what_was_there_before() -> None:
    """Nobody wants last year's events at first."""
    place = Place()
    first = await place.webhooks.create(ADMIN, url=URL)
    second = await place.webhooks.create(ADMIN, url=URL)
    assert (first.endpoint.after, second.endpoint.after) == (0, 1)


async def test_every_field_that_cannot_be_used_is_told_and_nothing_is_made() -> None:
    """At once, so that one correction is enough."""
    place = Place()
    place.courier.refuses = "leads to this machine or its own network"
    with pytest.raises(InvalidRequest) as refused:
        await place.webhooks.create(ADMIN, url=URL, description="\ud800", events=["intent.eaten", "chain.break"])
    assert [one.path for one in refused.value.problems] == [("url",), ("description",), ("events",)]
    assert "intent.eaten" in str(refused.value)
    assert (place.store.attempts, place.webhooks.all()) == ([], ())


async def test_a_tenant_has_so_many_and_no_more() -> None:
    """Each follows the chain by itself."""
    place = Place()
    for _ in range(MAX_ENDPOINTS):
        await place.webhooks.create(ADMIN, url=URL)
    with pytest.raises(StateConflict, match=str(MAX_ENDPOINTS)):
        await place.webhooks.create(ADMIN, url=URL)
    await place.webhooks.create(OTHER, url=URL)
    assert len(place.webhooks.list(ADMIN)) == MAX_ENDPOINTS


async def test_without_the_scope_nothing_is_shown_or_done() -> None:
    """Whoever sees where events go, and resends them, sees much."""
    place = Place()
    id_ = (await place.webhooks.create(ADMIN, url=URL)).endpoint.id
    for act in acts(place.webhooks, VIEWER, id_):
        with pytest.raises(Forbidden):
            await act()
    with pytest.raises(Forbidden):
        await place.webhooks.create(VIEWER, url=URL)
    with pytest.raises(Forbidden):
        place.webhooks.list(VIEWER)
    assert len(place.store.attempts) == 1


async def test_another_tenants_endpoint_does_not_exist() -> None:
    """Nothing tells that it does."""
    place = Place()
    id_ = (await place.webhooks.create(ADMIN, url=URL)).endpoint.id
    for act in acts(place.webhooks, OTHER, id_):
        with pytest.raises(NotFound):
            await act()
    assert place.webhooks.list(OTHER) == ()
    assert len(place.store.attempts) == 1


def acts(webhooks: Webhooks, by: Principal, id_: str) -> list[Any]:
    return [
        lambda: webhooks.update(by, id_, enabled=False),
        lambda: webhooks.delete(by, id_),
        lambda: webhooks.rotate(by, id_),
        lambda: webhooks.deliveries(by, id_, page=1, page_size=1),
        lambda: webhooks.resend(by, id_, "whk_1"),
        lambda: webhooks.test(by, id_),
    ]


async def test_a_change_keeps_what_it_does_not_name() -> None:
    """And what changes nothing is no entry."""
    place = Place()
    made = (await place.webhooks.create(ADMIN, url=URL, description="a", events=["chain.break"])).endpoint
    bell = place.webhooks.bell()
    changed = await place.webhooks.update(ADMIN, made.id, url="https://example.org/x", events=[])
    assert bell.is_set()
    assert changed == replace(made, url="https://example.org/x", events=frozenset(), version=2)
    assert place.told()[-1][0] is EntryType.WEBHOOK_CHANGED
    assert place.told()[-1][1]["action"] == "changed"
    assert await place.webhooks.update(ADMIN, made.id, description="a") == changed
    assert len(place.told()) == 2


async def test_an_endpoint_is_disabled_and_enabled_again() -> None:
    """By an admin, and by a receiver that is gone, once; the first reason stays."""
    place = Place()
    id_ = (await place.webhooks.create(ADMIN, url=URL)).endpoint.id
    await place.webhooks.gone(id_)
    await place.webhooks.gone(id_)
    assert place.told()[-1][1] == {
        "id": id_,
        "origin": "https://example.com",
        "events": [],
        "disabled": "gone",
        "action": "gone",
        "by": "gateway",
    }
    assert len(place.told()) == 2
    assert (await place.webhooks.update(ADMIN, id_, enabled=False)).disabled == "gone"
    with pytest.raises(StateConflict, match="enable it first"):
        await place.webhooks.test(ADMIN, id_)
    assert (await place.webhooks.update(ADMIN, id_, enabled=True)).disabled == ""
    assert (await place.webhooks.update(ADMIN, id_, enabled=False)).disabled == "disabled"
    await place.webhooks.gone("hook_9")
    assert len(place.told()) == 4


async def test_two_attempts_that_are_told_gone_at_once_are_one_change() -> None:
    """Several are in flight."""
    place = Place()
    id_ = (await place.webhooks.create(ADMIN, url=URL)).endpoint.id
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(place.webhooks.gone, id_)
        tasks.start_soon(place.webhooks.gone, id_)
    assert len(place.told()) == 2


async def test_a_deleted_endpoint_is_no_more() -> None:
    """Not in memory, not in the store."""
    place = Place()
    id_ = (await place.webhooks.create(ADMIN, url=URL)).endpoint.id
    assert (await place.webhooks.delete(ADMIN, id_)).id == id_
    assert (place.webhooks.find(id_), place.webhooks.all()) == (None, ())
    assert place.told()[-1][0] is EntryType.WEBHOOK_DELETED
    assert await place.store.scan("acme", "webhook:") == []


async def test_both_secrets_are_good_during_the_overlap_only() -> None:
    """The older one of three ends at once."""
    place = Place()
    made = await place.webhooks.create(ADMIN, url=URL)
    second = await place.webhooks.rotate(ADMIN, made.endpoint.id, overlap_s=60)
    assert place.webhooks.secrets(second.endpoint) == (second.secret, made.secret)
    assert place.told()[-1][1]["action"] == "rotated"
    third = await place.webhooks.rotate(ADMIN, made.endpoint.id, overlap_s=60)
    assert place.webhooks.secrets(third.endpoint) == (third.secret, second.secret)
    place.clock.advance(60)
    assert place.webhooks.secrets(third.endpoint) == (third.secret,)
    fourth = await place.webhooks.rotate(ADMIN, made.endpoint.id)
    assert place.webhooks.secrets(fourth.endpoint) == (fourth.secret,)
    assert fourth.endpoint.former == b""


@pytest.mark.parametrize("overlap", [-1, MAX_OVERLAP_S + 1, True])
async def test_an_overlap_is_bounded(overlap: int) -> None:
    """An old secret must not linger for good."""
    place = Place()
    made = await place.webhooks.create(ADMIN, url=URL)
    with pytest.raises(InvalidRequest, match="overlapSeconds"):
        await place.webhooks.rotate(ADMIN, made.endpoint.id, overlap_s=overlap)
    assert len(place.told()) == 1


# --- deliveries -------------------------------------------------------------------------------------------------------


async def test_a_test_event_waits_to_be_sent() -> None:
    """The cursor stays where it is: it is no entry."""
    place = Place()
    id_ = (await place.webhooks.create(ADMIN, url=URL)).endpoint.id
    delivery = await place.webhooks.test(ADMIN, id_)
    assert (delivery.event, delivery.state) == ("webhook.test", DeliveryState.PENDING)
    assert orjson.loads(delivery.body)["id"] == delivery.id
    page = await place.webhooks.deliveries(ADMIN, id_, state=DeliveryState.PENDING, page=1, page_size=5)
    assert (page.items, page.total, place.outbox.cursors) == ((delivery,), 1, {})


async def test_a_delivery_is_sent_again_as_if_it_were_new() -> None:
    """Under its own id, by which the receiver knows it."""
    place = Place()
    id_ = (await place.webhooks.create(ADMIN, url=URL)).endpoint.id
    made = await place.webhooks.test(ADMIN, id_)
    now = made.due
    await place.outbox.settle(
        replace(made, state=DeliveryState.GIVEN_UP, attempts=9, first=now, last=now, status=500, reason="x")
    )
    place.clock.advance(60)
    again = await place.webhooks.resend(ADMIN, id_, made.id)
    assert again == replace(made, due="2026-11-22T12:01:00.000Z")
    assert place.outbox.rows[made.id] == again
    with pytest.raises(NotFound, match="delivery"):
        await place.webhooks.resend(ADMIN, id_, "whk_9")


# --- the store --------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_made_durable_does_not_hold() -> None:
    """Also where it was recorded after all: the next change looks first."""
    place = Place()
    place.store.break_append(Moment.AFTER)
    with pytest.raises(StoreError):
        await place.webhooks.create(ADMIN, url=URL)
    assert place.webhooks.all() == ()
    await place.webhooks.create(ADMIN, url=URL)
    assert len(place.webhooks.all()) == 2


async def test_a_change_that_another_was_before_is_refused() -> None:
    """The row is not as it was read."""
    place = Place()
    made = (await place.webhooks.create(ADMIN, url=URL)).endpoint
    row = Put(key=f"webhook:{made.id}", value=made.written())
    await place.store.append(
        EntryDraft(tenant="acme", id="evt_x", type=EntryType.KEY_CREATED, time=made.created, puts=(row,))
    )
    with pytest.raises(StateConflict, match="meanwhile"):
        await place.webhooks.update(ADMIN, made.id, description="b")
    assert (await place.webhooks.update(ADMIN, made.id, description="b")).description == "b"


async def test_a_row_of_another_making_is_not_guessed_at() -> None:
    """The start stops and says so."""
    place = Place()
    row = Put(key="webhook:hook_1", value=b"{}")
    await place.store.append(
        EntryDraft(tenant="acme", id="evt_x", type=EntryType.KEY_CREATED, time="2026-11-22T12:00:00.000Z", puts=(row,))
    )
    with pytest.raises(StoreError, match="newer version"):
        await place.webhooks.load(["acme"])
