"""An outcome is reported once, of what was allowed, by whoever acted."""

from dataclasses import replace
from decimal import Decimal
from functools import partial

import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.principal import Role
from gateway.core.submission import IntentRecord, IntentStatus, Outcome
from gateway.core.worth import amounts_of
from gateway.errors import (
    Forbidden,
    GatewayError,
    InvalidRequest,
    RequestError,
    StateConflict,
    StoreError,
)
from tests.services.submitting import (
    ASK,
    BOUND,
    DENY,
    DEPLOY,
    HUMAN,
    INVOICE,
    KEY,
    OPERATOR,
    OTHER_KEY,
    all_at_once,
    approve,
    waiting,
)
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World, tool


@pytest.mark.parametrize(("outcome", "error"), [(Outcome.COMPLETED, ""), (Outcome.FAILED, "the pipeline broke")])
async def test_an_outcome_is_reported_once(outcome: Outcome, error: str) -> None:
    """Trust and value depend on it; a second report is a conflict."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    reported = await made.intents.outcome(KEY, record.id, outcome, error)
    assert (reported.status, reported.error) == (IntentStatus(outcome), error)
    (entry,) = made.entries(EntryType.CALL_COMPLETED)
    assert (entry.intent_id, entry.reasons, entry.agent) == (record.id, (outcome,), "github-actions")
    assert orjson.loads(entry.body)["reportedBy"] == "key_1"
    with pytest.raises(StateConflict):
        await made.intents.outcome(KEY, record.id, Outcome.COMPLETED)
    assert len(made.entries(EntryType.CALL_COMPLETED)) == 1


async def test_of_outcomes_at_the_same_time_one_counts() -> None:
    """Completed or failed, not both."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    outcomes = (Outcome.COMPLETED, Outcome.FAILED, Outcome.COMPLETED)
    ends = await all_at_once(*(partial(made.intents.outcome, KEY, record.id, one) for one in outcomes))
    assert sum(isinstance(end, IntentRecord) for end in ends) == 1
    assert sum(isinstance(end, StateConflict) for end in ends) == 2
    assert len(made.entries(EntryType.CALL_COMPLETED)) == 1


async def test_an_outcome_is_reported_by_the_agent_itself_or_an_operator() -> None:
    """Nobody else's word counts for what an agent did."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    for stranger in (OTHER_KEY, replace(HUMAN, role=Role.VIEWER)):
        with pytest.raises(Forbidden):
            await made.intents.outcome(stranger, record.id, Outcome.FAILED)
    assert made.entries(EntryType.CALL_COMPLETED) == []
    assert (await made.intents.outcome(HUMAN, record.id, Outcome.FAILED, "seen it")).error == "seen it"
    second = (await made.intents.submit(KEY, DEPLOY)).record
    assert (await made.intents.outcome(BOUND, second.id, Outcome.COMPLETED)).status is IntentStatus.COMPLETED


@pytest.mark.parametrize("policy", [DENY, ASK])
async def test_what_was_not_allowed_has_no_outcome(policy: str) -> None:
    """It was not done, or should not have been."""
    made = World(policy=policy)
    record = (await made.intents.submit(KEY, DEPLOY)).record
    with pytest.raises(StateConflict):
        await made.intents.outcome(KEY, record.id, Outcome.COMPLETED)
    assert made.entries(EntryType.CALL_COMPLETED) == []


async def test_an_outcome_uses_an_open_yes_up() -> None:
    """A program that acts without fetching its token has acted; the token must not follow."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    await made.intents.outcome(KEY, record.id, Outcome.COMPLETED)
    assert (await made.intents.show(KEY, record.id)).token == ""
    made.clock.advance(3600)
    assert (await made.intents.show(KEY, record.id)).record.status is IntentStatus.COMPLETED


async def test_an_outcome_after_the_token_of_a_yes_is_taken() -> None:
    """The usual way of an escalated intent."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    await made.intents.show(KEY, record.id)
    made.clock.advance(7200)
    assert (await made.intents.outcome(KEY, record.id, Outcome.COMPLETED)).status is IntentStatus.COMPLETED


async def test_a_tool_call_reports_its_outcome_itself() -> None:
    """Whether it waited for a human or not."""
    made = World(upstreams=[FakeUpstream(tools=[tool("list_notes")])])
    await made.call("list_notes")
    with pytest.raises(StateConflict, match="itself"):
        await made.intents.outcome(OPERATOR, made.judged[-1].intent_id, Outcome.FAILED)
    made.policies.replace(ASK)
    await made.call("list_notes")
    with pytest.raises(StateConflict, match="itself"):
        await made.intents.outcome(OPERATOR, made.judged[-1].intent_id, Outcome.FAILED)


async def test_a_tool_call_that_waits_is_shown_with_its_approval_and_never_with_a_token() -> None:
    """Its yes is used by calling again, on the front it came through."""
    made = World(upstreams=[FakeUpstream(tools=[tool("list_notes")])], policy=ASK)
    await made.call("list_notes")
    caller = replace(KEY, agent="local", credential="keyless")
    pending = (await made.intents.show(caller, made.judged[-1].intent_id)).record
    assert (pending.status, pending.front, bool(pending.approval_id)) == (IntentStatus.PENDING, "mcp", True)
    await approve(made, pending)
    shown = await made.intents.show(caller, pending.id)
    assert (shown.record.status, shown.token) == (IntentStatus.APPROVED, "")
    await made.call("list_notes")
    assert (await made.intents.show(caller, pending.id)).record.status is IntentStatus.COMPLETED


@pytest.mark.parametrize(
    ("outcome", "error"), [(Outcome.COMPLETED, "but"), (Outcome.FAILED, "x" * 4097), (Outcome.FAILED, "\ud800")]
)
async def test_an_error_that_cannot_be_is_a_problem_of_its_field(outcome: Outcome, error: str) -> None:
    """A success has none."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    with pytest.raises(InvalidRequest):
        await made.intents.outcome(KEY, record.id, outcome, error)
    assert made.entries(EntryType.CALL_COMPLETED) == []


async def test_the_error_of_an_outcome_is_stored_without_secrets() -> None:
    """Programs put their whole answer into it."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    reported = await made.intents.outcome(KEY, record.id, Outcome.FAILED, "401 with ghp_" + "a1" * 20)
    assert "a1a1" not in reported.error


async def test_every_error_of_a_request_is_a_deliberate_one() -> None:
    """Faces map them by one table."""
    assert issubclass(RequestError, GatewayError)
    assert not issubclass(StoreError, RequestError)


async def test_what_is_reported_as_completed_earns_its_amount_once() -> None:
    """The program's own word earns it; a second report is refused, so that it earns nothing more."""
    made = World(amounts=amounts_of(TAXONOMY, "EUR", {"billing.send_invoice": Decimal("99.00")}))
    await made.agents.register(OPERATOR, name="Billing Agent")
    first, second = [(await made.intents.submit(KEY, INVOICE)).record.id for _ in range(2)]
    await made.intents.outcome(KEY, first, Outcome.COMPLETED)
    with pytest.raises(StateConflict):
        await made.intents.outcome(KEY, first, Outcome.COMPLETED)
    await made.intents.outcome(KEY, second, Outcome.FAILED)
    earned, failed = made.entries(EntryType.CALL_COMPLETED)
    assert orjson.loads(earned.body)["value"] == {"cents": 9900, "type": "efficiency", "currency": "EUR"}
    assert (earned.value_cents, earned.value_type, earned.intent_type) == (9900, "efficiency", "billing.send_invoice")
    assert (failed.value_cents, "value" in orjson.loads(failed.body)) == (0, False)
