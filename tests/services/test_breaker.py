"""The breaker of each agent: what its record says, by the rule, and what stopped calls are told."""

from dataclasses import replace

import anyio
import pytest
from anyio.abc import TaskStatus

from gateway.core.audit.entry import EntryType
from gateway.core.breaker import BreakerTerms
from gateway.core.call import Call
from gateway.core.decision import Effect, Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.switches import SwitchKind
from gateway.core.trust.failing import Failing
from gateway.errors import StoreError, UpstreamUnreachable
from gateway.services.breaker import Breakers
from gateway.services.inflight import InFlight
from gateway.services.judged import OutcomeKind
from gateway.services.operator import operator
from gateway.services.trust import Trust
from tests.services.calling import ASK, READ, Other, approved, take
from tests.services.trusthouse import House
from tests.simulate.world import LOCAL, FakeCaller, FakeClock, FakeFailures, World

TERMS = BreakerTerms(failures=3, cool_down_s=60)
NOON = "2026-11-22T12:00:00.000Z"


def made(failures: int, last: str = NOON) -> World:
    world = World(breaker=TERMS)
    world.failures.of["default", "local"] = (failures, last)
    return world


async def test_an_agent_that_fails_in_a_row_is_stopped_and_told_until_when() -> None:
    """A loop costs its upstream one answer a minute instead of a thousand."""
    world = made(3)
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.reason, other.reached) == (OutcomeKind.DENIED, Reason.CIRCUIT_OPEN, 0)
    assert "until 2026-11-22T12:01:00.000Z" in outcome.explanation
    (entry,) = world.entries()
    assert (entry.type, entry.effect, entry.reasons) == (EntryType.CALL_DECIDED, Effect.DENY, ("circuit-open",))


async def test_calls_pass_again_after_a_while_and_the_first_failure_stops_anew() -> None:
    """Half open: nobody has to reset it, and nobody has to be trusted that it is well."""
    world = made(3)
    other = Other(world)
    world.clock.advance(60)
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED
    world.failures.of["default", "local"] = (4, "2026-11-22T12:01:00.000Z")
    assert (await take(world, other)).reason == Reason.CIRCUIT_OPEN
    world.failures.of["default", "local"] = (0, "2026-11-22T12:01:00.000Z")
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED
    assert other.reached == 2


async def test_a_clock_that_was_set_back_stops_nobody_for_longer() -> None:
    """A machine that came up in another year must not stop its agents until that year has come."""
    world = made(3, "2036-01-01T00:00:00.000Z")
    other = Other(world)
    for _ in range(2):
        assert (await take(world, other)).reason == Reason.CIRCUIT_OPEN
        world.clock.advance(59)
        assert (await take(world, other)).reason == Reason.CIRCUIT_OPEN
        world.clock.advance(1)
        assert (await take(world, other)).kind is OutcomeKind.ANSWERED
        failures, last = world.failures.of["default", "local"]
        world.failures.of["default", "local"] = (failures + 1, last)
    world.clock.advance(-3600)
    assert (await take(world, other)).reason == Reason.CIRCUIT_OPEN
    world.clock.advance(-3600)
    assert (await take(world, other)).reason == Reason.CIRCUIT_OPEN
    world.clock.advance(60)
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED


@pytest.mark.parametrize(("failures", "last"), [(2, NOON), (3, ""), (0, "")])
async def test_below_the_number_nobody_is_stopped(failures: int, last: str) -> None:
    """Agents try things out."""
    world = made(failures, last)
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_an_agents_failures_stop_that_agent_only() -> None:
    """A breaker must be no weapon: of another agent, or of one of the same name in another tenant."""
    world = made(50)
    for who in (
        Principal(tenant="default", agent="other", credential="key_1"),
        Principal(tenant="acme", agent="local", credential="key_2"),
    ):
        other = Other(world)
        await world.enforcement.call(who, READ, other, FakeCaller())
        assert other.reached == 1


async def test_a_switch_is_told_before_a_circuit() -> None:
    """Waiting would not help."""
    world = made(3)
    await world.switches.throw(operator("default"), SwitchKind.AGENT, "local", reason="amok")
    assert (await take(world, Other(world))).reason == Reason.SWITCHED_OFF


async def test_a_record_that_is_not_known_stops_everything() -> None:
    """A missing fact is no default."""
    world = made(3)

    def failing(tenant: str, agent: str) -> Failing | None:
        raise StoreError("trust is not known")

    world.failures.failing = failing  # type: ignore[method-assign]
    other = Other(world)
    outcome = await take(world, other)
    assert (outcome.kind, outcome.reason, other.reached) == (OutcomeKind.UNRECORDED, Reason.FACTS_UNAVAILABLE, 0)


