"""What is left of budgets: of whom it is asked, from the rows that decisions go by, and nobody else's."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from gateway.core.accounts import AccountView
from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.principal import Principal, Scope, TrustTier
from gateway.core.submission import Submission
from gateway.errors import InvalidRequest, NotFound, StoreError
from gateway.services import accounts as module
from gateway.services.accounts import Accounts, Statement
from tests.simulate.index import MemoryIndex
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World, tool

POLICY = """
apiVersion: intended/v1
policySet: test
budgets:
  refunds: {sum: args.amount, per: agent, window: 1d, match: {tools: [refund]}}
  sent: {count: calls, per: upstream, window: 1h, match: {tools: [refund, send]}}
  calls: {count: calls, per: tenant, window: 1m}
  vip: {count: calls, per: agent, window: 1m, match: {agents: ["vip-*"]}}
rules:
  - {id: all, effect: allow}
  - {id: asks, effect: escalate, match: {tools: [refund]}, when: "budget.refunds + double(args.amount) > 10.0"}
  - {id: new, effect: escalate, match: {tiers: [T0]}, when: "budget.refunds + double(args.amount) > 1.0"}
  - {id: sends, effect: deny, when: count.sent >= 20}
"""
SHOP = sha256(b"shop").hexdigest()
"""How an intent's system is kept: a program's own words, and perhaps secret."""
OWNER = Principal(tenant="default", agent="", credential="cli")
SELLER = Principal(
    tenant="default",
    agent="seller",
    credential="key_1",
    bound=True,
    scopes=frozenset({Scope.INTENTS_READ, Scope.INTENTS_WRITE}),
)


class AgentTiers:
    tier = TrustTier.T2

    def shown(self, tenant: str, agent: str) -> "AgentTiers":
        assert agent, "nobody has no tier"
        return self


class House:
    def __init__(self, policy: str = POLICY) -> None:
        tools = [tool("refund", description="Refund an amount."), tool("send"), tool("read")]
        self.world = World(upstreams=[FakeUpstream(tools=tools)], policy=policy)
        self.trust = AgentTiers()
        self.accounts = Accounts(
            policies=self.world.policies,
            state=self.world.store,
            index=MemoryIndex(self.world.store),
            clock=self.world.clock,
            agents=self.world.agents,
            trust=self.trust,
        )

    async def refund(self, amount: float) -> None:
        result = (await self.world.call("refund", {"amount": amount})).message["result"]
        assert not result.get("isError"), result

    async def submit(self, action: str = "refund", system: str = "shop", amount: float = 1) -> None:
        asked = Submission(agent="seller", action=action, system=system, params={"amount": amount})
        await self.world.intents.submit(SELLER, asked)

    async def list(self, by: Principal = OWNER, **asked: Any) -> list[AccountView]:
        page = await self.accounts.list(by, page=1, page_size=100, **asked)
        assert page.total == len(page.items)
        return list(page.items)

    async def put(self, key: str, value: bytes) -> None:
        draft = EntryDraft(tenant="default", id="evt_x", type=EntryType.GATEWAY_STARTED, time="", body=b"{}")
        await self.world.store.append(replace(draft, puts=(Put(key=key, value=value),)))


def told(views: list[AccountView]) -> list[tuple[str, str, float]]:
    return [(one.budget.name, one.whose, one.spent) for one in views]


# --- the list ---------------------------------------------------------------------------------------------------------


async def test_every_budget_is_listed_with_whoever_has_spent_of_it() -> None:
    """One that nobody has spent of is there, too: else nobody knows that it is declared. The tenant's always is."""
    house = House()
    assert told(await house.list()) == [("refunds", "", 0), ("sent", "", 0), ("calls", "default", 0), ("vip", "", 0)]
    await house.refund(2.5)
    await house.submit(amount=1)
    assert told(await house.list()) == [
        ("refunds", "local", 2.5),
        ("refunds", "seller", 1),
        ("sent", f"#{SHOP}", 1),
        ("sent", "default", 1),
        ("calls", "default", 2),
        ("vip", "", 0),
    ]


async def test_of_an_agent_its_own_and_the_shared_budgets_are_listed() -> None:
    """How much has agent X left: also where it has spent nothing yet, and of what it shares with others."""
    house = House()
    await house.refund(2.5)
    mine = await house.list(agent="local")
    assert told(mine) == [("refunds", "local", 2.5), ("sent", "default", 1), ("calls", "default", 1)]
    assert (mine[0].limit, mine[0].left) == (10, 7.5)
    assert told(await house.list(agent="Other Bot")) == [
        ("refunds", "other-bot", 0),
        ("sent", "default", 1),
        ("calls", "default", 1),
    ]
    vip = await house.list(agent="vip-1")
    assert [one.budget.name for one in vip] == ["refunds", "sent", "calls", "vip"]


async def test_an_agents_tier_says_which_limits_are_its() -> None:
    """A rule for new agents is no limit of one that has earned its tier."""
    house = House()
    assert (await house.list(agent="local"))[0].limit == 10
    house.trust.tier = TrustTier.T0
    assert (await house.list(agent="local"))[0].limit == 1


