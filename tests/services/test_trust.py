"""A tier stands for the whole chain up to its newest entry, or nobody has one."""

from collections.abc import Callable
from dataclasses import replace

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.principal import SYSTEM_TENANT, TrustTier
from gateway.core.trust.record import Record
from gateway.errors import AuditUnavailable, StoreError
from gateway.ports import Appended
from gateway.services import trust as module
from gateway.services.standing import Standing
from gateway.services.trust import AT_ONCE, Terms, Trust, trust_key
from tests.simulate.shelf import MemoryShelf
from tests.simulate.store import MemoryStore, Moment
from tests.simulate.world import FakeClock

NOBODY = Standing(default=TrustTier.T0, agents={}, thresholds={})


class House:
    """Trust over a store in memory."""

    def __init__(self, *, standing: Standing = NOBODY, terms: Terms | None = None, store: MemoryStore | None = None):
        self.store = store or MemoryStore()
        self.clock = FakeClock()
        self.shelf = MemoryShelf(self.store)
        self.terms = terms or Terms()
        self.standing = standing
        self.trust = self.made()

    def made(self) -> Trust:
        return Trust(
            chain=self.store,
            shelf=self.shelf,
            state=self.store,
            clock=self.clock,
            standing=self.standing,
            terms=self.terms,
        )

    async def again(self) -> Trust:
        """Return the trust of another process on the same store."""
        other = self.made()
        await other.load(await self.store.tenants())
        return other

    def entry(self, what: EntryType, **fields: object) -> EntryDraft:
        given: dict[str, object] = {
            "tenant": "acme",
            "id": f"evt_{len(self.store.drafts)}",
            "type": what,
            "time": timestamp(self.clock.now()),
            "agent": "bot",
        }
        return EntryDraft(**(given | fields))  # type: ignore[arg-type]

    async def did(self, reason: str = "ok", *, risk: int = 40, **fields: object) -> None:
        given = {"reasons": (reason,), "risk": risk, "args_digest": str(len(self.store.drafts))}
        await self.store.append(self.entry(EntryType.CALL_COMPLETED, **(given | fields)))

    async def denied(self, *, risk: int = 80) -> None:
        entry = self.entry(
            EntryType.CALL_DECIDED,
            effect="DENY",
            reasons=("policy-deny",),
            risk=risk,
            tool=str(risk + len(self.store.drafts)),
        )
        await self.store.append(entry)

    async def changed(self, *reasons: str) -> None:
        put = Put(key=trust_key("bot"), value=b"{}")
        await self.store.append(self.entry(EntryType.TRUST_CHANGED, reasons=reasons, puts=(put,)))

    async def days(self, count: int) -> None:
        """Let the agent work for so many days."""
        for _ in range(count):
            for _ in range(6):
                await self.did(risk=60)
            self.clock.advance(86_400)

    async def tier(self, trust: Trust | None = None) -> TrustTier:
        return (await (trust or self.trust).trusted("acme", "bot", self.clock.now())).tier


async def test_an_agent_of_whom_nothing_is_known_is_where_all_begin() -> None:
    """And its decision expects that nobody has said anything else meanwhile."""
    house = House()
    found = await house.trust.trusted("acme", "bot", house.clock.now())
    assert (found.tier, found.score, found.failures_in_row) == (TrustTier.T0, 20, 0)
    assert found.grounds is not None
    assert (found.grounds.up_to, found.grounds.start, found.grounds.ceiling) == (0, TrustTier.T0, TrustTier.T2)
    assert [(one.key, one.version) for one in found.expects] == [("trust:bot", 0)]
    assert house.trust.tier("acme", "bot") == TrustTier.T0
    assert house.trust.failures("acme", "bot") == (0, "")
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
    assert house.trust.due.is_set()
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
    failures, last = house.trust.failures("acme", "bot")
    assert (failures, last) == (3, timestamp(house.clock.now()))
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


@pytest.mark.parametrize("terms", [Terms(), Terms(earned=False, start=TrustTier.T3)])
async def test_what_configuration_gives_does_not_move(terms: Terms) -> None:
    """`tiers.agents`, and everybody where `tiers.earned` is false; the record is kept all the same."""
    standing = replace(NOBODY, agents={"acme/bot": TrustTier.T3} if terms.earned else {})
    house = House(standing=standing, terms=terms)
    first = await house.trust.trusted("acme", "bot", house.clock.now())
    for _ in range(5):
        await house.denied()
    found = await house.trust.trusted("acme", "bot", house.clock.now())
    assert (first.tier, found.tier, found.score) == (TrustTier.T3, TrustTier.T3, 75)
    assert (found.grounds, found.expects, found.failures_in_row) == (None, (), 5)
    assert house.trust.pending == {}


async def test_agents_may_begin_above_and_fall() -> None:
    """`tiers.default` is a beginning, no floor."""
    house = House(terms=Terms(start=TrustTier.T4))
    assert await house.tier() == TrustTier.T4
    await house.denied()
    assert await house.tier() < TrustTier.T4


