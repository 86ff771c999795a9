"""Kill switches: from the answer to whoever threw one on, nothing that it stops is forwarded, in this process or the
next.
"""

from collections.abc import Callable
from dataclasses import replace

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.decision import Effect, Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role, Scope
from gateway.core.submission import IntentStatus, Submission
from gateway.core.switches import SWITCHES_KEY, SwitchKind
from gateway.core.tokens import Grant
from gateway.errors import (
    AuditUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    StateConflict,
    StoreError,
)
from gateway.ports import StateRow
from gateway.services import switches as module
from gateway.services.cancelling import Cancelling
from gateway.services.judged import OutcomeKind
from gateway.services.operator import operator
from gateway.services.switches import Switches
from tests.services.calling import ASK, READ, Other, take
from tests.simulate.store import Moment
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import LOCAL, FakeCaller, World, tool

ADMIN = operator("default")
AGENT, UPSTREAM, TENANT = SwitchKind.AGENT, SwitchKind.UPSTREAM, SwitchKind.TENANT
EVERY = [(AGENT, "local"), (UPSTREAM, "default"), (TENANT, "default")]
PROGRAM = Principal(tenant="default", agent="key-7", credential="key_7", scopes=frozenset(Scope), role=Role.AGENT)


async def throw(world: World, kind: SwitchKind = AGENT, name: str = "local", *, by: Principal = ADMIN) -> None:
    await world.switches.throw(by, kind, name, reason="runs amok")


async def release(world: World, kind: SwitchKind = AGENT, name: str = "local") -> None:
    await world.switches.release(ADMIN, kind, name, reason="fixed")


def anew(world: World) -> Switches:
    """Return the switches of a process that starts on the same store."""
    return Switches(
        audit=world.store,
        state=world.store,
        clock=world.clock,
        ids=world.ids,
        agents=world.agents,
        cancels=Cancelling(world.approvals, world.leases),
        upstreams=frozenset(world.upstreams),
    )


def changes(world: World) -> list[EntryDraft]:
    return world.entries(EntryType.SWITCH_CHANGED)


# --- the next call ----------------------------------------------------------------------------------------------------

GATED: list[tuple[str, JsonObject]] = [
    ("tools/call", {"name": "pay", "arguments": {"amount": 5}}),
    ("prompts/get", {"name": "greet"}),
    ("resources/read", {"uri": "notes://1"}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "a", "value": "b"}}),
]


@pytest.mark.parametrize(("kind", "name"), EVERY)
@pytest.mark.parametrize(
    ("era", "method", "params"),
    [
        *(("modern", *one) for one in GATED),
        *(("handshake", *one) for one in GATED),
        ("handshake", "resources/subscribe", {"uri": "notes://1"}),
    ],
)
async def test_nothing_that_is_gated_passes_while_a_switch_is_thrown(
    era: str, method: str, params: JsonObject, kind: SwitchKind, name: str
) -> None:
    """From the next call on, in both eras, in sessions that were open before; and again once it is released."""
    world = World(upstreams=[FakeUpstream(tools=[tool("pay")])])
    conversation = await world.conversation()

    async def ask() -> JsonObject:
        if era == "modern":
            return (await world.modern(method, params)).message
        return (await world.handle(conversation, method, params)).message

    def reached() -> int:
        return sum(one.method == method for one in world.upstream().received)

    await ask()
    before = reached()
    assert before == 1
    await throw(world, kind, name)
    refused = str(await ask())
    assert ("runs amok" in refused, "switched-off" in refused, reached()) == (True, True, before)
    assert world.judged[-1].decision.reason is Reason.SWITCHED_OFF
    assert (world.judged[-1].decision.rung, world.judged[-1].decision.effect) == (13, Effect.DENY)
    await release(world, kind, name)
    await ask()
    assert reached() == before + 1


@pytest.mark.parametrize(("kind", "name"), EVERY)
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
        ("elicitation/create", {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}),
        ("roots/list", {}),
    ],
)
async def test_what_an_upstream_asks_of_a_stopped_agent_does_not_reach_it(
    method: str, params: JsonObject, kind: SwitchKind, name: str
) -> None:
    """Sampling is a call of the agent's own model, at its cost, in the upstream's words."""
    world = World(upstreams=[FakeUpstream(tools=[tool("pay")])])
    caller = FakeCaller()
    capabilities = {"sampling": {}, "elicitation": {}, "roots": {}}
    await world.conversation(capabilities=capabilities, channel=caller)
    session = world.upstream().sessions[0]
    await throw(world, kind, name)
    answer = await session.relay.request(method, params)
    assert "error" in answer or answer == {"result": {"action": "decline"}}
    assert caller.asked == []
    assert world.judged[-1].decision.reason is Reason.SWITCHED_OFF


