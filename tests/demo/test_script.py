"""The demo shows what it claims, and would notice if it did not."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.demo import script
from gateway.demo.script import Shown, Stage, staged
from gateway.demo.upstream import DemoUpstream


async def test_three_decisions_are_seen_and_only_the_allowed_call_ran() -> None:
    """The main job, on real input, through a real client (issue, "What a user can do", 1)."""
    async with staged(0) as stage:
        assert [(call.tool, call.effect, call.executed, call.as_planned) for call in stage.shown] == [
            ("notes.search", "ALLOW", True, True),
            ("files.delete", "DENY", False, True),
            ("payments.refund", "ESCALATE", False, True),
        ]
        assert stage.shown[0].results == 3
        assert all(call.intent_id.startswith("int_") for call in stage.shown)
        assert stage.chain_valid
        assert stage.entries >= 4
        assert stage.seen
        folder = stage.data
    assert not folder.exists()


async def test_a_taken_port_gives_way_to_a_free_one() -> None:
    """8787 may well be a gateway that guards something."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with staged(port) as stage:
            assert stage.seen
            assert f":{port}/" not in stage.url


async def test_a_call_that_ran_although_it_was_denied_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The upstream's record decides, not the answer: `--ci` must be able to fail."""
    recorded = DemoUpstream.notes_search

    def twice(self: DemoUpstream, q: str) -> list[str]:
        self.record.append("files.delete")
        return recorded(self, q)

    monkeypatch.setattr(script.DemoUpstream, "notes_search", twice)
    async with staged(0) as stage:
        assert not stage.shown[0].as_planned
        assert not stage.seen


SHOWN = Shown(
    tool="t",
    arguments={},
    effect="ALLOW",
    rule="r",
    risk=1,
    intent_id="int_1",
    milliseconds=1.0,
    answer="",
    results=1,
    executed=True,
    as_planned=True,
)
STAGE = Stage(url="u", data=Path("d"), policy_digest="p", shown=(SHOWN,) * 3, entries=9, chain_valid=True)


@pytest.mark.parametrize(
    "stage",
    [
        replace(STAGE, chain_valid=False),
        replace(STAGE, entries=0),
        replace(STAGE, shown=(SHOWN,) * 2),
        replace(STAGE, shown=(SHOWN, SHOWN, replace(SHOWN, as_planned=False))),
    ],
    ids=["broken chain", "nothing recorded", "a call missing", "a call not as planned"],
)
def test_anything_missing_is_not_seen(stage: Stage) -> None:
    """`--ci` exits 0 only if all of it was seen."""
    assert STAGE.seen
    assert not stage.seen
