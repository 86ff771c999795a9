"""Which path has which operation, and the plain 404 for the rest."""

import re

import pytest

from gateway.api.app import placed
from gateway.api.operation import Operation, OperationRoute
from tests.api.house import opened


async def nothing(call: object) -> dict[str, str]:
    """Nothing."""
    return {}


def operation(method: str, path: str, *, both: bool = False) -> Operation:
    return Operation(method=method, path=path, name=f"{method}{path}", summary="", endpoint=nothing, both_prefixes=both)


def test_an_operation_of_both_prefixes_is_placed_twice_under_two_names() -> None:
    """Names of operations are unique in a document; a path knows all of its methods."""
    found = [
        (path, name, allowed)
        for _, path, name, allowed in placed([operation("GET", "/a", both=True), operation("PUT", "/a")])
    ]
    assert found == [("/a", "GET/a", ("GET", "PUT")), ("/v1/a", "GET/a_v1", ("GET",)), ("/a", "PUT/a", ("GET", "PUT"))]


async def test_no_two_routes_are_for_the_same_requests() -> None:
    """No path of one dialect shadows one of the other (contract, section 1)."""
    house = await opened()
    routes = [route for route in house.app.routes if isinstance(route, OperationRoute)]
    for route in routes:
        path = re.sub(r"\{[^}]+\}", "x1", route.path)
        fits = [one for one in routes if one.path_regex.fullmatch(path) and one.methods == route.methods]
        assert fits == [route], path


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration",
        "/register",
        "/mcpx",
        "/redoc",
    ],
)
async def test_every_other_path_is_a_plain_404_in_json(path: str) -> None:
    """Clients probe these; HTML, a redirect or a 401 would read as "OAuth found"."""
    house = await opened()
    for method in ("GET", "POST", "OPTIONS"):
        answer = await house.send(method, path, key="")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
        assert answer.json() == {"error": "NOT_FOUND", "message": "There is nothing at this path.", "statusCode": 404}
        assert "access-control-allow-origin" not in answer.headers


async def test_an_unknown_path_of_the_guide_speaks_its_dialect() -> None:
    """A path's dialect decides its error shape, for every error (contract, section 1)."""
    answer = await (await opened()).get("/v1/agents/a/b/c", key="")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": {"code": "NOT_FOUND", "message": "There is nothing at this path."}},
    )