async def test_a_switch_of_somebody_else_changes_nothing() -> None:
    """Another agent, another upstream."""
    world = World(upstreams=[FakeUpstream(), FakeUpstream("other")])
    await throw(world, AGENT, "somebody-else")
    await throw(world, UPSTREAM, "other")
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_a_switch_does_not_reach_other_tenants() -> None:
    """Names are a tenant's own, and an upstream is stopped for the tenant that stops it."""
    world = World()
    acme = operator("acme")
    for kind, name in ((AGENT, "local"), (UPSTREAM, "default"), (TENANT, "acme")):
        await throw(world, kind, name, by=acme)
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED
    other = Other(world)
    stopped = await world.enforcement.call(replace(LOCAL, tenant="acme"), READ, other, FakeCaller())
    assert (stopped.reason, other.reached) == (Reason.SWITCHED_OFF, 0)
    assert world.switches.list(ADMIN) == ()
    assert len(world.switches.list(acme)) == 3


async def test_an_agent_may_be_stopped_before_it_was_ever_seen() -> None:
    """Its key is made already, and somebody knows better."""
    world = World()
    await throw(world, AGENT, "local")
    other = Other(world)
    assert ((await take(world, other)).reason, other.reached) == (Reason.SWITCHED_OFF, 0)


async def test_an_agent_that_is_a_key_is_stopped_by_the_keys_id() -> None:
    """`intended keys list` shows that, and the slug which it makes is nowhere to be read."""
    world = World()
    await throw(world, AGENT, "key_01JABC")
    assert [one.name for one in world.switches.list(ADMIN)] == ["key-01jabc"]


@pytest.mark.parametrize("name", ["ID", "Local", "local"])
async def test_an_agent_is_stopped_by_whatever_names_it(name: str) -> None:
    """Lists show id and slug, people know the name; a switch under one that is not in calls would stop nobody."""
    world = World()
    agent = await world.agents.register(ADMIN, name="local")
    await throw(world, AGENT, name.replace("ID", agent.id))
    assert [one.name for one in world.switches.list(ADMIN)] == ["local"]
    assert (await take(world, Other(world))).reason == Reason.SWITCHED_OFF
    await release(world, AGENT, name.replace("ID", agent.id))
    assert world.switches.list(ADMIN) == ()


# --- submitted intents ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [(AGENT, "ci"), (UPSTREAM, "default"), (TENANT, "default")])
@pytest.mark.parametrize("domain", ["", "billing"])
async def test_a_submitted_intent_is_denied_and_gets_no_token(kind: SwitchKind, name: str, domain: str) -> None:
    """A token is what a program acts with."""
    world = World()
    await world.agents.register(ADMIN, name="ci")
    await throw(world, kind, name)
    submission = Submission(
        agent="ci",
        action="billing.apply_credit",
        declared_type="billing.apply_credit" if domain else "",
        domain=domain,
        system="default",
    )
    made = await world.intents.submit(PROGRAM, submission)
    assert (made.record.effect, made.record.reason, made.token) == (Effect.DENY, "switched-off", "")
    assert made.record.status is IntentStatus.REJECTED


async def test_a_yes_of_before_gives_no_token_under_a_switch_nor_after_it() -> None:
    """Neither a yes that was not used when the switch was thrown, nor one that comes too late."""
    world = World(policy=ASK.replace("resources/read", "intent"))
    submission = Submission(agent="ci", action="pay the invoice")
    made = await world.intents.submit(PROGRAM, submission)
    await world.approvals.resolve(ADMIN, approval_id=made.record.approval_id, approve=True)
    await throw(world, AGENT, "ci")
    shown = await world.intents.show(PROGRAM, made.record.id)
    assert (shown.token, shown.record.status) == ("", IntentStatus.REJECTED)
    await release(world, AGENT, "ci")
    assert (await world.intents.show(PROGRAM, made.record.id)).token == ""
    state = (await world.approvals.show(ADMIN, made.record.approval_id)).state
    assert state is ApprovalState.CANCELLED


# --- exactly ----------------------------------------------------------------------------------------------------------


