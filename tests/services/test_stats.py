"""What is counted as what."""

import orjson
import pytest

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import Principal
from gateway.errors import StoreError
from gateway.services.stats import Stats
from tests.simulate.index import MemoryIndex
from tests.simulate.store import MemoryStore
from tests.simulate.world import FakeClock

ACME = Principal(tenant="acme", agent="bot", credential="key_1")


class Waiting:
    """So many approvals wait."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[str] = []

    async def pending(self, tenant: str) -> int:
        self.asked.append(tenant)
        return self.count


class House:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = FakeClock()
        self.waiting = Waiting(3)
        self.stats = Stats(index=MemoryIndex(self.store), approvals=self.waiting, clock=self.clock)
        self.count = 0

    async def completed(self, intent: str, cents: int, *, currency: str = "USD", agent: str = "bot") -> None:
        self.count += 1
        await self.store.append(
            EntryDraft(
                tenant="acme",
                id=f"evt_{self.count}",
                type=EntryType.CALL_COMPLETED,
                time=timestamp(self.clock.now()),
                intent_id=intent,
                agent=agent,
                reasons=("ok",),
                body=orjson.dumps({"value": {"cents": cents, "type": "revenue", "currency": currency}}),
            )
        )

    async def decided(
        self, agent: str, *, effect: str = "ALLOW", tenant: str = "acme", kind: str = "files.read"
    ) -> str:
        self.count += 1
        intent = f"int_{self.count}"
        await self.store.append(
            EntryDraft(
                tenant=tenant,
                id=f"evt_{self.count}",
                type=EntryType.CALL_DECIDED,
                time=timestamp(self.clock.now()),
                intent_id=intent,
                agent=agent,
                effect=effect,
                body=orjson.dumps({"intent": {"type": kind, "domain": "files"}}),
            )
        )
        return intent


async def test_today_begins_at_midnight_utc_and_active_means_a_day() -> None:
    """Contract, section 2: `intentsToday` since 00:00 UTC, `activeAgents` within 24 h. It is noon in the test."""
    house = House()
    house.clock.advance(-25 * 3600)
    await house.decided("long-ago")
    house.clock.advance(3 * 3600)
    await house.decided("yesterday")
    house.clock.advance(22 * 3600)
    await house.decided("today")
    await house.decided("today", effect="DENY")
    await house.decided("stranger", tenant="other")
    found = await house.stats.tenant(ACME)
    assert (found.intents_today, found.active_agents, found.pending_approvals, found.value) == (2, 2, 3, 0.0)
    assert house.waiting.asked == ["acme"]


async def test_an_agent_s_figures_are_its_own() -> None:
    """By status with none left out, so that a dashboard needs no list of them."""
    house = House()
    house.clock.advance(-48 * 3600)
    await house.decided("bot")
    house.clock.advance(48 * 3600)
    await house.decided("bot", effect="ESCALATE", kind="deploy.release")
    await house.decided("other-bot")
    found = await house.stats.agent(ACME, "bot")
    assert (found.total, found.today) == (2, 1)
    assert {status: count for status, count in found.by_status.items() if count} == {"approved": 1, "pending": 1}
    assert set(found.by_status) == {"pending", "approved", "rejected", "completed", "failed", "expired"}
    assert found.by_type == {"files.read": 1, "deploy.release": 1}
    assert found.last == timestamp(house.clock.now())


async def test_an_agent_that_did_nothing_has_figures_too() -> None:
    """A new agent is no error."""
    found = await House().stats.agent(ACME, "new")
    assert (found.total, found.today, found.last, found.by_type) == (0, 0, "", {})


async def test_without_the_index_there_are_no_figures() -> None:
    """Zero would be a lie."""
    house = House()
    house.store.unreadable = "disk"
    with pytest.raises(StoreError):
        await house.stats.tenant(ACME)


async def test_value_is_what_was_credited_today_or_by_one_agent_in_one_currency() -> None:
    """Contract, section 2: today's, in units; it is noon. Euros and dollars have no sum."""
    house = House()
    house.clock.advance(-13 * 3600)
    await house.completed(await house.decided("bot"), 100)
    await house.completed(late := await house.decided("bot"), 1)
    house.clock.advance(13 * 3600)
    await house.completed(late, 1)
    await house.completed(await house.decided("bot"), 1999)
    await house.completed(await house.decided("bot"), 5000, currency="EUR")
    await house.completed(await house.decided("other-bot"), 1, agent="other-bot")
    assert (await house.stats.tenant(ACME)).value == 20.0
    assert (await house.stats.agent(ACME, "bot")).value == 21.0
    euros = Stats(index=MemoryIndex(house.store), approvals=house.waiting, clock=house.clock, currency="EUR")
    assert (await euros.tenant(ACME)).value == 50.0
