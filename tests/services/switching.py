"""Switches thrown and released in a world, for the tests of `services/switches.py`."""

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import Principal, Role, Scope
from gateway.core.switches import SwitchKind
from gateway.services.cancelling import Cancelling
from gateway.services.operator import operator
from gateway.services.switches import Switches
from tests.simulate.world import World

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
