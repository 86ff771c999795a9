"""What a gateway refuses, in the words of the command line."""

from pathlib import Path

import pytest
from starlette.responses import JSONResponse
from typer.testing import CliRunner, Result

from gateway.cli.command import group, placed
from gateway.cli.main import app as whole
from gateway.cli.options import Place
from gateway.cli.wording import spoken_place
from gateway.errors import NotFound, RequestError
from tests.cli.desk import command, desk


def refused(monkeypatch: pytest.MonkeyPatch, folder: Path, status: int, message: str, *words: str) -> BaseException:
    """Return what a command ends with whose gateway refuses it."""
    with desk(monkeypatch, JSONResponse({"error": "X", "message": message, "statusCode": status}, status)):
        done = command(folder, *words)
    assert isinstance(done.exception, RequestError)
    return done.exception


@pytest.mark.parametrize(
    ("words", "message", "said"),
    [
        (("keys", "create", "ci"), "perMinute: must be given", "--per-minute: must be given"),
        (("keys", "create", "ci"), "scopes: must name one", "--scope: must name one"),
        (("keys", "create", "ci"), "name: is taken", "NAME: is taken"),
        (("keys", "rotate", "key_1"), "overlapSeconds: is too much", "--overlap: is too much"),
        (("agents", "register", "x"), "intentTypes.1: is none", "--intent-type (number 2): is none"),
        (("thresholds", "set", "T1=1:2"), "tiers.T1.denyFrom: is low", "TIER=ALLOW:DENY T1.denyFrom: is low"),
        (
            ("approvals", "approve", "a", "--for", "1m"),
            "lease.minutes: must be 1 to 5",
            "--for (minutes): must be 1 to 5",
        ),
        (("approvals", "approve", "a"), "lease.uses: must be 1 to 5", "--uses: must be 1 to 5"),
        (
            ("approvals", "approve", "a"),
            "lease.constraints./to/0/name: does not fit; reason: is too long",
            "--let args.to[0].name: does not fit\n       --reason: is too long",
        ),
        (("webhooks", "create", "https://x"), "url: no; events: none", "URL: no\n       --event: none"),
        (("webhooks", "update", "h"), "url: no", "--url: no"),
        (("trust", "ceiling", "a", "T1", "--reason", "x"), "ceiling: no", "TIER: no"),
        (("keys", "create", "ci"), "elsewhere: no", "elsewhere: no"),
        (("keys", "create", "ci"), "It cannot be: there is one; state: x", "It cannot be: there is one; state: x"),
    ],
    ids=str,
)
def test_a_field_is_called_by_its_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], message: str, said: str
) -> None:
    """Who typed `--for` does not know `lease.minutes`. What is no field of the request stays as it is."""
    error = refused(monkeypatch, tmp_path, 400, message, *words)
    assert str(error) == said
    helped = [f"fix: see `intended {' '.join(words[:2])} --help`"] if said != message else []
    assert getattr(error, "__notes__", []) == helped


@pytest.mark.parametrize(
    ("words", "message", "group_"),
    [
        (
            ("keys", "revoke", "key_1"),
            "There is no such key.",
            "intended keys",
        ),
        (("switch", "throw", "upstream", "x", "--reason", "y"), "There is no upstream 'x'; configured are: none.", ""),
        (
            ("approvals", "leases", "show", "x"),
            "No.",
            "intended approvals leases",
        ),
    ],
    ids=str,
)
def test_who_names_what_is_not_there_is_told_where_to_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], message: str, group_: str
) -> None:
    """Unless the gateway says so itself."""
    error = refused(monkeypatch, tmp_path, 404, message, *words)
    assert isinstance(error, NotFound)
    note = [f"fix: `{group_} list` shows those that there are"] if group_ else []
    assert getattr(error, "__notes__", []) == note


def test_a_group_without_a_list_points_to_none() -> None:
    """There is nothing to look at."""
    app = group("One.")

    @app.command("show")
    @placed
    def show(place: Place) -> None:
        """Show it."""
        raise NotFound("Nothing.")

    app.command("hide")(lambda: None)
    done = CliRunner().invoke(app, ["show"])
    assert getattr(done.exception, "__notes__", []) == []


def test_a_group_that_acts_alone_leaves_its_errors_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is no command whose help it could be."""
    error = refused(monkeypatch, tmp_path, 400, "status: no", "approvals", "leases")
    assert str(error) == "status: no"


def test_places_are_written_as_they_are_typed() -> None:
    """And a name with a slash as it is."""
    assert spoken_place("/to/0/a~1b~0") == "args.to[0].a/b~"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["approvals", "list", "--status", "x"], "'x' is not one of 'pending', "),
        (["trust", "ceiling", "a", "T9", "--reason", "x"], "Invalid value for 'TIER': 'T9' is not one of 'T0', "),
        (["keys", "create", "ci", "--scope", "x"], "Invalid value for '--scope': 'x' is not one of "),
        (["webhooks", "deliveries", "h", "--status", "x"], "'x' is not one of 'pending', "),
        (["users", "create", "x", "--role", "agent"], "'agent' is not one of 'viewer', "),
        (["keys", "create", "ci", "--per-minute", "x"], "Invalid value for '--per-minute': "),
    ],
)
def test_a_value_of_a_closed_list_is_refused_with_that_list(words: list[str], said: str) -> None:
    """Before anything is asked, by the option's name, and without the converter's own words."""
    done: Result = CliRunner().invoke(whole, words)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())
    assert "Value error" not in done.stderr
