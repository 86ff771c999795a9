"""Many approvals are folded for people to see what belongs together; each is answered by itself."""

from dataclasses import replace
from functools import partial

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.holds import HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.presentation import Listed
from gateway.core.principal import Principal, Role, Scope
from gateway.core.refusal import DECISION_META
from gateway.core.rows import approval_key, pending_key
from gateway.core.submission import Submission
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import LOCAL, FakeCaller, World, tool

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, match: {methods: [tools/call, intent]}, reason: money}
"""


def world(holds: HoldTerms | None = None) -> World:
    return World(upstreams=[FakeUpstream(tools=[tool("pay"), tool("refund")])], policy=ASK, holds=holds)


async def call(made: World, amount: int = 5, name: str = "pay", **more: object) -> JsonObject:
    result = (await made.call(name, {"amount": amount}, **more)).message["result"]
    return dict(result["_meta"][DECISION_META])


async def listed(made: World, state: ApprovalState | None = ApprovalState.PENDING, group: str = "") -> list[Listed]:
    return list((await made.approval_list.list(HUMAN, state=state, group=group, page=1, page_size=100)).items)


async def test_equal_calls_are_one_approval_that_says_how_often_it_was_asked() -> None:
    """A client in a loop is one request with a number, and not a list to click through."""
    made = world()
    said = [await call(made) for _ in range(3)]
    assert len({one["approval"] for one in said}) == 1
    (one,) = await listed(made)
    assert (one.alike.asked, one.alike.waiting, one.alike.group_size, one.alike.equal) == (3, 0, 1, 1)
    assert one.alike.target == "default/pay"


async def test_as_many_equal_calls_at_once_are_counted_one_by_one() -> None:
    """Counting makes nobody wait and nobody be denied."""
    made = world()
    async with anyio.create_task_group() as tasks:
        for _ in range(64):
            tasks.start_soon(call, made)
    (one,) = await listed(made)
    assert one.alike.asked == 64
    assert {entry.effect for entry in made.entries(EntryType.CALL_DECIDED)} == {"ESCALATE"}


async def test_who_waits_for_an_answer_now_is_counted() -> None:
    """A human sees whether anybody is still there for the answer."""
    made = world(holds=HoldTerms())
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                caller = FakeCaller()
                caller.prefer = "wait=60"
                tasks.start_soon(partial(made.call, "pay", {"amount": 5}, caller=caller))
            while made.holds.count < 3 or not await listed(made) or (await listed(made))[0].alike.waiting < 3:
                await anyio.lowlevel.checkpoint()
            (one,) = await listed(made)
            assert (one.alike.asked, one.alike.waiting) == (3, 3)
            tasks.cancel_scope.cancel()
    assert (await listed(made))[0].alike.waiting == 0


async def test_an_agents_calls_of_one_tool_are_a_group() -> None:
    """Lists are folded by it, and it can be asked for alone."""
    made = world()
    for amount in (1, 2, 3):
        await call(made, amount)
    await call(made, 1, "refund")
    found = await listed(made)
    assert [(one.alike.target, one.alike.group_size) for one in found] == [
        ("default/refund", 1),
        ("default/pay", 3),
        ("default/pay", 3),
        ("default/pay", 3),
    ]
    group = found[1].alike.group
    assert [one.approval.id for one in await listed(made, group=group)] == [one.approval.id for one in found[1:]]
    await made.approvals.resolve(HUMAN, approval_id=found[1].approval.id, approve=True)
    assert [one.alike.group_size for one in await listed(made, group=group)] == [2, 2], "one yes answers one"


async def test_equal_calls_of_different_agents_are_apart_and_known_as_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each agent needs a yes of its own; the human sees that both want the same."""
    made = world()
    await call(made)
    monkeypatch.setattr("tests.simulate.world.LOCAL", replace(LOCAL, agent="eve", credential="key_2"))
    await call(made)
    await call(made, 6)
    found = await listed(made)
    assert [(one.approval.agent, one.alike.equal, one.alike.group_size) for one in found] == [
        ("eve", 1, 2),
        ("eve", 2, 2),
        ("local", 2, 1),
    ]


