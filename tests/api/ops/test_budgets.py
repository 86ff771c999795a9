"""Budgets in Ops' words."""

from typing import Any

import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.principal import Scope
from tests.api.house import House, opened

POLICY = """
apiVersion: intended/v1
policySet: money
budgets:
  refunds: {sum: args.amount, per: agent, window: 1d, match: {tools: [refund]}}
  calls: {count: calls, per: tenant, window: 1m}
rules:
  - {id: within, effect: allow, when: "budget.refunds + double(args.amount) <= 1000.0"}
"""


async def furnished() -> House:
    """Return a house in which the agent `bot` of acme has spent 250.5, and another tenant's agent of that name 7."""
    house = await opened()
    house.policies.replace(POLICY)
    bucket = int(house.clock.now().timestamp()) // 1440
    for tenant, amount in (("acme", 250_500_000), ("other", 7_000_000)):
        body = b'{"call": {"method": "tools/call"}, "decision": {"charges": {"refunds": %d}}}' % amount
        draft = EntryDraft(
            tenant=tenant,
            id=f"evt_{tenant}",
            type=EntryType.CALL_DECIDED,
            time="2026-11-22T12:00:00.000Z",
            intent_id="int_1",
            agent="bot",
            upstream="shop",
            tool="refund",
            effect="ALLOW",
            body=body,
            puts=(Put(key="budget:refunds:sum:agent:bot", value=b"1 1440 %d:%d" % (bucket, amount)),),
        )
        await house.store.append(draft)
    return house


BOT: dict[str, Any] = {
    "budget": "refunds",
    "counts": "args.amount",
    "per": "agent",
    "account": "bot",
    "submitted": False,
    "spent": 250.5,
    "limit": 1000.0,
    "left": 749.5,
    "limits": [{"rule": "within", "policySet": "money", "effect": "ALLOW", "limit": 1000.0}],
    "windowSeconds": 86_400,
    "nextAt": "2026-11-23T12:24:00.000Z",
    "nextAmount": 250.5,
    "clearAt": "2026-11-23T12:24:00.000Z",
    "file": "test.yaml",
    "line": 5,
}
CALLS = {
    "budget": "calls",
    "counts": "calls",
    "per": "tenant",
    "account": "acme",
    "submitted": False,
    "spent": 0,
    "limit": None,
    "left": None,
    "limits": [],
    "windowSeconds": 60,
    "nextAt": None,
    "nextAmount": 0,
    "clearAt": None,
    "file": "test.yaml",
    "line": 6,
}


async def test_the_list_says_what_is_left_and_when_it_is_renewed() -> None:
    """The first question about a budget, in one answer."""
    house = await furnished()
    page = (await house.get("/v1/budgets")).json()["data"]
    assert page == {"items": [BOT, CALLS], "total": 2, "page": 1, "pageSize": 20}


@pytest.mark.parametrize(
    ("query", "accounts"),
    [
        ("agent=bot", ["bot", "acme"]),
        ("agent=New%20Bot", ["new-bot", "acme"]),
        ("upstream=shop&pageSize=1", ["bot"]),
        ("page=2&pageSize=1", ["acme"]),
        ("page=9", []),
    ],
)
async def test_the_list_is_narrowed_and_paged(query: str, accounts: list[str]) -> None:
    """As every list."""
    house = await furnished()
    page = (await house.get(f"/v1/budgets?{query}")).json()["data"]
    assert [one["account"] for one in page["items"]] == accounts
    assert page["total"] == 2


async def test_a_budget_that_nobody_has_spent_of_is_nobodys() -> None:
    """Its declaration is shown; there is no account yet."""
    house = await opened()
    house.policies.replace(POLICY)
    page = (await house.get("/v1/budgets")).json()["data"]
    assert [(one["budget"], one["account"]) for one in page["items"]] == [("refunds", None), ("calls", "acme")]


async def test_an_account_is_shown_with_what_counts() -> None:
    """Each entry by its place in the chain, with what it added and when that comes back."""
    house = await furnished()
    shown = (await house.get("/v1/budgets/refunds?agent=bot")).json()["data"]
    entry = {
        "seq": 2,
        "entryId": "evt_acme",
        "at": "2026-11-22T12:00:00.000Z",
        "intentId": "int_1",
        "agent": "bot",
        "upstream": "shop",
        "tool": "refund",
        "amount": 250.5,
        "backAt": "2026-11-23T12:24:00.000Z",
    }
    assert shown == {**BOT, "entries": [entry], "entriesComplete": True}


async def test_another_tenant_has_its_own_account() -> None:
    """The name of an agent is a tenant's own."""
    house = await furnished()
    shown = (await house.get("/v1/budgets/refunds?agent=bot", key=house.other)).json()["data"]
    assert (shown["spent"], [one["entryId"] for one in shown["entries"]]) == (7, ["evt_other"])


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("refund?agent=bot", 404, "declares a budget"),
        ("refunds", 400, "must be named"),
        ("refunds?agent=", 400, ""),
    ],
)
async def test_an_account_that_cannot_be_shown_says_why(path: str, status: int, words: str) -> None:
    """A mistyped name must not read as a budget of which nothing is spent."""
    house = await furnished()
    answer = await house.get(f"/v1/budgets/{path}")
    assert answer.status_code == status
    assert words in answer.text


@pytest.mark.parametrize(
    ("scope", "path", "status"),
    [
        (Scope.AGENTS_READ, "", 200),
        (Scope.AUDIT_READ, "", 403),
        (Scope.AGENTS_READ, "/calls", 403),
        (Scope.AUDIT_READ, "/calls", 200),
    ],
)
async def test_what_is_left_is_read_as_agents_are_and_what_counts_as_the_trail(
    scope: Scope, path: str, status: int
) -> None:
    """An agent may know what it has left; which calls others made is the audit trail's to tell."""
    house = await furnished()
    key = await house.key(scopes=frozenset({scope}))
    assert (await house.get(f"/v1/budgets{path}", key=key)).status_code == status


async def test_a_damaged_account_is_an_error() -> None:
    """Nobody is told that nothing is spent where that is not known."""
    house = await furnished()
    draft = EntryDraft(
        tenant="acme",
        id="evt_x",
        type=EntryType.GATEWAY_STARTED,
        time="2026-11-22T12:00:00.000Z",
        puts=(Put(key="budget:refunds:sum:agent:bot", value=b"x"),),
    )
    await house.store.append(draft)
    assert (await house.get("/v1/budgets")).status_code == 503
