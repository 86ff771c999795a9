"""`intended audit`: look, verify, export; beside a running gateway or after it."""

import io
import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner, Result

from gateway.app import Gateway
from gateway.cli import audit
from gateway.cli.main import app
from gateway.cli.output import Format
from gateway.errors import NotFound
from gateway.settings import Settings, UpstreamSettings
from tests.simulate.verified import verified as verify_entries


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a start and a stop in it."""
    monkeypatch.chdir(tmp_path)
    anyio.run(_start_once, tmp_path)
    return tmp_path


async def _start_once(folder: Path) -> None:
    upstreams = {"default": UpstreamSettings(url="http://127.0.0.1:9/mcp")}
    async with Gateway.open(Settings(port=0, data=folder / "data", state=folder / "state", upstreams=upstreams)):
        pass


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments, "--data", "data"])


def verified(*arguments: str) -> Result:
    return ran("verify", "--state", "state", *arguments)


def test_the_last_entries_are_shown(folder: Path) -> None:
    """A line each, oldest first."""
    lines = ran("tail", "--tenant", "_system").stdout.splitlines()
    assert [line.split("\t")[2] for line in lines] == ["gateway.started", "policy.loaded", "gateway.stopped"]
    assert len(ran("tail", "--tenant", "_system", "-n", "1").stdout.splitlines()) == 1


DECIDED = {
    "seq": 3,
    "time": "2026-11-22T09:15:46.270Z",
    "type": "call.decided",
    "effect": "ESCALATE",
    "agent": "local",
    "upstream": "files",
    "tool": "write\nfile",
    "reasons": ["policy-escalate", "escalate-consequential"],
    "risk": 72,
    "intentId": "int_1",
}


class Terminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "end"), [(80, "local"), (150, "local  int_1")])
@pytest.mark.parametrize("colours", [False, True])
def test_a_terminal_of_any_width_gets_whole_lines(
    columns: int, end: str, colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision whose tool and reason are cut to an ellipsis tells an auditor nothing."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout", stdout := Terminal())
    monkeypatch.setattr("gateway.services.audit_query.shown", lambda entry: entry)
    audit._show([DECIDED], Format.TABLE)
    line = (
        "    3  2026-11-22 09:15:46  ESCALATE        files write file"
        f"  policy-escalate, escalate-consequential  risk 72  {end}"
    )
    if columns == 80:  # at a word, and set in
        line = line.replace("file  policy-escalate, ", "file  policy-escalate,\n       ")
    assert stdout.getvalue() == (f"\x1b[33m{line}\x1b[0m\n" if colours else f"{line}\n")


def test_an_entry_of_the_gateway_itself_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its type stands where calls have their effect."""
    monkeypatch.setattr("sys.stdout", stdout := Terminal())
    monkeypatch.setattr("gateway.services.audit_query.shown", lambda entry: entry)
    nobody = {"agent": "", "upstream": "", "tool": "", "reasons": [], "risk": 0, "intentId": "", "effect": ""}
    audit._show([DECIDED | nobody | {"type": "policy.rejected"}], Format.TABLE)
    assert stdout.getvalue() == "    3  2026-11-22 09:15:46  policy.rejected\n"


