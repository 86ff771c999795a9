"""Readings for the metrics: what is asked, what is left out when it cannot be had, and who may see what."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from gateway.core.agents import Agent, Restriction
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import TrustTier
from gateway.core.readings import AgentTrust, Readings
from gateway.errors import StoreError
from gateway.services import metering as module
from gateway.services.metering import SWITCHES_ONLY, Metering, Sources
from gateway.services.readiness import Readiness
from gateway.services.trusted import given
from tests.services.test_stats import House as Figures
from tests.simulate.world import ALLOW_ALL, FixedPolicies


class Meter:
    """Keeps what it was to write."""

    def __init__(self) -> None:
        self.asked: list[tuple[Readings, str, str]] = []
        self.at_once = self.most = 0

    async def text(self, readings: Readings, *, tenant: str, accept: str) -> tuple[bytes, str]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await anyio.lowlevel.checkpoint()
        self.asked.append((readings, tenant, accept))
        self.at_once -= 1
        return b"text", "kind"


class Agents:
    def list(self, tenant: str) -> tuple[Agent, ...]:
        names = ("newer", "older") if tenant == "acme" else ()
        return tuple(
            Agent(
                tenant=tenant,
                id=f"agt_{name}",
                slug=name,
                name=name,
                description="",
                restriction=Restriction(),
                created="",
            )
            for name in names
        )


class AgentTiers:
    down = False

    def agents(self, tenant: str) -> tuple[str, ...]:
        return ("older", "local") if tenant == "acme" else ()

    def shown(self, tenant: str, agent: str) -> Any:
        if self.down:
            raise StoreError("the chain is being read again")
        return given(TrustTier.T1 if agent == "older" else TrustTier.T0)


class Accounts:
    async def fullest(self, tenant: str) -> tuple[Any, ...]:
        return (f"the accounts of {tenant}",)


class Deliveries:
    attempts: Mapping[tuple[str, str], int] = {("acme", "delivered"): 1}
    down = False

    async def backlog(self) -> Mapping[str, int]:
        if self.down:
            raise StoreError("the outbox is locked")
        return {"acme": 2}


class House:
    def __init__(self) -> None:
        self.figures = Figures()
        self.meter, self.deliveries, self.trust = Meter(), Deliveries(), AgentTiers()
        self.metering = Metering(
            self.meter,
            Sources(
                reader=self.figures.store,
                index=self.figures.stats._index,
                approvals=self.figures.waiting,
                agents=Agents(),
                trust=self.trust,
                budgets=Accounts(),
                readiness=Readiness(audit=self.figures.store, policies=FixedPolicies(ALLOW_ALL)),
                deliveries=self.deliveries,
                in_flight=lambda: 1,
                held=lambda: {"acme": 1},
                chains=lambda: {"acme": (True, 5.0)},
                requests=lambda: {("acme", ""): (3, 1)},
                jobs=lambda: {"sweep": (2, 0)},
            ),
        )

    async def read(self, tenant: str = "") -> tuple[Readings, str]:
        asked = self.metering.of(tenant, accept="a") if tenant else self.metering.all(accept="a")
        assert await asked == (b"text", "kind")
        readings, shown, accept = self.meter.asked[-1]
        assert accept == "a"
        return readings, shown


async def test_everything_is_read_for_the_operator() -> None:
    """Of every tenant; `_system` has neither intents nor approvals."""
    house = House()
    await house.figures.decided("bot", effect="ESCALATE", kind="files.write")
    await house.figures.decided("bot", tenant="other")
    await house.figures.decided("x", tenant="_system")
    readings, shown = await house.read()
    assert readings == Readings(
        pending_intents={("acme", "bot", "files.write"): 1},
        pending_approvals={"acme": 3, "other": 3},
        trust={
            "acme": (
                AgentTrust(agent="older", tier=TrustTier.T1, score=25),
                AgentTrust(agent="newer", tier=TrustTier.T0, score=0),
                AgentTrust(agent="local", tier=TrustTier.T0, score=0),
            ),
            "other": (),
        },
        budgets={"acme": ("the accounts of acme",), "other": ("the accounts of other",)},  # type: ignore[dict-item]
        in_flight=1,
        held={"acme": 1},
        chains={"acme": (True, 5.0)},
        requests={("acme", ""): (3, 1)},
        deliveries={("acme", "delivered"): 1},
        backlog={"acme": 2},
        jobs={"sweep": (2, 0)},
        checks={"audit": True, "policies": True, "trust": True, "tokens": True, "draining": True},
        ready=True,
        reloaded=True,
    )
    assert shown == ""


async def test_a_tenants_admin_asks_for_its_own() -> None:
    """And costs no more than its own."""
    house = House()
    await house.figures.decided("bot", effect="ESCALATE")
    await house.figures.decided("bot", tenant="other", effect="ESCALATE")
    readings, shown = await house.read("acme")
    assert (set(readings.pending_approvals), set(readings.trust), shown) == ({"acme"}, {"acme"}, "acme")
    assert {tenant for tenant, _, _ in readings.pending_intents} == {"acme"}


async def test_who_is_alone_sees_everything() -> None:
    """One organisation's gateway: there is nobody to hide anything from."""
    house = House()
    await house.figures.decided("bot")
    await house.figures.decided("x", tenant="_system")
    assert (await house.read("acme"))[1] == ""
    assert (await house.read("new"))[1] == "new"


