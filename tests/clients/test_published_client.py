"""The client published on PyPI as `intended` 0.2.1 works against the service, unchanged (contract, section 7)."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.conftest import CALL_SECONDS, DRIVERS, Environments
from tests.documents import live
from tests.documents.conftest import behind_upstream

pytestmark = pytest.mark.clients

TENANT = "tenant-a"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Service]:
    with behind_upstream(tmp_path_factory.mktemp("published")) as started:
        yield started


@pytest.fixture(scope="module")
def seen(environments: Environments, service: live.Service) -> dict[str, Any]:
    """What the published client saw; its environment has nothing of ours on its path."""
    done = subprocess.run(
        [
            environments.python("intended-pypi"),
            str(DRIVERS / "published_client.py"),
            service.url,
            service.keys[TENANT, "admin"],
            TENANT,
        ],
        cwd=service.folder,
        env=live.environment(PYTHONPATH=""),
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_it_is_the_published_one(seen: dict[str, Any]) -> None:
    """Installed from PyPI, not ours under the same name."""
    assert seen["client"] == "0.2.1"


def test_an_allow_brings_a_token(seen: dict[str, Any]) -> None:
    """What a program acts on."""
    allowed = seen["authorized"]["allowed"]
    assert (allowed["decision"], allowed["token"].count("."), allowed["escalation"]) == ("ALLOW", 2, None)
    assert allowed["intent"].startswith("int_")
    assert 0 <= allowed["risk"] <= 100
    assert 0 < allowed["confidence"] <= 1
    assert allowed["reason"]


def test_a_deny_brings_its_reason_and_no_token(seen: dict[str, Any]) -> None:
    """By policy, and told from the client's own denial by its intent."""
    denied = seen["authorized"]["denied"]
    assert (denied["decision"], denied["token"]) == ("DENY", None)
    assert denied["intent"].startswith("int_")
    assert "deny-protected-paths" in denied["reason"]


def test_an_escalate_names_its_approval(seen: dict[str, Any], service: live.Service) -> None:
    """A human finds it under that id."""
    escalated = seen["authorized"]["escalated"]
    assert (escalated["decision"], escalated["token"]) == ("ESCALATE", None)
    with service.client(TENANT) as client:
        approval = client.get(f"/v1/approvals/{escalated['escalation']}").json()["data"]
    assert (approval["intentId"], approval["status"]) == (escalated["intent"], "pending")


def test_the_awaiting_client_gets_the_same(seen: dict[str, Any]) -> None:
    """It has `authorize` only."""
    assert (seen["awaited"]["decision"], seen["awaited"]["token"].count(".")) == ("ALLOW", 2)


def test_get_intent_shows_the_intent_and_verify_chain_the_chain(seen: dict[str, Any]) -> None:
    """Both return the answer as it is."""
    assert seen["authorized"]["intent"]["intentId"] == seen["authorized"]["allowed"]["intent"]
    assert seen["authorized"]["intent"]["decision"] == "ALLOW"
    assert "token" not in seen["authorized"]["intent"]
    assert (seen["authorized"]["chain"]["valid"], seen["authorized"]["chain"]["tenantId"]) == (True, TENANT)


def test_a_wrong_key_is_denied(seen: dict[str, Any]) -> None:
    """The client turns our 401 into a denial of its own."""
    assert (seen["authorized"]["wrong_key"]["decision"], seen["authorized"]["wrong_key"]["token"]) == ("DENY", None)


@pytest.mark.parametrize(
    ("guard", "denied", "escalated"),
    [
        ("langchain", "blocked: DENY", "blocked: ESCALATE"),
        ("pydantic_ai", "PermissionError: Intended denied tool 'read_file'", "PermissionError: Intended denied tool"),
        ("openai_agents", "PermissionError: Intended denied tool 'read_file'", "PermissionError: Intended denied tool"),
        ("mcp", "PermissionError: Tool 'read_file' denied", "requires approval (escalation: apr_"),
    ],
)
def test_its_guards_let_through_what_is_allowed_and_nothing_else(
    guard: str, denied: str, escalated: str, seen: dict[str, Any]
) -> None:
    """Three tools: a harmless one, one on a protected path, one that destroys."""
    results = seen[guard]["results"]
    assert results[0] == "found invoice", results
    assert denied in results[1]
    assert escalated in results[2]
    assert seen[guard]["ran"] == ["search_notes"]
