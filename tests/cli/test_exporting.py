"""`intended audit export` for a collector: chosen entries, followed, and ended after a whole line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import jsonschema
import pytest
import typer
from typer.testing import CliRunner, Result

from gateway.cli import exporting
from gateway.cli.exporting import ExportForm, Shipment, require_tenant, selection, ship
from gateway.cli.main import app
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.errors import NotFound
from gateway.records import reading
from gateway.services.audit_query import shown
from gateway.services.siem import Selection
from gateway.settings import Settings
from gateway.store.sqlite.store import SqliteStore, StoreOptions, open_store
from gateway.telemetry.clock import SystemClock
from tests.core.test_ocsf import SCHEMA, made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with one call of tenant `default`, and an entry of another tenant."""
    monkeypatch.chdir(tmp_path)
    anyio.run(_filled, tmp_path)
    return tmp_path


async def _drafts() -> list[EntryDraft]:
    world = made()
    await world.call("read_file", {"path": "/x"})
    return [one for one in world.entries() if one.type in (EntryType.CALL_DECIDED, EntryType.CALL_COMPLETED)]


async def _filled(folder: Path) -> None:
    store = await open_store(StoreOptions(data=folder / "data", state=folder / "state"), SystemClock())
    await _add(store)
    await store.append(
        EntryDraft(tenant="acme", id="evt_k", type=EntryType.KEY_CREATED, time="2026-11-22T12:00:01.000Z")
    )
    await store.aclose()


async def _add(store: SqliteStore) -> None:
    for draft in await _drafts():
        await store.append(draft)


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", "export", *arguments, "--data", "data"])


