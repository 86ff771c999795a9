"""What a human is told before a yes or no, and who is told how much."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.differences import Change, Difference
from gateway.core.principal import ROLE_SCOPES, Principal, Role, Scope
from gateway.core.refusal import DECISION_META
from gateway.core.submission import Submission
from gateway.errors import Forbidden, NotFound, StoreError
from gateway.services import approval_view as module
from gateway.services.approval_view import ApprovalViews
from tests.services.approving import ASK, TWO, call, resolve
from tests.simulate.index import MemoryIndex
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, LOCAL, World, tool

HUMAN = Principal(
    tenant="default",
    agent="usr-1",
    credential="ps_1",
    human="usr_1",
    role=Role.OPERATOR,
    scopes=ROLE_SCOPES[Role.OPERATOR],
)
VIEWER = replace(HUMAN, credential="ps_2", human="usr_2", role=Role.VIEWER, scopes=ROLE_SCOPES[Role.VIEWER])
SECRET = {"amount": 5, "password": "hunter2", "to": "p\u0430ypal"}


def world(policy: str = ASK, **more: Any) -> World:
    return World(upstreams=[FakeUpstream(tools=[tool("pay", description="Pay somebody.")])], policy=policy, **more)


def views(made: World) -> ApprovalViews:
    return ApprovalViews(
        approvals=made.approvals,
        lists=made.approval_list,
        leases=made.leases,
        reader=made.store,
        index=MemoryIndex(made.store),
        clock=made.clock,
    )


async def escalated(made: World, arguments: dict[str, Any] | None = None) -> str:
    return str((await call(made, arguments))["approval"])


async def test_an_approver_is_told_what_would_happen_exactly_why_and_by_whom() -> None:
    """Everything that a yes or no needs, on one page."""
    made = world(TWO)
    approval_id = await escalated(made, SECRET)
    made.clock.advance(60)
    await resolve(made, replace(HUMAN, credential="ps_9", human="usr_9"), approval_id)
    view = await views(made).show(HUMAN, approval_id)
    assert (view.seconds_left, view.votes, view.voters, view.needed) == (540, ("ps_9",), ("usr_9",), 1)
    details = view.details
    assert details is not None
    assert (details.method, details.upstream, details.target) == ("tools/call", "default", "pay")
    assert details.sentence.startswith("Agent local wants to ")
    assert " with amount=5, to=" in details.sentence
    assert (details.arguments, details.answers, details.exact) == (SECRET, {}, True)
    assert '"password": "hunter2"' in details.shown
    assert details.warnings == ('to: the word "p\u0430ypal" mixes letters that look alike (Cyrillic and Latin)',)
    judged = details.judgement
    assert (judged.reason, judged.rules, judged.policy_set) == ("policy-escalate", ("ask",), "test")
    assert "money" in judged.explanation
    assert judged.risk == min(100, sum(points for _, points, _ in judged.factors))
    assert (details.record.all, details.record.of_type) == ({"pending": 1}, {"pending": 1})
    assert details.compared == module.Compared()


async def test_the_last_allowed_call_of_the_tool_is_compared() -> None:
    """The change is what a human overlooks first."""
    made = world(ALLOW_ALL)
    await made.call("pay", {"amount": 1, "to": "bob", "note": "x"})
    made.policies.replace(ASK)
    approval_id = await escalated(made, {"amount": 900, "to": "bob", "iban": "DE1"})
    details = (await views(made).show(HUMAN, approval_id)).details
    assert details is not None
    assert details.compared.exact
    assert details.compared.intent_id == made.judged[0].intent_id
    assert details.compared.differences == (
        Difference(path="amount", change=Change.CHANGED, before="1", after="900"),
        Difference(path="iban", change=Change.ADDED, after='"DE1"'),
        Difference(path="note", change=Change.REMOVED, before='"x"'),
    )
    assert details.record.all == {"completed": 1, "pending": 1}


async def test_another_tool_s_call_is_no_comparison() -> None:
    """It would show differences that mean nothing."""
    tools = [tool("pay", description="Pay somebody."), tool("list_things", description="List things.")]
    made = World(upstreams=[FakeUpstream(tools=tools)], policy=ALLOW_ALL)
    await made.call("list_things", {})
    made.policies.replace(ASK)
    details = (await views(made).show(HUMAN, await escalated(made))).details
    assert details is not None
    assert details.compared == module.Compared()


async def test_the_search_for_the_last_allowed_call_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent with a million calls must not make its approvals slow."""
    monkeypatch.setattr(module, "PAGE", 1)
    monkeypatch.setattr(module, "LOOKED_THROUGH", 2)
    made = world(ALLOW_ALL)
    await made.call("pay", {"amount": 1})
    made.policies.replace(ASK)
    found = [await escalated(made, {"amount": number}) for number in range(2, 5)]
    compared = []
    for approval_id in found:
        details = (await views(made).show(HUMAN, approval_id)).details
        assert details is not None
        compared.append(bool(details.compared.intent_id))
    assert compared == [True, True, False]


