"""An approved verdict has its yes in the bundle, or the bundle is not verified."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.audit.tree import inclusion_proof, leaf_hash, tree_root
from intended.evidence import Report, verify
from intended.evidence.approval import yes_problem
from intended.evidence.chain import first_prev
from intended.evidence.keys import key_of
from intended.evidence.reading import canonical
from tests.intended.evidence.test_checks import document_key, failed, forged
from tests.simulate.evidence import Made

Entry = dict[str, Any]
Change = Callable[[list[Entry]], object]

ASKED, YES, DECIDED, TOKEN, DONE = range(5)
"""The entries of an intent that was escalated, approved, decided again, and done."""


def history(document: dict[str, Any], change: Change) -> bytes:
    """Return a bundle of a chain made up to tell another story: every hash, link, proof and signature of it is good."""
    told = [json.loads(one["content"]) | {"body": json.loads(one["body"])} for one in document["entries"]]
    change(told)
    prev, contents = first_prev(document["tenant"]), []
    for seq, fields in enumerate(told, start=1):
        text = json.dumps(fields.pop("body"))
        digest = hashlib.sha256(bytes(16) + text.encode()).hexdigest()
        content = canonical({**fields, "seq": seq, "prev": prev, "bodyDigest": digest}).decode()
        prev = hashlib.sha256(content.encode()).hexdigest()
        contents.append({"seq": seq, "hash": prev, "content": content, "salt": "00" * 16, "body": text})
    leaves = [leaf_hash(one["content"].encode()) for one in contents]
    document["entries"] = [
        {**one, "proof": [node.hex() for node in inclusion_proof(leaves, at)]} for at, one in enumerate(contents)
    ]
    document["entryCount"] = len(told)
    document["checkpoint"] |= {"treeSize": len(told), "headHash": prev, "root": tree_root(leaves).hex()}
    decided = [at for at, fields in enumerate(told, start=1) if fields["type"] == "call.decided"]
    document["recomputed"] = [{**document["recomputed"][0], "seq": seq} for seq in decided]
    document["decision"]["seq"] = decided[-1]
    return forged(document)


def checked(made: Made, change: Change) -> Report:
    return verify(history(made.document("ESCALATE"), change), keys=[key_of(document_key())])


def as_told(told: list[Entry]) -> None:
    """Change nothing."""


def by_two(told: list[Entry]) -> None:
    """Let a second approver say yes, as a rule for two asks for."""
    first = json.loads(json.dumps(told[YES]))
    first["reasons"], first["body"]["state"] = ["pending"], "pending"
    first["body"] |= {"by": "key_other", "human": "usr_1"}
    told[YES]["body"] |= {"of": 2, "yes": 2, "human": "usr_2"}
    told.insert(YES, first)


def by_an_earlier_release(told: list[Entry]) -> None:
    """Leave out what the entries of answers did not say once."""
    told[YES] |= {"upstream": "", "tool": "", "argsDigest": ""}


@pytest.mark.parametrize("change", [as_told, by_two, by_an_earlier_release])
def test_a_yes_that_is_there_is_found(made: Made, change: Change) -> None:
    """The story as it was, and what else a gateway may have recorded of it."""
    report = checked(made, change)
    assert report.trusted, report.failed


def again(told: list[Entry], at: int, **changed: Any) -> Entry:
    return {**told[at], **changed, "body": dict(told[at]["body"])}


LIES: dict[str, tuple[Change, str]] = {
    "left out": (lambda told: told.pop(YES), "no yes of a human"),
    "the question left out": (lambda told: told.pop(ASKED), "no yes of a human"),
    "after the decision": (lambda told: told.insert(DECIDED, told.pop(YES)), "no yes of a human"),
    "to another approval": (lambda told: told[YES]["body"].update(approvalId="apr_other"), "no yes of a human"),
    "a no": (lambda told: told[YES].update(reasons=["denied"]), "was denied before it"),
    "one of two": (lambda told: told[YES].update(reasons=["pending"]), "was pending before it"),
    "taken back": (
        lambda told: told.insert(DECIDED, again(told, YES, reasons=["cancelled"])),
        "was cancelled before it",
    ),
    "to another agent": (lambda told: told[YES].update(agent="somebody"), "is of another call"),
    "to other arguments": (lambda told: told[YES].update(argsDigest="0" * 64), "is of another call"),
    "to what was asked with other arguments": (
        lambda told: (told[ASKED].update(argsDigest="0" * 64), told[YES].update(argsDigest="0" * 64)),
        "is of another call",
    ),
    "to what was asked of another tool": (lambda told: told[ASKED].update(tool="other"), "is of another call"),
    "to another definition of the tool": (
        lambda told: told[ASKED]["body"]["call"].update(pin="0" * 64),
        "is of another call",
    ),
    "by who asked": (
        lambda told: told[YES]["body"].update(by=told[ASKED]["body"]["facts"]["credential"]),
        "who asked for",
    ),
    "by one of two": (lambda told: told[YES]["body"].update(of=2), "as many different approvers"),
    "by nobody": (lambda told: told[YES]["body"].update(of=0), "as many different approvers"),
    "by the same one twice": (
        lambda told: (by_two(told), told[YES]["body"].update(by=told[YES + 1]["body"]["by"])),
        "as many different approvers",
    ),
    "by the same human twice": (
        lambda told: (by_two(told), told[YES]["body"].update(human="usr_2")),
        "as many different approvers",
    ),
    "without who said it": (lambda told: told[YES]["body"].pop("by"), "cannot be read"),
    "without what it is": (lambda told: told[YES].update(reasons=[]), "cannot be read"),
}


@pytest.mark.parametrize("what", LIES)
def test_a_yes_that_was_never_given_is_missed(made: Made, what: str) -> None:
    """Ours: whoever has key and machine writes what history he likes; this one says itself that no human agreed."""
    change, why = LIES[what]
    report = checked(made, change)
    [found] = [one for one in report.failed if one.name == "approval"]
    assert why in found.detail
    assert failed(report) <= {"approval", "summary"}  # of another order of entries another status follows, too


def test_what_no_human_was_asked_about_needs_no_yes(made: Made) -> None:
    """Most verdicts rest on rules alone."""
    report = verify(made.bundles["ALLOW"], keys=made.keys)
    assert "approval" in [one.name for one in report.checks]
    assert report.trusted


def test_only_what_comes_before_a_decision_speaks_for_it() -> None:
    """Ours: by the numbers of the entries, in whatever order they lie."""
    call = {"agent": "a", "upstream": "u", "tool": "t", "argsDigest": "d"}
    asked = (
        {**call, "seq": 1, "type": "call.decided", "effect": "ESCALATE"},
        {
            "approvalId": "apr_1",
            "call": {},
            "facts": {"credential": "key_1"},
        },
    )
    answered = {**call, "seq": 2, "type": "approval.resolved", "reasons": ["approved"]}
    yes = answered, {"approvalId": "apr_1", "by": "key_2", "human": "", "of": 1}
    decided = {**call, "seq": 3, "type": "call.decided"}, {"call": {}, "facts": {"approval": {"id": "apr_1"}}}
    assert yes_problem(decided, [asked, yes, decided]) == ""
    for place, other in ((0, ({**answered, "seq": 4}, yes[1])), (1, ({**asked[0], "seq": 5}, asked[1]))):
        entries = [asked, other, decided] if place == 0 else [other, yes, decided]
        assert "no yes of a human to apr_1" in yes_problem(decided, entries)


@pytest.mark.parametrize("later", [False, True])
def test_a_lease_that_was_granted_later_covers_nothing_before(made: Made, later: bool) -> None:
    """The yes of the other kind: to calls of a shape."""
    lease = {"id": "lse_1", "rules": [], "risk": 100, "factors": [], "tier": 0}

    def change(told: list[Entry]) -> None:
        granted = again(told, YES, type="lease.granted") | {"body": {"leaseId": "lse_1"}}
        told[DECIDED]["body"]["facts"]["lease"] = lease
        told.insert(DECIDED + later, granted)

    [found] = [one for one in checked(made, change).checks if one.name == "cited"]
    assert found.detail == ("the lease that entry 3 rests on was granted later" if later else "")
