"""The commands on the real REST application: both sides mean the same fields."""

import re
import shlex
from pathlib import Path

import anyio
import pytest

from gateway.errors import NotFound, StateConflict
from tests.api.house import House, opened
from tests.cli.desk import ask, command
from tests.house.documents import ROOT

ADMINISTRATIVE = frozenset({"agents", "approvals", "keys", "thresholds", "tokens", "users"})


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """The application on services in memory, asked by every command."""
    found = anyio.run(opened)
    ask(monkeypatch, found.app)
    return found


def lines(folder: Path, *arguments: str) -> list[list[str]]:
    done = command(folder, *arguments)
    assert done.exit_code == 0, done.exception
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_keys_from_the_cradle_to_the_grave(house: House, tmp_path: Path) -> None:
    """Made, listed, rotated and revoked, each by the words of the API."""
    [[secret]] = lines(tmp_path, "keys", "create", "ci", "--agent", "Billing Agent", "--plan", "pro")
    principal = house.services.keys.resolve(secret)
    assert principal is not None
    assert (principal.agent, principal.bound, principal.per_minute) == ("billing-agent", True, 500)
    [row] = lines(tmp_path, "keys", "list")
    assert row[1:5] == ["ci", "billing-agent", "agent", "active"]
    [[again]] = lines(tmp_path, "keys", "rotate", "ci", "--overlap", "1h")
    assert house.services.keys.resolve(secret) is not None
    assert house.services.keys.resolve(again) is not None
    [row] = lines(tmp_path, "keys", "revoke", "ci")
    assert row[4] == "revoked"
    assert house.services.keys.resolve(again) is None


def test_a_key_of_another_tenant_is_made_there(house: House, tmp_path: Path) -> None:
    """`--tenant` is the operator's choice, and nobody else's."""
    [[secret]] = lines(tmp_path, "keys", "create", "ci", "--tenant", "globex", "--format", "mrt_test")
    principal = house.services.keys.resolve(secret)
    assert principal is not None
    assert principal.tenant == "globex"
    assert lines(tmp_path, "keys", "list") == []


def test_users_from_the_cradle_to_the_grave(house: House, tmp_path: Path) -> None:
    """Added, let in, given another role and shut out, by a name that no path could hold."""
    lines(tmp_path, "users", "create", "Jane Doe", "--role", "operator")
    [[code]] = lines(tmp_path, "users", "login", "jane doe")
    opened_session = anyio.run(house.services.people.open_session, code)
    assert house.services.people.resolve(opened_session.secret) is not None
    [row] = lines(tmp_path, "users", "role", "Jane Doe", "admin")
    assert row[1:4] == ["Jane Doe", "admin", "no"]
    assert house.services.people.resolve(opened_session.secret) is None
    [row] = lines(tmp_path, "users", "disable", "Jane Doe")
    assert row[3] == "yes"
    assert isinstance(command(tmp_path, "users", "login", "Jane Doe").exception, StateConflict)
    lines(tmp_path, "users", "disable", "Jane Doe", "--undo")
    assert len(lines(tmp_path, "users", "list")) == 1


def test_agents_are_registered_listed_and_shown(house: House, tmp_path: Path) -> None:
    """With their restrictions."""
    lines(tmp_path, "agents", "register", "Billing Agent", "--domain", "billing")
    [row] = lines(tmp_path, "agents", "list")
    assert row[1:4] == ["billing-agent", "Billing Agent", "billing"]
    assert ["domains", "billing"] in lines(tmp_path, "agents", "show", "Billing Agent")


def test_approvals_are_listed_shown_and_answered(house: House, tmp_path: Path) -> None:
    """A yes is a yes, a no a no."""
    [row] = lines(tmp_path, "approvals", "list")
    assert row[:4] == ["apr_1", "pending", "github-actions", "int_1"]
    assert ["Reason: Rule `ask` wants a human."] in lines(tmp_path, "approvals", "show", "apr_1")
    lines(tmp_path, "approvals", "approve", "apr_1", "--reason", "agreed")
    lines(tmp_path, "approvals", "deny", "apr_1")
    assert [(one["approve"], one["rationale"]) for one in house.approvals.resolved] == [(True, "agreed"), (False, "")]


def test_thresholds_are_changed_tier_by_tier(house: House, tmp_path: Path) -> None:
    """From the table as it is, version by version."""
    assert lines(tmp_path, "thresholds", "show")[4] == ["T4", "30", "80"]
    assert lines(tmp_path, "thresholds", "set", "T4=60:95")[4] == ["T4", "60", "95"]
    assert lines(tmp_path, "thresholds", "set", "T3=50:90")[3:] == [["T3", "50", "90"], ["T4", "60", "95"]]
    assert house.services.thresholds.get("default").version == 2
    assert lines(tmp_path, "thresholds", "show", "--tenant", "globex")[4] == ["T4", "30", "80"]


def test_a_signing_key_is_rotated(house: House, tmp_path: Path) -> None:
    """The new one is the tenant's at once."""
    [[kid]] = lines(tmp_path, "tokens", "rotate")
    assert kid in {key["kid"] for key in house.services.tokens.jwks("default")["keys"]}


def test_what_is_not_there_is_told_as_the_api_tells_it(house: House, tmp_path: Path) -> None:
    """And ends with the status of a refusal."""
    done = command(tmp_path, "keys", "revoke", "key_00000000000000000000000000")
    assert isinstance(done.exception, NotFound)


def shown(document: str) -> list[list[str]]:
    """Return the administrative commands that a document shows, as a shell would split them."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    found = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [words[1:] for words in found if words[:1] == ["intended"] and words[1] in ADMINISTRATIVE]


@pytest.mark.parametrize("document", ["README.md", "docs/administration.md"])
def test_the_commands_of_the_documents_work_one_after_the_other(house: House, tmp_path: Path, document: str) -> None:
    """They are copied as they stand."""
    commands = shown(document)
    assert commands
    for words in commands:
        done = command(tmp_path, *words)
        assert (words, done.exit_code) == (words, 0), done.exception