async def test_who_may_only_read_sees_what_the_audit_shows() -> None:
    """The role `viewer` must not be the way round the audit's redaction."""
    made = world(ALLOW_ALL)
    await made.call("pay", SECRET | {"amount": 1})
    made.policies.replace(ASK)
    approval_id = await escalated(made, SECRET)
    details = (await views(made).show(VIEWER, approval_id)).details
    assert details is not None
    assert "hunter2" not in repr(details)
    assert details.arguments == SECRET | {"password": "[removed]"}
    assert not details.exact
    assert [one.path for one in details.compared.differences] == ["amount"]
    assert not details.compared.exact


async def test_after_the_answer_the_arguments_are_those_of_the_record() -> None:
    """They are kept whole only while they are needed."""
    made = world()
    approval_id = await escalated(made, SECRET)
    await resolve(made, HUMAN, approval_id, approve=False)
    view = await views(made).show(HUMAN, approval_id)
    assert (view.approval.state, view.seconds_left, view.needed) == (ApprovalState.DENIED, 0, 0)
    assert view.details is not None
    assert "hunter2" not in repr(view.details)


async def test_where_the_audit_shows_no_arguments_it_is_said_that_none_are_kept() -> None:
    """An empty list of arguments would read as a call without any."""
    made = world(ALLOW_ALL, show_arguments=False)
    await made.call("pay", {"amount": 1})
    made.policies.replace(ASK)
    approval_id = await escalated(made, SECRET)
    details = (await views(made).show(VIEWER, approval_id)).details
    assert details is not None
    assert (details.arguments, details.shown) == (None, "")
    assert details.compared.problem == "Nothing is kept of this call's arguments."


@pytest.mark.parametrize("shown", [True, False])
async def test_where_the_earlier_arguments_are_gone_what_the_audit_shows_is_compared(*, shown: bool) -> None:
    """They are kept for some days; the difference says what it rests on."""
    made = world(ALLOW_ALL, show_arguments=shown)
    await made.call("pay", {"amount": 1, "password": "old"})
    for seq, entry in enumerate(made.store._chains["default"]):
        made.store._chains["default"][seq] = replace(entry, evaluation_input=None)
    made.policies.replace(ASK)
    approval_id = await escalated(made, {"amount": 2, "password": "new"})
    details = (await views(made).show(HUMAN, approval_id)).details
    assert details is not None
    assert not details.compared.exact or not shown
    if shown:
        assert [one.path for one in details.compared.differences] == ["amount"]
    else:
        assert details.compared.problem == "Its arguments are kept no longer."


async def test_a_submitted_intent_is_shown_with_what_its_program_claims() -> None:
    """As claims: nobody checked them."""
    made = world()
    await made.agents.register(LOCAL, name="bot", description="", domains=(), intent_types=())
    submission = Submission(
        agent="bot",
        action="deploy it all",
        system="github",
        params={"branch": "main"},
        description="weekly",
        justification="asked by Jane",
    )
    record = (await made.intents.submit(LOCAL, submission)).record
    details = (await views(made).show(HUMAN, record.approval_id)).details
    assert details is not None
    assert ' wants to act by itself in github: "deploy it all" with branch=main, judged to be ' in details.sentence
    assert (details.description, details.justification) == ("weekly", "asked by Jane")
    shown = (await views(made).show(VIEWER, record.approval_id)).details
    assert shown is not None
    assert (shown.description, shown.target) == ("weekly", "deploy it all")