def test_programs_get_entries_with_their_bodies(folder: Path) -> None:
    """All fields, as JSON or a line each."""
    found = json.loads(ran("tail", "--tenant", "_system", "-o", "json").stdout)
    assert [entry["seq"] for entry in found] == [1, 2, 3]
    assert all("body" in entry and "hash" in entry for entry in found)
    lines = ran("tail", "--tenant", "_system", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == found


def test_a_tenant_without_entries_has_an_empty_tail(folder: Path) -> None:
    """No error: nothing has happened yet."""
    result = ran("tail")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_whole_chain_is_exit_0(folder: Path) -> None:
    """With its head, to be compared with a note taken earlier."""
    result = verified()
    assert result.exit_code == 0
    assert result.stdout.startswith("valid  _system: 3 entries, head 3 ")
    [report] = json.loads(verified("-o", "json").stdout)
    assert (report["valid"], report["count"], report["breaks"]) == (True, 3, [])


def test_a_broken_chain_is_exit_4_and_says_where(folder: Path) -> None:
    """Sequence number, expected, found."""
    with closing(sqlite3.connect(folder / "data/audit.db")) as connection:
        connection.execute("UPDATE entries SET body = CAST('{\"forged\": true}' AS BLOB) WHERE seq = 2")
        connection.commit()
    result = verified()
    assert result.exit_code == 4
    assert result.stdout.startswith("BROKEN  _system:")
    assert "entry 2: body-mismatch, expected " in result.stdout
    [report] = json.loads(verified("-o", "json").stdout)
    assert [(one["seq"], one["kind"]) for one in report["breaks"]] == [(2, "body-mismatch")]


def test_the_head_copy_is_checked_too(folder: Path) -> None:
    """A tail that was cut leaves a chain that verifies in itself."""
    with closing(sqlite3.connect(folder / "data/audit.db")) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 3")
        connection.commit()
    result = verified()
    assert result.exit_code == 4
    assert "unexpected-head" in result.stdout


def test_a_head_that_was_compared_with_nothing_is_said(folder: Path) -> None:
    """Without the copy a cut tail is invisible: "valid" alone would claim more than was looked at."""
    assert "agrees with the copy kept elsewhere" in verified().stdout
    assert "WARNING" not in verified().stderr
    (folder / "elsewhere").mkdir()
    result = ran("verify", "--state", "elsewhere")
    assert (result.exit_code, "compared with no copy" in result.stdout) == (0, True)
    assert "WARNING: head not compared: elsewhere holds no copy of this store's heads" in result.stderr
    [report] = json.loads(ran("verify", "--state", "elsewhere", "-o", "json").stdout)
    assert report["headCompared"] is False
    assert json.loads(verified("-o", "json").stdout)[0]["headCompared"] is True


def test_an_empty_store_has_nothing_to_verify(folder: Path) -> None:
    """Said, so that nobody takes it for a proof; a tenant that was named wrongly must not look verified for ever."""
    result = verified("--tenant", "nobody")
    assert result.exit_code == 6
    assert "no entry of a tenant 'nobody': nothing to verify" in result.stderr


def test_an_export_verifies_without_the_store(folder: Path) -> None:
    """All that a stranger needs, and nothing that is kept encrypted."""
    from gateway.services.audit_query import read_export

    result = ran("export")
    entries = list(read_export(result.stdout_bytes.splitlines()))
    assert verify_entries(entries, "_system").valid
    assert len(entries) == 3
    assert "evaluation_input" not in result.stdout


def test_an_export_is_verified_by_what_is_in_it(folder: Path) -> None:
    """By whoever was handed it, without the store; an edited line is found."""
    ran("export", "--out", "audit.jsonl")
    assert ran("verify", "--export", "audit.jsonl").stdout.startswith("valid  _system: 3 entries")
    text = (folder / "audit.jsonl").read_text()
    (folder / "audit.jsonl").write_text(text.replace("gateway.started", "gateway.stopped"))
    assert ran("verify", "--export", "audit.jsonl").exit_code == 4
    (folder / "audit.jsonl").write_text("".join(text.splitlines(keepends=True)[1:]))
    assert ran("verify", "--export", "audit.jsonl").exit_code == 4
    assert ran("verify", "--export", "none.jsonl").exit_code == 2
    assert "nothing to verify" in ran("verify", "--export", "audit.jsonl", "--tenant", "nobody").stderr


def test_an_export_to_a_file_is_its_owners_and_replaces_nothing(folder: Path) -> None:
    """It holds what agents did."""
    result = ran("export", "--out", "audit.jsonl", "--tenant", "_system")
    assert result.exit_code == 0
    assert "3 entries" in result.stderr
    assert stat.S_IMODE((folder / "audit.jsonl").stat().st_mode) == 0o600
    again = ran("export", "--out", "audit.jsonl")
    assert again.exit_code == 2
    assert "exists" in again.stderr


def test_following_shows_what_is_appended_meanwhile(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a running gateway; the entries of a second start arrive while the first command waits."""
    monkeypatch.setattr(audit, "POLL_S", 0.01)

    async def scene() -> None:
        settings = Settings(data=folder / "data", state=folder / "state")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(audit._tail, settings, "_system", 1, True, audit.Format.JSONL)
            await _start_once(folder)
            shown: list[str] = []
            with anyio.fail_after(5):
                while len(shown) < 4:
                    await anyio.sleep(0.01)
                    shown += capsys.readouterr().out.splitlines()
            tasks.cancel_scope.cancel()
        assert [json.loads(line)["seq"] for line in shown] == [3, 4, 5, 6]

    anyio.run(scene)


def test_where_no_store_is_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong --data must not read as an empty record."""
    from gateway.errors import StoreRefused

    monkeypatch.chdir(tmp_path)
    result = ran("tail")
    assert isinstance(result.exception, StoreRefused)
    assert not (tmp_path / "data").exists()


def test_decisions_are_recomputed_or_said_not_to_exist(folder: Path) -> None:
    """One that is named and is not there is no success; where there are none nothing differs, as with `trust`."""
    result = ran("recompute")
    assert (result.exit_code, result.stdout) == (0, "0 the same, 0 different, 0 not possible\n")
    assert "nothing to recompute" in result.stderr
    named = ran("recompute", "int_1", "-o", "json")
    assert (named.exit_code, named.stdout) == (6, "[]\n")


def test_the_tail_of_a_tenant_that_is_not_there_is_an_error(folder: Path) -> None:
    """Nothing shown and status 0 would look like a tenant that is at rest."""
    result = ran("tail", "--tenant", "nobody")
    assert isinstance(result.exception, NotFound)
    assert result.stdout == ""
