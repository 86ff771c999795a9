"""The audit trail in Ops' words."""

import pytest

from tests.api.house import House, opened


async def filled() -> House:
    house = await opened()
    for number in range(3):
        house.clock.advance(60)
        await house.post("/v1/agents", {"name": f"Agent {number}"})
    return house


@pytest.mark.parametrize(
    ("query", "sequences"),
    [
        ("", [4, 3, 2, 1]),
        ("?eventType=agent.registered", [4, 3, 2]),
        ("?eventType=policy.loaded", []),
        ("?fromDate=2026-11-22T12:02:00Z&toDate=2026-11-22T12:03:00Z", [3]),
        ("?toDate=2026-11-22", []),
        ("?page=2&pageSize=3", [1]),
    ],
)
async def test_entries_are_queried_as_the_guide_has_it(query: str, sequences: list[int]) -> None:
    """eventType, fromDate, toDate, page, pageSize; newest first."""
    page = (await (await filled()).get(f"/v1/audit{query}")).json()["data"]
    assert [item["sequence"] for item in page["items"]] == sequences


async def test_an_entry_tells_what_happened_and_ties_it_to_the_chain() -> None:
    """A program reads `eventType`; an auditor the hashes."""
    items = (await (await filled()).get("/v1/audit?pageSize=2")).json()["data"]["items"]
    assert (items[0]["eventType"], items[0]["agent"], items[0]["data"]["slug"]) == (
        "agent.registered",
        "agent-2",
        "agent-2",
    )
    assert items[0]["previousHash"] == items[1]["hash"]


@pytest.mark.parametrize("query", ["eventType=nope", "eventType=", "fromDate=then", "page=x"])
async def test_a_filter_that_cannot_be_read_is_refused(query: str) -> None:
    """Event types are a closed list (contract, section 4)."""
    answer = await (await opened()).get(f"/v1/audit?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_the_chain_is_verified() -> None:
    """`valid` and `eventCount` (contract, section 4)."""
    found = (await (await filled()).get("/v1/audit/verify")).json()["data"]
    assert (found["valid"], found["eventCount"], found["breaks"]) == (True, 4, [])
