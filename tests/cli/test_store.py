"""`intended store accept-head`: going on with a store that falls short, on the record."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner, Result

from gateway.app import Gateway
from gateway.cli.main import app
from gateway.errors import StoreRefused
from gateway.settings import Settings, UpstreamSettings


async def start_once(folder: Path) -> None:
    upstreams = {"default": UpstreamSettings(url="http://127.0.0.1:9/mcp")}
    async with Gateway.open(Settings(port=0, data=folder / "data", state=folder / "state", upstreams=upstreams)):
        pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a start and a stop in it."""
    monkeypatch.chdir(tmp_path)
    anyio.run(start_once, tmp_path)
    return tmp_path


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data", "data", "--state", "state"])


def cut(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "data/audit.db")) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 3")
        connection.commit()


def test_a_store_that_was_cut_starts_only_after_it_was_accepted(folder: Path) -> None:
    """And the acceptance is an entry with the reason and what was missing."""
    cut(folder)
    with pytest.raises(StoreRefused):
        anyio.run(start_once, folder)
    result = ran("store", "accept-head", "--reason", "restored from Monday")
    assert result.exit_code == 0, result.output
    assert "accepted: the chain of tenant '_system' ends before entry 3" in result.stderr
    anyio.run(start_once, folder)
    entries = json.loads(ran_tail(folder))
    [accepted] = [entry for entry in entries if entry["type"] == "head.accepted"]
    assert accepted["body"]["reason"] == "restored from Monday"
    assert len(accepted["body"]["accepted"]) == 1


def ran_tail(folder: Path) -> str:
    return CliRunner().invoke(app, ["audit", "tail", "--tenant", "_system", "--data", "data", "-o", "json"]).stdout


def test_accepting_what_is_whole_is_recorded_as_well(folder: Path) -> None:
    """Whoever runs it leaves a trace."""
    result = ran("store", "accept-head", "--reason", "to be sure")
    assert "nothing was missing" in result.stderr
    assert json.loads(ran_tail(folder))[-1]["type"] == "head.accepted"


@pytest.mark.parametrize("arguments", [[], ["--reason", "  "]])
def test_a_reason_is_needed(folder: Path, arguments: list[str]) -> None:
    """It is what an auditor will read."""
    cut(folder)
    assert ran("store", "accept-head", *arguments).exit_code == 2
    with pytest.raises(StoreRefused):
        anyio.run(start_once, folder)


def test_a_running_gateway_keeps_its_store(folder: Path) -> None:
    """The lock is the gateway's; nothing is accepted behind its back."""

    async def scene() -> Result:
        upstreams = {"default": UpstreamSettings(url="http://127.0.0.1:9/mcp")}
        settings = Settings(port=0, data=folder / "data", state=folder / "state", upstreams=upstreams)
        async with Gateway.open(settings):
            return await anyio.to_thread.run_sync(ran, "store", "accept-head", "--reason", "x")

    result = anyio.run(scene)
    assert isinstance(result.exception, StoreRefused)
    assert "another gateway" in str(result.exception)
