"""`intended agents`: what is asked and what is shown."""

import json
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from tests.cli.desk import Asked, command, desk
from tests.cli.test_trust_text import TRUST

BILLING = {
    "id": "agt_1",
    "slug": "billing-agent",
    "name": "Billing Agent",
    "description": "",
    "domains": ["billing"],
    "intentTypes": [],
    "createdAt": "2026-11-22T12:00:00.000Z",
    "trustTier": "T1",
    "trustScore": 34,
}
LINE = "agt_1\tbilling-agent\tBilling Agent\tbilling\t\tT1\t34\t2026-11-22T12:00:00.000Z\n"
METRICS = {"intentsTotal": 3, "intentsByStatus": {"completed": 3, "failed": 0}}
NONE = {"intentsTotal": 0, "intentsByStatus": {"completed": 0}}
PAST = {"points": [], "moves": []}
UNKNOWN = JSONResponse({"error": {"code": "AGENT_NOT_FOUND", "message": "There is no agent."}}, status_code=404)


def test_an_agent_is_registered_with_its_restrictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it declares is all that it may do."""
    with desk(monkeypatch, {"data": BILLING}, {"data": BILLING}) as asked:
        options = ["--description", "Bills", "--domain", "billing", "--intent-type", "billing.send_invoice"]
        assert command(tmp_path, "agents", "register", "Billing Agent", *options).stdout == LINE
        command(tmp_path, "agents", "register", "Billing Agent")
    assert asked.asked == [
        Asked(
            method="POST",
            path="/v1/agents",
            body={
                "name": "Billing Agent",
                "description": "Bills",
                "domains": ["billing"],
                "intentTypes": ["billing.send_invoice"],
            },
        ),
        Asked(method="POST", path="/v1/agents", body={"name": "Billing Agent"}),
    ]


def test_every_agent_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page."""
    pages = [{"data": {"items": [BILLING], "total": 2}}, {"data": {"items": [BILLING | {"id": "agt_2"}], "total": 2}}]
    with desk(monkeypatch, *pages):
        done = command(tmp_path, "agents", "list", "-o", "json", "--tenant", "acme")
    assert [one["id"] for one in json.loads(done.stdout)] == ["agt_1", "agt_2"]


@pytest.mark.parametrize(
    ("name", "path"), [("Billing Agent", "billing-agent"), ("billing-agent", "billing-agent"), ("agt_1", "agt_1")]
)
def test_an_agent_is_shown_by_any_of_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    """As people know it."""
    with desk(monkeypatch, *({"data": one} for one in (BILLING, METRICS, TRUST, PAST))) as asked:
        done = command(tmp_path, "agents", "show", name)
    assert "slug\tbilling-agent\n" in done.stdout
    assert "intents   3: 3 completed\n" in done.stdout
    assert "score     34 of 100\n" in done.stdout
    root = f"/v1/agents/{path}"
    paths = [root, f"{root}/metrics", f"{root}/trust", f"{root}/trust/history"]
    assert asked.asked == [Asked(method="GET", path=one) for one in paths]


def test_programs_get_everything_of_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one document."""
    with desk(monkeypatch, *({"data": one} for one in (BILLING, NONE, TRUST, PAST))):
        done = command(tmp_path, "agents", "show", "billing-agent", "-o", "json")
    assert json.loads(done.stdout) == BILLING | {"metrics": NONE, "trust": TRUST, "past": PAST}


def test_an_agent_that_is_not_registered_is_shown_by_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MCP asks for no registration."""
    with desk(monkeypatch, UNKNOWN, {"data": TRUST | {"agent": "key-7"}}, {"data": PAST}) as asked:
        done = command(tmp_path, "agents", "show", "key_7")
    assert done.stdout.startswith("slug\tkey-7\ntier      T1")
    assert [one.path for one in asked.asked] == [f"/v1/agents/key-7{rest}" for rest in ("", "/trust", "/trust/history")]


def test_an_agent_without_intents_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With none."""
    with desk(monkeypatch, *({"data": one} for one in (BILLING, NONE, TRUST, PAST))):
        assert "intents   0\n" in command(tmp_path, "agents", "show", "billing-agent").stdout