def test_an_open_circuit_is_shown_as_long_as_it_is_open() -> None:
    """Whoever looks at an agent that stands still sees why."""
    clock, failures = FakeClock(), FakeFailures()
    breakers = Breakers(failures=failures, clock=clock, terms=TERMS)
    assert breakers.circuit("default", "local") is None
    failures.of["default", "local"] = (7, NOON)
    found = breakers.circuit("default", "local")
    assert found is not None
    assert (found.failures, found.until.isoformat()) == (7, "2026-11-22T12:01:00+00:00")
    clock.advance(60)
    assert breakers.circuit("default", "local") is None


def test_without_a_breaker_no_record_is_read() -> None:
    """Zero failures: there is none."""
    breakers = Breakers(failures=None, clock=FakeClock(), terms=BreakerTerms(failures=0))  # type: ignore[arg-type]
    assert breakers.stop("default", "local", "a", FakeClock().now()) is None
    assert breakers.circuit("default", "local") is None


async def test_a_yes_is_not_used_up_while_the_circuit_is_open() -> None:
    """A minute later the same call runs, without asking its human again."""
    world = World(policy=ASK, breaker=TERMS)
    other = Other(world)
    await approved(world, other)
    world.failures.of["default", "local"] = (3, NOON)
    assert (await take(world, other)).reason == Reason.CIRCUIT_OPEN
    world.clock.advance(60)
    assert (await take(world, other)).kind is OutcomeKind.ANSWERED
    assert other.reached == 1


# --- one upstream's answers -------------------------------------------------------------------------------------------


def house(failures: int = 3) -> tuple[House, Breakers]:
    made = House()
    terms = BreakerTerms(failures=failures, cool_down_s=60)
    return made, Breakers(failures=made.trust, clock=made.clock, terms=terms)


def stops(made: House, breakers: Breakers, *upstreams: str) -> list[bool]:
    return [breakers.stop("acme", "bot", one, made.clock.now()) is not None for one in upstreams]


async def test_a_server_that_answers_everything_with_errors_closes_the_way_to_itself_only() -> None:
    """Else whoever runs one upstream decides when its callers stand still at all others."""
    made, breakers = house()
    for _ in range(50):
        await made.did("tool-error", upstream="hostile")
    assert stops(made, breakers, "hostile", "bank", "") == [True, False, False]
    assert breakers.circuit("acme", "bot") is None
    stop = breakers.stop("acme", "bot", "hostile", made.clock.now())
    assert stop is not None
    assert "The last 50 calls of this agent failed at the upstream 'hostile'" in stop.explanation
    await made.did("ok", upstream="bank")
    assert stops(made, breakers, "hostile", "bank") == [True, False], "it is well there, and not here"
    made.clock.advance(60)
    assert stops(made, breakers, "hostile") == [False]
    await made.did("rpc-error", upstream="hostile")
    assert stops(made, breakers, "hostile", "bank") == [True, False]
    made.clock.advance(60)
    await made.did("ok", upstream="hostile")
    await made.did("tool-error", upstream="hostile")
    assert stops(made, breakers, "hostile") == [False]


async def test_upstreams_that_conspire_close_the_ways_to_themselves_only() -> None:
    """Else two would do together what one cannot: have their callers stand still at all others."""
    made, breakers = house()
    for _ in range(50):
        for upstream in ("a", "b", "c"):
            await made.did("tool-error", upstream=upstream)
    assert stops(made, breakers, "a", "b", "c", "elsewhere") == [True, True, True, False]
    assert breakers.circuit("acme", "bot") is None


async def test_what_an_agent_reports_as_failed_stops_it_everywhere() -> None:
    """It is a loop by its own word, and no server has a part in that."""
    made, breakers = house()
    await made.denied()
    for _ in range(2):
        await made.did("failed")
    assert stops(made, breakers, "a", "") == [True, True]
    found = breakers.circuit("acme", "bot")
    assert found is not None
    assert "The last 3 calls of this agent were denied, or failed by its own report" in found.stop.explanation
    await made.did("completed")
    assert stops(made, breakers, "a", "") == [False, False]


async def test_denials_stop_the_agent_everywhere_and_no_server_makes_that_longer() -> None:
    """They are the agent's own doing; what one server answers afterwards is not."""
    made, breakers = house()
    for _ in range(3):
        await made.denied()
    assert stops(made, breakers, "a", "") == [True, True]
    made.clock.advance(60)
    await made.did("tool-error", upstream="hostile")
    assert stops(made, breakers, "a", "hostile") == [False, False]


