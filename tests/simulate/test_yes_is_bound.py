"""A yes is for one call under today's policy: change what it was given for, and nothing reaches the upstream."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from gateway.core.decision import Thresholds
from gateway.core.holds import HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role, TrustTier
from gateway.core.refusal import DECISION_META
from gateway.core.tiers import ConfiguredTiers
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World, tool

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, match: {tools: [pay]}, reason: money}
"""
PAY = tool("pay", description="Pay somebody.")
CALL: JsonObject = {"name": "bank__pay", "arguments": {"amount": 5, "to": "ACME"}}

Change = Callable[[World, pytest.MonkeyPatch], JsonObject]
"""Changes one thing, and returns the call that is made after it."""


def arguments(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    return {**CALL, "arguments": {"amount": 5, "to": "ACMF"}}


def description(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    return redefined(made, PAY | {"description": "Pay somebody!"})


def schema(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    return redefined(made, PAY | {"inputSchema": {"type": "object", "title": "payment"}})


def agent(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    patch.setattr("tests.simulate.world.LOCAL", Principal(tenant="default", agent="eve", credential="key_2"))
    return CALL


def upstream(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    return {**CALL, "name": "shop__pay"}


def policy(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    made.policies.replace(ASK + '  - {id: never, effect: deny, when: "args.amount > 1", reason: no more}\n')
    return CALL


def tier(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    caps = Thresholds(allow_below=0, deny_from=0)
    made.facts._caps = ConfiguredTiers(default=TrustTier.T0, agents={}, thresholds=dict.fromkeys(TrustTier, caps))
    return CALL


def another_rule(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    made.policies.replace(ASK + "  - {id: ask-too, effect: escalate, reason: more money}\n")
    return CALL


def changed_rule(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    made.policies.replace(ASK.replace("money", "much money"))
    return CALL


def elsewhere(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    made.policies.replace(ASK + "  - {id: other, effect: deny, match: {tools: [other]}, reason: x}\n")
    return CALL


def nothing(made: World, patch: pytest.MonkeyPatch) -> JsonObject:
    return CALL


def redefined(made: World, definition: JsonObject) -> JsonObject:
    made.upstream("bank").tools = [definition]
    made.catalog.forget_listing("bank")
    return CALL


DENIES = [policy, tier]
ASKS = [arguments, description, schema, agent, upstream, another_rule, changed_rule]
HOLDS = [elsewhere, nothing]


def world(terms: HoldTerms | None = None) -> World:
    return World(
        upstreams=[FakeUpstream("bank", tools=[PAY]), FakeUpstream("shop", tools=[PAY])], policy=ASK, holds=terms
    )


async def call(made: World, params: JsonObject) -> JsonObject:
    result = (await made.modern("tools/call", params)).message["result"]
    return dict(result.get("_meta", {}).get(DECISION_META, result))


def runs(made: World) -> int:
    return len(made.upstream("bank").calls()) + len(made.upstream("shop").calls())


async def approve(made: World) -> str:
    (one,) = (await made.list_approvals(HUMAN, page=1, page_size=10)).items
    await made.approvals.resolve(HUMAN, approval_id=one.id, approve=True)
    return one.id


@pytest.mark.parametrize("change", DENIES)
async def test_what_denies_today_denies_in_spite_of_the_yes(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval is a fact, not a bypass (promise 5)."""
    made = world()
    await call(made, CALL)
    await approve(made)
    said = await call(made, change(made, monkeypatch))
    assert (said["outcome"], runs(made)) == ("deny", 0)


@pytest.mark.parametrize("change", ASKS)
async def test_another_call_or_another_question_asks_for_itself(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The human has seen something else."""
    made = world()
    await call(made, CALL)
    first = await approve(made)
    said = await call(made, change(made, monkeypatch))
    assert (said["outcome"], said["approval"] != first, runs(made)) == ("pending", True, 0)


@pytest.mark.parametrize("change", HOLDS)
async def test_a_change_elsewhere_harms_nothing(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every edit of a policy would throw the work of humans away."""
    made = world()
    await call(made, CALL)
    await approve(made)
    assert "content" in await call(made, change(made, monkeypatch))
    assert runs(made) == 1


@pytest.mark.parametrize("change", [*DENIES, another_rule, changed_rule, *HOLDS])
async def test_what_changes_while_a_call_waits_counts_when_it_goes_on(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is decided again at that moment; what asks anew is waited for again."""
    made = world(HoldTerms(leg_s=60))
    said: list[JsonObject] = []

    async def wait() -> None:
        said.append(await call(made, CALL))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            while made.holds.count == 0:
                await anyio.lowlevel.checkpoint()
            change(made, monkeypatch)
            await approve(made)
            if change in ASKS:
                while (await made.list_approvals(HUMAN, page=1, page_size=10)).total == 0:
                    await anyio.lowlevel.checkpoint()
                assert (said, runs(made)) == ([], 0)
                await approve(made)
    assert ("content" in said[0], runs(made)) == ((True, 1) if change not in DENIES else (False, 0))
