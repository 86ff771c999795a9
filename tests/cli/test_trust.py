"""`intended trust`: what is asked, what is shown, and what a recomputation finds."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import anyio
import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.store.sqlite.store import DATABASE, StoreOptions, open_store
from gateway.telemetry.clock import SystemClock
from tests.cli.desk import Asked, command, desk
from tests.cli.test_trust_text import TRUST


def test_trust_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any name; whole for programs."""
    with desk(monkeypatch, *[{"data": TRUST}] * 2) as asked:
        assert command(tmp_path, "trust", "show", "Billing Agent").stdout.startswith("tier      T1 (since")
        done = command(tmp_path, "trust", "show", "agt_1", "-o", "json", "--tenant", "acme")
    assert json.loads(done.stdout) == TRUST
    assert asked.asked == [
        Asked(method="GET", path="/v1/agents/billing-agent/trust"),
        Asked(method="GET", path="/v1/agents/agt_1/trust", tenant="acme"),
    ]


def test_the_agents_that_acted_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages; registered or not."""
    row = {"agentId": "bot", "agent": "bot", "tier": "T1", "score": 30, "ceiling": "T2", "ceilingSetByHuman": False}
    row |= {"frozen": True, "pinned": False, "since": "2026-11-22", "stopped": None}
    page = {"data": {"items": [row], "total": 1}}
    with desk(monkeypatch, page, page) as asked:
        assert command(tmp_path, "trust", "ls").stdout == "bot\tT1\t30\tT2\tyes\tno\t2026-11-22\t\n"
        done = command(tmp_path, "trust", "list", "-o", "json", "--tenant", "acme")
    assert json.loads(done.stdout) == [row]
    assert (asked.asked[1].path, asked.asked[1].tenant) == ("/v1/trust", "acme")


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (("freeze", "bot"), {"frozen": True}),
        (("unfreeze", "bot"), {"frozen": False}),
        (("ceiling", "bot", "T3"), {"ceiling": "T3"}),
        (("ceiling", "bot", "default"), {"ceiling": "default"}),
    ],
)
def test_a_human_s_word_is_sent_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], body: dict[str, Any]
) -> None:
    """Without a reason nothing is asked: it is what a later reader needs."""
    with desk(monkeypatch, {"data": TRUST}) as asked:
        assert command(tmp_path, "trust", *words).exit_code == 2
        assert "tier" in command(tmp_path, "trust", *words, "--reason", "reviewed").stdout
    [one] = asked.asked
    assert one == Asked(method="PUT", path="/v1/agents/bot/trust", body=body | {"reason": "reviewed"})


def lived(folder: Path) -> None:
    """Write a chain in which an agent was frozen."""

    async def write() -> None:
        store = await open_store(StoreOptions(data=folder / "data", state=folder / "state"), SystemClock())
        await store.append(entry("evt_1", EntryType.CALL_COMPLETED, reasons=("ok",), risk=60))
        await store.append(entry("evt_2", EntryType.TRUST_CHANGED, reasons=("frozen",)))
        await store.aclose()

    anyio.run(write)


def recomputed(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["trust", "recompute", "--data", str(folder / "data"), *arguments])


def entry(id_: str, what: EntryType, **fields: Any) -> EntryDraft:
    return EntryDraft(tenant="default", id=id_, type=what, time="2026-11-22T12:00:00.000Z", agent="bot", **fields)


def test_a_recomputation_gives_every_tier_from_the_log(tmp_path: Path) -> None:
    """Beside a running gateway or without one; it writes nothing."""
    lived(tmp_path)
    before = sorted(path.name for path in (tmp_path / "data").iterdir())
    done = recomputed(tmp_path)
    assert (done.exit_code, done.stdout.split("\t")[:2]) == (4, ["bot", "T0"])
    assert "entry 2: bot row: none → of entry 2" in done.stdout
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as connection:
        row = {"tier": None, "ceiling": None, "frozen": True, "entry": "evt_2"}
        connection.execute("INSERT INTO state VALUES ('default', 'trust:bot', 1, ?)", (json.dumps(row).encode(),))
        connection.commit()
    done = recomputed(tmp_path, "--tenant", "default")
    assert done.exit_code == 0
    assert "1 changes and 0 decisions made again up to entry 2" in done.stderr
    assert set(before) >= {path.name for path in (tmp_path / "data").iterdir() if path.suffix != ".db-shm"} - {
        "audit.db-wal"
    }
    [found] = json.loads(recomputed(tmp_path, "-o", "json").stdout)
    assert (found["tenant"], found["head"], found["differences"]) == ("default", 2, [])
    assert found["agents"] == [
        {"agent": "bot", "tier": "T0", "pinned": False, "score": ANY, "ceiling": "T2", "frozen": True}
    ]


def test_a_recomputation_knows_what_the_configuration_gives(tmp_path: Path) -> None:
    """A pinned agent's tier is not the log's."""
    lived(tmp_path)
    config = tmp_path / "intended.yaml"
    config.write_text("tiers: {agents: {bot: T3}}\n")
    [found] = json.loads(recomputed(tmp_path, "-o", "json", "--config", str(config)).stdout)
    assert (found["agents"][0]["tier"], found["agents"][0]["pinned"]) == ("T3", True)
    config.write_text("tiers: {earned: false, default: T1}\n")
    [found] = json.loads(recomputed(tmp_path, "-o", "json", "--config", str(config)).stdout)
    assert (found["agents"][0]["tier"], found["agents"][0]["pinned"]) == ("T1", True)


def test_a_tenant_without_a_chain_is_not_proved_right(tmp_path: Path) -> None:
    """Another tenant's chain is not this one's; a name that was mistyped must not look proved for ever."""
    lived(tmp_path)
    done = recomputed(tmp_path, "--tenant", "acme")
    assert (done.exit_code, done.stdout) == (6, "")
    assert "no entry of a tenant 'acme': nothing to recompute" in done.stderr
