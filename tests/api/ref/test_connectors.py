"""The connected systems in Ref's words."""

import pytest

from gateway.core.principal import Scope
from tests.api.house import opened


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_connectors_are_listed_and_tested(prefix: str) -> None:
    """The reference: health of all, and a test that measures latency."""
    house = await opened()
    [before] = (await house.get(f"{prefix}/connectors")).json()["connectors"]
    assert before == {
        "id": "files",
        "transport": "http",
        "status": "unknown",
        "checkedAt": None,
        "latencyMs": None,
        "problem": None,
        "protocolVersions": [],
    }
    tested = await house.post(f"{prefix}/connectors/files/test")
    assert (tested.status_code, tested.json()["status"]) == (200, "healthy")
    assert isinstance(tested.json()["latencyMs"], float)
    [after] = (await house.get(f"{prefix}/connectors")).json()["connectors"]
    assert after == tested.json()


async def test_an_unknown_connector_is_not_found() -> None:
    """404 in Ref's shape."""
    answer = await (await opened()).post("/connectors/nope/test")
    assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")


async def test_whoever_only_looks_cannot_make_the_gateway_connect() -> None:
    """A test starts processes and opens connections."""
    house = await opened()
    reader = await house.key(scopes=frozenset({Scope.AGENTS_READ}))
    assert (await house.get("/connectors", key=reader)).status_code == 200
    assert (await house.post("/connectors/files/test", key=reader)).status_code == 403
    [known] = (await house.get("/connectors")).json()["connectors"]
    assert known["status"] == "unknown"
