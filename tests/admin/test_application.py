"""Every request through the admin socket is the operator's, in the tenant it names."""

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.admin.application import OperatorApp
from gateway.core.principal import Principal
from gateway.services.operator import OPERATOR_KEY, operator


class Seen:
    """An application that keeps whom it was called by."""

    def __init__(self) -> None:
        self.principals: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.principals.append(scope.get(OPERATOR_KEY))
        await JSONResponse({"path": Request(scope).url.path})(scope, receive, send)


async def asked(app: Any, headers: list[tuple[str, str]]) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get("/keys", headers=headers)


@pytest.mark.parametrize(("headers", "tenant"), [([], "default"), ([("x-tenant-id", "acme")], "acme")])
async def test_the_operator_acts_in_the_tenant_it_names(headers: list[tuple[str, str]], tenant: str) -> None:
    """With the credential `cli`, so that the record tells it from every key."""
    seen = Seen()
    assert (await asked(OperatorApp(seen), headers)).json() == {"path": "/keys"}
    assert seen.principals == [operator(tenant)]


@pytest.mark.parametrize(
    "headers",
    [
        [("x-tenant-id", "_system")],
        [("x-tenant-id", "")],
        [("x-tenant-id", "a/b")],
        [("x-tenant-id", "a"), ("x-tenant-id", "b")],
    ],
)
async def test_what_is_no_tenant_is_refused_before_the_application(headers: list[tuple[str, str]]) -> None:
    """The chain of `_system` is the gateway's own."""
    seen = Seen()
    answer = await asked(OperatorApp(seen), headers)
    assert (answer.status_code, answer.json()["error"], answer.json()["statusCode"]) == (400, "INVALID_INTENT", 400)
    assert seen.principals == []


async def test_no_header_makes_an_operator() -> None:
    """The scope's key is set by the admin server alone; what a client sends ends up in `headers`."""
    seen = Seen()
    forged = [(OPERATOR_KEY, "cli"), ("x-intended-operator", "cli"), ("x-tenant-id", "acme")]
    await asked(seen, forged)
    assert seen.principals == [None]
    assert not any(isinstance(one, Principal) for one in seen.principals)
