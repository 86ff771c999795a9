"""`intended users`: what is asked, and where the login code goes."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotFound
from tests.cli.desk import Asked, command, desk

ADA = {
    "id": "usr_1",
    "tenantId": "default",
    "name": "ada@example.org",
    "role": "operator",
    "disabled": False,
    "createdAt": "2026-11-22T12:00:00.000Z",
}
BOB = ADA | {"id": "usr_2", "name": "Bob"}
LINE = "usr_1\tada@example.org\toperator\tno\t2026-11-22T12:00:00.000Z\n"
CODE = {"userId": "usr_1", "code": "login_secret", "expiresAt": "2026-11-22T12:15:00.000Z"}


def test_a_user_is_added_with_a_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is given none may only look."""
    with desk(monkeypatch, ADA, ADA) as asked:
        assert command(tmp_path, "users", "create", "ada@example.org", "--role", "operator").stdout == LINE
        command(tmp_path, "users", "create", "eve", "--tenant", "acme")
    assert asked.asked == [
        Asked(method="POST", path="/users", body={"name": "ada@example.org", "role": "operator"}),
        Asked(method="POST", path="/users", body={"name": "eve", "role": "viewer"}, tenant="acme"),
    ]


def test_users_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each for people; everything for programs."""
    with desk(monkeypatch, {"users": [ADA]}, {"users": [ADA]}):
        assert command(tmp_path, "users", "list").stdout == LINE
        assert json.loads(command(tmp_path, "users", "list", "-o", "json").stdout) == [ADA]


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["disable", "ADA@example.org"], {"disabled": True}),
        (["disable", "usr_1", "--undo"], {"disabled": False}),
        (["role", "ada@example.org", "admin"], {"role": "admin"}),
    ],
    ids=["disable", "undo", "role"],
)
def test_a_user_is_changed_by_name_or_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], body: dict[str, Any]
) -> None:
    """The name may hold what a path cannot, so that it is looked up first."""
    with desk(monkeypatch, {"users": [BOB, ADA]}, ADA) as asked:
        assert command(tmp_path, "users", *arguments).stdout == LINE
    assert asked.asked == [
        Asked(method="GET", path="/users"),
        Asked(method="PATCH", path="/users/usr_1", body=body),
    ]


def test_somebody_who_is_not_there_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that shows who is."""
    with desk(monkeypatch, {"users": [BOB]}) as asked:
        done = command(tmp_path, "users", "disable", "ada")
    assert isinstance(done.exception, NotFound)
    assert "intended users list" in str(done.exception)
    assert [one.method for one in asked.asked] == ["GET"]


def test_a_login_code_is_the_only_thing_on_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is handed on by another way than the talk about it."""
    with desk(monkeypatch, {"users": [ADA]}, CODE) as asked:
        done = command(tmp_path, "users", "login", "ada@example.org")
    assert done.stdout == "login_secret\n"
    assert "login_secret" not in done.stderr
    assert "once, until 2026-11-22T12:15:00.000Z" in done.stderr
    assert "http://127.0.0.1:8787/portal/sessions" in done.stderr
    assert "  http://127.0.0.1:8787/approve/\n" in done.stderr
    assert asked.asked[-1] == Asked(method="POST", path="/users/usr_1/login-link", body={})


def test_a_login_code_is_data_for_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its expiry."""
    with desk(monkeypatch, {"users": [ADA]}, CODE):
        assert json.loads(command(tmp_path, "users", "login", "usr_1", "-o", "json").stdout) == CODE
