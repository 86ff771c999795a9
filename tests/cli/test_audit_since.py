"""`intended audit verify --since`: the chain of today has only grown since a bundle that somebody kept."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from tests.simulate.evidence import Made, evidence_of

PLACES = ("--data", "data", "--state", "state")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """A store in which a tenant has a story, and what was taken away of it meanwhile."""
    folder = tmp_path_factory.mktemp("since")
    return folder, evidence_of(folder)


@pytest.fixture
def made(house: tuple[Path, Made], monkeypatch: pytest.MonkeyPatch) -> Made:
    """What was taken away, in files beside the store."""
    folder, made = house
    monkeypatch.chdir(folder)
    (folder / "kept.json").write_bytes(made.bundles["ALLOW"])
    (folder / "audit.jsonl").write_bytes(made.export)
    return made


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", "verify", *arguments])


def kept_size(made: Made) -> int:
    return int(made.document("ALLOW")["checkpoint"]["treeSize"])


def another_past(export: bytes, seq: int) -> bytes:
    """Return an export in which an agent was somebody else, written anew from there on, so that nothing shows it."""
    lines, prev = [], ""
    for raw in export.splitlines():
        line = json.loads(raw)
        fields = json.loads(line["content"])
        if fields["seq"] == seq:
            fields["agent"] = "somebody"
        if fields["seq"] > 1:
            fields["prev"] = prev
        line["content"] = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        prev = line["hash"] = hashlib.sha256(line["content"].encode()).hexdigest()
        lines.append(json.dumps(line).encode() + b"\n")
    return b"".join(lines)


def test_a_chain_that_has_only_grown_is_told_so(made: Made) -> None:
    """At the machine with its store, and by whoever has an export and a bundle; only that tenant's is looked at."""
    size = kept_size(made)
    assert size < len(made.export.splitlines()), "entries came after it"
    for place in (PLACES, ("--export", "audit.jsonl")):
        result = verify(*place, "--since", "kept.json")
        assert (result.exit_code, result.stdout.count("\n")) == (0, 1), result.output
        assert result.stdout.startswith("valid  acme: ")
        assert f", has only grown since entry {size}" in result.stdout
        [report] = json.loads(verify(*place, "--since", "kept.json", "-o", "json").stdout)
        assert (report["valid"], report["since"]) == (True, size)
    assert json.loads(verify(*PLACES, "-o", "json").stdout)[0]["since"] is None


def test_a_checkpoint_alone_is_enough(made: Made) -> None:
    """It fits in a mail."""
    Path("point.json").write_text(json.dumps(made.document("ALLOW")["checkpoint"], indent=2))
    assert verify(*PLACES, "--since", "point.json", "--tenant", "acme").exit_code == 0


def test_a_past_that_was_written_anew_is_found(made: Made) -> None:
    """Whoever owns the machine can make a chain that is whole in itself; not one that leads to what was kept."""
    Path("other.jsonl").write_bytes(another_past(made.export, seq=7))
    assert verify("--export", "other.jsonl").stdout.startswith("valid  acme")
    result = verify("--export", "other.jsonl", "--since", "kept.json")
    assert (result.exit_code, result.stdout.startswith("BROKEN  acme")) == (4, True)
    assert f"entry {kept_size(made)}: unexpected-head, expected " in result.stdout
    Path("later.jsonl").write_bytes(another_past(made.export, seq=kept_size(made) + 1))
    assert verify("--export", "later.jsonl", "--since", "kept.json").exit_code == 0, "nobody kept anything of that"


def test_a_chain_that_was_cut_off_is_found(made: Made) -> None:
    """Also where nothing is left of it."""
    for left in (kept_size(made) - 1, 0):
        Path("cut.jsonl").write_bytes(b"".join(made.export.splitlines(keepends=True)[:left]))
        result = verify("--export", "cut.jsonl", "--since", "kept.json")
        assert (result.exit_code, "found no such entry" in result.stdout) == (4, True), left
    nobody = {**made.document("ALLOW")["checkpoint"], "tenant": "nobody"}
    Path("nobody.json").write_text(json.dumps(nobody))
    assert verify(*PLACES, "--since", "nobody.json").exit_code == 4


def test_what_is_no_checkpoint_or_of_another_tenant_is_a_mistake(made: Made) -> None:
    """Exit 2: a proof of nothing must not look like one."""
    Path("none.json").write_text("{}")
    for arguments, why in (
        (("--since", "none.json"), "neither an evidence bundle nor a checkpoint"),
        (("--since", "missing.json"), "cannot be read"),
        (("--since", "kept.json", "--tenant", "beta"), "is of the chain of tenant 'acme'"),
    ):
        result = verify(*PLACES, *arguments)
        assert result.exit_code == 2
        assert why in " ".join(result.stderr.replace("│", "").split())


def test_what_a_file_from_elsewhere_says_acts_on_no_terminal(made: Made) -> None:
    """A checkpoint is anybody's file: its tenant must neither clear the screen nor write a verdict of its own."""
    hostile = "x\x1b[2J\nvalid  acme: 9 entries\x9b"
    Path("hostile.json").write_text(json.dumps({**made.document("ALLOW")["checkpoint"], "tenant": hostile}))
    for arguments in (PLACES, ("--export", "audit.jsonl"), (*PLACES, "--tenant", "acme"), (*PLACES, "-o", "json")):
        result = verify(*arguments, "--since", "hostile.json")
        assert result.exit_code != 0
        assert not {"\x1b", "\x9b"} & set(result.output), arguments
        assert not any(line.startswith("valid  acme: 9") for line in result.output.splitlines())
