"""`intended switch`: what is asked, and what a person reads in a hurry."""

import json
from pathlib import Path

import pytest

from gateway.core.principal import Role, Scope
from gateway.errors import Forbidden, NotFound
from tests.cli.desk import Asked, command, desk

BOT = {
    "kind": "agent",
    "name": "billing-bot",
    "reason": "runs amok",
    "by": "cli",
    "since": "2026-11-22T12:00:00.000Z",
}
THROWN = BOT | {"cancelledApprovals": 2}
ROW = "agent\tbilling-bot\t2026-11-22T12:00:00.000Z\tcli\truns amok\n"


def test_what_is_stopped_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each for people; everything for programs."""
    with desk(monkeypatch, {"switches": [BOT]}, {"switches": [BOT]}) as asked:
        assert command(tmp_path, "switch", "list").stdout == ROW
        assert json.loads(command(tmp_path, "switch", "list", "--tenant", "acme", "-o", "json").stdout) == [BOT]
    assert asked.asked == [
        Asked(method="GET", path="/switches"),
        Asked(method="GET", path="/switches", tenant="acme"),
    ]


@pytest.mark.parametrize(
    ("words", "path", "tenant"),
    [
        (("agent", "billing-bot"), "/switches/agent/billing-bot", "default"),
        (("agent", "Billing Bot"), "/switches/agent/billing-bot", "default"),
        (("agent", "agt_01JABC"), "/switches/agent/agt_01JABC", "default"),
        (("agent", "key_01JABC"), "/switches/agent/key-01jabc", "default"),
        (("agent", "bot", "--tenant", "acme"), "/switches/agent/bot", "acme"),
        (("upstream", "files"), "/switches/upstream/files", "default"),
        (("tenant",), "/switches/tenant/default", "default"),
        (("tenant", "acme"), "/switches/tenant/acme", "acme"),
        (("tenant", "--tenant", "acme"), "/switches/tenant/acme", "acme"),
    ],
)
def test_what_is_meant_is_stopped_and_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], path: str, tenant: str
) -> None:
    """Both say what was done, and how to take a stop back."""
    with desk(monkeypatch, THROWN, BOT) as asked:
        thrown = command(tmp_path, "switch", "throw", *words, "--reason", "runs amok & more")
        released = command(tmp_path, "switch", "release", *words, "--reason", "fixed & more")
    assert asked.asked == [
        Asked(method="PUT", path=path, body={"reason": "runs amok & more"}, tenant=tenant),
        Asked(method="DELETE", path=path, query={"reason": "fixed & more"}, tenant=tenant),
    ]
    assert (thrown.stdout, released.stdout) == (ROW, ROW)
    place = " --tenant acme" if tenant == "acme" and words[0] != "tenant" else ""
    assert (
        f"`intended switch release {words[0]} {BOT['name']}{place} --data {tmp_path}/data --reason ...` lets it go"
        in thrown.stderr
    )
    assert "is stopped; 2 approvals were cancelled; " in thrown.stderr
    assert "is not stopped any more" in released.stderr
    assert {(one.role, one.bound, Scope.APPROVALS_WRITE in one.scopes) for one in asked.principals} == {
        (Role.ADMIN, False, True)
    }


@pytest.mark.parametrize(
    ("cancelled", "told"),
    [
        (None, "some of its approvals are left and are cancelled later"),
        (0, "no approval was open"),
        (1, "1 approval was"),
    ],
)
def test_it_is_said_what_became_of_the_approvals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancelled: int | None, told: str
) -> None:
    """Whoever stops an agent wants to know whose work it ended, and whether it is over."""
    with desk(monkeypatch, BOT | {"cancelledApprovals": cancelled}):
        assert told in command(tmp_path, "switch", "throw", "agent", "bot", "--reason", "x").stderr


@pytest.mark.parametrize(
    "words",
    [
        ("throw", "agent", "--reason", "x"),
        ("release", "upstream", "--reason", "x"),
        ("throw", "door", "files", "--reason", "x"),
        ("throw", "agent", "bot"),
        ("release", "agent", "bot"),
        ("throw", "tenant", "acme", "--tenant", "other", "--reason", "x"),
    ],
)
def test_what_does_not_say_what_is_meant_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """To stop the wrong one is to stop somebody's work."""
    with desk(monkeypatch) as asked:
        assert command(tmp_path, "switch", *words).exit_code == 2
    assert asked.asked == []


@pytest.mark.parametrize("name", ["a/b", "files?reason=x", ".."])
def test_a_name_that_would_lead_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A slash in it would be another path."""
    with desk(monkeypatch) as asked:
        done = command(tmp_path, "switch", "throw", "upstream", name, "--reason", "x")
    assert isinstance(done.exception, NotFound)
    assert asked.asked == []


def test_a_switch_is_thrown_while_no_gateway_runs_and_stands_when_one_does(tmp_path: Path) -> None:
    """Whoever stopped the gateway in a hurry can stop the agent before it starts again; upstreams are known too."""
    config = tmp_path / "intended.yaml"
    config.write_text("upstreams: {files: {url: 'http://127.0.0.1:9/mcp'}}\n")
    there = ["--config", str(config)]
    thrown = command(tmp_path, "switch", "throw", "upstream", "files", "--reason", "leaks", *there)
    assert thrown.exit_code == 0, thrown.output
    missing = command(tmp_path, "switch", "throw", "upstream", "file", "--reason", "leaks", *there)
    assert isinstance(missing.exception, NotFound)
    assert "configured are: files" in str(missing.exception)
    (found,) = json.loads(command(tmp_path, "switch", "list", "-o", "json", *there).stdout)
    assert (found["kind"], found["name"], found["by"], found["reason"]) == ("upstream", "files", "cli", "leaks")
    assert command(tmp_path, "switch", "release", "upstream", "files", "--reason", "ok", *there).exit_code == 0
    assert json.loads(command(tmp_path, "switch", "list", "-o", "json", *there).stdout) == []


def test_another_tenants_operator_is_not_needed_at_the_command_line(tmp_path: Path) -> None:
    """The operating system vouches for whoever opens the store; a tenant is still stopped under its own name only."""
    done = command(tmp_path, "switch", "throw", "tenant", "acme", "--reason", "incident")
    assert done.exit_code == 0, done.output
    assert not isinstance(done.exception, Forbidden)
    assert json.loads(command(tmp_path, "switch", "list", "-o", "json").stdout) == []
    (found,) = json.loads(command(tmp_path, "switch", "list", "--tenant", "acme", "-o", "json").stdout)
    assert (found["kind"], found["name"]) == ("tenant", "acme")


def test_a_tenant_of_which_nothing_is_on_record_is_warned_of(tmp_path: Path) -> None:
    """Whoever mistypes a name in an incident must not take the right one for stopped."""
    assert command(tmp_path, "keys", "create", "ci", "--tenant", "acme").exit_code == 0
    for name, told in (("acmee", True), ("acme", False)):
        done = command(tmp_path, "switch", "throw", "tenant", name, "--reason", "incident")
        assert done.exit_code == 0, done.output
        assert (f"nothing is on record of '{name}'; tenants are: acme" in done.stderr) is told