async def test_of_an_upstream_both_of_its_accounts_are_listed() -> None:
    """What programs submit for a system of that name is counted apart; it is found by the name that they gave it."""
    house = House()
    assert told(await house.list(upstream="shop"))[1] == ("sent", "shop", 0)
    await house.submit()
    seen = (await house.list(upstream="shop"))[1]
    assert (seen.whose, seen.spent, seen.submitted, seen.limit, seen.left) == ("shop", 1, True, 20, 19)
    await house.refund(1)
    await house.submit(system="default")
    both = [one for one in await house.list(upstream="default") if one.budget.name == "sent"]
    assert [(one.spent, one.submitted) for one in both] == [(1, False), (1, True)]


async def test_what_has_fallen_out_of_its_window_is_not_shown() -> None:
    """Its row may be there for longer; nothing of it counts."""
    house = House()
    await house.refund(2.5)
    house.world.clock.advance(90)
    assert ("calls", "default", 0) in told(await house.list())
    house.world.clock.advance(2 * 86_400)
    assert told(await house.list())[0] == ("refunds", "", 0)


async def test_a_tenant_sees_its_own_accounts_only() -> None:
    """The same agent's name in another tenant is another agent."""
    house = House()
    await house.refund(2.5)
    theirs = replace(OWNER, tenant="acme")
    assert told(await house.list(theirs, agent="local")) == [
        ("refunds", "local", 0),
        ("sent", "", 0),
        ("calls", "acme", 0),
    ]
    assert (await house.accounts.show(theirs, "refunds", agent="local")).charges == ()


async def test_a_name_that_is_nobodys_is_not_taken_for_everybody() -> None:
    """It makes no slug; the list of all accounts would look like that agent's."""
    house = House()
    with pytest.raises(InvalidRequest, match="agent: must hold a letter"):
        await house.list(agent="!!!")
    with pytest.raises(InvalidRequest, match="agent: must hold a letter"):
        await house.accounts.show(OWNER, "calls", agent="!!!")


async def test_a_page_is_a_part_of_the_list() -> None:
    """As of every list: the total is that of all pages."""
    house = House()
    page = await house.accounts.list(OWNER, page=2, page_size=3)
    assert ([one.budget.name for one in page.items], page.total) == (["vip"], 4)


async def test_many_accounts_let_calls_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is little work; ten thousand of them at once would hold up every call."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    house = House()
    now_s = int(house.world.clock.now().timestamp())
    for number in range(5):
        await house.put(f"budget:refunds:sum:agent:bot-{number}", b"1 1440 %d:1000000" % (now_s // 1440))
    assert len(await house.list()) == 5 + 3


async def test_rows_are_read_in_parts_though_nothing_of_them_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each system that a program names leaves a row for weeks: all at once they would hold up every call."""
    monkeypatch.setattr(module, "ROWS", 3)
    house = House()
    now_s = int(house.world.clock.now().timestamp())
    for number in range(8):
        at = now_s if number in (2, 7) else now_s - 86_400
        await house.put(f"budget:sent:count:upstream#{number:064}", b"1 60 %d:1" % (at // 60))
    parts: list[int] = []
    real = house.world.store.page

    async def page(*place: Any, **more: Any) -> Any:
        rows = await real(*place, **more)
        parts.append(len(rows))
        return rows

    async def scan(*place: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(house.world.store, "page", page)
    monkeypatch.setattr(house.world.store, "scan", scan)
    assert [one.whose[-1] for one in await house.accounts.fullest("default") if one.submitted] == ["2", "7"]
    assert [part for part in parts if part] == [3, 3, 2]


# --- one account ------------------------------------------------------------------------------------------------------


async def test_an_account_shows_the_calls_that_count_into_it() -> None:
    """Where has it gone: each entry with its amount and when that comes back; what did not count is not there."""
    house = House()
    for amount in (2, 0.5):
        await house.refund(amount)
        await house.world.call("read", {})
        await house.submit()
        house.world.clock.advance(3600)
    shown = await house.accounts.show(OWNER, "refunds", agent="local")
    assert shown.complete is True
    assert [(one.amount, one.agent, one.upstream, one.tool) for one in shown.charges] == [
        (0.5, "local", "default", "refund"),
        (2, "local", "default", "refund"),
    ]
    ids = {draft.id: draft for draft in house.world.entries(EntryType.CALL_DECIDED)}
    first = shown.charges[-1]
    assert (first.at, first.intent_id) == (ids[first.id].time, ids[first.id].intent_id)
    assert first.back_at == shown.account.next_at
    assert (shown.account.spent, shown.account.next_amount) == (2.5, 2)
    house.world.clock.advance(86_400 - 3600)
    assert [one.amount for one in (await house.accounts.show(OWNER, "refunds", agent="local")).charges] == [0.5]


async def test_calls_and_intents_for_one_name_are_told_apart() -> None:
    """They count into two accounts."""
    house = House()
    await house.refund(1)
    await house.submit(system="default")
    tools = await house.accounts.show(OWNER, "sent", upstream="default")
    assert [one.agent for one in tools.charges] == ["local"]
    await house.submit()
    submitted = await house.accounts.show(OWNER, "sent", upstream="shop")
    assert ([one.agent for one in submitted.charges], submitted.account.submitted) == (["seller"], True)


async def test_a_tenants_account_needs_no_name() -> None:
    """There is one of it; whoever is named besides does not narrow it."""
    house = House()
    await house.refund(1)
    await house.submit()
    shown = await house.accounts.show(OWNER, "calls", agent="local")
    assert [one.agent for one in shown.charges] == ["seller", "local"]


async def test_an_account_of_which_nothing_is_spent_is_shown_all_the_same() -> None:
    """Its declaration and its limit are what somebody asks for."""
    shown = await House().accounts.show(OWNER, "refunds", agent="Nobody Yet")
    assert shown == Statement(account=shown.account, charges=(), complete=True)
    assert (shown.account.whose, shown.account.left, shown.account.budget.line) == ("nobody-yet", 10, 5)


async def test_only_so_many_entries_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is said that there are more: the sum of what is shown is not the whole then."""
    monkeypatch.setattr(module, "CHARGES", 2)
    house = House()
    for _ in range(3):
        await house.submit()
    shown = await house.accounts.show(OWNER, "refunds", agent="seller")
    assert (len(shown.charges), shown.complete, shown.account.spent) == (2, False, 3)


@pytest.mark.parametrize(("page", "most", "seen", "complete"), [(1, 4, 1, False), (1, 9, 2, True), (2, 8, 2, True)])
async def test_only_so_many_entries_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, page: int, most: int, seen: int, complete: bool
) -> None:
    """A chain of millions must not be read for one answer."""
    monkeypatch.setattr(module, "PAGE", page)
    monkeypatch.setattr(module, "LOOKED_AT", most)
    house = House()
    await house.refund(1)
    for _ in range(3):
        await house.world.call("read", {})
    await house.refund(1)
    shown = await house.accounts.show(OWNER, "refunds", agent="local")
    assert (len(shown.charges), shown.complete) == (seen, complete)


async def test_enough_entries_are_not_followed_by_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there are as many as are shown, the rest of the chain is nobody's time worth."""
    monkeypatch.setattr(module, "PAGE", 2)
    monkeypatch.setattr(module, "CHARGES", 1)
    house = House()
    for _ in range(5):
        await house.submit()
    shown = await house.accounts.show(OWNER, "refunds", agent="seller")
    assert (len(shown.charges), shown.complete) == (1, False)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"decision": {}}', b'{"decision": [], "call": {"method": "x"}}'])
