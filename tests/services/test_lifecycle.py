"""The gateway's own life is in the chain of `_system`."""

from gateway.core.audit.entry import EntryType
from gateway.core.principal import SYSTEM_TENANT
from gateway.errors import PolicyError, Problem
from gateway.services.lifecycle import Lifecycle
from tests.simulate.world import World


def lifecycle(world: World) -> Lifecycle:
    return Lifecycle(audit=world.store, clock=world.clock, ids=world.ids)


async def test_start_and_stop_are_entries() -> None:
    """A gap between stop and start is then a fact, not a guess."""
    world = World()
    await lifecycle(world).started("1.0", {"default": "http://127.0.0.1:1/mcp"})
    await lifecycle(world).stopped()
    assert [(one.tenant, one.type) for one in world.entries()] == [
        (SYSTEM_TENANT, EntryType.GATEWAY_STARTED),
        (SYSTEM_TENANT, EntryType.GATEWAY_STOPPED),
    ]
    assert world.bodies(EntryType.GATEWAY_STARTED)[0]["upstreams"] == {"default": "http://127.0.0.1:1/mcp"}


async def test_a_policys_whole_text_is_kept_with_its_digest() -> None:
    """A verdict can be recomputed with the very policy that made it."""
    world = World()
    bundle = world.policies.current()
    await lifecycle(world).policies_loaded(bundle, {"test.yaml": "the text"})
    (entry,) = world.entries()
    assert entry.policy_digest == bundle.digest
    assert world.bodies(EntryType.POLICY_LOADED)[0]["files"][0]["text"] == "the text"


async def test_rejected_policies_are_recorded_with_what_stays_in_force() -> None:
    """The record says that the files of that moment did not decide anything."""
    world = World()
    problem = Problem(source="p.yaml", line=3, column=5, field="rules.0", message="no effect", remedy="add one")
    await lifecycle(world).policies_rejected(PolicyError(problem), world.policies.current())
    (entry,) = world.entries()
    assert entry.policy_digest == world.policies.current().digest
    assert world.bodies(EntryType.POLICY_REJECTED)[0]["problems"] == ["p.yaml:3:5: rules.0: no effect"]
