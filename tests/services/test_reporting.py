"""A report is its agent's own, of an allowed intent, once; and it says how much of it is a claim."""

from dataclasses import replace

import orjson
import pytest

from gateway.core.audit.entry import Expect
from gateway.core.principal import Principal, Role
from gateway.core.rows import IntentState, intent_key
from gateway.core.submission import IntentStatus, Outcome
from gateway.core.worth import Credit
from gateway.errors import Forbidden, InvalidRequest, StateConflict
from gateway.services.judged import NO_ROWS
from gateway.services.reporting import reported_entry, require_reportable, require_text, submitted_by, too_late
from tests.services.submitting import DEPLOY, KEY
from tests.simulate.world import World

WAITING = IntentState(
    status=IntentStatus.APPROVED, agent="bot", credential="key_1", submitted=True, issued=True, version=3
)
OWN = Principal(tenant="default", agent="key-1", credential="key_1")
SAME_AGENT = Principal(tenant="default", agent="bot", credential="key_2", bound=True)
STRANGER = Principal(tenant="default", agent="bot", credential="key_3")
OPERATOR = Principal(tenant="default", agent="x", credential="ps_1", role=Role.OPERATOR)
CREDIT = Credit(cents=250, type="revenue", currency="USD")


@pytest.mark.parametrize("principal", [OWN, SAME_AGENT, OPERATOR])
def test_who_submitted_an_agent_s_own_key_and_an_operator_may_report(principal: Principal) -> None:
    """Contract, section 2."""
    assert require_reportable(principal, WAITING, Outcome.COMPLETED) is WAITING
    assert submitted_by(principal, WAITING) is (principal is not OPERATOR)


def test_a_stranger_may_not_even_under_the_agent_s_name() -> None:
    """An unbound key may name any agent."""
    with pytest.raises(Forbidden):
        require_reportable(STRANGER, WAITING, Outcome.FAILED)


@pytest.mark.parametrize(
    "waiting",
    [
        None,
        replace(WAITING, submitted=False),
        replace(WAITING, status=IntentStatus.COMPLETED),
        replace(WAITING, status=IntentStatus.PENDING),
    ],
)
def test_what_reports_itself_or_is_past_it_is_a_conflict(waiting: IntentState | None) -> None:
    """A tool call, and an intent that is not approved."""
    with pytest.raises(StateConflict):
        require_reportable(OWN, waiting, Outcome.COMPLETED)
    assert "completed" in str(too_late(IntentStatus.COMPLETED))


@pytest.mark.parametrize(
    ("outcome", "error"), [(Outcome.COMPLETED, "x"), (Outcome.FAILED, "x" * 5000), (Outcome.FAILED, "\ud800")]
)
def test_an_error_is_a_text_and_belongs_to_a_failure(outcome: Outcome, error: str) -> None:
    """Half a character cannot be recorded."""
    with pytest.raises(InvalidRequest):
        require_text(outcome, error)
    require_text(Outcome.FAILED, "it broke")
    require_text(Outcome.COMPLETED, "")


@pytest.mark.parametrize("credit", [CREDIT, None])
async def test_the_entry_names_who_said_so_and_what_was_earned(credit: Credit | None) -> None:
    """A failure earns nothing, whatever its type would."""
    record = (await World().intents.submit(KEY, DEPLOY)).record
    given = {"rows": NO_ROWS, "credit": credit, "entry_id": "evt_1", "time": "2026-11-22T12:00:00.000Z"}
    done = reported_entry(OWN, record, WAITING, Outcome.COMPLETED, error="", **given)
    failed = reported_entry(OWN, record, WAITING, Outcome.FAILED, error="password=hunter22 is wrong", **given)
    value = {} if credit is None else {"value": credit.shown()}
    assert orjson.loads(done.body) == {"completion": "completed", "reportedBy": "key_1"} | value
    assert (done.value_cents, done.value_type) == ((250, "revenue") if credit else (0, ""))
    assert (failed.value_cents, "value" in orjson.loads(failed.body)) == (0, False)
    assert "hunter22" not in orjson.loads(failed.body)["problem"]
    assert done.expects == (Expect(key=intent_key(record.id), version=3),)
