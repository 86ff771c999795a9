"""Facts are read once per attempt, and never replaced by a default."""

from dataclasses import replace
from datetime import datetime

import pytest

from gateway.core.agents import Restriction
from gateway.core.audit.entry import Expect
from gateway.core.call import Call
from gateway.core.decision import Reason, Stop, Thresholds
from gateway.core.principal import Principal, Role, TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.errors import StoreError
from gateway.services import facts as module
from gateway.services.facts import Circuits, FactSource, Stops, seen_key
from tests.simulate.world import LOCAL, World

CALL = Call(method="tools/call", upstream="u", name="t", uri="", arguments={}, arguments_digest="")
DENY_WRITES = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: all, effect: allow, reason: fine}
  - {id: no-writes, effect: deny, match: {tools: [write]}, reason: no}
"""
CAPS = {tier: Thresholds(allow_below=tier * 20, deny_from=101) for tier in TrustTier}


def source(world: World, *, stops: Stops | None = None, circuits: Circuits | None = None) -> FactSource:
    tiers = ConfiguredTiers(default=TrustTier.T0, agents={"local": TrustTier.T3}, thresholds=CAPS)
    return FactSource(
        policies=world.policies,
        state=world.store,
        clock=world.clock,
        tiers=tiers,
        trust=None,
        stops=stops,
        circuits=circuits,
    )


async def test_an_agents_own_tier_goes_before_the_default() -> None:
    """The tier decides what may be allowed without a human."""
    world = World()
    stranger = Principal(tenant="default", agent="other", credential="k")
    own = await source(world).gather(LOCAL, CALL)
    other = await source(world).gather(stranger, CALL)
    namesake = Principal(tenant="other", agent="local", credential="k")
    assert (await source(world).gather(namesake, CALL)).tier == TrustTier.T0
    assert (own.tier, own.score, own.thresholds.allow_below) == (TrustTier.T3, 75, 60)
    assert (other.tier, other.score) == (TrustTier.T0, 0)
    assert own.now == world.clock.now()
    assert own.bundle is world.policies.current()


async def test_what_was_allowed_once_is_not_novel_after_a_restart() -> None:
    """Novelty is a row of the store, not of memory."""
    world = World()
    first = source(world)
    assert (await first.gather(LOCAL, CALL)).novel
    await world.enforcement.call(LOCAL, CALL_READ, answer, world_caller)
    again = source(world)
    assert not (await again.gather(LOCAL, CALL_READ)).novel
    assert not (await again.gather(LOCAL, CALL_READ)).novel


async def test_a_store_that_cannot_be_read_is_an_error() -> None:
    """A fact that is missing must not look like one that is known."""
    world = World()
    world.store.unreadable = "gone"
    with pytest.raises(StoreError):
        await source(world).gather(LOCAL, CALL)


async def test_the_memory_of_what_was_seen_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It only saves reads, so it may forget."""
    monkeypatch.setattr(module, "SEEN_KEPT", 1)
    facts = source(World())
    facts.remember(LOCAL, CALL)
    facts.remember(LOCAL, CALL_READ)
    assert (await facts.gather(LOCAL, CALL)).novel


