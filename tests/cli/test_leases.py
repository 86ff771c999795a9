"""`intended approvals leases`: what is asked and what is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotFound
from tests.cli.desk import Asked, command, desk

LEASE: dict[str, Any] = {
    "id": "lse_1",
    "status": "active",
    "agent": "bot\x1b[2J",
    "upstream": "files",
    "tool": "write",
    "maxUses": 10,
    "used": 3,
    "grantedAt": "2026-11-22T12:00:00.000Z",
    "grantedBy": "ps_1",
    "expiresAt": "2026-11-22T12:10:00.000Z",
    "reason": "import",
    "approvalId": "apr_1",
    "intentId": "int_1",
    "maxRisk": 40,
    "endedAt": None,
    "endedBy": None,
    "endReason": None,
    "shape": [{"path": "/path", "check": "prefix", "value": '"/srv/"'}, {"path": "/x", "check": "any", "value": ""}],
}
LINE = "lse_1\tactive\tbot\\u001b[2J\tfiles\twrite\t3\t10\t2026-11-22T12:10:00.000Z\tps_1\n"


def test_the_leases_in_force_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The active ones, unless others are asked for."""
    page = {"data": {"items": [LEASE], "total": 1}}
    with desk(monkeypatch, page, page) as asked:
        assert command(tmp_path, "approvals", "leases").stdout == LINE
        command(tmp_path, "approvals", "leases", "list", "--status", "all", "--tenant", "acme")
    first = {"status": "active", "page": "1", "pageSize": "100"}
    assert asked.asked == [
        Asked(method="GET", path="/v1/leases", query=first),
        Asked(method="GET", path="/v1/leases", query={**first, "status": "all"}, tenant="acme"),
    ]


def test_a_lease_is_shown_with_its_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it acts on the terminal."""
    with desk(monkeypatch, {"data": LEASE}, {"data": LEASE}) as asked:
        shown = command(tmp_path, "approvals", "leases", "show", "lse_1").stdout.splitlines()
        assert json.loads(command(tmp_path, "approvals", "leases", "show", "lse_1", "-o", "json").stdout) == LEASE
    assert shown == [
        "lse_1: bot\\u001b[2J may call files/write, risk 40 at most",
        "Active: used 3 of 10, until 2026-11-22T12:10:00.000Z",
        "Granted by ps_1 at 2026-11-22T12:00:00.000Z with apr_1",
        "Reason given: import",
        "Arguments, and no others:",
        '  /path prefix "/srv/"',
        "  /x any",
    ]
    assert asked.asked[0] == Asked(method="GET", path="/v1/leases/lse_1")


@pytest.mark.parametrize("why", ["enough", None])
def test_a_lease_that_has_ended_says_who_ended_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str | None
) -> None:
    """And why, where that was said."""
    ended = LEASE | {
        "status": "revoked",
        "reason": None,
        "endedAt": "then",
        "endedBy": "ps_2",
        "endReason": why,
        "shape": None,
    }
    with desk(monkeypatch, {"data": ended}):
        shown = command(tmp_path, "approvals", "leases", "show", "lse_1").stdout.splitlines()
    assert shown[3:] == [f"Ended by ps_2 at then{': enough' if why else ''}"]


@pytest.mark.parametrize(("more", "query"), [([], {}), (["--reason", "a&b=c #1"], {"reason": "a&b=c #1"})])
def test_a_lease_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], query: dict[str, str]
) -> None:
    """With a reason, whatever stands in it."""
    with desk(monkeypatch, {"data": LEASE | {"status": "revoked"}}) as asked:
        done = command(tmp_path, "approvals", "leases", "revoke", "lse_1", *more)
    assert done.stdout == LINE.replace("active", "revoked")
    assert asked.asked == [Asked(method="DELETE", path="/v1/leases/lse_1", query=query)]


def test_what_is_no_id_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would lead elsewhere."""
    with desk(monkeypatch) as asked:
        done = command(tmp_path, "approvals", "leases", "revoke", "../approvals/apr_1/approve")
    assert isinstance(done.exception, NotFound)
    assert asked.asked == []
