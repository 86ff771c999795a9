"""`intended budgets`: what is asked, what a person reads, and on real figures what is left."""

import json
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from gateway.errors import NotFound, RequestError
from tests.api.ops.test_budgets import BOT, CALLS
from tests.cli.desk import Asked, command, desk

PAGE = {"data": {"items": [BOT, CALLS], "total": 2}}
FIRST = {"page": "1", "pageSize": "100"}


def test_what_is_left_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each for people; everything, as REST has it, for programs."""
    with desk(monkeypatch, PAGE, PAGE) as asked:
        lines = command(tmp_path, "budgets", "list").stdout.splitlines()
        found = json.loads(command(tmp_path, "budgets", "ls", "--tenant", "acme", "-o", "json").stdout)
    assert found == [BOT, CALLS]
    assert [line.split("\t")[:6] for line in lines] == [
        ["refunds", "agent bot", "args.amount", "250.5", "1000", "749.5"],
        ["calls", "tenant acme", "calls", "0", "", ""],
    ]
    assert asked.asked == [
        Asked(method="GET", path="/v1/budgets", query=FIRST),
        Asked(method="GET", path="/v1/budgets", query=FIRST, tenant="acme"),
    ]


def test_the_list_and_an_account_are_of_whom_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names go as they are typed: what they stand for is the gateway's to know."""
    shown = {"data": {**BOT, "entries": [], "entriesComplete": True}}
    with desk(monkeypatch, PAGE, shown, shown) as asked:
        command(tmp_path, "budgets", "list", "--agent", "Billing Bot", "--upstream", "shop")
        lines = command(tmp_path, "budgets", "show", "refunds", "--agent", "Billing Bot").stdout.splitlines()
        found = json.loads(command(tmp_path, "budgets", "show", "refunds", "-o", "json").stdout)
    assert lines[2].startswith("spent     250.5 of 1000, 749.5 left")
    assert found == shown["data"]
    assert asked.asked == [
        Asked(method="GET", path="/v1/budgets", query={"agent": "Billing Bot", "upstream": "shop", **FIRST}),
        Asked(method="GET", path="/v1/budgets/refunds", query={"agent": "Billing Bot"}),
        Asked(method="GET", path="/v1/budgets/refunds"),
    ]


@pytest.mark.parametrize("missing", ["agent", "upstream"])
@pytest.mark.parametrize("tenant", ["default", "acme"])
def test_who_names_no_account_gets_the_line_that_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, tenant: str
) -> None:
    """The option that is missing, where the same store is asked; the help would leave the rest to be found out."""
    told = f"{missing}: must be named: each {missing} has its own account of this budget"
    with desk(monkeypatch, JSONResponse({"error": {"code": "VALIDATION_ERROR", "message": told}}, 400)):
        error = command(tmp_path, "budgets", "show", "refunds", "--tenant", tenant).exception
    assert isinstance(error, RequestError)
    assert str(error).startswith(f"--{missing}: must be named")
    where = f"{'' if tenant == 'default' else ' --tenant acme'} --data {tmp_path / 'data'}"
    assert error.__notes__ == [f"fix: `intended budgets show refunds --{missing} NAME{where}`"]


def test_an_account_that_is_named_wrongly_is_no_missing_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line would be the one that was typed."""
    told = JSONResponse({"error": {"code": "VALIDATION_ERROR", "message": "agent: must hold a letter"}}, 400)
    with desk(monkeypatch, told):
        error = command(tmp_path, "budgets", "show", "refunds", "--agent", "!").exception
    assert error is not None
    assert error.__notes__ == ["fix: see `intended budgets show --help`"]


def test_a_name_that_is_none_asks_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be another path."""
    with desk(monkeypatch) as asked:
        assert isinstance(command(tmp_path, "budgets", "show", "a/b").exception, NotFound)
    assert asked.asked == []


def test_where_no_gateway_runs_it_is_said_whose_budgets_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was started with other policies declares other budgets."""
    with desk(monkeypatch, PAGE):
        talk = command(tmp_path, "budgets", "list").stderr
    assert f"no gateway runs on {tmp_path / 'data'}" in talk
    assert "these are the budgets of" in talk
    assert "default.yaml" in talk