async def test_a_decision_that_was_begun_before_a_switch_is_not_recorded_after_it() -> None:
    """It conflicts and is made anew: the chain shows no ALLOW behind the switch."""
    world = World()
    gather = world.facts.gather

    async def slowly(principal: Principal, call: object) -> object:
        facts = await gather(principal, call)  # type: ignore[arg-type]
        if facts.stop is None and not changes(world):
            await throw(world)
        return facts

    world.facts.gather = slowly  # type: ignore[method-assign,assignment]
    other = Other(world)
    assert ((await take(world, other)).reason, other.reached) == (Reason.SWITCHED_OFF, 0)
    assert [entry.type for entry in world.entries()] == [EntryType.SWITCH_CHANGED, EntryType.CALL_DECIDED]
    assert world.entries()[1].effect == Effect.DENY


@pytest.mark.parametrize("thrower", range(0, 20, 5))
async def test_after_the_throw_has_answered_not_one_call_of_twenty_is_forwarded(thrower: int) -> None:
    """Twenty that call without a pause, and the chain's order against the upstream's own record."""
    world = World()
    answered = False
    late: list[str] = []
    arrived: list[int] = []

    async def other_side() -> JsonObject:
        if answered:
            late.append("called")
        await anyio.lowlevel.checkpoint()
        arrived.append(len(world.entries()))
        return {"result": {"contents": []}}

    async def agent() -> None:
        for _ in range(12):
            outcome = await world.enforcement.call(LOCAL, READ, other_side, FakeCaller())
            if answered:
                assert outcome.reason == Reason.SWITCHED_OFF

    async def human() -> None:
        nonlocal answered
        for _ in range(thrower):
            await anyio.lowlevel.checkpoint()
        await throw(world)
        answered = True

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(agent)
            tasks.start_soon(human)
            for _ in range(10):
                tasks.start_soon(agent)
    assert late == []
    kinds = [(entry.type, entry.effect) for entry in world.entries()]
    after = kinds[kinds.index((EntryType.SWITCH_CHANGED, "")) :]
    assert (EntryType.CALL_DECIDED, Effect.ALLOW) not in after
    assert (EntryType.CALL_DECIDED, Effect.DENY) in after


async def test_a_switch_that_became_durable_without_anybody_knowing_holds_all_the_same() -> None:
    """The append was given up and went through: the next decision finds the row changed, and reads it."""
    world = World()
    world.store.break_append(Moment.AFTER)
    with pytest.raises(AuditUnavailable):
        await throw(world)
    assert world.switches.list(ADMIN) == ()
    other = Other(world)
    assert ((await take(world, other)).reason, other.reached) == (Reason.SWITCHED_OFF, 0)
    assert [one.name for one in world.switches.list(ADMIN)] == ["local"]
    await throw(world, AGENT, "local")  # and again is no second one
    assert len(changes(world)) == 1


async def test_a_release_that_became_durable_without_anybody_knowing_holds_all_the_same() -> None:
    """The same the other way round: whoever asks again is told that there is nothing to let go."""
    world = World()
    await throw(world)
    world.store.break_append(Moment.AFTER)
    with pytest.raises(AuditUnavailable):
        await release(world)
    with pytest.raises(NotFound):
        await release(world)
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_a_switch_that_could_not_be_recorded_is_not_thrown() -> None:
    """And whoever threw it is told: without a store no call passes anyway."""
    world = World()
    world.store.break_append()
    with pytest.raises(AuditUnavailable):
        await throw(world)
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_a_switch_whose_row_cannot_be_read_again_is_in_force() -> None:
    """It is durable; only its version is not known, which the next decision finds out."""
    world = World()
    world.switches.on_throw(lambda tenant, switch: setattr(world.store, "unreadable", "gone"))
    await throw(world)
    assert world.switches.stop("default", "local", "") is not None
    world.store.unreadable = ""
    assert (await take(world, Other(world))).reason == Reason.SWITCHED_OFF


async def test_changes_that_never_get_through_are_given_up() -> None:
    """Whoever throws a switch must get an answer."""
    world = World()
    append = world.store.append

    async def meddled(draft: EntryDraft) -> object:
        row = await world.store.get("default", SWITCHES_KEY)
        version = 7 if row is None else row.version + 1
        world.store._rows["default", SWITCHES_KEY] = StateRow(key=SWITCHES_KEY, version=version, value=b"")
        return await append(draft)

    world.store.append = meddled  # type: ignore[method-assign,assignment]
    with pytest.raises(StateConflict):
        await throw(world)
    assert changes(world) == []


