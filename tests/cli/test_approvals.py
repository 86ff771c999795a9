"""`intended approvals`: what is asked and what is shown."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import approvals as module
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
    "target": "files/write",
    "group": "grp_1",
    "groupSize": 1,
    "equal": 1,
    "asked": 2,
    "waiting": 1,
    "leaseId": None,
    "details": None,
}
ANSWERED = "apr_1\tpending\tbilling-agent\tint_1\trefunds need a human\t2026-11-22T13:00:00.000Z"
LINE = f"{ANSWERED}\tfiles/write\t2\t1\t1\n"


def test_what_waits_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pending ones, unless others are asked for."""
    page = {"data": {"items": [HELD], "total": 1}}
    with desk(monkeypatch, page, page) as asked:
        assert command(tmp_path, "approvals", "list").stdout == LINE
        command(tmp_path, "approvals", "list", "--status", "rejected", "--tenant", "acme")
    assert asked.asked == [
        Asked(method="GET", path="/v1/approvals", query={"status": "pending", "page": "1", "pageSize": "100"}),
        Asked(
            method="GET",
            path="/v1/approvals",
            query={"status": "rejected", "page": "1", "pageSize": "100"},
            tenant="acme",
        ),
    ]


def test_of_many_only_the_newest_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A year of closed ones is 7,000 pages: who looks for the last few needs one."""
    rows = [HELD | {"id": f"apr_{number}"} for number in range(100)]
    with desk(monkeypatch, {"data": {"items": rows, "total": 700_000}}) as asked:
        shown = command(tmp_path, "approvals", "list", "--status", "approved", "-n", "2").stdout
    assert [line.split("\t")[0] for line in shown.splitlines()] == ["apr_0", "apr_1"]
    assert len(asked.asked) == 1


def test_groups_are_folded_on_a_terminal_and_never_for_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty calls of a loop are one line for people; a script misses none."""
    rows = [HELD | {"id": f"apr_{number}", "groupSize": 3} for number in (4, 3, 2)] + [HELD | {"group": ""}]
    page = {"data": {"items": rows, "total": 4}}

    def listed(*more: str) -> tuple[list[str], str]:
        done = command(tmp_path, "approvals", "list", *more)
        return list(dict.fromkeys(re.findall(r"apr_[0-9]", done.stdout))), done.stderr

    with desk(monkeypatch, *[page] * 5) as asked:
        assert listed() == (["apr_4", "apr_3", "apr_2", "apr_1"], "")
        monkeypatch.setattr(module, "_is_terminal", lambda: True)
        found, said = listed()
        assert found == ["apr_2", "apr_1"]
        assert "4 wait, folded to 2;" in said
        for more in (["--flat"], ["--group", "grp_1"], ["--output", "json"]):
            assert len(listed(*more)[0]) == 4
    assert asked.asked[3].query["group"] == "grp_1"


def test_a_yes_may_be_for_calls_of_the_same_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed is what is asked for; the answer names the lease."""
    with desk(monkeypatch, {"data": HELD | {"status": "approved", "leaseId": "lse_1"}}) as asked:
        typed = ["--for", "30m", "--uses", "20", "--let", "args.path=prefix:/srv/data/", "--reason", "import"]
        done = command(tmp_path, "approvals", "approve", "apr_1", *typed)
    assert done.stdout == ANSWERED.replace("pending", "approved") + "\tlse_1\n"
    lease = {"minutes": 30, "uses": 20, "constraints": {"/path": {"prefix": "/srv/data/"}}}
    assert asked.asked == [
        Asked(method="POST", path="/v1/approvals/apr_1/approve", body={"reason": "import", "lease": lease})
    ]


def test_a_shape_that_cannot_be_read_approves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of the finger must not become a plain yes."""
    with desk(monkeypatch) as asked:
        assert command(tmp_path, "approvals", "approve", "apr_1", "--let", "path=/srv").exit_code == 2
    assert asked.asked == []


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
    assert done.stdout == ANSWERED.replace("pending", "approved") + "\n"
    assert asked.asked == [Asked(method="POST", path=f"/v1/approvals/apr_1/{route}", body=body)]


def test_nothing_is_watched_where_no_gateway_runs(tmp_path: Path) -> None:
    """Watching in its place would keep one from starting, and nothing new could come."""
    done = command(tmp_path, "approvals", "watch")
    assert isinstance(done.exception, Unavailable)
    assert "intended approvals list" in str(done.exception)
    assert not (tmp_path / "data" / "audit.db").exists()


def test_what_deny_has_denied_is_found_by_either_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REST says `rejected`, the command that does it `deny`."""
    with desk(monkeypatch, *[{"data": {"items": [], "total": 0}}] * 2) as asked:
        for word in ("denied", "rejected"):
            assert command(tmp_path, "approvals", "list", "--status", word).exit_code == 0
    assert [one.query["status"] for one in asked.asked] == ["rejected", "rejected"]
