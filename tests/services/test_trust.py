"""A tier stands for the whole chain up to its newest entry, or nobody has one."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryType
from gateway.core.principal import TrustTier
from gateway.services.trust import AT_ONCE, TrustTerms
from tests.services.trusthouse import NOBODY, House


async def test_an_agent_of_whom_nothing_is_known_is_where_all_begin() -> None:
    """And its decision expects that nobody has said anything else meanwhile."""
    house = House()
    found = await house.trust.trusted("acme", "bot", house.clock.now())
    assert (found.tier, found.score, found.failures_in_row) == (TrustTier.T0, 20, 0)
    assert found.grounds is not None
    assert (found.grounds.up_to, found.grounds.start, found.grounds.ceiling) == (0, TrustTier.T0, TrustTier.T2)
    assert [(one.key, one.version) for one in found.expects] == [("trust:bot", 0)]
    assert house.trust.tier("acme", "bot") == TrustTier.T0
    assert house.trust.failing("acme", "bot") is None
    assert house.trust.held("acme", "bot") is None


async def test_who_has_a_record_can_be_listed() -> None:
    """Metrics tell of agents that nobody registered, too."""
    house = House()
    assert house.trust.agents("acme") == ()
    await house.did()
    assert (house.trust.agents("acme"), house.trust.agents("other")) == (("bot",), ())


async def test_a_promotion_holds_only_once_it_is_on_record() -> None:
    """Until then it is due, and nothing more."""
    house = House()
    await house.days(6)
    await house.trust.look()
    assert list(house.trust.pending) == [("acme", "bot")]
    with anyio.fail_after(5):
        await house.trust.some_due()
    house.trust.taken_up("acme", "bot")
    assert house.trust.pending == ()
    assert await house.tier() == TrustTier.T0
    await house.changed("promoted", "T1")
    assert await house.tier() == TrustTier.T1
    assert house.trust.tier("acme", "bot") == TrustTier.T1


async def test_a_demotion_holds_from_the_entry_that_causes_it() -> None:
    """The very next decision goes by it, before anything is written of it."""
    house = House()
    await house.days(6)
    await house.changed("promoted", "T1")
    for _ in range(3):
        await house.denied()
    assert await house.tier() == TrustTier.T0
    assert ("acme", "bot") in house.trust.pending
    found = house.trust.failing("acme", "bot")
    assert found is not None
    assert found.own() == (3, timestamp(house.clock.now()))
    assert (await house.trust.trusted("acme", "bot", house.clock.now())).failures_in_row == 3


async def test_a_tier_fades_without_any_entry() -> None:
    """The next decision goes by the day it is made on, also where nobody has looked."""
    house = House()
    await house.days(30)
    await house.changed("promoted", "T1")
    await house.changed("promoted", "T2")
    assert await house.tier() == TrustTier.T2
    house.clock.advance(86_400 * 400)
    assert await house.tier() == TrustTier.T1
    assert ("acme", "bot") in house.trust.pending


async def test_a_decision_names_the_entry_that_its_tier_rests_on_and_the_row_it_expects() -> None:
    """What moved the record last, and the version of the row, which the store knows after each change."""
    house = House()
    await house.did()
    await house.store.append(house.entry(EntryType.TOOL_PINNED))
    found = await house.trust.trusted("acme", "bot", house.clock.now())
    assert found.grounds is not None
    assert (found.grounds.up_to, found.expects[0].version) == (1, 0)
    assert await house.trust.trusted("acme", "bot", house.clock.now()) is found
    await house.changed("frozen")
    assert house.trust.shown("acme", "bot").expects == ()
    found = await house.trust.trusted("acme", "bot", house.clock.now())
    assert found.grounds is not None
    assert (found.grounds.up_to, found.expects[0].version) == (3, 1)
    assert await house.trust.version("acme", "bot") == 1


async def test_the_version_of_a_row_that_changes_while_it_is_read_is_read_again() -> None:
    """Else a decision would expect what is no longer there, or worse, pass over a change."""
    house = House()
    await house.changed("frozen")
    read = house.store.get

    async def slow(tenant: str, key: str):  # type: ignore[no-untyped-def]
        row = await read(tenant, key)
        if len(house.store.drafts) == 1:
            await house.changed("unfrozen")
        return row

    house.store.get = slow  # type: ignore[method-assign]
    assert await house.trust.version("acme", "bot") == 2
    assert await house.trust.version("acme", "nobody") == 0


async def test_a_row_that_is_not_there_is_of_version_0() -> None:
    """An entry of another making may have moved the agent and written none."""
    house = House()
    await house.store.append(house.entry(EntryType.TRUST_CHANGED, reasons=("frozen",)))
    assert await house.trust.version("acme", "bot") == 0


# --- what configuration gives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", [TrustTerms(), TrustTerms(earned=False, start=TrustTier.T3)])
async def test_what_configuration_gives_does_not_move(terms: TrustTerms) -> None:
    """`tiers.agents`, and everybody where `tiers.earned` is false; the record is kept all the same."""
    tiers = replace(NOBODY, agents={"acme/bot": TrustTier.T3} if terms.earned else {})
    house = House(tiers=tiers, terms=terms)
    first = await house.trust.trusted("acme", "bot", house.clock.now())
    for _ in range(5):
        await house.denied()
    found = await house.trust.trusted("acme", "bot", house.clock.now())
    assert (first.tier, found.tier, found.score) == (TrustTier.T3, TrustTier.T3, 75)
    assert (found.grounds, found.expects, found.failures_in_row) == (None, (), 5)
    assert house.trust.pending == ()


async def test_agents_may_begin_above_and_fall() -> None:
    """`tiers.default` is a beginning, no floor."""
    house = House(terms=TrustTerms(start=TrustTier.T4))
    assert await house.tier() == TrustTier.T4
    await house.denied()
    assert await house.tier() < TrustTier.T4


# --- the cost of it ---------------------------------------------------------------------------------------------------


async def test_calls_go_on_while_everybodys_record_is_looked_at() -> None:
    """Whoever made up thousands of names once must not stop all others at each midnight."""
    house = House()
    for number in range(3 * AT_ONCE):
        await house.did(agent=f"bot-{number}")
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    house.clock.advance(86_400)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            await house.trust.look()
            tasks.cancel_scope.cancel()
    assert turns >= 2


async def test_a_day_that_is_full_costs_no_second_look() -> None:
    """What changes no sum changes no tier: a busy agent's calls are cheap."""
    house = House()
    await house.trust.look()
    for _ in range(400):
        await house.did(risk=10, args_digest="same")
    held = house.trust.held("acme", "bot")
    assert held is not None
    deserved, sums = held.deserved, held.record.sums
    await house.did(risk=10, args_digest="same")
    assert held.record.sums is sums
    assert held.deserved is deserved
    found = await house.trust.trusted("acme", "bot", house.clock.now())
    assert found.grounds is not None
    assert found.grounds.up_to == 401