def lines(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_siem_gets_decisions_and_outcomes_as_valid_events(folder: Path) -> None:
    """Each line is an event of OCSF 1.8, class 6003."""
    found = lines(ran("--format", "ocsf"))
    for event in found:
        jsonschema.Draft202012Validator(SCHEMA).validate(event)
    assert [one["metadata"]["event_code"] for one in found] == ["call.decided", "call.completed"]


def test_a_collector_gets_every_entry_as_it_is_shown(folder: Path) -> None:
    """Of all tenants, or of one."""
    found = lines(ran("--format", "jsonl"))
    assert [(one["tenant"], one["type"]) for one in found] == [
        ("acme", "key.created"),
        ("default", "call.decided"),
        ("default", "call.completed"),
    ]
    assert [one["seq"] for one in lines(ran("--format", "jsonl", "--tenant", "default", "--after", "1"))] == [2]


@pytest.mark.parametrize(
    ("arguments", "types"),
    [
        (("--type", "call.decided"), ["call.decided"]),
        (("--type", "call.decided", "--type", "key.created"), ["key.created", "call.decided"]),
        (("--since", "2026-11-22T12:00:01Z"), ["key.created"]),
        (("--until", "2026-11-22T13:00:01+01:00"), ["call.decided", "call.completed"]),
        (("--since", "2027-01-01"), []),
        (("--since", "520w"), ["key.created", "call.decided", "call.completed"]),
    ],
)
def test_entries_are_chosen_by_type_and_time(folder: Path, arguments: tuple[str, ...], types: list[str]) -> None:
    """RFC 3339, a date, or so long ago."""
    assert [one["type"] for one in lines(ran("--format", "jsonl", *arguments))] == types


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--since", "24h"), "--format jsonl"),
        (("--follow",), "--format jsonl"),
        (("--format", "jsonl", "--after", "3"), "name one"),
        (("--format", "jsonl", "--type", "call.decide"), "call.decided"),
        (("--format", "jsonl", "--since", "yesterday"), "2027-01-31"),
        (("--format", "jsonl", "--since", "99h99"), "2027-01-31"),
        (("--format", "jsonl", "--since", "x9d"), "90d"),
        (("--format", "jsonl", "--out", "no/such/folder/x"), "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(folder: Path, arguments: tuple[str, ...], hint: str) -> None:
    """A part of a chain does not verify; a misspelt type would silently export nothing."""
    result = ran(*arguments)
    assert result.exit_code == 2
    assert hint in result.output.replace("\n", " ").replace("│", " ")


def test_times_are_those_of_entries() -> None:
    """Compared as text, so that they must be written alike."""
    found = selection("2026-01-31", "2026-01-31T12:00:00+01:00", ())
    assert (found.since, found.until) == ("2026-01-31T00:00:00.000Z", "2026-01-31T11:00:00.000Z")
    with pytest.raises(typer.BadParameter):
        selection("999999w", None, ())


@pytest.mark.parametrize("form", ["chain", "ocsf"])
def test_a_tenant_without_a_chain_is_an_error(folder: Path, form: str) -> None:
    """A name mistyped once would ship nothing for ever."""
    found = ran("--format", form, "--tenant", "nobody")
    assert isinstance(found.exception, NotFound)
    assert str(found.exception) == "there is no entry of a tenant 'nobody'; tenants are: acme, default"
    assert found.stdout == ""


def test_a_tenant_that_may_still_come_is_waited_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--follow`; the default one is no mistake before its first call either."""

    async def ask() -> None:
        async with reading(Settings(data=folder / "data")) as reader:
            await require_tenant(reader, "nobody", may_come=True)
            await require_tenant(reader, "default")

    anyio.run(ask)
    assert capsys.readouterr().err.startswith("WARNING: no such tenant: there is no entry of a tenant 'nobody'")


def test_an_export_to_a_file_is_whole(folder: Path) -> None:
    """A new file, for its owner only."""
    assert ran("--format", "jsonl", "--out", "x.jsonl").exit_code == 0
    assert len((folder / "x.jsonl").read_text().splitlines()) == 3
    assert (folder / "x.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_damaged_entry_is_said_and_the_rest_is_exported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector must not be blind to what is behind it."""

    def damaged(entry: object) -> dict:
        told = shown(entry)  # type: ignore[arg-type]
        if told["type"] == "call.decided":
            raise ValueError
        return told

    monkeypatch.setattr("gateway.services.siem.shown", damaged)
    result = ran("--format", "jsonl")
    assert [one["type"] for one in lines(result)] == ["key.created", "call.completed"]
    assert "entry 1 of tenant default cannot be read" in result.stderr


async def test_following_ships_what_is_appended_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tenants that are new, too; each entry once."""
    monkeypatch.setattr(exporting, "POLL_S", 0.01)
    settings = Settings(data=tmp_path / "data", state=tmp_path / "state")
    store = await open_store(StoreOptions(data=tmp_path / "data", state=tmp_path / "state"), SystemClock())
    shipment = Shipment(form=ExportForm.OCSF, tenant=None, wanted=Selection(), follow=True)
    out = tmp_path / "out"
    await _add(store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ship, settings, shipment, out)
        with anyio.fail_after(5):
            await _grown(out, 2)
            await _add(store)
            await _grown(out, 4)
        tasks.cancel_scope.cancel()
    await store.aclose()
    found = [json.loads(line)["metadata"]["sequence"] for line in out.read_text().splitlines()]
    assert found == [1, 2, 3, 4]


def _lines_in(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


async def _grown(path: Path, count: int) -> None:
    """Wait until so many lines are in a file; what writes it has no way to tell."""
    while _lines_in(path) < count:  # noqa: ASYNC110
        await anyio.sleep(0.01)


@pytest.fixture
def shipper(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a shipper runs it, with a first line read."""
    command = [sys.executable, "-m", "gateway", "audit", "export", "--format", "ocsf", "--follow", "--data", "data"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    running = subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert running.stdout is not None
    assert json.loads(running.stdout.readline())
    yield running
    running.kill()
    running.communicate()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_shipper_that_is_stopped_ends_after_a_whole_line(shipper: subprocess.Popen[bytes], told: int) -> None:
    """Status 0 and nothing on standard error: a service manager stops it so."""
    shipper.send_signal(told)
    rest, talk = shipper.communicate(timeout=5)
    assert (shipper.returncode, talk) == (0, b"")
    assert rest.endswith(b"\n")
    assert all(json.loads(line) for line in rest.splitlines())


def test_a_reader_that_leaves_is_the_end(folder: Path) -> None:
    """`… | head -1`: no traceback."""
    command = f"{sys.executable} -m gateway audit export --format jsonl --follow --data data | head -1"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    code = f"set -o pipefail; {command}"
    ended = _in_a_filling_pipe(folder, code, environment)
    assert b"Traceback" not in ended.stderr


def _in_a_filling_pipe(folder: Path, code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run it while entries keep coming: only a write finds out that nobody reads."""
    running = subprocess.Popen(["bash", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)

    async def fill() -> None:
        options = StoreOptions(data=folder / "data", state=folder / "state")
        store = await open_store(options, SystemClock())
        with anyio.move_on_after(5):
            while running.poll() is None:
                await _add(store)
                await anyio.sleep(0.02)
        await store.aclose()

    anyio.run(fill)
    out, err = running.communicate(timeout=5)
    return subprocess.CompletedProcess(code, running.returncode, out, err)
