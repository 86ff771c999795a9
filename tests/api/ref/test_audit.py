"""The audit trail in Ref's words."""

from dataclasses import replace

import pytest

from tests.api.house import House, opened


async def filled() -> House:
    house = await opened()
    for number in range(4):
        house.clock.advance(60)
        await house.post("/v1/agents", {"name": f"Agent {number}"})
    return house


async def test_the_timeline_is_paged_by_a_cursor() -> None:
    """Newest first, each entry once, null on the last page."""
    house = await filled()
    seen: list[int] = []
    cursor: int | None = None
    for _ in range(3):
        more = f"&cursor={cursor}" if cursor else ""
        page = (await house.get(f"/audit/acme/timeline?limit=2{more}")).json()
        seen += [event["sequence"] for event in page["events"]]
        cursor = page["nextCursor"]
    assert seen == [5, 4, 3, 2, 1]
    assert cursor is None


@pytest.mark.parametrize(
    ("query", "sequences"),
    [
        ("actor=agent-2", [4]),
        ("actor=agent:agent-2", [4]),
        ("actor=nobody", []),
        ("system=github", []),
        ("from=2026-11-22T12:03:00Z", [5, 4]),
        ("to=2026-11-22T12:03:00Z", [3, 2, 1]),
        ("from=2026-11-22T12:02:00Z&to=2026-11-22T12:03:00Z", [3]),
        ("unknown=1", [5, 4, 3, 2, 1]),
    ],
)
async def test_the_timeline_is_filtered(query: str, sequences: list[int]) -> None:
    """The reference: by actor, system and date range; `from` is inclusive, `to` exclusive."""
    page = (await (await filled()).get(f"/v1/audit/acme/timeline?{query}")).json()
    assert [event["sequence"] for event in page["events"]] == sequences


async def test_an_actor_is_named_by_its_id_too() -> None:
    """Either is accepted wherever an agent is named (contract, "Agents")."""
    house = await filled()
    agents = (await house.get("/v1/agents")).json()["data"]["items"]
    page = (await house.get(f"/audit/acme/timeline?actor={agents[0]['id']}")).json()
    assert [event["actor"] for event in page["events"]] == [agents[0]["slug"]]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=0", "from=then", "actor=", "limit=2&limit=3"])
async def test_a_filter_that_cannot_be_read_is_refused(query: str) -> None:
    """A guess would show the wrong records."""
    answer = await (await opened()).get(f"/audit/acme/timeline?{query}")
    assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_INTENT")


@pytest.mark.parametrize("body", [None, {}, {"tenantId": "acme"}])
async def test_a_whole_chain_is_valid(body: object) -> None:
    """`tenantId` is optional (contract, section 4)."""
    found = (await (await filled()).post("/audit/verify-chain", body)).json()
    assert (found["status"], found["valid"], found["eventCount"], found["breakPoints"]) == ("valid", True, 5, [])


async def test_a_broken_chain_names_its_break_points() -> None:
    """Sequence number, expected, found (contract, section 4)."""
    house = await filled()
    read = house.store.read

    async def changed(tenant: str, *, after: int = 0, inputs: bool = True):
        async for entry in read(tenant, after=after, inputs=inputs):
            yield replace(entry, content=b"{}") if entry.seq == 3 else entry

    house.store.read = changed  # type: ignore[method-assign]
    found = (await house.post("/v1/audit/verify-chain")).json()
    assert (found["status"], found["valid"], found["breakCount"]) == ("broken", False, 1)
    assert found["breakPoints"][0]["sequence"] == 3
    assert set(found["breakPoints"][0]) == {"sequence", "kind", "expected", "found"}


async def test_another_tenant_s_trail_is_forbidden() -> None:
    """Nor does it show what the other did."""
    house = await filled()
    assert (await house.get("/audit/acme/timeline", key=house.other)).status_code == 403
    theirs = (await house.get("/audit/other/timeline", key=house.other)).json()
    assert [event["type"] for event in theirs["events"]] == ["request.refused", "key.created"]
