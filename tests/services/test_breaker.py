"""The breaker of each agent: what its record says, by the rule, and what stopped calls are told."""

import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.breaker import BreakerTerms
from gateway.core.decision import Effect, Reason
from gateway.core.principal import Principal
from gateway.core.switches import SwitchKind
from gateway.core.trust.failing import Failing
from gateway.errors import StoreError
from gateway.services.breaker import Breakers
from gateway.services.judged import OutcomeKind
from gateway.services.operator import operator
from tests.services.calling import ASK, READ, Other, approved, take
from tests.services.trusthouse import House
from tests.simulate.world import FakeCaller, FakeClock, FakeFailures, World

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


async def test_failures_at_several_upstreams_stop_the_agent_everywhere() -> None:
    """A loop that tries everything is the agent's own; no upstream alone makes it one."""
    made, breakers = house()
    for _ in range(2):
        for upstream in ("a", "b", "c"):
            await made.did("tool-error", upstream=upstream)
    assert stops(made, breakers, "a", "elsewhere") == [True, True]
    found = breakers.circuit("acme", "bot")
    assert found is not None
    assert "The last 6 calls of this agent failed or were denied" in found.stop.explanation


async def test_denials_stop_the_agent_everywhere_and_no_server_makes_that_longer() -> None:
    """They are the agent's own doing; what one server answers afterwards is not."""
    made, breakers = house()
    for _ in range(3):
        await made.denied()
    assert stops(made, breakers, "a", "") == [True, True]
    made.clock.advance(60)
    await made.did("tool-error", upstream="hostile")
    assert stops(made, breakers, "a", "hostile") == [False, False]


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
