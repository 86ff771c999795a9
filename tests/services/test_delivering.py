"""Delivery: nothing of the chain is passed over, an intent's events come in order, and nobody waits for another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.webhooks import DeliveryState, Endpoint, Posted
from gateway.services import delivering as module
from gateway.services.delivering import Delivering
from gateway.services.jobs import Jobs
from gateway.store.sealing import Sealer
from tests.services.test_webhooks import ADMIN, OTHER, URL, Place
from tests.simulate.outbox import Sent

TIME = "2026-11-22T12:00:00.000Z"
FAILED = Posted(status=500, reason="answered with an error (500)")


def decided(number: int, effect: str = "ALLOW", *, tenant: str = "acme") -> EntryDraft:
    return EntryDraft(
        tenant=tenant,
        id=f"evt_{number}",
        type=EntryType.CALL_DECIDED,
        time=TIME,
        intent_id=f"int_{number}",
        agent="bot",
        effect=effect,
        reasons=("policy",),
        risk=42,
        body=orjson.dumps({"intent": {"type": "files.read"}, "facts": {}}),
    )


def completed(number: int) -> EntryDraft:
    return EntryDraft(
        tenant="acme",
        id=f"evt_c{number}",
        type=EntryType.CALL_COMPLETED,
        time=TIME,
        intent_id=f"int_{number}",
        agent="bot",
        reasons=("ok",),
    )


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once."""
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    monkeypatch.setattr(module, "AGAIN_S", 0.001)


class Running:
    """A delivery that runs, and what a test waits for."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.jobs = Jobs()
        self.delivering = Delivering(
            webhooks=place.webhooks, outbox=place.outbox, courier=place.courier, clock=place.clock, jobs=self.jobs
        )

    async def endpoint(self, url: str = URL, **more: Any) -> Endpoint:
        return (await self.place.webhooks.create(ADMIN, url=url, **more)).endpoint

    async def until(self, true: Any) -> None:
        with anyio.fail_after(5):
            while not true():  # noqa: ASYNC110 - what is waited for sets no event
                await anyio.sleep(0.001)

    async def sent(self, count: int) -> list[Sent]:
        await self.until(lambda: len(self.place.courier.sent) >= count)
        return self.place.courier.sent

    def names(self, url: str = URL) -> list[tuple[str, str]]:
        return [(one.delivery.intent_id, one.delivery.event) for one in self.place.courier.sent if one.url == url]


@asynccontextmanager
async def running(place: Place | None = None) -> AsyncIterator[Running]:
    one = Running(place or Place())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.delivering.run)
        yield one
        tasks.cancel_scope.cancel()
    assert one.place.outbox.closed


async def test_what_happens_is_sent_to_each_endpoint_that_wants_it() -> None:
    """To an endpoint that was there before the gateway and to one that comes later; each what it named."""
    place = Place()
    await place.webhooks.create(ADMIN, url=URL)
    async with running(place) as one:
        await one.endpoint("https://example.com/2", events=["decision.completed"])
        await one.place.webhooks.create(OTHER, url="https://example.com/3")
        await place.store.append(decided(1))
        await one.sent(3)
        assert one.names() == [("int_1", "intent.submitted"), ("int_1", "decision.completed")]
        assert one.names("https://example.com/2") == [("int_1", "decision.completed")]
        assert one.names("https://example.com/3") == []
        await one.until(lambda: all(row.state is DeliveryState.DELIVERED for row in place.outbox.rows.values()))


async def test_what_was_before_the_endpoint_is_not_sent() -> None:
    """It begins with the next entry."""
    place = Place()
    await place.store.append(decided(1))
    async with running(place) as one:
        await one.endpoint()
        await place.store.append(decided(2))
        await one.sent(2)
        assert {intent for intent, _ in one.names()} == {"int_2"}


async def test_more_than_one_batch_is_taken_over_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog is worked off."""
    monkeypatch.setattr(module, "ENTRIES", 2)
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    place = Place()
    async with running(place) as one:
        await one.endpoint()
        for number in range(7):
            await place.store.append(decided(number))
        assert len(await one.sent(14)) == 14


