"""Clients of other people work through the gateway: allowed calls pass, denials and holds reach the model as text."""

from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import CLIENTS, Client, Environments, Everything, GatewayUrl

pytestmark = pytest.mark.clients

POLICY = Path(__file__).parent / "policy.yaml"
ALLOWED = {"name": "greet", "arguments": {"name": "Ada"}}
DENIED = {"name": "greet", "arguments": {"name": "Mallory"}}
ESCALATED = {"name": "slow_compute", "arguments": {"seconds": 0}}


@pytest.fixture(scope="module")
def url(gateway_url: GatewayUrl, everything: Everything) -> str:
    return gateway_url(upstreams=everything.upstreams, policies=POLICY)


@pytest.fixture(scope="module", params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> Client:
    return request.param


@pytest.fixture(scope="module")
def seen(client: Client, environments: Environments, everything: Everything, url: str) -> dict[str, Any]:
    before = len(everything.called())
    seen = client.drive(environments, url, [ALLOWED, DENIED, ESCALATED])
    return seen | {"reached": everything.called()[before:]}


def test_the_client_comes_to_the_protocol_version_that_it_prefers(client: Client, seen: dict[str, Any]) -> None:
    """Both eras pass the gateway, so no client has to step down because of it."""
    assert seen["protocol"] == client.protocol


def test_the_client_lists_the_tools_that_could_be_allowed_and_no_others(seen: dict[str, Any]) -> None:
    """A tool that no rule allows is hidden; one that is denied for some arguments only is shown."""
    assert seen["tools"] == ["greet", "slow_compute"]


def test_an_allowed_call_gives_the_upstreams_result(seen: dict[str, Any]) -> None:
    """What is allowed passes unchanged."""
    allowed = seen["calls"][0]
    assert (allowed["isError"], allowed["text"]) == (False, "Hello, Ada!")


def test_a_denied_call_reaches_the_caller_as_an_error_result_with_its_rule(seen: dict[str, Any]) -> None:
    """An exception would hide the reason from the model, and some frameworks would end the run (protocol.md 3.1)."""
    denied = seen["calls"][1]
    assert denied.get("isError") is True, denied
    assert "never-greet-mallory" in denied["text"]


def test_an_escalated_call_reaches_the_caller_as_a_pending_text(seen: dict[str, Any]) -> None:
    """The model has to learn that a human must decide and that nothing was executed."""
    escalated = seen["calls"][2]
    assert escalated.get("isError") is True, escalated
    assert "computing-needs-a-human" in escalated["text"]
    assert "Nothing was executed" in escalated["text"]


def test_only_the_allowed_call_reached_the_upstream(seen: dict[str, Any]) -> None:
    """A refusal that is shown but not enforced would be worse than none."""
    assert seen["reached"] == [("greet", {"name": "Ada"})]
