"""The line that every request walks."""

import json
import logging
import re

import httpx
import pytest
from starlette.requests import ClientDisconnect

from gateway.api.operation import STRANGERS_BODY_BYTES, OperationRoute
from gateway.core.audit.entry import EntryType
from gateway.core.principal import Scope
from gateway.errors import AlreadyResolved, SigningError, StateConflict, StoreError, Unavailable
from tests.api.house import House, opened

INTENT = {"action": "deploy application to production", "actor": "agent:github-actions"}
OPS_INTENT = {"type": "billing.send_invoice", "domain": "billing", "agentId": "billing-agent"}


def code(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"] if isinstance(error, dict) else error


def concrete(route: OperationRoute, tenant: str = "acme") -> str:
    return re.sub(r"\{[^}]+\}", "x", route.path.replace("{tenantId}", tenant))


def private(house: House) -> list[OperationRoute]:
    return [route for route in house.app.routes if isinstance(route, OperationRoute) and not route.operation.public]


async def test_no_route_answers_without_a_credential() -> None:
    """No anonymous access, keyless mode neither: 401 in the path's dialect, and no use case is reached."""
    house = await opened()
    recorded = len(house.store.drafts)
    for route in private(house):
        for key in ("", "intendedops_acme_" + "x" * 43):
            answer = await house.send(route.operation.method, concrete(route), key=key, json={})
            assert code(answer) == (401, "UNAUTHORIZED"), route.path
            assert answer.headers["www-authenticate"] == "Bearer"
    assert len(house.store.drafts) == recorded
    assert house.intents.submissions == []


async def test_every_route_asks_for_its_scope() -> None:
    """A key with every other scope is refused, and the refusal is on record; one with the scope alone is not."""
    house = await opened()
    for route in private(house):
        scope = route.operation.scope
        if scope is None:
            continue
        others = await house.key(scopes=frozenset(Scope) - {scope})
        refused = await house.send(route.operation.method, concrete(route), key=others, json={})
        assert code(refused) == (403, "FORBIDDEN"), route.path
        assert scope in refused.text
        assert house.store.drafts[-1].type is EntryType.REQUEST_REFUSED
        if not route.operation.roles:
            only = await house.key(scopes=frozenset({scope}))
            assert (await house.send(route.operation.method, concrete(route), key=only, json={})).status_code != 403


async def test_a_path_that_names_another_tenant_is_forbidden() -> None:
    """Contract, section 1: 403, but only after the key has proved valid."""
    house = await opened()
    for route in private(house):
        if "{tenantId}" in route.path:
            path = concrete(route, "other")
            assert code(await house.send(route.operation.method, path, json={})) == (403, "FORBIDDEN")
            assert code(await house.send(route.operation.method, path, key="", json={})) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("path", ["/intent", "/agent-intent", "/audit/verify-chain", "/keys"])
async def test_a_body_that_names_another_tenant_is_forbidden(path: str) -> None:
    """Also where the request's model has no such member."""
    house = await opened()
    assert code(await house.post(path, {**INTENT, "tenantId": "other"})) == (403, "FORBIDDEN")
    assert house.intents.submissions == []


async def test_a_tenant_header_that_differs_is_forbidden() -> None:
    """The header scopes nothing: it only has to be right."""
    house = await opened()
    assert code(await house.get("/v1/stats", headers={"x-tenant-id": "other"})) == (403, "FORBIDDEN")
    refused = house.store.drafts[-1]
    assert (refused.type, refused.tenant, refused.reasons) == (EntryType.REQUEST_REFUSED, "acme", ("FORBIDDEN",))
    assert (await house.get("/v1/stats", headers={"x-tenant-id": "acme"})).status_code == 200


async def test_the_limit_of_a_key_holds_over_both_dialects() -> None:
    """429 in the shape of the path, with Retry-After, on record once a minute; the minute after, all is well."""
    house = await opened()
    key = await house.key(plan="enterprise", per_minute=2)
    for _ in range(2):
        assert (await house.get("/v1/stats", key=key)).status_code == 200
    ref, ops = await house.get("/connectors", key=key), await house.get("/v1/stats", key=key)
    assert (code(ref), code(ops)) == ((429, "RATE_LIMITED"), (429, "RATE_LIMITED"))
    assert 1 <= int(ref.headers["retry-after"]) <= 60
    limited = [draft for draft in house.store.drafts if draft.reasons == ("RATE_LIMITED",)]
    assert [(draft.type, draft.tenant) for draft in limited] == [(EntryType.REQUEST_REFUSED, "acme")]
    house.clock.advance(60)
    assert (await house.get("/v1/stats", key=key)).status_code == 200


@pytest.mark.parametrize(
    ("fault", "ref", "ops"),
    [
        (StoreError("/data is full"), (503, "SERVICE_UNAVAILABLE"), (503, "SERVICE_UNAVAILABLE")),
        (SigningError("no key"), (503, "SERVICE_UNAVAILABLE"), (503, "SERVICE_UNAVAILABLE")),
        (Unavailable("no token can be signed"), (503, "SERVICE_UNAVAILABLE"), (503, "SERVICE_UNAVAILABLE")),
        (StateConflict("other body", field="idempotencyKey"), (409, "CONFLICT"), (400, "VALIDATION_ERROR")),
        (AlreadyResolved("done"), (409, "CONFLICT"), (400, "ALREADY_RESOLVED")),
        (ZeroDivisionError("secret"), (500, "INTERNAL_ERROR"), (500, "INTERNAL_ERROR")),
    ],
)
async def test_what_a_use_case_raises_is_answered_in_the_dialect(
    fault: Exception, ref: tuple[int, str], ops: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    """By the one table; only what nobody foresaw is logged, and its text nowhere."""
    house = await opened()
    house.intents.fails = house.approvals.fails = fault
    with caplog.at_level(logging.ERROR):
        assert code(await house.post("/authority/approval", {"intentId": "i", "decision": "approve"})) == ref
        assert code(await house.post("/v1/approvals/apr_1/approve")) == ops
    assert (len(caplog.records) == 2) is isinstance(fault, ZeroDivisionError)
    assert "secret" not in caplog.text


async def test_a_method_that_a_path_does_not_take_is_405_with_those_that_it_takes() -> None:
    """Also HEAD and OPTIONS of what needs a credential: a token that is told once must not be told to nobody."""
    house = await opened()
    wrong = await house.send("PATCH", "/v1/intents")
    assert code(wrong) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["allow"] == "GET, POST"
    assert (await house.send("OPTIONS", "/intent")).status_code == 405
    head = await house.send("HEAD", "/intent/int_1")
    assert head.status_code == 405


async def test_head_is_for_what_is_read_without_a_credential_and_for_nothing_else() -> None:
    """It asks for the head of what GET would answer: nothing may be done by it, a login least of all."""
    house = await opened()
    assert (await house.send("HEAD", "/health", key="")).status_code == 200
    for route in house.app.routes:
        if isinstance(route, OperationRoute) and route.operation.method != "GET":
            assert (await house.send("HEAD", concrete(route))).status_code == 405, route.path


async def test_a_stranger_s_body_is_a_short_one() -> None:
    """Whoever has no credential must not have the gateway read and parse megabytes."""
    house = await opened()
    long = json.dumps({"code": "x" * STRANGERS_BODY_BYTES}).encode()
    headers = {"content-type": "application/json"}
    answer = await house.send("POST", "/portal/sessions", key="", content=long, headers=headers)
    assert code(answer) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_path_is_taken_as_it_is_sent() -> None:
    """What a proxy in front would filter by its text is what is meant: no encoding, no slash at the end, no case."""
    house = await opened()
    for path in ("/intent/%69nt_1", "/intent/int_1%2Foutcome", "/intent/", "/Intent", "//intent", "/v1/v1/intent"):
        assert code(await house.post(path, INTENT)) == (404, "NOT_FOUND"), path
    assert house.intents.submissions == []


async def test_a_body_is_read_after_the_credential_was_checked() -> None:
    """A stranger learns nothing of what a request should be, and is not parsed for."""
    house = await opened()
    assert code(await house.post("/intent", key="", content=b"{")) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"{", {"content-type": "application/json"}, (400, "INVALID_INTENT")),
        (b"action=x", {"content-type": "application/x-www-form-urlencoded"}, (415, "UNSUPPORTED_MEDIA_TYPE")),
        (b'"' + b"x" * 70_000 + b'"', {"content-type": "application/json"}, (413, "PAYLOAD_TOO_LARGE")),
    ],
)
async def test_malformed_bodies_are_refused_and_told_in_summary(
    content: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    """A flood of them must not fill the chain: they are counted by source and reason (contract, section 4)."""
    house = await opened()
    recorded = len(house.store.drafts)
    for _ in range(3):
        assert code(await house.post("/intent", content=content, headers=headers)) == expected
    assert len(house.store.drafts) == recorded
    await house.services.refusals.flush()
    [summary] = house.store.drafts[recorded:]
    assert (summary.type, summary.reasons) == (EntryType.STRANGERS_REFUSED, (expected[1],))
    assert b'"count":3' in summary.body


async def test_a_refusal_stands_where_it_cannot_be_recorded() -> None:
    """The store that is down cannot turn a no into anything else."""
    house = await opened()
    viewer = await house.key(scopes=frozenset({Scope.AUDIT_READ}))
    house.store.down = "disk full"
    assert code(await house.post("/intent", INTENT, key=viewer)) == (403, "FORBIDDEN")


async def test_private_answers_are_not_kept_by_anybody_on_the_way() -> None:
    """Tokens, keys and sessions are told in them."""
    house = await opened()
    assert (await house.post("/intent", INTENT)).headers["cache-control"] == "no-store"
    assert (await house.get("/authority/thresholds/acme")).headers["cache-control"] == "no-store"


async def test_a_caller_that_leaves_is_not_answered() -> None:
    """And nothing is decided on half a body."""
    house = await opened()
    route = next(route for route in house.app.routes if isinstance(route, OperationRoute) and route.path == "/intent")
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        raise ClientDisconnect

    async def send(message: object) -> None:
        sent.append(message)

    headers = [(b"x-api-key", house.admin.encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/intent",
        "headers": headers,
        "query_string": b"",
        "path_params": {},
        "raw_path": b"/intent",
    }
    await route.handle(scope, receive, send)  # type: ignore[arg-type]
    assert sent == []
    assert house.intents.submissions == []
