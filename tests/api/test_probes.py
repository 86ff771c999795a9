"""Probes, and a plain 404 in JSON for everything else."""

import httpx
import pytest
from starlette.applications import Starlette

from gateway.api.probes import probes_app
from gateway.services.readiness import Readiness
from tests.simulate.world import World


def app(world: World) -> Starlette:
    return probes_app(Readiness(audit=world.store, policies=world.policies), world.clock)


async def get(world: World, path: str, method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path)


async def test_health_says_healthy_in_both_dialects() -> None:
    """Ref reads the object, Ops its `data` (contract, section 1)."""
    answer = await get(World(), "/health")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "healthy")
    assert set(body) == {"status", "version", "uptime", "timestamp", "data"}
    assert {name: value for name, value in body.items() if name != "data"} == body["data"]


async def test_health_says_unhealthy_when_no_decision_can_be_made() -> None:
    """And leaks nothing more."""
    world = World()
    world.store.down = "disk full on /data"
    answer = await get(world, "/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
    assert "disk" not in answer.text


async def test_readiness_lists_its_checks_only_when_asked() -> None:
    """An orchestrator needs the status, an operator the reason."""
    world = World()
    world.policies.broken = "p.yaml:1:1: no"
    brief, verbose = await get(world, "/readyz"), await get(world, "/readyz?verbose")
    assert (brief.status_code, brief.json()) == (503, {"status": "unready"})
    assert verbose.json()["checks"]["policies"] == "p.yaml:1:1: no"
    assert (await get(World(), "/readyz")).status_code == 200


async def test_the_process_is_live() -> None:
    """Liveness rests on nothing but the process."""
    world = World()
    world.store.down = "gone"
    assert (await get(world, "/livez")).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server/mcp", "/register", "/mcpx"],
)
async def test_every_other_path_is_a_plain_404_in_json(path: str) -> None:
    """Clients probe these; HTML or a 200 would read as "OAuth found"."""
    answer = await get(World(), path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert answer.json() == {"error": "NOT_FOUND", "message": "There is nothing at this path.", "statusCode": 404}


async def test_a_verb_that_a_probe_does_not_take_is_405() -> None:
    """With the verbs that it does take."""
    answer = await get(World(), "/health", "POST")
    assert (answer.status_code, answer.json()["error"]) == (405, "METHOD_NOT_ALLOWED")
    assert "GET" in answer.headers["allow"]
