"""Probes tell whether decisions can be made, and whether traffic should come."""

from gateway.services.readiness import Readiness
from tests.simulate.world import World


def test_a_sound_gateway_decides_and_is_ready() -> None:
    """Each thing that readiness rests on is named."""
    world = World()
    report = Readiness(audit=world.store, policies=world.policies).report()
    assert (report.decides, report.ready) == (True, True)
    assert report.checks == {"audit": "ok", "policies": "ok", "trust": "ok", "tokens": "ok", "draining": "ok"}


def test_a_store_that_cannot_record_stops_decisions() -> None:
    """No store, no calls: unready and unhealthy."""
    world = World()
    world.store.down = "the disk is full"
    report = Readiness(audit=world.store, policies=world.policies).report()
    assert (report.decides, report.ready, report.checks["audit"]) == (False, False, "the disk is full")


def test_policies_that_cannot_be_loaded_make_it_unready_while_it_goes_on_deciding() -> None:
    """The last good bundle decides; an orchestrator must still not roll this out."""
    world = World()
    world.policies.broken = "policy.yaml:3:1: no"
    report = Readiness(audit=world.store, policies=world.policies).report()
    assert (report.decides, report.ready) == (True, False)


def test_signing_keys_that_do_not_open_make_it_unready_while_it_goes_on_deciding() -> None:
    """Calls that need no token go on; whoever gave the wrong key must hear of it."""

    class Keys:
        def ready(self) -> str:
            return "the signing keys do not open"

    world = World()
    report = Readiness(audit=world.store, policies=world.policies, tokens=Keys()).report()
    assert (report.decides, report.ready, report.checks["tokens"]) == (True, False, "the signing keys do not open")
    assert Readiness(audit=world.store, policies=world.policies, tokens=world.tokens).report().ready


def test_a_tenant_whose_agents_have_no_tier_makes_it_unready_while_it_goes_on_deciding() -> None:
    """Other tenants' calls go on; the operator must hear of it."""

    class Records:
        def ready(self) -> str:
            return "the agents of 1 tenant(s) have no tier now"

    world = World()
    report = Readiness(audit=world.store, policies=world.policies, trust=Records()).report()
    assert (report.decides, report.ready, report.checks["trust"]) == (True, False, Records().ready())


def test_a_draining_gateway_is_unready() -> None:
    """Calls in flight are finished, new ones go elsewhere."""
    world = World()
    readiness = Readiness(audit=world.store, policies=world.policies)
    readiness.drain()
    assert (readiness.report().decides, readiness.report().ready) == (True, False)