# --- slow calls -------------------------------------------------------------------------------------------------------

MIXED = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: never, effect: deny, match: {methods: ["*"], uris: ["secret://*"]}, reason: never}
  - {id: ask, effect: escalate, match: {methods: ["*"], uris: ["ask://*"]}, reason: a person should look}
  - {id: rest, effect: allow, match: {methods: ["*"]}, reason: fine}
"""
SECRET, ASKED = replace(READ, uri="secret://1"), replace(READ, uri="ask://1")


def watched() -> tuple[World, Trust]:
    """Return a world whose breaker goes by what is on record."""
    made = World(policy=MIXED, breaker=BreakerTerms(failures=20, cool_down_s=60))
    trust = House(store=made.store).trust
    made.failures.failing = trust.failing  # type: ignore[method-assign]
    return made, trust


async def test_an_agent_whose_allowed_calls_are_slow_is_not_stopped_for_the_denials_between_them() -> None:
    """32 programs act as one agent, each also asks for what is denied, and no success is on record yet: denials come at
    once, and an upstream may take minutes. With the gateway killed meanwhile the successes never come."""
    made, _ = watched()
    slow = anyio.Event()
    kinds: list[OutcomeKind] = []

    async def allowed(call: Call, *, task_status: TaskStatus[None]) -> None:
        async def answer() -> JsonObject:
            task_status.started()
            await slow.wait()
            return {"result": {"contents": []}}

        kinds.append((await made.enforcement.call(LOCAL, call, answer, FakeCaller())).kind)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(32):
                for call in (SECRET, replace(SECRET, uri="secret://2"), ASKED):
                    kinds.append((await take(made, Other(made), replace(call, uri=f"{call.uri}{number}"))).kind)
                await group.start(allowed, replace(READ, uri=f"notes://{number}"))
            assert (kinds.count(OutcomeKind.HIDDEN), kinds.count(OutcomeKind.ESCALATED)) == (64, 32)
            slow.set()
    assert kinds.count(OutcomeKind.ANSWERED) == 32
    reasons = [draft.reasons[0] for draft in made.entries(EntryType.CALL_DECIDED)]
    assert Reason.CIRCUIT_OPEN not in reasons


async def test_a_loop_of_denials_is_stopped_although_a_call_from_before_it_still_runs() -> None:
    """What ends a row is something allowed in between, not something that hangs beside it."""
    made, trust = watched()
    slow = anyio.Event()
    reached = 0

    async def answer() -> JsonObject:
        nonlocal reached
        reached += 1
        await slow.wait()
        return {"result": {"contents": []}}

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(made.enforcement.call, LOCAL, READ, answer, FakeCaller())
            await anyio.wait_all_tasks_blocked()
            for number in range(20):
                await take(made, Other(made), replace(SECRET, uri=f"secret://{number}"))
            assert (await made.enforcement.call(LOCAL, READ, answer, FakeCaller())).reason == Reason.CIRCUIT_OPEN
            assert reached == 1
            slow.set()
    assert trust.failing("default", "local") is None, "that one went well after all"
    assert (await take(made, Other(made))).kind is OutcomeKind.ANSWERED


async def test_what_is_not_the_agents_doing_is_in_no_row() -> None:
    """Load, a server that is down, a human who is asked: a hundred of them stop nobody."""
    made, trust = watched()
    down = Other(made, UpstreamUnreachable("refused", may_have_run=False))
    for _ in range(30):
        await made.enforcement.deny(LOCAL, READ, Reason.FACTS_UNAVAILABLE, "no list", kind=OutcomeKind.FAILED)
        await take(made, down)
        await take(made, down, ASKED)
    made.enforcement._in_flight = InFlight(per_agent=0, per_upstream=0)
    for _ in range(30):
        assert (await take(made, down)).reason == Reason.BUSY
    assert trust.held("default", "local") is None, "nor is it held against its trust"


# --- a clock that was set back ----------------------------------------------------------------------------------------


async def test_circuits_of_two_upstreams_whose_failures_lie_ahead_end_each_in_its_time() -> None:
    """The clock was set back: when a row was seen first is known for each upstream."""
    made, breakers = house(1)
    made.clock.advance(3600)
    await made.did("tool-error", upstream="a")
    await made.did("tool-error", upstream="b")
    await made.did("ok", upstream="well")
    made.clock.advance(-3600)
    assert stops(made, breakers, "a") == [True]
    made.clock.advance(59)
    assert stops(made, breakers, "b") == [True]
    made.clock.advance(1)
    assert stops(made, breakers, "a", "b") == [False, True]
