"""The dashboard's figures in Ops' words."""

from tests.api.house import opened


async def test_the_figures_of_the_guide() -> None:
    """The four members of its answer, of the credential's own tenant."""
    house = await opened()
    assert (await house.get("/v1/stats")).json() == {
        "data": {"intentsToday": 0, "pendingApprovals": 1, "activeAgents": 0, "valueGenerated": 0.0}
    }


async def test_without_the_store_there_are_no_figures() -> None:
    """503 in the guide's shape; a zero would be a lie."""
    house = await opened()
    house.store.unreadable = "disk"
    answer = await house.get("/v1/stats")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
