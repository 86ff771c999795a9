"""Human users and their sessions in Ref's shape."""

import pytest

from tests.api.house import House, opened


async def session(house: House, role: str = "operator") -> dict[str, str]:
    user = await house.post("/users", {"name": "jane", "role": role})
    assert user.status_code == 201
    link = (await house.post(f"/users/{user.json()['id']}/login-link")).json()
    opened_ = await house.post("/portal/sessions", {"code": link["code"]}, key="")
    assert opened_.status_code == 201
    return opened_.json()


async def test_a_user_logs_in_by_a_one_time_code() -> None:
    """The session is accepted wherever a key is (contract, "Portal sessions"); the code is good once."""
    house = await opened()
    await house.post("/v1/users", {"name": "joe", "role": "viewer"})
    link = (await house.post("/v1/users/joe/login-link")).json()
    first = await house.post("/v1/portal/sessions", {"code": link["code"]}, key="")
    second = await house.post("/v1/portal/sessions", {"code": link["code"]}, key="")
    assert (first.status_code, second.status_code) == (201, 401)
    header = {"x-portal-session-id": first.json()["sessionId"]}
    assert (await house.get("/v1/stats", key="", headers=header)).status_code == 200
    assert (await house.post("/keys", {"name": "x"}, key="", headers=header)).status_code == 403


async def test_a_session_beside_a_key_is_two_credentials() -> None:
    """Exactly one is presented."""
    house = await opened()
    header = {"x-portal-session-id": (await session(house))["sessionId"]}
    assert (await house.get("/v1/stats", headers=header)).status_code == 401


async def test_a_session_ends_when_its_user_logs_out() -> None:
    """From the next request on; a key has no session to end."""
    house = await opened()
    given = await session(house)
    header = {"x-portal-session-id": given["sessionId"]}
    closed = await house.send("DELETE", "/portal/sessions/current", key="", headers=header)
    assert (closed.status_code, closed.json()["id"]) == (200, given["id"])
    assert (await house.get("/v1/stats", key="", headers=header)).status_code == 401
    assert (await house.send("DELETE", "/v1/portal/sessions/current")).status_code == 404


async def test_a_user_is_changed_and_loses_the_sessions_of_the_old_role() -> None:
    """By id or name."""
    house = await opened()
    header = {"x-portal-session-id": (await session(house))["sessionId"]}
    changed = await house.send("PATCH", "/users/jane", json={"disabled": True})
    assert (changed.status_code, changed.json()["disabled"]) == (200, True)
    assert (await house.get("/v1/stats", key="", headers=header)).status_code == 401
    assert (await house.post("/users/jane/login-link")).status_code == 409
    [listed] = (await house.get("/users")).json()["users"]
    assert listed == changed.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"name": "x"}, 400), ({"name": "x", "role": "root"}, 400), ({"name": "jane", "role": "viewer"}, 409)],
)
async def test_a_user_that_cannot_be_added_is_not(body: object, status: int) -> None:
    """A name twice is a conflict."""
    house = await opened()
    await house.post("/users", {"name": "jane", "role": "viewer"})
    assert (await house.post("/users", body)).status_code == status
    assert len((await house.get("/users")).json()["users"]) == 1


async def test_another_tenant_s_user_is_not_there() -> None:
    """Nor can a login be made for them."""
    house = await opened()
    user = (await house.post("/users", {"name": "jane", "role": "viewer"})).json()
    assert (await house.post(f"/users/{user['id']}/login-link", key=house.other)).status_code == 404
    assert (await house.get("/users", key=house.other)).json() == {"users": []}


@pytest.mark.parametrize("body", [{}, {"code": 5}, {"code": ""}, {"code": "login_x", "tenant": "acme"}])
async def test_a_login_without_a_code_is_refused(body: object) -> None:
    """It is the one request that needs no other credential."""
    assert (await (await opened()).post("/portal/sessions", body, key="")).status_code == 400
