"""The guide's client, ours under its name: same signatures, same dicts, same errors."""

import inspect
from typing import Any

import httpx
import pytest

from intended import IntendedOpsClient, ServiceUnavailableError
from tests.documents.rows import OPS, lines
from tests.intended.answering import BASE, KEY, Service, says

CALLS: tuple[tuple[str, dict[str, Any], str, Any], ...] = (
    ("get_stats", {}, "GET /v1/stats", None),
    ("list_intents", {}, "GET /v1/intents?page=1&pageSize=20", None),
    (
        "list_intents",
        {"page": 2, "page_size": 5, "status": "pending", "agent_id": "a"},
        "GET /v1/intents?page=2&pageSize=5&status=pending&agentId=a",
        None,
    ),
    (
        "create_intent",
        {"intent_type": "t", "domain": "d", "agent_id": "a", "params": {"x": 1}, "idempotency_key": "k"},
        "POST /v1/intents",
        {"type": "t", "domain": "d", "agentId": "a", "params": {"x": 1}, "idempotencyKey": "k"},
    ),
    ("get_intent", {"intent_id": "int_1"}, "GET /v1/intents/int_1", None),
    ("list_agents", {}, "GET /v1/agents", None),
    (
        "register_agent",
        {"name": "A", "domains": ["d"], "intent_types": ["t"]},
        "POST /v1/agents",
        {"name": "A", "domains": ["d"], "intentTypes": ["t"]},
    ),
    ("get_agent_metrics", {"agent_id": "a"}, "GET /v1/agents/a/metrics", None),
    ("list_approvals", {}, "GET /v1/approvals", None),
    ("approve_intent", {"approval_id": "apr_1"}, "POST /v1/approvals/apr_1/approve", {}),
    ("reject_intent", {"approval_id": "apr_1"}, "POST /v1/approvals/apr_1/reject", {}),
    (
        "reject_intent",
        {"approval_id": "apr_1", "reason": "too much"},
        "POST /v1/approvals/apr_1/reject",
        {"reason": "too much"},
    ),
    (
        "query_audit",
        {"event_type": "e", "from_date": "f", "to_date": "t"},
        "GET /v1/audit?eventType=e&fromDate=f&toDate=t",
        None,
    ),
    ("verify_audit_chain", {}, "GET /v1/audit/verify", None),
)


@pytest.mark.parametrize(("method", "arguments", "sends", "body"), CALLS, ids=lambda value: str(value)[:30])
def test_every_method_sends_what_the_guides_client_sends(
    method: str, arguments: dict[str, Any], sends: str, body: Any
) -> None:
    """And returns `data` as a dict."""
    service = Service(says({"data": {"items": []}}))
    with IntendedOpsClient(KEY, BASE, transport=service.transport) as client:
        assert getattr(client, method)(**arguments) == {"items": []}
    assert service.sent == [sends]
    assert body is None or service.body == body


def test_the_signatures_are_the_guides() -> None:
    """A program that was written after the guide runs with an import instead of the class."""
    text = "\n".join(lines(OPS)[899:1069])
    namespace: dict[str, Any] = {"__name__": "guide"}
    exec(compile(text, "guide", "exec"), namespace)
    theirs = namespace["IntendedOpsClient"]
    for name, method in inspect.getmembers(theirs, inspect.isfunction):
        if name.startswith("_"):
            continue
        ours = inspect.signature(getattr(IntendedOpsClient, name)).parameters
        wanted = inspect.signature(method).parameters
        assert [(one.name, one.default) for one in ours.values()] == [
            (one.name, one.default) for one in wanted.values()
        ], name
    assert {name for name, _ in inspect.getmembers(theirs, inspect.isfunction) if not name.startswith("_")} == {
        call[0] for call in CALLS
    }


def test_an_error_reads_as_the_guides_does() -> None:
    """`Exception(f"{code}: {message}")`."""
    error = {"error": {"code": "ALREADY_RESOLVED", "message": "It has its answer."}}
    client = IntendedOpsClient(KEY, BASE, transport=Service(says(error, 400)).transport)
    with pytest.raises(Exception, match=r"^ALREADY_RESOLVED: It has its answer\.$"):
        client.approve_intent("apr_1")


def test_an_answer_without_data_is_no_answer() -> None:
    """The guide's own client would return None."""
    client = IntendedOpsClient(KEY, BASE, transport=Service(says({"items": []})).transport)
    with pytest.raises(ServiceUnavailableError):
        client.get_stats()


def test_the_key_shows_nowhere() -> None:
    """The guide's own client has it as an attribute."""
    client = IntendedOpsClient(KEY, BASE, transport=httpx.MockTransport(lambda request: says({})))
    assert KEY not in repr(client) + repr(vars(client))
    assert client.base_url == BASE
