"""Kill switches in Ref's words."""

from typing import Any

import httpx
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.principal import Role, Scope
from tests.api.house import House, opened

WHY = {"reason": "refunds the same order again and again"}


async def throw(house: House, place: str, **more: Any) -> httpx.Response:
    return await house.send("PUT", f"/v1/switches/{place}", **{"json": WHY, **more})


async def release(house: House, place: str, query: str = "?reason=fixed", **more: Any) -> httpx.Response:
    return await house.send("DELETE", f"/v1/switches/{place}{query}", **more)


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("place", ["agent/billing-bot", "upstream/files", "tenant/acme"])
async def test_what_is_stopped_is_listed_until_it_is_let_go(prefix: str, place: str) -> None:
    """Who, why and since when, for whoever finds an agent standing still."""
    house = await opened()
    answer = await house.send("PUT", f"{prefix}/switches/{place}", json=WHY)
    kind, name = place.split("/")
    view = answer.json()
    assert answer.status_code == 200
    assert view.pop("cancelledApprovals") == 0  # of what was thrown just now alone; a list is of what is in force
    assert (view["kind"], view["name"], view["reason"]) == (kind, name, WHY["reason"])
    assert view["by"].startswith("key_")
    assert (await house.get(f"{prefix}/switches")).json() == {"switches": [view]}
    assert (await house.get("/switches", key=house.other)).json() == {"switches": []}
    gone = await house.send("DELETE", f"{prefix}/switches/{place}?reason=fixed")
    assert (gone.status_code, gone.json()) == (200, view)
    assert (await house.get(f"{prefix}/switches")).json() == {"switches": []}


async def test_to_throw_again_leaves_the_first_word() -> None:
    """PUT may be sent twice; the second reason is not that for which everything stands still."""
    house = await opened()
    first = (await throw(house, "agent/bot")).json()
    assert (await throw(house, "agent/bot", json={"reason": "another"})).json() == first
    assert [one.type for one in house.store.drafts].count(EntryType.SWITCH_CHANGED) == 1


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("upstream/nope", 404),
        ("door/files", 404),
        ("agent/a b", 404),
        ("agent/--", 400),
        ("tenant/other", 403),
    ],
)
async def test_what_cannot_be_stopped_is_told(place: str, status: int) -> None:
    """A switch that stops nothing would be taken for one that does."""
    house = await opened()
    answer = await throw(house, place)
    assert answer.status_code == status, answer.text
    assert (await house.get("/switches")).json() == {"switches": []}


async def test_an_unknown_upstream_is_told_with_those_that_there_are() -> None:
    """A name that is mistyped in a hurry must not cost time."""
    answer = await throw(await opened(), "upstream/file")
    assert answer.json()["message"] == "There is no upstream 'file'; configured are: files."


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": " \n"}, {"reason": "x" * 257}, {"reason": "x", "by": "me"}]
)
async def test_a_reason_is_required(body: dict[str, str]) -> None:
    """Whoever finds the switch next month must know whether it may be released."""
    house = await opened()
    assert (await throw(house, "agent/bot", json=body)).status_code == 400
    assert (await house.get("/switches")).json() == {"switches": []}


@pytest.mark.parametrize("query", ["", "?reason=", "?reason=%20", "?why=fixed"])
async def test_a_reason_is_required_to_let_go_too(query: str) -> None:
    """Both are on record with who and why."""
    house = await opened()
    await throw(house, "agent/bot")
    assert (await release(house, "agent/bot", query)).status_code == 400
    assert len((await house.get("/switches")).json()["switches"]) == 1


async def test_what_is_not_stopped_cannot_be_let_go() -> None:
    """A mistyped name would else leave the right one standing still, unnoticed."""
    house = await opened()
    answer = await release(house, "agent/bot")
    assert (answer.status_code, answer.json()["message"]) == (404, "The agent 'bot' is not switched off.")


@pytest.mark.parametrize(
    ("given", "throws", "releases", "lists"),
    [
        ({"role": Role.ADMIN}, 200, 200, 200),
        ({"role": Role.OPERATOR}, 200, 403, 200),
        ({"scopes": frozenset({Scope.APPROVALS_WRITE})}, 200, 403, 403),
        ({"role": Role.POLICY_ADMIN}, 403, 403, 200),
        ({"role": Role.VIEWER}, 403, 403, 200),
        ({"role": Role.AGENT}, 403, 403, 403),
        ({"role": Role.ADMIN, "agent": "bot"}, 403, 403, 200),
        ({"role": Role.OPERATOR, "agent": "bot"}, 403, 403, 200),
    ],
)
async def test_operators_stop_and_admins_let_go_and_an_agents_own_key_does_neither(
    given: dict[str, Any], throws: int, releases: int, lists: int
) -> None:
    """Whoever sees a fire may pull; what it is pulled against must not reach it, whatever its key may do else."""
    house = await opened()
    await house.services.agents.register(house.services.authentication.identify((house.admin,)), name="bot")
    key = await house.key(**given)
    assert (await house.get("/switches", key=key)).status_code == lists
    assert (await throw(house, "agent/other", key=key)).status_code == throws
    await throw(house, "agent/bot")
    assert (await release(house, "agent/bot", key=key)).status_code == releases
    assert len((await house.get("/switches")).json()["switches"]) == (throws == 200) + (releases != 200)
