"""`intended evidence`: what is asked, what is written, and what a check says."""

import json
from pathlib import Path

import pytest
from starlette.responses import JSONResponse
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.core.audit.canonical import canonical
from gateway.errors import NotFound, StateConflict
from tests.cli.desk import Asked, command, desk
from tests.simulate.evidence import Made, evidence_of


def check(*arguments: str) -> Result:
    """Check a bundle; that takes no gateway and asks for none."""
    return CliRunner().invoke(app, ["evidence", "verify", *arguments])


SECRET = {"id": "evs_1", "createdAt": "2026-11-22T12:00:00.000Z", "secret": "evsec_x"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return real evidence."""
    return evidence_of(tmp_path_factory.mktemp("evidence"))


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    """Return what a checker was given."""
    (tmp_path / "bundle.json").write_bytes(made.bundles["ESCALATE"])
    (tmp_path / "keys.json").write_text(json.dumps(made.jwks))
    (tmp_path / "secret").write_text(made.secret + "\n")
    (tmp_path / "chain.jsonl").write_bytes(made.export)
    return tmp_path


def test_a_bundle_is_written_to_a_file_and_is_what_the_gateway_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Made
) -> None:
    """Byte for byte, so that it is verified as it was signed."""
    document = made.document()
    out = tmp_path / "bundle.json"
    with desk(monkeypatch, document, document) as asked:
        done = command(tmp_path, "evidence", "export", "int_1", "--out", str(out), "--tenant", "acme")
        plain = command(tmp_path, "evidence", "export", "int_1", "--tenant", "acme")
    assert (done.stdout, plain.stdout.encode()) == ("", out.read_bytes())
    assert out.read_bytes() == made.bundles["ALLOW"] + b"\n"
    assert asked.asked[0] == Asked(method="GET", path="/intent/int_1/evidence-bundle", tenant="acme")


def test_of_an_unknown_intent_it_is_said_where_ids_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever types one has it from somewhere, and mistyped it; nothing is written."""
    out = tmp_path / "bundle.json"
    missing = JSONResponse({"error": "NOT_FOUND", "message": "There is no such intent.", "statusCode": 404}, 404)
    with desk(monkeypatch, missing):
        refused = command(tmp_path, "evidence", "export", "int_9", "--out", str(out)).exception
    assert isinstance(refused, NotFound)
    assert refused.__notes__ == ["fix: `intended audit tail` shows the ids of those that there are"]
    assert not out.exists()


def test_what_is_no_id_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slash would lead to another operation."""
    with desk(monkeypatch, {}) as asked:
        assert command(tmp_path, "evidence", "export", "int_1/x").exit_code != 0
    assert asked.asked == []


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a traceback."""
    with desk(monkeypatch, {}):
        done = command(tmp_path, "evidence", "export", "int_1", "--out", str(tmp_path / "no" / "file"))
    assert (done.exit_code, "cannot be written" in done.stderr) == (2, True)


def test_the_keys_are_written_as_a_jwk_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    """To be given to whoever checks."""
    with desk(monkeypatch, made.jwks) as asked:
        done = command(tmp_path, "evidence", "keys", "--tenant", "acme")
    assert done.stdout.encode() == canonical(made.jwks) + b"\n"
    assert asked.asked == [Asked(method="GET", path="/evidence/keys", tenant="acme")]


@pytest.mark.parametrize("act", ["show", "rotate"])
def test_the_secret_is_all_that_stands_on_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """So that it can be led into a file."""
    with desk(monkeypatch, SECRET, SECRET) as asked:
        done = command(tmp_path, "evidence", "secret", act, "--tenant", "acme")
        whole = command(tmp_path, "evidence", "secret", act, "-o", "json")
    assert done.stdout == "evsec_x\n"
    assert "evs_1" in done.stderr
    assert json.loads(whole.stdout) == SECRET
    assert (asked.asked[0].method, asked.asked[0].path) == ("POST", f"/evidence/secret/{act}")


def test_a_bundle_is_verified_offline(folder: Path, made: Made) -> None:
    """No gateway, no store: exit 0 where somebody vouches, 4 where nobody does or something is wrong."""
    given = ("--key", str(folder / "keys.json"), "--secret-file", str(folder / "secret"))
    bundle = str(folder / "bundle.json")
    done = check(bundle, *given, "--export", str(folder / "chain.jsonl"))
    assert done.exit_code == 0, done.output
    assert "passed       complete" in done.stdout
    assert "verified: intent" in done.stderr
    alone = check(bundle)
    assert (alone.exit_code, "NOT VERIFIED" in alone.stderr) == (4, True)
    told = json.loads(check(bundle, *given, "-o", "json").stdout)
    assert (told["verified"], told["consistent"], told["tenant"]) == (True, True, "acme")
    assert {"name": "signature", "state": "passed", "detail": ""} in told["checks"]
    (folder / "bundle.json").write_text(made.bundles["ESCALATE"].decode().replace("agreed", "refused"))
    bad = check(bundle, *given)
    assert (bad.exit_code, "NOT VALID: signature, hmac, body of entry" in bad.stderr) == (4, True)


def test_what_cannot_be_checked_with_is_said(folder: Path) -> None:
    """A file that is not there, or no key."""
    (folder / "none.json").write_text("[]")
    none = str(folder / "none.json")
    for given, why in (
        ((str(folder / "absent"),), "cannot be read"),
        ((none, "--key", none), "no JWK"),
        ((none, "--key", "http://gateway.example/"), "https"),
    ):
        done = check(*given)
        assert (done.exit_code, why in done.stderr) == (2, True), done.stderr


def test_a_store_without_a_gateway_gives_evidence_too(tmp_path: Path) -> None:
    """The very commands of the page, on what a gateway left behind."""
    intent = evidence_of(tmp_path).ids["ESCALATE"]
    bundle, keys, chain = (str(tmp_path / name) for name in ("evidence.json", "keys.json", "chain.jsonl"))
    for arguments in (
        ("evidence", "export", intent, "--tenant", "acme", "--out", bundle),
        ("evidence", "keys", "--tenant", "acme", "--out", keys),
        ("audit", "export", "--tenant", "acme", "--out", chain),
    ):
        done = command(tmp_path, *arguments)
        assert done.exit_code == 0, done.output
    assert check(bundle, "--key", keys, "--export", chain).exit_code == 0
    rotated = command(tmp_path, "evidence", "secret", "rotate", "--tenant", "acme")
    (tmp_path / "secret").write_text(rotated.stdout)
    old = check(bundle, "--secret-file", str(tmp_path / "secret"))
    assert (old.exit_code, "NOT VALID: hmac" in old.stderr) == (4, True)
    assert command(tmp_path, "evidence", "export", intent, "--tenant", "acme", "--out", bundle).exit_code == 0
    assert check(bundle, "--secret-file", str(tmp_path / "secret")).exit_code == 0
    unknown = command(tmp_path, "evidence", "export", "int_unknown", "--tenant", "acme")
    again = command(tmp_path, "evidence", "secret", "show", "--tenant", "acme")
    assert (type(unknown.exception), type(again.exception)) == (NotFound, StateConflict)
