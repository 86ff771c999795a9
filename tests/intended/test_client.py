"""The waiting client: every method, both ways of failing, and many threads."""

import inspect
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

import intended
from intended import IntendedClient, ServiceUnavailableError
from tests.intended.answering import ALLOW, BASE, KEY, Service, says, without
from tests.intended.route import Route
from tests.intended.routes import ROUTES


def client_of(service: Service, **changes: Any) -> IntendedClient:
    values: dict[str, Any] = {"api_key": KEY, "base_url": BASE, "retries": 0, "transport": service.transport}
    return IntendedClient(**(values | changes))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.method)
def test_every_method_asks_its_route_and_returns_its_type(route: Route) -> None:
    """The documents' routes, bodies and answers."""
    service = Service(says(route.answer, route.status))
    with client_of(service) as client:
        result = getattr(client, route.method)(*route.arguments, **route.keywords)
    assert service.sent == [route.sends]
    if route.body is not None:
        assert service.body == route.body
    assert route.found(result) == route.expected


def test_no_method_is_missing_from_the_table() -> None:
    """A method that nobody calls is one that nobody knows to work."""
    public = {name for name, _ in inspect.getmembers(IntendedClient, inspect.isfunction) if not name.startswith("_")}
    assert public - {route.method for route in ROUTES} == {"close"}


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut off"),
        httpx.Response(500, json={"error": "INTERNAL_ERROR", "message": "x", "statusCode": 500}),
        httpx.Response(502, html="<html>bad gateway</html>"),
        httpx.Response(503, json={"error": "SERVICE_UNAVAILABLE", "message": "x", "statusCode": 503}),
        httpx.Response(200, content=b'{"decision": "ALLOW", "tok', headers={"content-type": "application/json"}),
        httpx.Response(307, headers={"location": "http://elsewhere.example/intent"}),
        httpx.Response(201, json=ALLOW),
        says(without(ALLOW, "token")),
        says(ALLOW | {"riskScore": "42"}),
        says([ALLOW]),
        says({}),
    ],
    ids=lambda failure: repr(failure)[:40],
)
def test_without_a_usable_answer_the_decision_is_deny(
    failure: httpx.Response | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Fail closed: a program that asks `verdict == "ALLOW"` must not act, and must be able to say why."""
    service = Service(failure)
    with caplog.at_level(logging.DEBUG):
        decision = client_of(service).submit_intent(action="deploy", actor="ci")
    assert (decision.verdict, decision.fail_closed, decision.token) == ("DENY", True, None)
    assert decision.reason.startswith("Denied without a decision: ")
    assert len(service.seen) == 1
    assert KEY not in decision.reason
    assert KEY not in caplog.text
    assert "denied without a decision" in caplog.text


def test_the_agents_route_fails_closed_too() -> None:
    """There are two ways to ask for a decision."""
    decision = client_of(Service(httpx.ConnectError("no"))).submit_agent_intent(proposed_action="x", actor="y")
    assert (decision.verdict, decision.fail_closed) == ("DENY", True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, intended.ValidationError),
        (401, intended.AuthenticationError),
        (403, intended.ForbiddenError),
        (404, intended.NotFoundError),
        (409, intended.ConflictError),
        (429, intended.RateLimitedError),
        (418, intended.ApiError),
    ],
)
def test_a_refused_question_raises(status: int, kind: type[Exception]) -> None:
    """A wrong key is a mistake to mend, not a denial to live with; and it is never an ALLOW, whatever the body says."""
    with pytest.raises(kind):
        client_of(Service(says(ALLOW | {"error": "NO"}, status))).submit_intent(action="deploy", actor="ci")


def test_other_methods_raise_where_there_is_no_answer() -> None:
    """A list that is empty because nobody answered would be a lie."""
    with pytest.raises(ServiceUnavailableError):
        client_of(Service(httpx.ConnectError("no"))).list_approvals()


def test_what_is_too_long_for_a_bundle_is_told_and_not_asked_for_again() -> None:
    """It is no outage: the answer is the same however often it is asked for, and says where to have it otherwise."""
    told = {"error": "PAYLOAD_TOO_LARGE", "message": "The intent has 10001 entries …", "statusCode": 413}
    service = Service(says(told, 413))
    with pytest.raises(intended.ApiError, match="10001 entries") as caught:
        client_of(service).evidence_bundle("int_1")
    assert (caught.value.code, caught.value.status) == ("PAYLOAD_TOO_LARGE", 413)
    assert service.sent == ["GET /intent/int_1/evidence-bundle"]


def test_a_chain_that_is_valid_in_spite_of_its_breaks_is_not_believed() -> None:
    """Whoever looks at `valid` only must not be deceived."""
    broken = {"valid": True, "eventCount": 7, "breakPoints": [{"sequence": 3}]}
    with pytest.raises(ServiceUnavailableError, match="break points"):
        client_of(Service(says(broken))).verify_chain()


def test_empty_tables_are_no_tables() -> None:
    """Thresholds without tiers would be believed by programs that look no further."""
    with pytest.raises(ServiceUnavailableError, match="tiers"):
        client_of(Service(says({"tenantId": "t", "tiers": {}, "version": 1}))).get_thresholds()


def test_a_path_needs_its_tenant() -> None:
    """A key in the reference's format names none."""
    client = client_of(Service(says({})), api_key="mrt_live_abc")
    with pytest.raises(ValueError, match="tenant_id"):
        client.get_thresholds()
    service = Service(says({"keys": [{}]}))
    client_of(service, api_key="mrt_live_abc").jwks()
    assert service.sent == ["GET /.well-known/jwks.json"]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_id_cannot_lead_to_another_route(name: str) -> None:
    """Ids come from elsewhere."""
    service = Service(says({}))
    with pytest.raises(ValueError, match="path"):
        client_of(service).get_agent(name)
    assert service.seen == []


def test_an_id_with_separators_stays_one_segment() -> None:
    """Neither another route nor a query."""
    service = Service(says({"data": {"id": "a", "slug": "a", "name": "a"}}))
    client_of(service).get_agent("a/../../keys?x=1#y")
    assert service.sent == ["GET /v1/agents/a%2F..%2F..%2Fkeys%3Fx%3D1%23y"]


def test_an_approval_is_named_in_one_way() -> None:
    """Two names could be of two approvals."""
    client = client_of(Service(says({})))
    for names in ({}, {"intent_id": "int_1", "escalation_id": "apr_1"}):
        with pytest.raises(ValueError, match="either"):
            client.record_approval("approve", **names)


def test_one_client_serves_many_threads() -> None:
    """Frameworks call tools from thread pools; each must get its own answer."""

    def echo(request: httpx.Request) -> httpx.Response:
        return says(ALLOW | {"intentId": f"int_{request.content.decode()[-12:-2]}"})

    client = IntendedClient(KEY, base_url=BASE, transport=httpx.MockTransport(echo))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: client.submit_intent(action="x", actor=f"agent-{n:04d}").intent_id, range(200)))
    assert found == [f"int_agent-{n:04d}" for n in range(200)]


def test_the_key_is_in_no_representation() -> None:
    """Neither of the client nor of what it is made of."""
    client = client_of(Service(says({})))
    assert KEY not in repr(client) + repr(vars(client)) + repr(vars(client._transport))
    assert client.base_url in repr(client)
