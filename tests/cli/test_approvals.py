"""`intended approvals`: what is asked and what is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotFound, Unavailable
from tests.cli.desk import Asked, command, desk

HELD = {
    "id": "apr_1",
    "intentId": "int_1",
    "status": "pending",
    "agent": "billing-agent",
    "reason": "refunds need a human",
    "expiresAt": "2026-11-22T13:00:00.000Z",
    "resolvedBy": None,
    "resolvedAt": None,
    "resolution": None,
    "requiredRole": "operator",
    "requestedBy": "key_1",
    "createdAt": "2026-11-22T12:00:00.000Z",
    "secondsLeft": 90,
    "approversNeeded": 1,
    "approvedBy": [],
    "approvalUrl": "http://127.0.0.1:8787/approve/apr_1",
    "details": None,
}
LINE = "apr_1\tpending\tbilling-agent\tint_1\trefunds need a human\t2026-11-22T13:00:00.000Z\n"


def test_what_waits_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pending ones, unless others are asked for."""
    page = {"data": {"items": [HELD], "total": 1}}
    with desk(monkeypatch, page, page) as asked:
        assert command(tmp_path, "approvals", "ls").stdout == LINE
        command(tmp_path, "approvals", "ls", "--status", "rejected", "--tenant", "acme")
    assert asked.asked == [
        Asked(method="GET", path="/v1/approvals", query={"status": "pending", "page": "1", "pageSize": "100"}),
        Asked(
            method="GET",
            path="/v1/approvals",
            query={"status": "rejected", "page": "1", "pageSize": "100"},
            tenant="acme",
        ),
    ]


def test_one_is_shown_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A human who answers must have seen what is asked."""
    with desk(monkeypatch, {"data": HELD}, {"data": HELD}) as asked:
        assert "Reason: refunds need a human\n" in command(tmp_path, "approvals", "show", "apr_1").stdout
        assert json.loads(command(tmp_path, "approvals", "show", "apr_1", "-o", "json").stdout) == HELD
    assert asked.asked[0] == Asked(method="GET", path="/v1/approvals/apr_1")


@pytest.mark.parametrize("approval", ["apr_1/approve?", "../agents", "apr_1#", "apr 1", "apr_%31", ""])
def test_what_is_no_id_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, approval: str) -> None:
    """It would lead elsewhere: a no to `apr_1/approve?` would be a yes. Agents tell humans what to type."""
    with desk(monkeypatch) as asked:
        done = command(tmp_path, "approvals", "deny", approval)
    assert isinstance(done.exception, NotFound)
    assert asked.asked == []


@pytest.mark.parametrize(("word", "route"), [("approve", "approve"), ("deny", "reject")])
@pytest.mark.parametrize(("option", "body"), [([], {}), (["--reason", "agreed"], {"reason": "agreed"})])
def test_an_answer_is_given_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, route: str, option: list[str], body: dict[str, Any]
) -> None:
    """Or without; a yes must never be sent for a no."""
    with desk(monkeypatch, {"data": HELD | {"status": "approved"}}) as asked:
        done = command(tmp_path, "approvals", word, "apr_1", *option)
    assert done.stdout == LINE.replace("pending", "approved")
    assert asked.asked == [Asked(method="POST", path=f"/v1/approvals/apr_1/{route}", body=body)]


def test_nothing_is_watched_where_no_gateway_runs(tmp_path: Path) -> None:
    """Watching in its place would keep one from starting, and nothing new could come."""
    done = command(tmp_path, "approvals", "watch")
    assert isinstance(done.exception, Unavailable)
    assert "intended approvals ls" in str(done.exception)
    assert not (tmp_path / "data" / "audit.db").exists()
