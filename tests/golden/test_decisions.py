"""What an earlier state of the gateway recorded stays provable: decisions of every rung, and a whole evidence bundle.

Both files were written before the ladder was made to judge records itself, and are never written anew.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.decision import Effect
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.rejudge import rejudge
from gateway.services.audit_query import RecordedDecision
from gateway.services.recompute import recompute
from intended.evidence import State, verify
from intended.evidence.keys import key_of
from intended.evidence.verdict import verdict_of
from tests.simulate.world import bundle

HERE = Path(__file__).parent
RECORDED: dict[str, Any] = json.loads((HERE / "decisions.json").read_text())
KEPT: dict[str, Any] = json.loads((HERE / "evidence.json").read_text())
FROM_CONDITIONS = frozenset({4, 5, 6, 7, 8, 9, 10, 12, 15, 17, 18, 19})
OF_THE_VERDICT = frozenset({"effect", "reason", "rung", "rules", "charges"})
"""What a recomputation compares, but risk and intent: how these are judged may be improved."""

decisions = pytest.mark.parametrize("one", RECORDED["decisions"], ids=[one["name"] for one in RECORDED["decisions"]])


@decisions
def test_a_decision_of_then_follows_from_its_record(one: dict[str, Any]) -> None:
    """By the gateway and by the verifier, which have no code in common."""
    entry, decision = one["entry"], one["body"]["decision"]
    was = (entry["effect"], decision["reason"], decision["rung"])
    if decision["rung"] in FROM_CONDITIONS:
        assert rejudge(entry, one["body"]) == was
        assert verdict_of(entry, one["body"]) == was
    else:
        assert rejudge(entry, one["body"]) == "the answer rests on no condition"
        assert verdict_of(entry, one["body"]) is None


@decisions
def test_a_decision_of_then_follows_from_its_input(one: dict[str, Any]) -> None:
    """With the policy and the tool of that time, all of the ladder."""
    recorded = RecordedDecision(seq=1, entry=one["entry"], body=one["body"], evaluation_input=one["input"])
    tool = {"name": one["tool"], **RECORDED["tool"]}
    found = recompute(recorded, bundle=bundle(RECORDED["policy"]), definition=tool, taxonomy=TAXONOMY)
    assert not found.problem
    assert not OF_THE_VERDICT & {different.partition(":")[0] for different in found.differences}


def test_every_rung_that_entries_have_is_there() -> None:
    """Two others rest on the definition of a tool: 1 and 2; 14 is 13 for another reason."""
    assert {one["body"]["decision"]["rung"] for one in RECORDED["decisions"]} == set(range(1, 20)) - {1, 2, 14}
    assert {one["entry"]["effect"] for one in RECORDED["decisions"]} == set(Effect)


def test_a_bundle_of_then_is_verified() -> None:
    """Whoever keeps one keeps it for years."""
    keys = [key_of(one) for one in KEPT["keys"]]
    report = verify(json.dumps(KEPT["bundle"]).encode(), keys=keys, secret=KEPT["secret"])
    assert report.trusted, report.failed
    assert [one.name for one in report.checks if one.state is State.SKIPPED] == ["complete"]
    changed = copy.deepcopy(KEPT["bundle"])
    changed["decision"]["risk"] += 1
    assert not verify(json.dumps(changed).encode(), keys=keys).consistent
