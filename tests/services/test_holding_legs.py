"""How long a call is held, and the state that a modern agent carries from leg to leg."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.holds import LEGS, HoldTerms
from gateway.core.principal import Principal
from gateway.core.refusal import DECISION_META
from gateway.services import holding as module
from tests.services.held import FIVE, SHORT, handed, only_approval, pay, resolve, runs, say, state_of, waiting, world
from tests.simulate.world import FakeCaller

# --- how long ---------------------------------------------------------------------------------------------------------


async def test_a_handshake_call_that_nobody_answers_ends_as_pending() -> None:
    """Its client knows nothing of legs."""
    made = world(SHORT)
    conversation = await made.conversation()
    reply = await made.handle(conversation, "tools/call", {"name": "pay", "arguments": FIVE})
    approval_id = await only_approval(made)
    text = reply.message["result"]["content"][0]["text"]
    assert f"intended approvals approve {approval_id}" in text
    assert "resultType" not in reply.message["result"]


async def test_a_modern_call_that_nobody_answers_goes_through_its_legs_and_ends_as_pending() -> None:
    """A client's own limit is 10 retries, and then an exception that no model sees."""
    made = world(SHORT)
    reply = await made.call("pay", FIVE)
    states = []
    while reply.message["result"]["resultType"] == "input_required":
        assert reply.message["result"]["_meta"][DECISION_META]["outcome"] == "pending"
        states.append(state_of(reply))
        reply = await made.modern("tools/call", {"name": "pay", "arguments": FIVE, "requestState": states[-1]})
    assert (len(states), len(set(states))) == (LEGS - 1, LEGS - 1)
    result = reply.message["result"]
    assert (result["isError"], result["resultType"]) == (True, "complete")
    assert result["_meta"][DECISION_META]["rule"] == "ask"
    assert len(made.entries(EntryType.CALL_DECIDED)) == 1, "waiting on is no new decision"


async def test_a_leg_goes_on_where_the_last_one_ended() -> None:
    """The yes may come between two legs."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    await resolve(made)
    reply = await made.modern("tools/call", {"name": "pay", "arguments": FIVE, "requestState": state})
    assert (reply.message["result"]["content"][0]["text"], runs(made)) == ("pay ran", 1)
    assert "requestState" not in made.upstream().calls("pay")[0].params
    assert len({entry.intent_id for entry in made.entries(EntryType.CALL_DECIDED)}) == 1


async def test_what_a_call_carried_beside_its_arguments_reaches_the_upstream_after_the_legs() -> None:
    """The agent's retry has our state in place of its upstream's, and no answers: they would be lost."""
    made = world(SHORT)
    answers = {"name": {"action": "accept", "content": {"name": "Ada"}}}
    first = await pay(made, requestState=handed(made, "theirs"), inputResponses=answers)(FakeCaller())
    await resolve(made)
    await pay(made, requestState=state_of(first))(FakeCaller())
    (sent,) = made.upstream().calls("pay")
    assert (sent.params["requestState"], sent.params["inputResponses"]) == ("theirs", answers)


async def test_a_call_that_carries_too_much_is_not_held_in_legs() -> None:
    """Its agent would send it back nine times."""
    made = world(SHORT)
    reply = await pay(made, requestState=handed(made, "x" * 50_000))(FakeCaller())
    assert reply.message["result"]["isError"] is True


async def test_an_agent_may_ask_for_no_wait() -> None:
    """`Prefer: wait=0`: its client wants to know at once."""
    made = world()
    caller = FakeCaller()
    caller.prefer = "wait=0"
    with anyio.fail_after(1):
        reply = await pay(made)(caller)
    assert reply.message["result"]["isError"] is True


async def test_an_agent_holds_a_bounded_number_of_calls() -> None:
    """Each holds a connection; one agent must not take them all."""
    made = world(HoldTerms(leg_s=60, held_per_agent=1))
    async with waiting(made, pay(made)) as (one,):
        with anyio.fail_after(1):
            reply = await pay(made, {"amount": 6})(FakeCaller())
        state = reply.message["result"].get("requestState")
        if state:
            with anyio.fail_after(1):
                reply = await pay(made, {"amount": 6}, requestState=state)(FakeCaller())
            assert "money" in str(reply.message["result"].get("content", "money"))
        one.scope.cancel()


async def test_an_agent_that_asked_for_progress_hears_that_its_call_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients show it, and some wait longer for it; numbers rise, and stay below those of an upstream."""
    monkeypatch.setattr(module, "PROGRESS_S", 0.01)
    made = world(HoldTerms(leg_s=0.4, hold_s=0.4))
    conversation = await made.conversation()
    caller = FakeCaller()
    await say(made, conversation, progressToken="p")(caller)
    assert {method for method, _ in caller.told} == {"notifications/progress"}
    numbers = [params["progress"] for _, params in caller.told]
    assert len(numbers) > 1
    assert numbers == sorted(set(numbers))
    assert numbers[-1] <= 0
    assert {params["progressToken"] for _, params in caller.told} == {"p"}


async def test_nobody_hears_of_progress_that_was_not_asked_for() -> None:
    """A client without a token could not tell what it is about; true is no token."""
    made = world(SHORT)
    conversation = await made.conversation()
    caller = FakeCaller()
    await say(made, conversation, progressToken=True)(caller)
    assert caller.told == []


# --- the state that goes from leg to leg ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state[:-4] + ("AAAA" if state[-4:] != "AAAA" else "BBBB"),
        lambda state: state[:40],
        lambda state: module.STATE_PREFIX,
        lambda state: module.STATE_PREFIX + "not base64!",
        lambda state: module.STATE_PREFIX + "é",
    ],
)
async def test_a_state_that_was_changed_is_refused(spoil: Callable[[str], str]) -> None:
    """It is sealed: whoever changes it comes nowhere."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    await resolve(made)
    reply = await pay(made, requestState=spoil(state))(FakeCaller())
    assert (reply.message["error"]["code"], runs(made)) == (-32602, 0)
    assert made.entries(EntryType.REQUEST_REFUSED)


async def test_a_state_of_another_call_is_refused() -> None:
    """Who waits for five may not come back for six."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    await resolve(made)
    reply = await pay(made, {"amount": 6}, requestState=state)(FakeCaller())
    assert ("another call" in reply.message["error"]["message"], runs(made)) == (True, 0)


async def test_a_state_of_another_agent_is_refused() -> None:
    """What one agent waits for is not another one's."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    await resolve(made)
    eve = Principal(tenant="default", agent="eve", credential="key_2")
    params = {"name": "pay", "arguments": FIVE, "requestState": state}
    reply = await made.modern("tools/call", params, principal=eve)
    assert (reply.message["error"]["code"], runs(made)) == (-32602, 0)


async def test_a_state_that_is_too_old_is_refused() -> None:
    """Nobody stores them; they must not live for ever."""
    made = world(SHORT)
    state = state_of(await made.call("pay", FIVE))
    made.clock.advance(601)
    reply = await pay(made, requestState=state)(FakeCaller())
    assert "too old" in reply.message["error"]["message"]
