"""How long an escalated call waits, and what it carries from leg to leg."""

from dataclasses import replace

import pytest

from gateway.core.call import Call, Era
from gateway.core.holds import LEGS, HoldTerms, Leg, Plan, plan, preferred_wait, read_leg
from gateway.core.principal import Principal

TERMS = HoldTerms(leg_s=4, hold_s=45, hold_max_s=300, agents={"patient": 90, "hasty": 0})
CALL = Call(method="tools/call", upstream="bank", name="pay", uri="", arguments={}, arguments_digest="d" * 64)
LEG = Leg(
    tenant="acme",
    agent="bot",
    upstream="bank",
    tool="pay",
    args_digest="d" * 64,
    approval_id="apr_1",
    reason="policy-escalate",
    rule="ask",
    number=2,
    leg_s=4.0,
    expires=1_800_000_000,
    carried={"requestState": "theirs", "inputResponses": {"a": {"x": [1]}}},
)


@pytest.mark.parametrize(
    ("era", "agent", "prefer", "progress", "wanted"),
    [
        (Era.MODERN, "bot", "", False, Plan(leg_s=4, legs=LEGS)),
        (Era.MODERN, "bot", "", True, Plan(leg_s=4, legs=LEGS)),
        (Era.MODERN, "bot", "wait=18", False, Plan(leg_s=2, legs=LEGS)),
        (Era.MODERN, "bot", "wait=9999", False, Plan(leg_s=300 / 9, legs=LEGS)),
        (Era.MODERN, "patient", "", False, Plan(leg_s=10, legs=LEGS)),
        (Era.MODERN, "patient", "wait=9", False, Plan(leg_s=1, legs=LEGS)),
        (Era.MODERN, "hasty", "", False, Plan(leg_s=0, legs=0)),
        (Era.HANDSHAKE, "bot", "", False, Plan(leg_s=4, legs=1)),
        (Era.HANDSHAKE, "bot", "", True, Plan(leg_s=45, legs=1)),
        (Era.HANDSHAKE, "bot", "wait=20", True, Plan(leg_s=20, legs=1)),
        (Era.HANDSHAKE, "patient", "", False, Plan(leg_s=90, legs=1)),
        (Era.HANDSHAKE, "bot", "wait=0", True, Plan(leg_s=0, legs=0)),
    ],
)
def test_a_call_waits_as_long_as_its_client_is_known_to(
    era: Era, agent: str, prefer: str, progress: bool, wanted: Plan
) -> None:
    """A client that gives up first never tells its model what it waits for (design, section 4; protocol.md 3.1)."""
    assert plan(TERMS, era=era, agent=agent, prefer=prefer, progress=progress) == wanted


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=10", 10),
        ("respond-async, wait=10", 10),
        ('WAIT = "7"; x=y', 7),
        ("", None),
        ("wait", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("await=10", None),
        ("wait=99999999999", None),
    ],
)
def test_only_a_whole_number_of_seconds_is_read(header: str, seconds: float | None) -> None:
    """RFC 7240, 4.3. What cannot be read is as good as absent: a preference is never an error."""
    assert preferred_wait(header) == seconds


def test_a_leg_comes_back_as_it_was_sealed() -> None:
    """The gateway keeps nothing of it: all it knows of the next leg is in the state."""
    assert read_leg(LEG.written()) == LEG


@pytest.mark.parametrize(
    ("tenant", "agent", "call", "same"),
    [
        ("acme", "bot", CALL, True),
        ("other", "bot", CALL, False),
        ("acme", "eve", CALL, False),
        ("acme", "bot", replace(CALL, upstream="shop"), False),
        ("acme", "bot", replace(CALL, name="refund"), False),
        ("acme", "bot", replace(CALL, arguments_digest="e" * 64), False),
    ],
)
def test_a_state_belongs_to_one_call_of_one_agent(tenant: str, agent: str, call: Call, same: bool) -> None:
    """Whoever waits for one thing must not come back for another."""
    assert LEG.is_of(Principal(tenant=tenant, agent=agent, credential="key_1"), call) is same