# --- entries that were missed -----------------------------------------------------------------------------------------


async def test_nobody_has_a_tier_while_an_entry_is_missing() -> None:
    """It may be the one that costs the tier: every call is refused until it was read, and then all is well."""
    house = House(terms=Terms(start=TrustTier.T4))
    await house.did()
    house.store.break_append(Moment.AFTER)
    with pytest.raises(AuditUnavailable):
        await house.denied()
    for asked in (house.tier(), house.trust.version("acme", "bot")):
        with pytest.raises(StoreError, match="trust is not known"):
            await asked
    with pytest.raises(StoreError, match="trust is not known"):
        house.trust.failures("acme", "bot")
    assert house.trust.tier("acme", "bot") == TrustTier.T0
    assert house.trust.ready() == "the agents of 1 tenant(s) have no tier now: their chains are being read again"
    await running_until(house, lambda: house.trust.held("acme", "bot") is not None)
    assert await house.tier() < TrustTier.T4


async def test_a_gap_in_the_chain_is_seen_at_the_next_entry() -> None:
    """Where the store did not know that an append had come through."""
    house = House(terms=Terms(start=TrustTier.T4))
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
    assert house.trust.failures("acme", "bot")[0] == 1


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
    assert again.ready().endswith("no tier now: a chain cannot be read; see the log"), "strangers see it: no tenant"
    assert house.trust.ready() == ""


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


# --- a start ----------------------------------------------------------------------------------------------------------


async def test_a_start_knows_what_was_known() -> None:
    """By folding the chain, or what was put by and the rest of it."""
    house = House()
    await house.days(6)
    await house.changed("promoted", "T1")
    wanted = record_of(house.trust)
    assert record_of(await house.again()) == wanted
    await house.trust.keep()
    assert house.shelf.put_by["acme"].seq == 37
    await house.did()
    house.shelf.asked.clear()
    restored = await house.again()
    assert house.shelf.asked == [("acme", 37)]
    assert record_of(restored) == record_of(house.trust)
    assert await house.tier(restored) == TrustTier.T1
    assert await restored.version("acme", "bot") == 1


async def test_a_start_writes_what_is_due() -> None:
    """The change of a tier whose entry a crash kept from being written."""
    house = House()
    await house.days(6)
    again = await house.again()
    assert list(again.pending) == [("acme", "bot")]


async def test_records_of_another_model_or_chain_are_not_taken() -> None:
    """The chain is folded anew."""
    house = House()
    await house.did()
    await house.trust.keep()
    kept = house.shelf.put_by["acme"]
    wanted = record_of(house.trust)
    seq, written = orjson.loads(kept.records["bot"])
    other = {"bot": orjson.dumps((seq, [99, *written[1:]]))}
    for changed in (replace(kept, records=other), replace(kept, hash=b"another")):
        house.shelf.put_by["acme"] = changed
        assert record_of(await house.again()) == wanted


def record_of(trust: Trust) -> Record:
    held = trust.held("acme", "bot")
    assert held is not None
    return held.record


# --- putting records by -----------------------------------------------------------------------------------------------


async def test_only_what_has_changed_is_put_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where nothing has, the place in the chain now and then, so that a start need not read what says nothing."""
    monkeypatch.setattr(module, "PAGE", 3)
    house = House()
    await house.did()
    await house.did(agent="other")
    await house.trust.keep()
    first = house.shelf.put_by["acme"]
    await house.did()
    await house.trust.keep()
    second = house.shelf.put_by["acme"]
    assert (first.seq, second.seq, set(second.records)) == (2, 3, {"bot", "other"})
    assert second.records["other"] is first.records["other"]
    for wanted in (3, 3, 6):
        await house.store.append(house.entry(EntryType.TOOL_PINNED))
        await house.trust.keep()
        assert house.shelf.put_by["acme"].seq == wanted


async def test_where_what_was_put_by_is_gone_everything_is_put_by_again() -> None:
    """The file may be deleted while the gateway runs."""
    house = House()
    await house.did()
    await house.did(agent="other")
    await house.trust.keep()
    house.shelf.put_by.clear()
    await house.did()
    await house.trust.keep()
    assert set(house.shelf.put_by["acme"].records) == {"bot", "other"}


async def test_what_could_not_be_put_by_is_put_by_later(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing rests on it but the length of the next start."""
    house = House()
    await house.did()
    house.store.unreadable = "full"
    await house.trust.keep()
    assert "could not be put by" in caplog.text
    house.store.unreadable = ""
    await house.trust.keep()
    assert set(house.shelf.put_by["acme"].records) == {"bot"}


async def test_records_are_put_by_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the owned task."""
    monkeypatch.setattr(module, "KEEP_S", 0.01)
    house = House()
    await house.did()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.trust.run)
            while not house.shelf.put_by:
                house.clock.advance(1)
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert house.shelf.put_by["acme"].seq == 1


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
