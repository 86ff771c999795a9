"""`intended agents`: what is asked and what is shown."""

import json
from pathlib import Path

import pytest

from tests.cli.desk import Asked, command, desk

BILLING = {
    "id": "agt_1",
    "slug": "billing-agent",
    "name": "Billing Agent",
    "description": "",
    "domains": ["billing"],
    "intentTypes": [],
    "createdAt": "2026-11-22T12:00:00.000Z",
}
LINE = "agt_1\tbilling-agent\tBilling Agent\tbilling\t\t2026-11-22T12:00:00.000Z\n"


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
    with desk(monkeypatch, {"data": BILLING}) as asked:
        done = command(tmp_path, "agents", "show", name)
    assert "slug\tbilling-agent\n" in done.stdout
    assert asked.asked == [Asked(method="GET", path=f"/v1/agents/{path}")]
