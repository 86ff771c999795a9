"""Tables and examples of the documents, against the running service: fields, codes, types, limits."""

import json
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx
import jwt
import pytest

from gateway.core.intent.taxonomy import TAXONOMY
from tests.documents import live
from tests.documents.live import Service
from tests.documents.rows import Row, rows_of

T, X = "tenant123", "tenant_xyz"


def named(row: Row) -> str:
    return row.id


def kinds(value: Any) -> Any:
    """Return the shape of an example: its members and the JSON type of each."""
    if isinstance(value, dict):
        return {name: kinds(member) for name, member in value.items()}
    if isinstance(value, list):
        return [kinds(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def holds(example: Any, answer: Any) -> bool:
    """Tell whether the answer has every member of the example, of the same type."""
    if isinstance(example, dict):
        return isinstance(answer, dict) and all(
            name in answer and holds(member, answer[name]) for name, member in example.items()
        )
    if isinstance(example, list):
        return isinstance(answer, list) and (not example or all(holds(example[0], one) for one in answer))
    return kinds(example) == kinds(answer)


# --- keys, headers, tenants -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows_of("test_a_key_of_the_guide_names_its_tenant"), ids=named)
def test_a_key_of_the_guide_names_its_tenant(row: Row, service: Service) -> None:
    """`intendedops_<tenantId>_<secretPart>`: the tenant is taken from the key."""
    assert row.text.startswith("intendedops_<tenantId>_<secretPart>")
    key = service.make_key(T, "viewer", format="intendedops")
    assert key.startswith(f"intendedops_{T}_")
    answer = httpx.get(f"{service.url}/v1/stats", headers={"x-api-key": key}, timeout=30)
    assert answer.status_code == 200


@pytest.mark.parametrize("row", rows_of("test_a_credential_goes_in_the_header_of_the_reference"), ids=named)
def test_a_credential_goes_in_the_header_of_the_reference(row: Row, service: Service) -> None:
    """Bearer, `x-api-key` and `x-portal-session-id` are three ways to say who one is."""
    name, _, value = row.text.partition(": ")
    if "ps_" in value:
        headers = {name: _session(service)}
    else:
        key = service.make_key(X, "viewer", format="mrt_live")
        assert key.startswith("mrt_live_")
        headers = {name: value.replace("mrt_live_...", key)}
    answer = httpx.get(f"{service.url}/v1/connectors", headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    assert httpx.get(f"{service.url}/v1/connectors", timeout=30).status_code == 401


def _session(service: Service) -> str:
    """Log a human in as the reference's console would: a one-time code for a session."""
    with service.client(X) as client:
        user = client.post("/users", json={"name": f"Ada {time.time_ns()}", "role": "operator"}).json()
        code = client.post(f"/users/{user['id']}/login-link").json()["code"]
    opened = httpx.post(f"{service.url}/portal/sessions", json={"code": code}, timeout=30)
    assert opened.status_code == 201, opened.text
    return str(opened.json()["sessionId"])


@pytest.mark.parametrize("row", rows_of("test_another_tenants_header_is_refused"), ids=named)
def test_another_tenants_header_is_refused(row: Row, service: Service) -> None:
    """`x-tenant-id` scopes to the key's own tenant or not at all; without a valid key nothing is told of it."""
    name = row.text.partition(": ")[0]
    with service.client(X) as client:
        assert client.get("/connectors", headers={name: X}).status_code == 200
        assert client.get("/connectors", headers={name: T}).status_code == 403
    assert httpx.get(f"{service.url}/connectors", headers={name: T, "x-api-key": "no"}, timeout=30).status_code == 401


# --- example answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows_of("test_an_answer_has_the_shape_of_the_example"), ids=named)
def test_an_answer_has_the_shape_of_the_example(row: Row, service: Service) -> None:
    """Programs are written against these examples."""
    with service.client(T) as client:
        if row.id == "answer/submit-intent":
            answer = client.post("/v1/intents", json=live.refund(row.id))
            assert answer.json()["data"]["status"] == "pending"
        else:
            answer = client.get({"answer/health": "/health", "answer/stats": "/v1/stats"}[row.id])
    assert holds(json.loads(row.text), answer.json()), answer.text


@pytest.mark.parametrize("row", rows_of("test_the_decision_of_the_reference"), ids=named)
def test_the_decision_of_the_reference(row: Row, service: Service) -> None:
    """The body is taken as it stands, and the answer has every member of the example."""
    bodies = {one.id: one.text for one in rows_of("test_the_decision_of_the_reference")}
    with service.client(X) as client:
        read = {"action": "read the repository", "actor": "agent:reader", "system": "github"}
        given = json.loads(bodies["body/intent"]) if row.id == "body/intent" else read
        answer = client.post("/intent", json=given)
    assert answer.status_code == 200, answer.text
    example = json.loads(bodies["answer/decision"])
    if answer.json()["decision"] != "ALLOW":
        del example["token"]
    assert row.id == "body/intent" or answer.json()["decision"] == "ALLOW"
    assert holds(example, answer.json()), answer.text


# --- domains and intent types -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows_of("test_a_domain_of_the_guide_takes_intents"), ids=named)
def test_a_domain_of_the_guide_takes_intents(row: Row, service: Service) -> None:
    """Each domain of the guide can be declared by an agent, and a foreign type in it is refused."""
    domain = row.text.split(" ")[0]
    with service.client(T) as client:
        answer = client.post("/v1/agents", json={"name": f"{domain} {time.time_ns()}", "domains": [domain]})
        assert answer.status_code == 201, answer.text
        foreign = "sales.create_lead" if domain != "sales" else "billing.apply_credit"
        wrong = {"type": foreign, "domain": domain, "agentId": answer.json()["data"]["id"]}
        refused = client.post("/v1/intents", json=wrong).json()["error"]
    assert refused["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize("row", rows_of("test_an_intent_type_is_taken_and_has_its_value"), ids=named)
def test_an_intent_type_is_taken_and_has_its_value(row: Row, service: Service) -> None:
    """Each type of the guide can be submitted, is decided as itself, and is worth what the guide says."""
    name = row.text.split(" ")[0]
    values = {"Efficiency", "Revenue", "Risk Mitigation", "Cost Savings", "-"}
    value = next(one for one in values if row.text.endswith(f" {one}"))
    known = TAXONOMY.get(name)
    assert known is not None
    assert known.value == (None if value == "-" else value.lower().replace(" ", "_"))
    with service.client(T) as client:
        agent = client.post("/v1/agents", json={"name": f"any {time.time_ns()}"}).json()["data"]["id"]
        body = {"type": name, "domain": name.partition(".")[0], "agentId": agent}
        made = client.post("/v1/intents", json=body)
        assert made.status_code == 201, made.text
        shown = client.get(f"/v1/intents/{made.json()['data']['intentId']}").json()["data"]
    assert (shown["type"], shown["domain"]) == (name, body["domain"])


# --- errors -----------------------------------------------------------------------------------------------------------


def ops_error(service: Service, code: str) -> httpx.Response:
    """Bring the service to answer with one of the guide's codes."""
    with service.client(T) as client:
        match code:
            case "UNAUTHORIZED":
                return client.get("/v1/stats", headers={"x-api-key": "intendedops_tenant123_unknown"})
            case "FORBIDDEN":
                return client.get("/v1/audit", headers={"x-api-key": service.keys[T, "agent"]})
            case "NOT_FOUND":
                return client.get("/v1/intents/int_01HN4X7KQZ8Y1A2B3C4D5E6F7G")
            case "VALIDATION_ERROR":
                return client.post("/v1/intents", json={"domain": "billing"})
            case "ALREADY_RESOLVED":
                _, approval = service.escalated(T, code)
                assert client.post(f"/v1/approvals/{approval}/approve").status_code == 200
                return client.post(f"/v1/approvals/{approval}/reject", json={"reason": "too late"})
            case _:
                body = {"type": "billing.apply_credit", "domain": "billing", "agentId": "no-such-agent"}
                return client.post("/v1/intents", json=body)


@pytest.mark.parametrize("row", rows_of("test_an_error_code_of_the_guide_is_answered"), ids=named)
def test_an_error_code_of_the_guide_is_answered(row: Row, service: Service) -> None:
    """Each code with its status, brought about for real."""
    code, status, *_ = row.text.split(" ")
    if code == "RATE_LIMITED":
        answer, _, _ = over_the_limit(service, T, "/v1/stats", plan="free")
    else:
        answer = ops_error(service, code)
    assert (answer.status_code, answer.json()["error"]["code"]) == (int(status), code), answer.text
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("row", rows_of("test_an_error_has_the_shape_of_the_guide"), ids=named)
def test_an_error_has_the_shape_of_the_guide(row: Row, service: Service) -> None:
    """`details` only where there is something to say (contract, section 1)."""
    example = json.loads(row.text)["error"]
    with_details = ops_error(service, "VALIDATION_ERROR").json()["error"]
    assert set(with_details) == set(example)
    assert set(ops_error(service, "NOT_FOUND").json()["error"]) == set(example) - {"details"}


@pytest.mark.parametrize("row", rows_of("test_the_validation_error_of_the_guide"), ids=named)
def test_the_validation_error_of_the_guide(row: Row, service: Service) -> None:
    """Word for word: the same missing fields give the same texts, in the order of the fields."""
    with service.client(T) as client:
        answer = client.post("/v1/intents", json={"domain": "billing"})
    assert answer.json() == json.loads(row.text)


def ref_error(service: Service, code: str) -> httpx.Response:
    """Bring the service to answer with one of the reference's codes."""
    with service.client(X) as client:
        match code:
            case "INVALID_INTENT":
                return client.post("/intent", json={"action": "", "actor": "bot"})
            case "UNAUTHORIZED":
                return client.get("/connectors", headers={"x-api-key": "mrt_live_unknown"})
            case "FORBIDDEN":
                return client.get(f"/audit/{X}/timeline", headers={"x-api-key": service.keys[X, "agent"]})
            case "NOT_FOUND":
                return client.get("/intent/int_01HN4X7KQZ8Y1A2B3C4D5E6F7G")
            case _:
                body = {"action": "read the file", "actor": "bot", "idempotencyKey": f"k{time.time_ns()}"}
                assert client.post("/intent", json=body).status_code == 200
                return client.post("/intent", json=body | {"action": "read another file"})


@pytest.mark.parametrize("row", rows_of("test_an_error_code_of_the_reference_is_answered"), ids=named)
def test_an_error_code_of_the_reference_is_answered(row: Row, service: Service) -> None:
    """Each code with its status, brought about for real."""
    status, code = int(row.id.rpartition("/")[2][:3]), row.id.rpartition("-")[2]
    if code == "RATE_LIMITED":
        answer, _, _ = over_the_limit(service, X, "/connectors", plan="free")
    else:
        answer = ref_error(service, code)
    assert answer.status_code == status, answer.text
    assert answer.json() == {"error": code, "message": answer.json()["message"], "statusCode": status}


@pytest.mark.parametrize("row", rows_of("test_an_error_has_the_shape_of_the_reference"), ids=named)
def test_an_error_has_the_shape_of_the_reference(row: Row, service: Service) -> None:
    """Code, text and status, and nothing else."""
    answer = ref_error(service, "INVALID_INTENT").json()
    assert kinds(answer) == kinds(json.loads(row.text))
    assert (answer["error"], answer["statusCode"]) == ("INVALID_INTENT", 400)


# --- limits -----------------------------------------------------------------------------------------------------------


def over_the_limit(service: Service, tenant: str, path: str, **plan: Any) -> tuple[httpx.Response, int, int]:
    """Ask with a fresh key until it is too much; return that answer, how many came before, and in how many windows."""
    headers = {"x-api-key": service.make_key(tenant, "viewer", **plan)}
    # Thousands of requests: the standard library's client costs a tenth of what httpx does.
    with closing(HTTPConnection(httpx.URL(service.url).netloc.decode(), timeout=30)) as connection:
        window = int(time.time() // 60)
        for before in range(2 * 2000 + 1):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                windows = int(time.time() // 60) - window + 1
                return httpx.Response(answer.status, headers=answer.getheaders(), content=content), before, windows
    raise AssertionError("there is no limit")


def counted(service: Service, **plan: Any) -> tuple[httpx.Response, int]:
    """Return the first refusal and how many requests came before it, all in one window of a minute."""
    for _ in range(3):
        answer, before, windows = over_the_limit(service, T, "/v1/stats", **plan)
        if windows == 1:
            return answer, before
    raise AssertionError("no window was long enough")


@pytest.fixture(scope="module")
def refused(service: Service) -> tuple[httpx.Response, int, int]:
    """The first refusal under the default limit, how many requests came before it, and when in its minute it came."""
    answer, before = counted(service)
    return answer, before, int(time.time()) % 60


@pytest.mark.parametrize("row", rows_of("test_a_thousand_requests_a_minute_and_then_none"), ids=named)
def test_a_thousand_requests_a_minute_and_then_none(row: Row, refused: tuple[httpx.Response, int, int]) -> None:
    """The default limit, its window, and the answer beyond it, whose text says more than the example's."""
    answer, before, second = refused
    assert before == 1000
    assert answer.status_code == 429
    example = json.loads(next(one.text for one in rows_of(row.test) if one.id == "answer/rate-limit"))
    assert answer.json()["error"]["code"] == example["error"]["code"]
    assert answer.json()["error"]["message"].startswith(example["error"]["message"])
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert row.id != "limit/Limits-reset" or int(answer.headers["retry-after"]) <= 60 - second + 1


@pytest.mark.parametrize("row", rows_of("test_a_plan_has_its_limit"), ids=named)
def test_a_plan_has_its_limit(row: Row, service: Service) -> None:
    """Each named plan, per key; `enterprise` is whatever was agreed."""
    plans = {"Free": 100, "Pro": 500, "Business": 2000}
    name = row.id.rpartition("/")[2]
    if name in plans:
        _, before = counted(service, plan=name.lower())
        assert before == plans[name]
    else:
        _, before = counted(service, plan="enterprise", perMinute=7)
        assert before == 7


# --- the reference's endpoints and facts ------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows_of("test_an_endpoint_of_the_reference_answers"), ids=named)
def test_an_endpoint_of_the_reference_answers(row: Row, service: Service) -> None:
    """Each endpoint of the table, with and without `/v1`."""
    verb, path = row.id.removeprefix("endpoint/").split("-", 1)
    for prefix in ("", "/v1"):
        assert _endpoint(service, verb, prefix, path).status_code == 200, row.id


def _endpoint(service: Service, verb: str, prefix: str, path: str) -> httpx.Response:
    with service.client(X) as client:
        intent = client.post("/intent", json={"action": "read the file", "actor": "bot"}).json()["intentId"]
        connector = client.get("/connectors").json()["connectors"][0]["id"]
        body: dict[str, Any] | None = None
        identity = connector if "connectors" in path else intent
        match verb, path:
            case "POST", "/intent":
                body = {"action": "read the file", "actor": "bot"}
            case "POST", "/authority/approval":
                escalated = client.post("/intent", json={"action": "refund the payment", "actor": "bot"}).json()
                assert escalated["decision"] == "ESCALATE", escalated
                body = {"intentId": escalated["intentId"], "decision": "approve", "rationale": "ok", "approver": "Ada"}
                client.headers["x-api-key"] = service.keys[X, "operator"]
            case "PUT", _:
                body = client.get(f"/authority/thresholds/{X}").json()
            case "POST", "/audit/verify-chain":
                body = {"tenantId": X}
        url = f"{prefix}{path.replace(':tenantId', X).replace(':id', identity)}"
        return client.request(verb, url, json=body)


@pytest.mark.parametrize("row", rows_of("test_a_token_is_signed_as_the_reference_says"), ids=named)
def test_a_token_is_signed_as_the_reference_says(row: Row, service: Service) -> None:
    """RS256 under the tenant's own key, for at most 300 seconds."""
    with service.client(X) as client:
        token = client.post("/intent", json={"action": "read the file", "actor": "bot"}).json()["token"]
    (key, *_) = httpx.get(f"{service.url}/.well-known/jwks/{X}.json", timeout=30).json()["keys"]
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"], header["kid"]) == ("RS256", "authority+jwt", key["kid"])
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"], options={"verify_aud": False})
    assert 0 < claims["exp"] - claims["iat"] <= 300
    with service.client(T) as client:  # a tenant's key is made with its first token
        client.post("/intent", json={"action": "read the file", "actor": "bot"})
    (other, *_) = httpx.get(f"{service.url}/.well-known/jwks/{T}.json", timeout=30).json()["keys"]
    assert other["n"] != key["n"]


@pytest.mark.parametrize("row", rows_of("test_what_is_missing_is_never_allowed"), ids=named)
def test_what_is_missing_is_never_allowed(row: Row, broken: Service) -> None:
    """The store is gone under the running service: nothing is decided, in either dialect."""
    headers = {"x-api-key": broken.keys[X, "admin"]}
    body = {"action": "read the file", "actor": "bot"}
    answer = httpx.post(f"{broken.url}/intent", json=body, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["error"]) == (503, "SERVICE_UNAVAILABLE")
    made = httpx.post(f"{broken.url}/v1/intents", json=live.refund("x"), headers=headers, timeout=30)
    assert (made.status_code, made.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert httpx.get(f"{broken.url}/health", timeout=30).status_code == 503