async def test_whoever_throws_a_switch_and_hangs_up_has_thrown_it() -> None:
    """The person closes the lid; what was begun is finished."""
    world = World()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await throw(world)
    assert world.switches.stop("default", "local", "") is not None


# --- on record, and after a restart -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), EVERY)
async def test_each_change_is_an_entry_with_who_and_why(kind: SwitchKind, name: str) -> None:
    """Why everything stood still on a Sunday is asked on Monday."""
    world = World()
    jane = replace(ADMIN, credential="ps_1", human="usr_jane")
    await throw(world, kind, name, by=jane)
    (thrown,) = world.switches.list(ADMIN)
    assert (thrown.kind, thrown.name, thrown.who, thrown.why) == (kind, name, "usr_jane", "runs amok")
    world.clock.advance(60)
    await release(world, kind, name)
    first, second = changes(world)
    assert (first.agent, first.upstream) == (name if kind is AGENT else "", name if kind is UPSTREAM else "")
    assert (first.reasons, second.reasons) == (("thrown", kind), ("released", kind))
    shared = {"kind": kind, "name": name}
    assert orjson.loads(first.body) == {
        **shared,
        "state": "thrown",
        "by": "ps_1",
        "human": "usr_jane",
        "reason": "runs amok",
    }
    assert orjson.loads(second.body) == {**shared, "state": "released", "by": "cli", "human": "", "reason": "fixed"}
    assert second.time > first.time


async def test_a_restart_keeps_the_switches() -> None:
    """A crash must not let an agent go."""
    world = World()
    await throw(world)
    await throw(world, UPSTREAM, "default")
    await release(world, UPSTREAM, "default")
    started = anew(world)
    await started.load(["acme", "default"])
    assert started.list(ADMIN) == world.switches.list(ADMIN)
    assert started.stop("default", "local", "") == world.switches.stop("default", "local", "")
    assert started.stop("default", "other", "default") is None
    assert started.expects("default") == world.switches.expects("default")
    assert started.expects("acme") == anew(world).expects("acme")


async def test_no_secret_of_a_reason_is_kept() -> None:
    """It is told to agents, and recorded for good."""
    world = World()
    await world.switches.throw(ADMIN, AGENT, "local", reason="leaked sk-ant-" + "a" * 95)
    assert "aaaa" not in str(world.switches.list(ADMIN)) + str(changes(world)[0].body)


async def test_of_several_switches_the_latest_is_listed_first() -> None:
    """Whoever looks wants to know what happened just now."""
    world = World()
    for number in range(3):
        await throw(world, AGENT, f"bot-{number}")
        world.clock.advance(1)
    assert [one.name for one in world.switches.list(ADMIN)] == ["bot-2", "bot-1", "bot-0"]