async def test_a_tenant_at_which_only_switches_were_thrown_is_none() -> None:
    """`intended switch throw tenant typo` must not take from an admin what the whole gateway tells."""
    house = House()
    await house.figures.decided("bot")
    await switched(house, "typo", 2)
    assert (await house.read("acme"))[1] == ""
    assert (await house.read("typo"))[1] == "typo", "nor does it see what another one does"
    await house.figures.decided("bot", tenant="typo")
    for _ in range(2):
        assert (await house.read("acme"))[1] == "acme"


async def test_a_tenant_with_many_switches_is_one() -> None:
    """Nobody reads a whole chain for it."""
    house = House()
    await house.figures.decided("bot")
    await switched(house, "busy", SWITCHES_ONLY)
    assert (await house.read("acme"))[1] == "acme"


async def switched(house: House, tenant: str, times: int) -> None:
    for number in range(times):
        entry = EntryDraft(
            tenant=tenant, id=f"evt_{number}", type=EntryType.SWITCH_CHANGED, time="2026-11-22T12:00:00Z"
        )
        await house.figures.store.append(entry)


async def test_what_cannot_be_read_is_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """When something is wrong is when the other numbers are needed; and nobody is told more than its own then."""
    house = House()
    await house.figures.decided("bot")
    house.deliveries.down = True
    readings, _ = await house.read()
    assert (readings.backlog, readings.unread, readings.jobs) == ({}, 1, {"sweep": (2, 0)})
    house.figures.store.unreadable = "disk"
    readings, shown = await house.read("acme")
    assert (readings.pending_intents, readings.unread, shown) == ({}, 3, "acme")
    readings, shown = await house.read()
    assert (readings.pending_approvals, readings.unread, shown) == ({}, 2, "")
    assert "a reading for the metrics is missing: the outbox is locked" in caplog.text


async def test_tiers_that_are_not_known_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the chain is read again nobody has a tier; the other numbers are there. Many agents let calls pass."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    house = House()
    await house.figures.decided("bot")
    assert len((await house.read())[0].trust["acme"]) == 3
    house.trust.down = True
    readings, _ = await house.read()
    assert (readings.trust, readings.unread, readings.pending_approvals) == ({"acme": ()}, 1, {"acme": 3})


async def test_a_reading_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus itself waits ten seconds for all of it."""
    monkeypatch.setattr(module, "READ_S", 0.01)
    house = House()
    await house.figures.decided("bot")

    async def never(tenant: str) -> int:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(house.figures.waiting, "pending", never)
    readings, _ = await house.read()
    assert (readings.pending_approvals, readings.unread) == ({}, 1)


async def test_all_readings_together_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred tenants whose index hangs must not take a hundred times as long."""
    monkeypatch.setattr(module, "ALL_S", -1.0)
    house = House()
    await house.figures.decided("bot")

    async def never(tenant: str) -> int:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(house.figures.waiting, "pending", never)
    with anyio.fail_after(5):
        readings, _ = await house.read("acme")
    assert readings.pending_approvals == {}
    assert readings.unread >= 1


async def test_questions_are_answered_one_after_another() -> None:
    """Fifty that ask at once must not cost fifty at once."""
    house = House()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(house.read)
    assert (len(house.meter.asked), house.meter.most) == (5, 1)


async def test_a_tenant_that_asks_and_asks_holds_up_no_operator() -> None:
    """Whoever is to be watched must not be able to keep the watcher waiting."""
    house = House()
    text = house.meter.text
    asked, answered = anyio.Event(), anyio.Event()

    async def slow(readings: Readings, *, tenant: str, accept: str) -> tuple[bytes, str]:
        if tenant:
            asked.set()
            await answered.wait()
        return await text(readings, tenant=tenant, accept=accept)

    house.meter.text = slow  # type: ignore[method-assign]
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            await house.figures.decided("bot", tenant="other")
            for _ in range(5):
                group.start_soon(house.read, "acme")
            await asked.wait()
            await house.metering.all(accept="a")
            answered.set()
