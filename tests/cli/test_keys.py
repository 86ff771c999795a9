"""`intended keys`: what is asked, and where the secret goes."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotFound, StateConflict
from tests.cli.desk import Asked, command, desk

SECRET = "intendedops_default_" + "x" * 43
KEY = {
    "id": "key_1",
    "tenantId": "default",
    "name": "ci",
    "format": "intendedops",
    "status": "active",
    "agent": "billing-agent",
    "role": "agent",
    "scopes": ["agents:read", "intents:write", "mcp:call"],
    "plan": None,
    "perMinute": 1000,
    "createdAt": "2026-11-22T12:00:00.000Z",
    "createdBy": "cli",
    "expires": None,
    "rotatedAt": None,
    "oldSecretUntil": None,
    "revokedAt": None,
    "lastUsedAt": None,
}
CREATED = KEY | {"key": SECRET}


def test_a_new_key_is_the_only_thing_on_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`KEY=$(intended keys create ci)` must be the key; how to use it is talk, and does not repeat it."""
    with desk(monkeypatch, CREATED) as asked:
        done = command(tmp_path, "keys", "create", "ci", "--agent", "billing-agent", "--role", "agent")
    assert (done.exit_code, done.stdout) == (0, f"{SECRET}\n")
    assert asked.asked == [
        Asked(method="POST", path="/keys", body={"name": "ci", "agent": "billing-agent", "role": "agent"})
    ]
    assert SECRET not in done.stderr
    assert "agent billing-agent only; 1000 requests a minute\n" in done.stderr
    assert "claude mcp add --transport http intended http://127.0.0.1:8787/mcp --header" in done.stderr
    assert "shown this once" in done.stderr


def test_every_option_of_a_key_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the API; the gateway says what of it cannot be."""
    options = ["--scope", "audit:read", "--scope", "intents:read", "--plan", "enterprise", "--per-minute", "7"]
    options += ["--expires", "2030-01-01", "--format", "mrt_live", "--tenant", "acme", "-o", "json"]
    with desk(monkeypatch, CREATED) as asked:
        done = command(tmp_path, "keys", "create", "ci", *options)
    assert json.loads(done.stdout) == CREATED
    assert asked.asked == [
        Asked(
            method="POST",
            path="/keys",
            tenant="acme",
            body={
                "name": "ci",
                "scopes": ["audit:read", "intents:read"],
                "plan": "enterprise",
                "perMinute": 7,
                "expires": "2030-01-01T00:00:00.000Z",
                "format": "mrt_live",
            },
        )
    ]


def test_an_unbound_key_that_calls_no_tools_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Advice that the key is refused for would be worse than none."""
    made = CREATED | {"agent": None, "scopes": ["audit:read"], "expires": "2030-01-01T00:00:00.000Z"}
    with desk(monkeypatch, made):
        done = command(tmp_path, "keys", "create", "ci")
    assert "any agent by REST, nobody on MCP" in done.stderr
    assert "until 2030-01-01T00:00:00.000Z" in done.stderr
    assert "claude" not in done.stderr
    assert "curl" not in done.stderr


def test_keys_are_listed_without_their_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each for people; everything for programs."""
    with desk(monkeypatch, {"keys": [KEY]}, {"keys": [KEY]}) as asked:
        assert command(tmp_path, "keys", "list").stdout == "key_1\tci\tbilling-agent\tagent\tactive\t\t\n"
        assert json.loads(command(tmp_path, "keys", "list", "-o", "json").stdout) == [KEY]
    assert asked.asked[0] == Asked(method="GET", path="/keys")


def test_a_name_whose_key_is_revoked_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the list: to say that there is none would send an operator looking for another tenant."""
    with desk(monkeypatch, {"keys": [REVOKED]}) as asked:
        done = command(tmp_path, "keys", "revoke", "ci")
    assert isinstance(done.exception, StateConflict)
    assert "'ci' is revoked already" in str(done.exception)
    assert [one.method for one in asked.asked] == ["GET"]


REVOKED = KEY | {"status": "revoked", "revokedAt": "2026-11-22T12:00:00.000Z"}


@pytest.mark.parametrize("name", ["key_1", "ci"])
def test_a_key_is_revoked_by_id_or_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nobody knows ids by heart; one that is revoked already does not count for its name."""
    listing: list[Any] = [] if name == "key_1" else [{"keys": [REVOKED | {"id": "key_0"}, KEY]}]
    with desk(monkeypatch, *listing, REVOKED) as asked:
        done = command(tmp_path, "keys", "revoke", name)
    assert done.stdout == "key_1\tci\tbilling-agent\tagent\trevoked\t\t\n"
    assert asked.asked[-1] == Asked(method="POST", path="/keys/key_1/revoke", body={})


@pytest.mark.parametrize(
    ("keys", "error", "text"),
    [
        ([], NotFound, "no key 'ci' in tenant default"),
        ([KEY, KEY | {"id": "key_2"}], StateConflict, "key_1, key_2"),
    ],
)
def test_a_name_that_does_not_say_which_key_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: list[Any], error: type[Exception], text: str
) -> None:
    """Revoking the wrong key stops somebody's work."""
    with desk(monkeypatch, {"keys": keys}) as asked:
        done = command(tmp_path, "keys", "revoke", "ci")
    assert isinstance(done.exception, error)
    assert text in str(done.exception)
    assert [one.method for one in asked.asked] == ["GET"]


def test_a_rotation_prints_the_new_secret_and_says_how_long_the_old_one_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever rotates has to know by when everything must have the new one."""
    made = CREATED | {"oldSecretUntil": "2026-11-22T13:00:00.000Z"}
    with desk(monkeypatch, made) as asked:
        done = command(tmp_path, "keys", "rotate", "key_1", "--overlap", "1h")
    assert done.stdout == f"{SECRET}\n"
    assert "the old secret is good until 2026-11-22T13:00:00.000Z" in done.stderr
    assert asked.asked == [Asked(method="POST", path="/keys/key_1/rotate", body={"overlapSeconds": 3600})]
