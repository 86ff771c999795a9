"""`intended demo`: what is printed, and when it is exit 0."""

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import demo as command
from gateway.cli.main import app
from gateway.demo import script
from gateway.demo.script import Shown, Stage

ALLOWED = Shown(
    tool="notes.search",
    arguments={"q": "invoice"},
    effect="ALLOW",
    rule="reads",
    risk=5,
    intent_id="int_1",
    milliseconds=2.4,
    answer="x",
    results=3,
    executed=True,
    as_planned=True,
)
DENIED = replace(ALLOWED, tool="files.delete", effect="DENY", rule="no-system-paths", executed=False)
ESCALATED = replace(ALLOWED, tool="payments.refund", effect="ESCALATE", rule="money", executed=False)
STAGE = Stage(
    url="http://127.0.0.1:1/mcp",
    data=Path("/tmp/d"),
    policy_digest="ab" * 32,
    shown=(ALLOWED, DENIED, ESCALATED),
    entries=9,
    chain_valid=True,
)


def test_each_call_is_a_line_with_its_outcome() -> None:
    """As the README shows it."""
    text = "\n".join(command._lines(STAGE))
    for part in (
        '1  ALLOW     notes.search {"q":"invoice"}',
        "→ 3 results",
        "2  DENY      files.delete",
        "the upstream never saw it",
        "3  ESCALATE  payments.refund",
        "pending: a human must say yes",
        "holding    none: what needs a human is pending at once; approve it, then call again",
        "audit: 9 entries, chain verified",
        "agent URL  http://127.0.0.1:1/mcp",
        "claude mcp add --transport http intended http://127.0.0.1:1/mcp",
    ):
        assert part in text
    assert "NOT" not in text


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (replace(STAGE, shown=(ALLOWED, replace(DENIED, executed=True, as_planned=False), ESCALATED)), "SAW it"),
        (replace(STAGE, shown=(replace(ALLOWED, executed=False, as_planned=False), DENIED, ESCALATED)), "not executed"),
        (replace(STAGE, chain_valid=False), "chain BROKEN"),
    ],
    ids=["a denied call ran", "an allowed call did not", "a broken chain"],
)
def test_what_went_wrong_is_said(stage: Stage, text: str) -> None:
    """A demo that always looks good shows nothing."""
    lines = "\n".join(command._lines(stage))
    assert text in lines
    assert "NOT everything went as planned" in lines


@pytest.mark.parametrize(("valid", "status"), [(True, 0), (False, 4)])
def test_ci_prints_json_and_exits_by_what_was_seen(
    monkeypatch: pytest.MonkeyPatch, *, valid: bool, status: int
) -> None:
    """CI runs exactly this."""

    @asynccontextmanager
    async def staged(port: int):
        assert port == 0
        yield replace(STAGE, chain_valid=valid)

    monkeypatch.setattr(script, "staged", staged)
    result = CliRunner().invoke(app, ["demo", "--ci"])
    assert result.exit_code == status
    found = json.loads(result.stdout)
    assert found["seen"] is valid
    assert [call["decision"] for call in found["calls"]] == ["ALLOW", "DENY", "ESCALATE"]
    assert [call["executedByUpstream"] for call in found["calls"]] == [True, False, False]


def test_it_goes_on_serving_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """A process of its own, because it catches signals; the limit is for a busy machine."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "ctrl-c" in line:
                break
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, stderr
    assert "thrown away" in stderr
    assert list(tmp_path.iterdir()) == []