async def test_submitted_intents_of_equal_content_are_approvals_of_their_own() -> None:
    """Each is an intent with its own token; one yes must not make two tokens. They are known as equal."""
    made = world()
    key = Principal(tenant="default", agent="key-1", credential="key_1", scopes=frozenset({Scope.INTENTS_WRITE}))
    for _ in range(2):
        await made.intents.submit(key, Submission(agent="ci", action="pay the invoice", params={"amount": 5}))
    assert [(one.alike.equal, one.alike.group_size, one.alike.asked) for one in await listed(made)] == [(2, 2, 1)] * 2


async def test_those_in_another_state_are_listed_with_their_group() -> None:
    """What was asked before is found by it, too."""
    made = world()
    first, second = (await call(made, 1))["approval"], (await call(made, 2))["approval"]
    await call(made, 1, "refund")
    await made.approvals.resolve(HUMAN, approval_id=first, approve=False)
    (denied,) = await listed(made, ApprovalState.DENIED)
    assert (denied.approval.id, denied.alike.asked, denied.alike.group_size) == (first, 1, 1)
    assert [one.approval.id for one in await listed(made, None, denied.alike.group)] == [second, first]
    assert len(await listed(made, None)) == 3
    page = await made.approval_list.list(HUMAN, state=None, page=2, page_size=2)
    assert ([one.approval.id for one in page.items], page.total) == ([first], 3)


async def test_approvals_of_an_earlier_release_belong_to_no_group() -> None:
    """Nothing is kept of what they are about."""
    made = world()
    for amount in (1, 2):
        await call(made, amount)
    for one in await listed(made):
        row = await made.store.get("default", approval_key(one.approval.id))
        assert row is not None
        old = {name: value for name, value in orjson.loads(row.value).items() if name != "about"}
        puts = (
            Put(key=row.key, value=orjson.dumps(old)),
            Put(key=pending_key(one.approval.id), value=one.approval.expires.encode()),
        )
        await made.store.append(
            EntryDraft(tenant="default", id="evt_x", type=EntryType.HEAD_ACCEPTED, time="t", puts=puts)
        )
    assert [(one.alike.group, one.alike.group_size, one.alike.asked) for one in await listed(made)] == [("", 1, 1)] * 2
    assert await listed(made, None, "grp_1") == []


async def test_one_that_expires_while_the_list_is_made_is_left_out() -> None:
    """What is shown as waiting waits."""
    made = world()
    await call(made)
    approval = (await listed(made))[0].approval.id
    await made.store.append(
        EntryDraft(
            tenant="default",
            id="evt_x",
            type=EntryType.HEAD_ACCEPTED,
            time="t",
            puts=(Put(key=approval_key(approval), value=None),),
        )
    )
    assert await listed(made) == []


async def test_closed_ones_are_listed_by_state_and_group_also_when_their_rows_are_gone() -> None:
    """A human who looks back finds what was asked for, how often, and what was said."""
    made = world()
    for amount in (1, 2):
        await call(made, amount)
        await call(made, amount)
    await call(made, 3, "refund")
    for one in await listed(made):
        await made.approvals.resolve(HUMAN, approval_id=one.approval.id, approve=False, rationale="no")
    found = await listed(made, ApprovalState.DENIED)
    assert [(one.alike.target, one.alike.asked, one.alike.group_size) for one in found] == [
        ("default/refund", 1, 0),
        ("default/pay", 2, 0),
        ("default/pay", 2, 0),
    ]
    assert await listed(made, ApprovalState.DENIED, found[1].alike.group) == found[1:]
    assert await listed(made, None) == found
    assert await listed(made, ApprovalState.EXPIRED) == []
    made.clock.advance(40 * 86_400)
    await made.retention.round()
    assert made.store.row("default", approval_key(found[0].approval.id)) is None
    assert await listed(made, ApprovalState.DENIED) == found
