"""Entries that were missed, lost or damaged leave nobody with a tier that is too high."""

from collections.abc import Callable
from dataclasses import replace

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.principal import SYSTEM_TENANT, TrustTier
from gateway.errors import AuditUnavailable, StoreError
from gateway.ports import Appended
from gateway.services import trust as module
from gateway.services.trust import TrustTerms
from tests.services.trusthouse import House
from tests.simulate.store import Moment

# --- entries that were missed -----------------------------------------------------------------------------------------


async def test_nobody_has_a_tier_while_an_entry_is_missing() -> None:
    """It may be the one that costs the tier: every call is refused until it was read, and then all is well."""
    house = House(terms=TrustTerms(start=TrustTier.T4))
    await house.did()
    house.store.break_append(Moment.AFTER)
    with pytest.raises(AuditUnavailable):
        await house.denied()
    for asked in (house.tier(), house.trust.version("acme", "bot")):
        with pytest.raises(StoreError, match="trust is not known"):
            await asked
    with pytest.raises(StoreError, match="trust is not known"):
        house.trust.failing("acme", "bot")
    assert house.trust.tier("acme", "bot") == TrustTier.T0
    assert house.trust.ready() == "the agents of 1 tenant(s) have no tier now: their chains are being read again"
    await running_until(house, lambda: house.trust.held("acme", "bot") is not None)
    assert await house.tier() < TrustTier.T4


async def test_a_gap_in_the_chain_is_seen_at_the_next_entry() -> None:
    """Where the store did not know that an append had come through."""
    house = House(terms=TrustTerms(start=TrustTier.T4))
    await house.did()
    followers, house.store._followers = house.store._followers, []
    await house.denied()
    house.store._followers = followers
    assert await house.tier() == TrustTier.T4
    await house.did()
    with pytest.raises(StoreError):
        await house.tier()
    await house.did()
    await running_until(house, lambda: house.trust.held("acme", "bot") is not None)
    assert await house.tier() < TrustTier.T4


async def test_what_cannot_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a tier meanwhile."""
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    house = House()
    await house.did()
    house.trust._lost()
    house.store.unreadable = "the disk is gone"

    async def back() -> None:
        with pytest.raises(StoreError):
            await house.tier()
        house.store.unreadable = ""

    await running_until(house, lambda: house.trust.held("acme", "bot") is not None, meanwhile=back)
    assert await house.tier() == TrustTier.T0


async def test_an_entry_that_is_told_twice_counts_once() -> None:
    """It may be read before it is told."""
    house = House()
    await house.did("tool-error")
    house.trust._hear(house.store.drafts[0], Appended(seq=1, hash=b""))
    found = house.trust.failing("acme", "bot")
    assert found is not None
    assert [count for count, _ in found.at.values()] == [1]


async def test_losing_entries_while_the_chain_is_read_has_it_read_once_more() -> None:
    """The second loss may lie behind what was read already."""
    house = House()
    await house.did()
    contents = house.shelf.contents

    async def losing(tenant: str, **more):  # type: ignore[no-untyped-def]
        if len(house.shelf.asked) == 1:
            house.trust._lost()
        return await contents(tenant, **more)

    house.shelf.contents = losing  # type: ignore[method-assign]
    house.trust._lost()
    assert await house.trust._caught_up()
    assert await house.trust._caught_up()
    assert await house.tier() == TrustTier.T0


async def test_the_gateway_s_own_chain_moves_nobody() -> None:
    """It tells of no agent's acts."""
    house = House()
    await house.did(tenant=SYSTEM_TENANT)
    await house.trust.load(await house.store.tenants())
    assert house.trust._books == {}


async def running_until(house: House, done: Callable[[], bool], meanwhile: Callable[[], object] | None = None) -> None:
    """Let the owned task run until that is so."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.trust.run)
            if meanwhile is not None:
                await anyio.wait_all_tasks_blocked()
                await meanwhile()  # type: ignore[misc]
            while not is_so(done):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()


def is_so(done: Callable[[], bool]) -> bool:
    try:
        return done()
    except StoreError:
        return False


# --- faults -----------------------------------------------------------------------------------------------------------


async def test_a_fault_leaves_the_tenant_without_tiers(caplog: pytest.LogCaptureFixture) -> None:
    """What an entry would have said is not known; another tenant's agents go on, and the operator is told."""
    house = House()
    await house.did()
    await house.did(tenant="other")
    await house.did(time="no time at all")
    await house.did()
    with pytest.raises(StoreError, match="entry 2 of tenant acme could not be taken in"):
        await house.tier()
    assert (await house.trust.trusted("other", "bot", house.clock.now())).tier == TrustTier.T0
    assert await house.trust._caught_up()
    assert "every call of it is refused" in caplog.text
    await house.trust.keep()
    assert set(house.shelf.put_by) == {"other"}


@pytest.mark.parametrize("content", [b"not json", b"{}", b"[]"])
async def test_a_damaged_entry_leaves_the_tenant_without_tiers(content: bytes) -> None:
    """At a start too: the gateway starts, so that people can look at the chain, and refuses that tenant's calls."""
    house = House()
    await house.did()
    await house.did()
    entries = house.store._chains["acme"]
    entries[0] = replace(entries[0], content=content)
    again = await house.again()
    with pytest.raises(StoreError, match="entry 1 of tenant acme is damaged"):
        await house.tier(again)


async def test_an_entry_that_is_gone_leaves_the_tenant_without_tiers() -> None:
    """Whoever can delete entries must not choose which count."""
    house = House()
    for _ in range(3):
        await house.did()
    del house.store._chains["acme"][1]
    again = await house.again()
    with pytest.raises(StoreError, match="entry 2 of tenant acme is not in the chain"):
        await house.tier(again)
    why = "the agents of 1 tenant(s) have no tier now: a chain cannot be read; see the log"
    assert (again.ready(), again.degraded()) == (why, ""), (
        "strangers see it: no tenant's name; there is no other tenant"
    )
    assert (house.trust.ready(), house.trust.degraded()) == ("", "")


async def test_a_tenant_whose_chain_cannot_be_read_is_refused_alone() -> None:
    """Others have their tiers, and the gateway is there for them."""
    house = House()
    for tenant in ("acme", "acme", "well"):
        await house.did(tenant=tenant)
    del house.store._chains["acme"][0]
    again = await house.again()
    with pytest.raises(StoreError, match="entry 1 of tenant acme"):
        await house.tier(again)
    assert (await again.trusted("well", "bot", house.clock.now())).tier == TrustTier.T0
    assert again.ready() == ""
    assert again.degraded() == "the agents of 1 tenant(s) have no tier now: a chain cannot be read; see the log"
    again._lost()
    assert again.ready() == "the agents of 1 tenant(s) have no tier now: their chains are being read again"
    assert again.degraded() == ""


async def test_entries_of_a_later_version_say_nothing() -> None:
    """An older program must go on with a store that a newer one has written to."""
    house = House()
    await house.did()
    entries = house.store._chains["acme"]
    later = orjson.loads(entries[0].content) | {"type": "from.the-future"}
    entries[0] = replace(entries[0], content=orjson.dumps(later))
    again = await house.again()
    assert again.held("acme", "bot") is None
    assert await house.tier(again) == TrustTier.T0
