"""What webhooks tell of tool calls by MCP: the same as of intents by REST, each thing once."""

from typing import Any

from gateway.core.audit.entry import EntryType
from gateway.core.events import events_of
from gateway.core.leases import Check, Constraint
from gateway.core.principal import Principal, Role, Scope
from gateway.services.lease_terms import LeaseTerms
from gateway.store.sqlite.outbox import _NEEDS_EARLIER
from tests.simulate.outbox import MemoryOutbox
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, World, tool

ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, match: {tools: [echo]}, reason: money}
"""
HUMAN = Principal(
    tenant="default",
    agent="",
    credential="ps_1",
    human="usr_1",
    role=Role.ADMIN,
    scopes=frozenset({Scope.APPROVALS_WRITE}),
)


async def told(world: World) -> list[tuple[str, Any]]:
    """Return the events of everything that is on record, with what they say of the intent's state."""
    unread = await MemoryOutbox(store=world.store).unread("default", "hook_1", after=0, limit=100)
    return [
        (event.name, event.data.get("status", event.data.get("decision")))
        for one in unread
        if one.entry is not None and one.body is not None
        for event in events_of(one.entry, one.body, one.earlier)
    ]


async def test_an_allowed_call_is_submitted_decided_and_completed() -> None:
    """Contract, section 5: MCP and REST alike."""
    world = World(upstreams=[FakeUpstream(tools=[tool("echo")])], policy=ALLOW_ALL)
    await world.call("echo", {"text": "hi"})
    assert await told(world) == [
        ("intent.submitted", "approved"),
        ("decision.completed", "ALLOW"),
        ("intent.completed", "completed"),
    ]


async def test_a_denied_call_is_told_as_denied() -> None:
    """And nothing was executed, so nothing ends."""
    world = World(upstreams=[FakeUpstream(tools=[tool("echo")])], policy=ASK.replace("escalate", "deny"))
    await world.call("echo", {"text": "hi"})
    assert await told(world) == [
        ("intent.submitted", "rejected"),
        ("decision.completed", "DENY"),
        ("decision.denied", "DENY"),
    ]


async def test_an_escalated_call_is_told_once_however_often_it_asks() -> None:
    """Then the human's yes, then how it ended; the use of the yes is no event."""
    world = World(upstreams=[FakeUpstream(tools=[tool("echo")])], policy=ASK)
    for _ in range(3):
        await world.call("echo", {"text": "hi"})
    [waiting] = (await world.list_approvals(HUMAN, page=1, page_size=5)).items
    await world.approvals.resolve(HUMAN, approval_id=waiting.id, approve=True)
    await world.call("echo", {"text": "hi"})
    assert len(world.upstream().calls()) == 1
    assert await told(world) == [
        ("intent.submitted", "pending"),
        ("decision.completed", "ESCALATE"),
        ("decision.escalated", "ESCALATE"),
        ("intent.approved", "approved"),
        ("decision.approved", "ALLOW"),
        ("intent.completed", "completed"),
    ]


async def test_a_leased_call_is_told_as_an_allowed_one() -> None:
    """The grant is told with its approval; each use is an ordinary call, also one that had waited."""
    world = World(upstreams=[FakeUpstream(tools=[tool("echo")])], policy=ASK)
    await world.call("echo", {"text": "waits"})
    await world.call("echo", {"text": "hi"})
    newest = (await world.list_approvals(HUMAN, page=1, page_size=5)).items[0]
    text = Constraint(path="/text", check=Check.ANY)
    await world.leases.approve(HUMAN, LeaseTerms(constraints=(text,)), approval_id=newest.id)
    before = len(await told(world))
    for said in ("new", "waits"):
        await world.call("echo", {"text": said})
    assert len(world.upstream().calls()) == 2
    assert (await told(world))[before:] == [
        ("intent.submitted", "approved"),
        ("decision.completed", "ALLOW"),
        ("intent.completed", "completed"),
        ("decision.completed", "ALLOW"),
        ("intent.completed", "completed"),
    ]


def test_the_outbox_reads_the_decision_before_whatever_needs_it() -> None:
    """The table of events and the reader of entries must agree."""
    assert {EntryType.CALL_DECIDED, EntryType.APPROVAL_RESOLVED, EntryType.CALL_COMPLETED} == _NEEDS_EARLIER