@pytest.mark.parametrize(
    "asker",
    [
        replace(HUMAN, credential="keyless"),
        replace(HUMAN, agent="local"),
    ],
    ids=["credential", "agent"],
)
async def test_who_asked_gets_the_approval_and_nothing_of_what_speaks_against_it(asker: Principal) -> None:
    """It would learn how to ask better."""
    made = world()
    view = await views(made).show(asker, await escalated(made, SECRET))
    assert view.details is None
    assert view.approval.state is ApprovalState.PENDING


async def test_who_may_not_read_approvals_is_told_nothing() -> None:
    """The scope is asked for below every face."""
    made = world()
    approval_id = await escalated(made)
    with pytest.raises(Forbidden):
        await views(made).show(replace(HUMAN, scopes=HUMAN.scopes - {Scope.APPROVALS_READ}), approval_id)


async def test_another_tenant_s_approval_does_not_exist() -> None:
    """Not even its id is confirmed."""
    made = world()
    approval_id = await escalated(made)
    with pytest.raises(NotFound):
        await views(made).show(replace(HUMAN, tenant="other"), approval_id)


async def test_an_approval_without_its_decision_is_shown_to_nobody() -> None:
    """The chain was cut: a human must not decide on half of the record."""
    made = world()
    approval_id = await escalated(made)
    chain = made.store._chains["default"]
    chain[:] = [one for one in chain if EntryType.CALL_DECIDED.value.encode() not in one.content]
    with pytest.raises(StoreError, match="verify"):
        await views(made).show(HUMAN, approval_id)


# --- a lease, and what belongs together -------------------------------------------------------------------------------


async def test_an_approver_sees_what_a_lease_would_hold_fast() -> None:
    """Who grants a shape must see it, to the last hidden character."""
    made = world()
    approval_id = await escalated(made, SECRET)
    details = (await views(made).show(HUMAN, approval_id)).details
    assert details is not None
    assert details.offer.problem == ""
    assert (details.offer.max_minutes, details.offer.max_uses) == (1440, 1000)
    assert details.offer.places == (("/amount", "5"), ("/password", '"hunter2"'), ("/to", '"p\u0430ypal"'))


async def test_where_there_can_be_no_lease_it_is_said_why() -> None:
    """Several approvers, a reader, an answer, and answers of an earlier round: each for its own reason."""
    made = world(TWO)
    several = await escalated(made)
    one = world()
    simple = await escalated(one)
    answers = {"name": "pay", "arguments": {}, "inputResponses": {"q": {"action": "accept"}}}
    result = (await one.modern("tools/call", answers)).message["result"]
    answered = str(result["_meta"][DECISION_META]["approval"])

    async def problem(of: World, by: Principal, approval_id: str) -> str:
        details = (await views(of).show(by, approval_id)).details
        assert details is not None
        assert details.offer.places == ()
        return details.offer.problem

    assert "2 approvers" in await problem(made, HUMAN, several)
    assert "those who may answer" in await problem(one, VIEWER, simple)
    assert "answers" in await problem(one, HUMAN, answered)
    await resolve(one, HUMAN, simple)
    assert "has its answer" in await problem(one, HUMAN, simple)


async def test_a_view_tells_how_often_the_call_was_made_and_what_waits_beside_it() -> None:
    """Who asks sees it too: it is what it did itself."""
    made = world()
    first = await escalated(made, {"amount": 5})
    assert await escalated(made, {"amount": 5}) == first
    await escalated(made, {"amount": 6})
    for by in (HUMAN, replace(LOCAL, scopes=HUMAN.scopes)):
        alike = (await views(made).show(by, first)).alike
        assert (alike.target, alike.asked, alike.group_size, alike.equal, alike.waiting) == ("default/pay", 2, 2, 1, 0)
