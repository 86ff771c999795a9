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


def test_policies_that_cannot_be_loaded_only_degrade_it() -> None:
    """The last good bundle decides; one typo in files that replicas share must not take all of them out of service."""
    world = World()
    world.policies.broken = "policy.yaml:3:1: no"
    readiness = Readiness(audit=world.store, policies=world.policies)
    report = readiness.report()
    assert (report.decides, report.ready, report.degraded) == (True, True, True)
    assert report.checks["policies"] == "policy.yaml:3:1: no"
    readiness.drain()
    assert (readiness.report().ready, readiness.report().degraded) == (False, False), "whatever else is wrong counts"


def test_with_broken_policies_agents_without_tiers_still_make_it_unready() -> None:
    """Only what is harmless by itself stays so together: trust being read again denies everybody."""
    world = World()
    world.policies.broken = "policy.yaml:3:1: no"
    unread = Readiness(audit=world.store, policies=world.policies, trust=Records(all_="being read again"))
    assert (unread.report().ready, unread.report().degraded) == (False, False)
    partly = Readiness(audit=world.store, policies=world.policies, trust=Records(some="1 of them has none"))
    assert (partly.report().ready, partly.report().degraded) == (True, True)


def test_signing_keys_that_do_not_open_make_it_unready_while_it_goes_on_deciding() -> None:
    """Calls that need no token go on; whoever gave the wrong key must hear of it."""

    class Keys:
        def ready(self) -> str:
            return "the signing keys do not open"

    world = World()
    report = Readiness(audit=world.store, policies=world.policies, tokens=Keys()).report()
    assert (report.decides, report.ready, report.checks["tokens"]) == (True, False, "the signing keys do not open")
    assert Readiness(audit=world.store, policies=world.policies, tokens=world.tokens).report().ready


class Records:
    def __init__(self, *, all_: str = "", some: str = "") -> None:
        self.all, self.some = all_, some

    def ready(self) -> str:
        return self.all

    def degraded(self) -> str:
        return self.some


def test_agents_without_tiers_make_it_unready_while_it_goes_on_deciding() -> None:
    """After appends that failed nobody has a tier until the chains are read again."""
    world = World()
    report = Readiness(audit=world.store, policies=world.policies, trust=Records(all_="being read again")).report()
    assert (report.decides, report.ready, report.degraded) == (True, False, False)
    assert report.checks["trust"] == "being read again"


def test_one_tenant_whose_chain_cannot_be_read_only_degrades_it() -> None:
    """Its calls are refused; those of others must not be turned away for it, and the operator must hear of it."""
    world = World()
    readiness = Readiness(audit=world.store, policies=world.policies, trust=Records(some="1 of them has none"))
    report = readiness.report()
    assert (report.decides, report.ready, report.degraded) == (True, True, True)
    assert report.checks["trust"] == "1 of them has none"
    readiness.drain()
    assert (readiness.report().ready, readiness.report().degraded) == (False, False), "whatever else is wrong counts"


def test_a_draining_gateway_is_unready() -> None:
    """Calls in flight are finished, new ones go elsewhere."""
    world = World()
    readiness = Readiness(audit=world.store, policies=world.policies)
    readiness.drain()
    assert (readiness.report().decides, readiness.report().ready) == (True, False)


def test_a_remote_authority_that_gives_no_answers_makes_it_unready() -> None:
    """Every call is denied meanwhile; without one there is no such check."""

    class Remote:
        problem = "it is away"

        def ready(self) -> str:
            return self.problem

    world, remote = World(), Remote()
    readiness = Readiness(audit=world.store, policies=world.policies, authority=remote)
    assert (readiness.report().ready, readiness.report().checks["authority"]) == (False, "it is away")
    remote.problem = ""
    assert (readiness.report().ready, readiness.report().checks["authority"]) == (True, "ok")