async def test_a_damaged_entry_is_left_out(body: bytes) -> None:
    """The chain's own verification tells of it; the others must stay findable."""
    house = House()
    await house.refund(1)
    now = timestamp(house.world.clock.now())
    damaged = EntryDraft(
        tenant="default", id="evt_y", type=EntryType.CALL_DECIDED, time=now, agent="local", intent_id="int_y", body=body
    )
    await house.world.store.append(damaged)
    assert len((await house.accounts.show(OWNER, "refunds", agent="local")).charges) == 1


async def test_what_cannot_be_shown_is_said() -> None:
    """A mistyped name is no empty budget, and an agent's account needs an agent."""
    house = House()
    with pytest.raises(NotFound, match="declares a budget 'refund'"):
        await house.accounts.show(OWNER, "refund")
    for name, per in (("refunds", "agent"), ("sent", "upstream")):
        with pytest.raises(InvalidRequest, match=f"{per}: must be named"):
            await house.accounts.show(OWNER, name)


@pytest.mark.parametrize("row", [b"1", b"2 60 99999999:1", b"1 60 99999999:x"])
async def test_a_damaged_account_is_no_empty_one(row: bytes) -> None:
    """It denies every call that reads it, so that somebody has to learn of it."""
    house = House()
    await house.put("budget:refunds:sum:agent:local", row)
    for agent in ("", "local"):
        with pytest.raises(StoreError, match="an account of the budget 'refunds' is damaged"):
            await house.list(agent=agent)


# --- for the metrics --------------------------------------------------------------------------------------------------


async def test_the_fullest_accounts_come_first() -> None:
    """Where not all can be told, those count that are nearly spent; what nobody has touched is no account."""
    house = House()
    await house.refund(9)
    await house.submit()
    found = await house.accounts.fullest("default")
    assert told(list(found)) == [
        ("refunds", "local", 9),
        ("refunds", "seller", 1),
        ("sent", f"#{SHOP}", 1),
        ("sent", "default", 1),
        ("calls", "default", 2),
    ]


async def test_a_view_has_the_account_as_it_is_at_that_moment() -> None:
    """Nothing is kept between two looks: the window goes on by itself."""
    house = House()
    await house.refund(4)
    [first] = [one for one in await house.list(agent="local") if one.budget.name == "refunds"]
    assert first.next_at is not None
    house.world.clock.at = first.next_at - timedelta(seconds=1)
    assert told(await house.list(agent="local"))[0] == ("refunds", "local", 4)
    house.world.clock.at = first.next_at
    assert told(await house.list(agent="local"))[0] == ("refunds", "local", 0)
