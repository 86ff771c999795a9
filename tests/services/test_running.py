"""The calls at their upstreams, and those of them that a switch ends."""

import anyio
import pytest

from gateway.core.call import Call
from gateway.core.principal import Principal
from gateway.core.switches import Switch, SwitchKind
from gateway.services.judged import Judged
from gateway.services.running import Running, SwitchedOff
from tests.services.calling import READ, Other, take
from tests.simulate.world import World


async def judged(tenant: str, agent: str, upstream: str) -> Judged:
    """Return a judgement, of whoever it is."""
    world = World()
    await take(world, Other(world))
    principal = Principal(tenant=tenant, agent=agent, credential="key_1")
    call = Call(method=READ.method, upstream=upstream, name="", uri=READ.uri, arguments={}, arguments_digest="")
    one = world.judged[0]
    return Judged(
        principal=principal,
        call=call,
        intent_id=one.intent_id,
        intent=one.intent,
        decision=one.decision,
        facts=one.facts,
    )


@pytest.mark.parametrize(
    ("kind", "name", "ended"),
    [
        (SwitchKind.AGENT, "bot", {"bot"}),
        (SwitchKind.UPSTREAM, "bank", {"bot", "other"}),
        (SwitchKind.TENANT, "acme", {"bot", "other", "third"}),
        (SwitchKind.AGENT, "bank", set()),
    ],
)
async def test_a_switch_ends_what_it_stops_in_its_own_tenant(kind: SwitchKind, name: str, ended: set[str]) -> None:
    """The same names stand for somebody else in another tenant."""
    running = Running()
    scopes = {
        one: (anyio.CancelScope(), await judged(tenant, agent, upstream))
        for one, tenant, agent, upstream in (
            ("bot", "acme", "bot", "bank"),
            ("other", "acme", "other", "bank"),
            ("third", "acme", "third", "files"),
            ("elsewhere", "umbrella", "bot", "bank"),
        )
    }
    for scope, one in scopes.values():
        running.enter(scope, one)
    running.end("acme", Switch(kind=kind, name=name, who="cli", why="amok", since="now"))
    assert {one for one, (scope, _) in scopes.items() if scope.cancel_called} == ended
    for one, (scope, _) in reversed(scopes.items()):
        if one in ended:
            with pytest.raises(SwitchedOff, match="amok"):
                running.leave(scope)
        else:
            running.leave(scope)
    assert (running._calls, running._ended) == ({}, {})