async def test_a_later_event_waits_for_the_earlier_one_of_its_intent() -> None:
    """Until that is delivered; other intents go on meanwhile."""
    place = Place()
    place.courier.answers = [FAILED]
    async with running(place) as one:
        await one.endpoint(events=["intent.submitted", "intent.completed"])
        await place.store.append(decided(1))
        await one.sent(1)
        await place.store.append(completed(1))
        await place.store.append(decided(2))
        await one.sent(2)
        assert one.names() == [("int_1", "intent.submitted"), ("int_2", "intent.submitted")]
        [waits] = [row for row in place.outbox.rows.values() if row.state is DeliveryState.FAILED]
        assert (waits.attempts, waits.status, waits.reason) == (1, 500, FAILED.reason)
        place.clock.advance(10)
        await one.sent(4)
        assert one.names()[2:] == [("int_1", "intent.submitted"), ("int_1", "intent.completed")]


async def test_a_slow_receiver_delays_nobody_else() -> None:
    """Nor more than a few of its own at once."""
    place = Place()
    place.courier.held["https://slow.example/"] = anyio.Event()
    async with running(place) as one:
        await one.endpoint("https://slow.example/")
        await one.endpoint()
        for number in range(20):
            await place.store.append(decided(number))
        await one.sent(40)
        assert len(one.names()) == 40
        assert place.courier.waiting == module.IN_FLIGHT
        assert place.courier.most <= 2 * module.IN_FLIGHT
        place.courier.held["https://slow.example/"].set()
        await one.sent(80)
        for url in (URL, "https://slow.example/"):
            for number in range(20):
                mine = [event for intent, event in one.names(url) if intent == f"int_{number}"]
                assert mine == ["intent.submitted", "decision.completed"]


async def test_a_restart_goes_on_where_the_cursor_was() -> None:
    """What was appended meanwhile is sent, what was delivered is not again."""
    place = Place()
    async with running(place) as one:
        await one.endpoint(events=["intent.submitted"])
        await place.store.append(decided(1))
        await one.sent(1)
        await one.until(lambda: all(not row.state.open for row in place.outbox.rows.values()))
    await place.store.append(decided(2))
    async with running(place) as one:
        await one.sent(2)
    assert [intent for intent, _ in one.names()] == ["int_1", "int_2"]


async def test_what_was_not_recorded_as_delivered_is_sent_again_under_its_id() -> None:
    """The process died in between; the receiver knows it by the id."""
    place = Place()
    place.courier.held[URL] = anyio.Event()
    async with running(place) as one:
        await one.endpoint(events=["intent.submitted"])
        await place.store.append(decided(1))
        await one.until(lambda: place.courier.waiting == 1)
        place.courier.held[URL].set()
        place.outbox.down = "disk full"
        await one.sent(1)
    place.outbox.down = ""
    async with running(place) as one:
        await one.sent(2)
        assert len({sent.delivery.id for sent in place.courier.sent}) == 1


async def test_a_receiver_that_is_gone_is_disabled_and_the_rest_waits() -> None:
    """410; enabled again, it goes on where it stopped."""
    place = Place()
    place.courier.answers = [Posted(status=410, reason="answered with an error (410)")]
    async with running(place) as one:
        endpoint = await one.endpoint(events=["intent.submitted"])
        await place.store.append(decided(1))
        await one.until(lambda: place.webhooks.find(endpoint.id).disabled)
        assert [row.state for row in place.outbox.rows.values()] == [DeliveryState.GIVEN_UP]
        await place.store.append(decided(2))
        for _ in range(20):
            await anyio.sleep(0.001)
        assert len(place.courier.sent) == 1
        await place.webhooks.update(ADMIN, endpoint.id, enabled=True)
        await one.sent(2)
        assert [intent for intent, _ in one.names()] == ["int_1", "int_2"]


async def test_nothing_is_sent_to_an_endpoint_that_was_disabled_or_deleted_meanwhile() -> None:
    """What was chosen to be sent before is looked at again."""
    place = Place()
    async with running(place) as one:
        endpoint = await one.endpoint(events=["intent.submitted"])
        delivery = await place.webhooks.test(ADMIN, endpoint.id)
        await one.sent(1)
        lanes = module._Lanes()
        await place.webhooks.update(ADMIN, endpoint.id, enabled=False)
        await one.delivering._attempt(endpoint.id, delivery, lanes)
        await place.webhooks.delete(ADMIN, endpoint.id)
        await one.delivering._attempt(endpoint.id, delivery, lanes)
        assert len(place.courier.sent) == 1
        await one.until(lambda: place.outbox.rows == {})