async def test_a_long_name_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents choose names; what is kept of them is bounded in bytes too."""
    facts = source(World())
    facts.remember(LOCAL, replace(CALL, name="n" * module.SEEN_CHARS))
    assert facts._seen == set()


def test_no_two_agents_share_a_key_by_their_names() -> None:
    """An agent whose name holds a colon must not inherit what another was allowed."""
    tricky = Principal(tenant="default", agent="a:u:tools/call:t", credential="k")
    plain = Principal(tenant="default", agent="a", credential="k")
    assert seen_key(tricky, CALL) != seen_key(plain, CALL)


CALL_READ = Call(method="resources/read", upstream="u", name="", uri="x://y", arguments={}, arguments_digest="")


async def answer() -> dict[str, object]:
    return {"result": {}}


class _Present:
    def gone(self) -> bool:
        return False


world_caller = _Present()


async def test_what_can_never_be_had_is_known_without_the_store() -> None:
    """A list of a hundred tools must not cost a hundred reads."""
    world = World(policy=DENY_WRITES)
    world.store.unreadable = "gone"
    read, write = (
        Call(method="tools/call", upstream="default", name=name, uri="", arguments={}, arguments_digest="")
        for name in ("read", "write")
    )
    assert (world.facts.hides(LOCAL, read), world.facts.hides(LOCAL, write)) == (False, True)


async def test_the_tenants_thresholds_and_the_agents_declaration_are_facts() -> None:
    """Both are read from memory with every decision; without them the configuration holds."""
    world = World()
    plain = await source(world).gather(LOCAL, CALL)
    assert (plain.thresholds, plain.restriction) == (CAPS[TrustTier.T3], None)
    admin = replace(LOCAL, role=Role.ADMIN, agent="cli", credential="cli")
    await world.agents.register(admin, name="local", domains=["billing"])
    strict = {tier: Thresholds(allow_below=1, deny_from=2) for tier in TrustTier}
    await world.thresholds.put(admin, "default", strict, 0)
    own = await world.facts.gather(LOCAL, CALL)
    assert own.thresholds == strict[TrustTier.T4]
    assert own.restriction == Restriction(domains=frozenset({"billing"}))
    assert (await world.facts.gather(replace(LOCAL, tenant="other"), CALL)).restriction is None


def test_a_submitted_intent_is_known_by_the_digest_of_its_words() -> None:
    """They may be long, or hold a secret; two systems are not told apart by where one ends."""
    intent = replace(CALL, method="intent", upstream="github", name="deploy with " + "x" * 600)
    key = seen_key(LOCAL, intent)
    assert len(key) < module.SEEN_CHARS
    assert "deploy" not in key
    other = replace(intent, upstream="git", name="hub" + intent.name)
    assert len({key, seen_key(LOCAL, other), seen_key(LOCAL, replace(intent, name="read"))}) == 3


# --- what forbids everything ------------------------------------------------------------------------------------------


class Stopping:
    """Switches and circuits as a test says."""

    def __init__(self, *, switch: Stop | None = None, circuit: Stop | None = None) -> None:
        self.switch, self.circuit = switch, circuit
        self.reread_of: list[str] = []
        self.asked: list[tuple[str, ...]] = []

    def stop(self, tenant: str, agent: str, upstream: str, now: datetime | None = None) -> Stop | None:
        self.asked.append((tenant, agent, upstream))
        return self.switch if now is None else self.circuit

    def expects(self, tenant: str) -> tuple[Expect]:
        return (Expect(key="switches", version=7),)

    async def reread(self, tenant: str) -> None:
        self.reread_of.append(tenant)


OFF = Stop(reason=Reason.SWITCHED_OFF, explanation="off")
OPEN = Stop(reason=Reason.CIRCUIT_OPEN, explanation="open")


@pytest.mark.parametrize(
    ("switch", "circuit", "found"), [(None, None, None), (OFF, None, OFF), (None, OPEN, OPEN), (OFF, OPEN, OFF)]
)
async def test_a_switch_and_an_open_circuit_are_facts(
    switch: Stop | None, circuit: Stop | None, found: Stop | None
) -> None:
    """A human's word goes before what passes by itself; what was read must still hold when it is recorded."""
    stops = Stopping(switch=switch, circuit=circuit)
    own = source(World(), stops=stops, circuits=stops)
    facts = await own.gather(LOCAL, CALL)
    assert facts.stop == found
    assert Expect(key="switches", version=7) in facts.expects
    assert set(stops.asked) == {("default", "local", "u")}
    assert own.stopped(LOCAL, CALL) == switch


async def test_without_switches_and_circuits_nothing_is_stopped() -> None:
    """`intended eval` judges without a gateway."""
    own = source(World())
    facts = await own.gather(LOCAL, CALL)
    assert (facts.stop, facts.expects, own.stopped(LOCAL, CALL)) == (None, (), None)
    await own.outdated("default", "switches")


async def test_switches_that_proved_out_of_date_are_read_again_and_nothing_else_is() -> None:
    """A decision is made anew for many reasons, and only one of them is a switch."""
    stops = Stopping()
    own = source(World(), stops=stops)
    await own.outdated("acme", "approval:apr_1")
    assert stops.reread_of == []
    await own.outdated("acme", "switches")
    assert stops.reread_of == ["acme"]