async def test_a_tenant_has_so_many_switches_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are whole in memory."""
    monkeypatch.setattr(module, "SWITCHES_KEPT", 2)
    world = World()
    await throw(world, AGENT, "a")
    await throw(world, AGENT, "b")
    with pytest.raises(StateConflict, match="stop the tenant"):
        await throw(world, AGENT, "c")
    await release(world, AGENT, "a")
    await throw(world, AGENT, "c")


# --- who may, and what is no switch -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "by",
    [
        replace(ADMIN, bound=True, agent="local"),
        replace(ADMIN, scopes=frozenset({Scope.MCP_CALL}), role=None),
        LOCAL,
    ],
)
async def test_whoever_may_not_stop_does_not(by: Principal) -> None:
    """Also an admin's key that is an agent's own."""
    world = World()
    with pytest.raises(Forbidden):
        await throw(world, AGENT, "other", by=by)
    await throw(world, AGENT, "other")
    with pytest.raises(Forbidden):
        await world.switches.release(by, AGENT, "other", reason="let me")
    assert len(changes(world)) == 1


async def test_only_an_admin_lets_go() -> None:
    """To stop is safe; to let go is a decision."""
    world = World()
    human = Principal(
        tenant="default", agent="usr-1", credential="ps_1", scopes=frozenset(Scope), role=Role.OPERATOR, human="usr_1"
    )
    await throw(world, by=human)
    with pytest.raises(Forbidden, match="only an admin"):
        await world.switches.release(human, AGENT, "local", reason="seems fine")
    await release(world)


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        (TENANT, "acme", Forbidden),
        (UPSTREAM, "nope", NotFound),
        (AGENT, "?", InvalidRequest),
        (AGENT, "", InvalidRequest),
    ],
)
async def test_what_is_no_switch_is_refused(kind: SwitchKind, name: str, error: type[Exception]) -> None:
    """It would stop nobody."""
    world = World()
    with pytest.raises(error):
        await throw(world, kind, name)
    assert changes(world) == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 257, "\ud800"])
async def test_a_switch_without_a_reason_is_refused(reason: str) -> None:
    """Thrown and released alike."""
    world = World()
    with pytest.raises(InvalidRequest):
        await world.switches.throw(ADMIN, AGENT, "local", reason=reason)
    await throw(world)
    with pytest.raises(InvalidRequest):
        await world.switches.release(ADMIN, AGENT, "local", reason=reason)
    assert len(changes(world)) == 1


async def test_an_upstream_that_is_configured_no_more_can_still_be_released() -> None:
    """Its switch would else stand for ever."""
    world = World()
    await throw(world, UPSTREAM, "default")
    switches = anew(world)
    switches._upstreams = frozenset()
    await switches.load(["default"])
    await switches.release(ADMIN, UPSTREAM, "default", reason="gone")
    assert switches.list(ADMIN) == ()


# --- what a switch leaves to be cancelled -----------------------------------------------------------------------------


class Slow:
    """Cancels nothing the first few times."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.asking: Callable[[], None] = lambda: None

    async def cancel(self, tenant: str, stopped: Callable[[str, str], object]) -> bool:
        self.asked.append(tenant)
        self.asking()
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("first", [False, StoreError("slow")])
async def test_what_could_not_be_cancelled_is_tried_again(
    first: bool | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch is in force whatever becomes of the approvals, and a human should not be asked in vain for long."""
    monkeypatch.setattr(module, "SETTLE_S", 0.001)
    world = World()
    slow = world.switches._cancels = Slow(first, first)
    await throw(world)
    assert slow.asked == ["default"]
    await running(world.switches, lambda: len(slow.asked) == 3)
    assert world.switches._unsettled == set()


@pytest.mark.parametrize("first", [False, StoreError("slow")])
async def test_what_could_not_be_cancelled_is_cancelled_before_the_release(first: bool | Exception) -> None:
    """Who throws a switch and soon releases it must not find a yes of before in force again."""
    world = World()
    slow = world.switches._cancels = Slow(first)
    await throw(world)
    thrown: list[bool] = []
    slow.asking = lambda: thrown.append(bool(world.switches.list(ADMIN)))
    await release(world, AGENT, "local")
    assert slow.asked == ["default", "default"]
    assert thrown == [True]


async def test_a_start_cancels_what_the_process_before_left() -> None:
    """It may have ended between the switch and its approvals."""
    world = World()
    await throw(world)
    started = anew(world)
    slow = started._cancels = Slow()
    await started.load(["default"])
    await running(started, lambda: slow.asked == ["default"])


async def test_a_switch_that_is_thrown_meanwhile_is_not_forgotten() -> None:
    """Two humans at once, and the first one's approvals are being cancelled."""
    world = World()

    class Meanwhile(Slow):
        async def cancel(self, tenant: str, stopped: Callable[[str, str], object]) -> bool:
            if not self.asked:
                self.asked.append(tenant)
                self.answers = [False]
                await throw(world, AGENT, "other")
                return True
            return await super().cancel(tenant, stopped)

    world.switches._cancels = Meanwhile()
    await throw(world)
    assert world.switches._unsettled == {"default"}


async def running(switches: Switches, until: Callable[[], bool]) -> None:
    """Let the task of the switches run until something holds."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(switches.run)
            while not until():
                await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()


async def test_a_token_that_is_being_signed_as_the_switch_is_thrown_is_not_issued() -> None:
    """Between the second decision, which was ALLOW, and the entry of its token; a slow store cancels nothing yet."""
    world = World(policy=ASK.replace("resources/read", "intent"))
    made = await world.intents.submit(PROGRAM, Submission(agent="ci", action="pay the invoice"))
    await world.approvals.resolve(ADMIN, approval_id=made.record.approval_id, approve=True)
    world.switches._cancels = Slow(False)
    issue = world.tokens.issue

    async def slowly(grant: Grant) -> str:
        await throw(world, AGENT, "ci")
        return await issue(grant)

    world.tokens.issue = slowly  # type: ignore[method-assign]
    assert (await world.intents.show(PROGRAM, made.record.id)).token == ""
    kinds = [entry.type for entry in world.entries()]
    assert EntryType.SWITCH_CHANGED in kinds
    assert EntryType.TOKEN_ISSUED not in kinds
