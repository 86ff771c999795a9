"""What holds for every command of the command line, whoever added it: options, words, and exit statuses.

A new command joins by a line in `WORDS`: what it takes to be read.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from gateway.cli.command import SAME
from gateway.cli.exits import Exit, exit_for
from gateway.cli.main import app
from gateway.errors import GatewayError
from gateway.store.sqlite.store import DATABASE
from tests.house.documents import ROOT, help_text

WORDS: dict[str, list[str]] = {
    "run": ["http://127.0.0.1:9/mcp", "--port", "0"],
    "demo": ["--ci"],
    "check": [],
    "eval": ["notes.search"],
    "test": [],
    "health": ["--url", "http://127.0.0.1:9"],
    "metrics": [],
    "schema": [],
    "version": [],
    "keys create": ["ci"],
    "keys list": [],
    "keys revoke": ["key_1"],
    "keys rotate": ["key_1"],
    "agents register": ["Bot"],
    "agents list": [],
    "agents show": ["bot"],
    "users create": ["jane"],
    "users list": [],
    "users disable": ["jane"],
    "users role": ["jane", "admin"],
    "users login": ["jane"],
    "approvals list": [],
    "approvals show": ["apr_1"],
    "approvals approve": ["apr_1"],
    "approvals deny": ["apr_1"],
    "approvals watch": [],
    "approvals leases list": [],
    "approvals leases show": ["lse_1"],
    "approvals leases revoke": ["lse_1"],
    "switch list": [],
    "switch throw": ["agent", "bot", "--reason", "x"],
    "switch release": ["agent", "bot", "--reason", "x"],
    "thresholds show": [],
    "thresholds set": ["T1=40:90"],
    "tokens rotate": [],
    "webhooks create": ["https://hooks.example.com/"],
    "webhooks list": [],
    "webhooks show": ["hook_1"],
    "webhooks update": ["hook_1", "--disable"],
    "webhooks remove": ["hook_1"],
    "webhooks rotate": ["hook_1"],
    "webhooks deliveries": ["hook_1"],
    "webhooks resend": ["hook_1", "whk_1"],
    "webhooks test": ["hook_1"],
    "trust list": [],
    "trust show": ["bot"],
    "trust freeze": ["bot", "--reason", "x"],
    "trust unfreeze": ["bot", "--reason", "x"],
    "trust ceiling": ["bot", "T1", "--reason", "x"],
    "trust recompute": [],
    "budgets list": [],
    "budgets show": ["refunds"],
    "audit tail": [],
    "audit verify": [],
    "audit export": [],
    "audit recompute": [],
    "evidence export": ["int_1"],
    "evidence keys": [],
    "evidence verify": ["bundle.json"],
    "evidence secret show": [],
    "evidence secret rotate": [],
    "store accept-head": ["--reason", "x"],
    "config show": [],
}
"""Each command, and the least that it takes."""

OWN_FORMAT = {
    *("metrics", "schema", "audit export", "evidence export", "evidence keys"),  # Prometheus, JSON Schema, JSON Lines …
    *("run", "demo", "approvals watch", "store accept-head"),  # talk, or a screen; the demo has --ci
}
"""Commands without `--output`: what they print has a format of its own, or is no data."""

UNHURRIED = {"demo", "run", "eval", "test", "health", "schema", "version", "config show", "check", "evidence verify"}
"""Commands that open no store that is there already, or do more than that."""

NAMED = {name for name, words in WORDS.items() if words and name.split()[0] in {*("keys", "agents", "users")}} | {
    *("approvals show", "approvals approve", "approvals deny", "approvals leases show", "approvals leases revoke"),
    *("switch release", "webhooks show", "webhooks update", "webhooks remove", "webhooks rotate", "webhooks test"),
    *("webhooks deliveries", "webhooks resend", "trust show", "trust freeze", "trust unfreeze", "trust ceiling"),
    *("budgets show", "evidence export"),
}
"""Commands about one thing, by its name."""

BEGINNING = {"keys create", "agents register", "users create"}
"""Commands that make what they name."""

FIRST_ACTS = BEGINNING | {
    *("webhooks create", "switch throw", "thresholds set", "tokens rotate", "store accept-head"),
    "evidence secret rotate",
}
"""What may be the first act of a gateway, so that it makes a store where none is."""


def leaves(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in group.commands.items():
        here = f"{path} {name}".strip()
        if isinstance(one, TyperGroup):
            yield from leaves(one, here)
        else:
            yield here, one


COMMANDS = dict(leaves(typer.main.get_command(app)))


def options_of(name: str) -> set[str]:
    return {option for one in COMMANDS[name].params for option in one.opts}


def status(*arguments: str) -> tuple[int, str]:
    """Return what a command ends with, and all that it said."""
    done = CliRunner().invoke(app, list(arguments))
    if isinstance(done.exception, GatewayError):
        return exit_for(done.exception), str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration and no store of the machine that runs this."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home-state"))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that has one key."""
    folder = tmp_path_factory.mktemp("lived")
    where = ["--data", str(folder / "d"), "--state", str(folder / "s")]
    assert CliRunner().invoke(app, ["keys", "create", "first", *where]).exit_code == Exit.OK
    return folder


def test_every_command_is_known_here() -> None:
    """Else what holds for every command would hold for some."""
    assert set(WORDS) == set(COMMANDS)


