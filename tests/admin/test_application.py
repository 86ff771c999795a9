"""Every request through the admin socket is the operator's, in the tenant it names."""

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.admin.application import MetricsApp, OperatorApp
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


async def monitored(path: str, *, method: str = "GET", host: str = "127.0.0.1:9100") -> tuple[int, list[Any]]:
    seen = Seen()
    transport = httpx.ASGITransport(MetricsApp(seen))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.request(method, path, headers={"host": host})
    return answer.status_code, seen.principals


@pytest.mark.parametrize("path", ["/metrics", "/health", "/livez", "/readyz"])
@pytest.mark.parametrize("host", ["127.0.0.1:9100", "localhost", "LOCALHOST:1", "[::1]:9100"])
async def test_the_port_for_metrics_answers_as_to_the_operator(path: str, host: str) -> None:
    """Of all tenants, without a key: it is bound to loopback."""
    assert await monitored(path, host=host) == (200, [operator("default")])


@pytest.mark.parametrize(
    ("path", "method"),
    [("/keys", "GET"), ("/v1/stats", "GET"), ("/metrics", "POST"), ("/metrics/", "GET"), ("/mcp", "GET")],
)
async def test_nothing_else_is_reached_through_it(path: str, method: str) -> None:
    """Else it would be an admin socket on TCP."""
    assert await monitored(path, method=method) == (404, [])


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9100", "127.0.0.1.evil.example", "", "127.0.0.1:x"])
async def test_a_page_under_another_name_does_not_read_it(host: str) -> None:
    """DNS rebinding: a browser on this machine would send its page's own name."""
    assert await monitored("/metrics", host=host) == (421, [])
