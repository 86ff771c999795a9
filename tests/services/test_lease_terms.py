"""What may be granted with a yes, and what is said where it may not."""

from dataclasses import replace

import pytest

from gateway.core.approvals import Approval, ApprovalState
from gateway.core.decision import ApprovalTerms
from gateway.core.leases import Bounds, Check, Constraint, Shape
from gateway.core.rows import About, HeldApproval
from gateway.services.lease_terms import MAX_SHAPE_BYTES, LeaseTerms, obstacle, problems_with

ABOUT = About(
    method="tools/call",
    upstream="bank",
    target="pay",
    pin="p",
    args_digest="d",
    risk=1,
    factors=(),
    tier=0,
    group="grp_1",
    same="eq_1",
)
HELD = HeldApproval(
    approval=Approval(
        id="apr_1",
        tenant="acme",
        intent_id="int_1",
        agent="bot",
        requested_by="key_1",
        state=ApprovalState.PENDING,
        reason="money",
        terms=ApprovalTerms(),
        created="2026-11-22T12:00:00.000Z",
        expires="2026-11-22T13:00:00.000Z",
    ),
    about=ABOUT,
)


@pytest.mark.parametrize(
    ("held", "bounds", "words"),
    [
        (HELD, Bounds(), ""),
        (HELD, Bounds(minutes=0), "leases.max_minutes is 0"),
        (replace(HELD, about=None), Bounds(), "an earlier release"),
        (replace(HELD, about=replace(ABOUT, method="intent")), Bounds(), "tool calls only"),
        (
            replace(HELD, approval=replace(HELD.approval, terms=ApprovalTerms(approvers=2))),
            Bounds(),
            "asks for 2 approvers",
        ),
    ],
)
def test_a_lease_is_for_a_tool_call_that_one_human_decides(held: HeldApproval, bounds: Bounds, words: str) -> None:
    """Whoever cannot have one reads why."""
    said = obstacle(held, bounds)
    assert words in said
    assert bool(said) == bool(words)


def test_every_problem_of_the_terms_is_said_at_once_with_its_place() -> None:
    """A human corrects a form once."""
    shape = Shape(
        arguments={"to": "x" * MAX_SHAPE_BYTES}, constraints=(Constraint(path="/amount", check=Check.MAX, value=5),)
    )
    found = list(problems_with(LeaseTerms(minutes=0, uses=11), Bounds(minutes=10, uses=10), shape))
    assert [one.path for one in found] == [
        ("lease", "minutes"),
        ("lease", "uses"),
        ("lease", "constraints", "/amount"),
        ("lease",),
    ]
    assert list(problems_with(LeaseTerms(), Bounds(), Shape(arguments={"to": "ACME"}))) == []