def test_every_command_that_prints_data_prints_it_for_programs_too() -> None:
    """`-o json`."""
    assert {name for name in COMMANDS if "-o" not in options_of(name)} == OWN_FORMAT
    assert all("--output" in options_of(name) for name in COMMANDS if name not in OWN_FORMAT)


def test_whatever_opens_a_store_takes_the_same_options_for_it() -> None:
    """All three of them: a line that is copied from one command to another goes on working."""
    for name in set(COMMANDS) - {
        "eval",
        "test",
        "config show",
        "demo",
        "health",
        "schema",
        "version",
        "evidence verify",
    }:
        assert {"--data", "--state", "--config"} <= options_of(name), name


def test_one_word_stands_for_an_act_in_all_groups() -> None:
    """The others are understood, and shown nowhere. Agents are registered: so the guide calls it."""
    words = {name.split()[-1] for name in COMMANDS if " " in name}
    assert [words & set(same) for same in SAME] == [{"list"}, {"show"}, {"create", "register"}, {"remove"}, {"deny"}]


def test_a_reason_is_asked_for_where_nothing_else_on_record_says_why() -> None:
    """docs/administration.md, "Reasons"."""
    required, optional = set(), set()
    for name, command in COMMANDS.items():
        for one in command.params:
            if "--reason" in one.opts:
                (required if one.required else optional).add(name)
    assert required == {
        *("switch throw", "switch release", "trust freeze", "trust unfreeze", "trust ceiling"),
        "store accept-head",
    }
    assert optional == {"approvals approve", "approvals deny", "approvals leases revoke"}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_there_is_not_is_a_usage_error(name: str) -> None:
    """Exit 2, with the command's own usage."""
    found, said = status(*name.split(), *WORDS[name], "--no-such-option")
    assert found == Exit.USAGE
    assert f"Usage: intended {name}" in said
    assert "--no-such-option" in said


@pytest.mark.parametrize("name", [name for name, one in COMMANDS.items() if "--tenant" in options_of(name)])
def test_a_tenant_that_can_be_none_changes_nothing(name: str) -> None:
    """Exit 2 where a tenant may begin; who only reads the record finds none of that name, exit 4 or 6."""
    found, _ = status(*name.split(), *WORDS[name], "--tenant", "a/b", "--data", "d", "--state", "s")
    assert found == (Exit.FAILED if name.startswith("audit ") or name == "trust recompute" else Exit.USAGE)


@pytest.mark.parametrize("name", [name for name in COMMANDS if "--config" in options_of(name)])
def test_a_configuration_that_is_not_there_is_an_invalid_one(name: str) -> None:
    """Exit 3."""
    assert status(*name.split(), *WORDS[name], "--config", "none.yaml")[0] == Exit.INVALID


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - UNHURRIED))
def test_a_store_that_is_damaged_is_refused(name: str, tmp_path: Path) -> None:
    """Exit 4; but 5 for what asks a running gateway only."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / DATABASE).write_bytes(b"no database at all" * 100)
    found, said = status(*name.split(), *WORDS[name], "--data", "d", "--state", "s")
    assert found == (Exit.UNREACHABLE if name in ("metrics", "approvals watch") else Exit.FAILED), said


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - UNHURRIED - FIRST_ACTS - {"audit verify"}))
def test_nobody_who_looks_for_something_makes_a_store(name: str, tmp_path: Path) -> None:
    """Exit 5, or 4 for who reads the record itself; only what may be the first act of a gateway begins one."""
    found, said = status(*name.split(), *WORDS[name], "--data", "d", "--state", "s")
    assert found in (Exit.UNREACHABLE, Exit.FAILED), said
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("name", sorted(NAMED - BEGINNING))
def test_a_thing_that_is_not_there_is_a_refusal(name: str, lived: Path) -> None:
    """Exit 6, whichever thing it is."""
    shutil.copytree(lived, ".", dirs_exist_ok=True)
    found, said = status(*name.split(), *WORDS[name], "--data", "d", "--state", "s")
    assert found == Exit.REFUSED, said


def test_the_page_lists_every_status() -> None:
    """Scripts branch on them."""
    text = (ROOT / "docs/administration.md").read_text()
    rows = re.findall(r"^\| ([0-9, ]+) \| ", text.partition("## Exit statuses")[2], re.MULTILINE)
    assert sorted(int(one) for row in rows for one in row.split(",")) == sorted(Exit)


@pytest.mark.parametrize("name", [name for name in COMMANDS if re.search(r"exit \d", help_text(*name.split()))])
def test_a_command_that_tells_its_statuses_tells_those_of_the_page(name: str) -> None:
    """Nothing but what scripts may rely on."""
    told = re.search(r"exit ([0-9, or]+)", help_text(*name.split()))
    assert told is not None
    assert {int(one) for one in re.findall(r"\d+", told[1])} <= set(Exit)


@pytest.mark.parametrize("path", ["", *sorted({name.rpartition(" ")[0] for name in COMMANDS} - {""})])
def test_a_list_of_commands_fits_an_ordinary_terminal(path: str) -> None:
    """A sentence that ends in an ellipsis says nothing."""
    done = CliRunner().invoke(app, [*path.split(), "--help"], env={"COLUMNS": "80"})
    listed = done.stdout.partition("Commands:")[2].splitlines()
    assert [line for line in listed if line.endswith("...")] == []
