"""What a human needs for a yes or no, in Ops' words."""

from gateway.core.differences import Change, Difference
from gateway.core.presentation import AgentRecord, Compared, Details, Judgement, Offer
from tests.api.house import opened

DETAILS = Details(
    sentence="Agent bot wants to refund.",
    method="tools/call",
    upstream="files",
    target="pay",
    arguments={"amount": 5},
    answers={},
    exact=True,
    shown='{\n  "amount": 5\n}',
    warnings=("to: 1 hidden character",),
    description="weekly",
    justification="",
    judgement=Judgement(
        type="billing.process_refund",
        domain="billing",
        effect_class="payment",
        evidence=("name: pay",),
        confidence="0.90",
        risk=60,
        factors=(("money", 60, "the name"),),
        tier=1,
        reason="policy-escalate",
        explanation="Rule 'ask' asks.",
        policy_set="test",
        rules=("ask",),
    ),
    record=AgentRecord(all={"completed": 3}, of_type={"completed": 1}),
    compared=Compared(
        intent_id="int_0",
        time="2026-03-22T14:00:00.000Z",
        differences=(Difference(path="amount", change=Change.CHANGED, before="1", after="5"),),
    ),
    offer=Offer(places=(("/amount", "5"),), max_minutes=60, max_uses=20),
)


async def test_an_approval_is_shown_with_what_would_happen_and_why() -> None:
    """Additive: the guide's members stay as they are."""
    house = await opened()
    house.views.details = DETAILS
    shown = (await house.get("/v1/approvals/apr_1")).json()["data"]
    assert (shown["id"], shown["secondsLeft"], shown["approvedBy"], shown["approversNeeded"]) == (
        "apr_1",
        60,
        ["key_3"],
        1,
    )
    assert shown["approvalUrl"] == "http://127.0.0.1:8787/approve/apr_1"
    details = shown["details"]
    assert details["arguments"] == {"amount": 5}
    assert details["riskFactors"] == [{"code": "money", "points": 60, "evidence": "the name"}]
    assert details["record"] == {"all": {"completed": 3}, "ofType": {"completed": 1}}
    assert details["lastAllowed"]["differences"] == [
        {"path": "amount", "change": "changed", "before": "1", "after": "5"}
    ]
    assert details["lease"] == {
        "problem": "",
        "maxMinutes": 60,
        "maxUses": 20,
        "places": [{"path": "/amount", "value": "5"}],
    }
    assert (details["trustTier"], details["rules"]) == ("T1", ["ask"])


async def test_who_asked_sees_the_approval_alone() -> None:
    """The service has no details for it."""
    house = await opened()
    assert (await house.get("/v1/approvals/apr_1")).json()["data"]["details"] is None