async def test_trouble_with_the_outbox_is_said_once_and_passes(caplog: pytest.LogCaptureFixture) -> None:
    """A disk that is full for an hour must not fill the log as well."""
    place = Place()
    async with running(place) as one:
        await one.endpoint(events=["intent.submitted"])
        place.outbox.down = "disk full"
        await place.store.append(decided(1))
        await one.until(lambda: "waits: disk full" in caplog.text)
        for _ in range(20):
            await anyio.sleep(0.001)
        place.outbox.down = ""
        await one.sent(1)
    assert caplog.text.count("waits: disk full") == 1


async def test_a_damaged_entry_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """It must not hold up what comes after it; the verifier tells of it."""
    place = Place()
    async with running(place) as one:
        await one.endpoint(events=["intent.submitted"])
        broken = decided(1)
        await place.store.append(EntryDraft(tenant="acme", id="evt_0", type=broken.type, time=TIME, body=b"{"))
        await place.store.append(EntryDraft(tenant="acme", id="evt_1", type=broken.type, time=TIME, intent_id="int_0"))
        await place.store.append(decided(2))
        await one.sent(1)
        assert one.names() == [("int_2", "intent.submitted")]
    assert "entry 3 of tenant acme cannot be read for webhooks" in caplog.text


async def test_what_is_old_is_dropped_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start, then hourly; a gateway without endpoints has nothing to drop."""
    monkeypatch.setattr(module, "PURGE_EVERY_S", 0.005)
    place = Place()
    async with running(place) as one:
        for _ in range(10):
            await anyio.sleep(0.002)
        assert place.outbox.purges == []
        await one.endpoint()
        await one.until(lambda: place.outbox.purges)
        assert place.outbox.purges[0][0] == "2026-10-23T12:00:00.000Z"
        count = len(place.outbox.purges)
        place.outbox.down = "disk full"
        place.clock.advance(1)
        await one.until(lambda: "old webhook deliveries stay: disk full" in caplog.text)
        place.outbox.down = ""
        place.clock.advance(1)
        await one.until(lambda: len(place.outbox.purges) > count)


async def test_both_secrets_are_handed_over_while_both_are_good() -> None:
    """Rotation with overlap."""
    place = Place()
    async with running(place) as one:
        made = await place.webhooks.create(ADMIN, url=URL)
        second = await place.webhooks.rotate(ADMIN, made.endpoint.id, overlap_s=60)
        await place.webhooks.test(ADMIN, made.endpoint.id)
        [sent] = await one.sent(1)
        assert sent.secrets == (second.secret, made.secret)


async def test_a_secret_that_does_not_open_is_a_failed_attempt() -> None:
    """The data key was replaced; nothing leaves unsigned, and the operator reads why."""
    place = Place()
    made = await place.webhooks.create(ADMIN, url=URL)
    place.webhooks._vault = Sealer(b"other key".ljust(32, b"."))
    async with running(place) as one:
        await place.webhooks.test(ADMIN, made.endpoint.id)
        await one.until(lambda: all(row.attempts for row in place.outbox.rows.values()))
    [row] = place.outbox.rows.values()
    assert (row.state, row.reason) == (DeliveryState.FAILED, "not sent: its secret cannot be opened; rotate it")
    assert place.courier.sent == []


async def test_attempts_are_counted_by_how_they_ended_and_what_waits_is_told() -> None:
    """Metrics: what arrived, what is tried again, and how much is still to come. Each attempt is a job's run."""
    place = Place()
    place.courier.answers = [FAILED]
    async with running(place) as one:
        assert await one.delivering.backlog() == {}
        await one.endpoint(events=["intent.submitted"])
        await place.store.append(decided(1))
        await place.store.append(decided(2))
        await one.sent(2)
        await one.until(lambda: sum(one.delivering.attempts.values()) == 2)
        assert one.delivering.attempts == {("acme", "failed"): 1, ("acme", "delivered"): 1}
        assert one.jobs.counts == {"webhook-delivery": (2, 1)}
        await one.until(lambda: sum(row.state.open for row in place.outbox.rows.values()) == 1)
        assert await one.delivering.backlog() == {"acme": 1}
