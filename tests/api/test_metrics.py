"""`/metrics`: for admins, who see their own tenant, and for the operator, who sees all."""

import httpx
import pytest

from gateway.admin.application import OperatorApp
from gateway.core.principal import Role
from tests.api.house import opened


async def test_an_admins_key_sees_its_own_tenant() -> None:
    """Labels name tenants and agents."""
    house = await opened()
    answer = await house.get("/metrics", headers={"accept": "text/x"})
    assert (answer.status_code, answer.text) == (200, "acme as text/x\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert (await house.get("/metrics", key=house.other, headers={"accept": "*/*"})).text == "other as */*\n"


async def test_strangers_see_nothing() -> None:
    """Never open on the agents' port."""
    house = await opened()
    answer = await house.get("/metrics", key="")
    assert (answer.status_code, answer.json()["error"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_no_other_role_sees_them(role: Role) -> None:
    """An agent would learn what the others do."""
    house = await opened()
    answer = await house.get("/metrics", key=await house.key(role=role))
    assert (answer.status_code, answer.json()["error"]) == (403, "FORBIDDEN")


async def test_another_tenants_cannot_be_named() -> None:
    """As everywhere."""
    house = await opened()
    assert (await house.get("/metrics", headers={"x-tenant-id": "other"})).status_code == 403


async def test_the_operator_sees_all_whatever_tenant_it_names() -> None:
    """The process is the operator's."""
    house = await opened()
    transport = httpx.ASGITransport(OperatorApp(house.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/metrics", headers={"accept": "a", "x-tenant-id": "acme"})
    assert (answer.status_code, answer.text) == (200, "all as a\n")
