"""Which entries say something of an agent, and what."""

from dataclasses import replace

import orjson
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.chain import seal
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.decision import BY_BUDGET, Reason
from gateway.core.principal import TrustTier
from gateway.core.submission import Outcome
from gateway.core.trust.evidence import (
    Change,
    ChangeKind,
    Evidence,
    EvidenceKind,
    change_of,
    day_of,
    evidence_of,
    read_chained,
)
from gateway.services.judged import Completion
from tests.simulate.trust import entry

DECIDED, COMPLETED, RESOLVED = EntryType.CALL_DECIDED, EntryType.CALL_COMPLETED, EntryType.APPROVAL_RESOLVED


def kinds(
    what: EntryType, reasons: type[Reason | Completion | ApprovalState | Outcome], **fields: str
) -> dict[str, str]:
    found = {str(reason.value): evidence_of(entry(what, reasons=(reason.value,), **fields), 1) for reason in reasons}
    return {reason: evidence.kind.name for reason, evidence in found.items() if evidence is not None}


def test_a_completed_call_speaks_for_or_against_its_agent_only_where_the_agent_had_a_part_in_its_end() -> None:
    """A server that is down, a crash or a hang-up must take nobody's trust, or others could bring it about."""
    assert kinds(COMPLETED, Completion) == {"ok": "EXECUTED", "tool-error": "FAILED", "rpc-error": "FAILED"}


def test_what_an_agent_reports_of_itself_is_told_from_what_the_gateway_saw() -> None:
    """An agent's own word is a claim; it must not weigh like an execution."""
    assert kinds(COMPLETED, Outcome) == {"completed": "CLAIMED", "failed": "CLAIMED_FAILED"}


def test_a_denial_speaks_against_an_agent_only_where_it_is_of_its_own_doing() -> None:
    """Contention, load, budgets and switches are brought about by others; who could cause them could cause a fall."""
    assert kinds(DECIDED, Reason, effect="DENY") == {
        "policy-deny": "DENIED",
        "tier-deny": "DENIED",
        "agent-scope": "DENIED",
        "no-rule": "SLIPPED",
        "unknown-tool": "SLIPPED",
        "schema": "SLIPPED",
        "rejected": "SLIPPED",
        "authority-deny": "SLIPPED",
    }


@pytest.mark.parametrize("reason", [Reason.POLICY_DENY, Reason.NO_RULE])
def test_a_denial_for_a_budget_alone_speaks_against_nobody(reason: Reason) -> None:
    """An agent that meets its limit does what it may do, and others may have spent what it lacks."""
    denied = entry(DECIDED, effect="DENY", reasons=(reason, "fast", BY_BUDGET))
    assert evidence_of(denied, 1) is None
    assert evidence_of(replace(denied, reasons=(reason, "fast")), 1) is not None, "an older gateway marked none"


@pytest.mark.parametrize("effect", ["ALLOW", "ESCALATE"])
def test_being_allowed_or_asking_is_no_evidence(effect: str) -> None:
    """Only what becomes of it is; else asking often would be a merit."""
    assert kinds(DECIDED, Reason, effect=effect) == {}


def test_a_humans_answer_is_evidence_and_no_answer_is_none() -> None:
    """An approval that nobody looked at, or one yes of two, says nothing of the agent."""
    assert kinds(RESOLVED, ApprovalState) == {"approved": "APPROVED", "denied": "REJECTED"}


@pytest.mark.parametrize("what", [what for what in EntryType if what not in (DECIDED, COMPLETED, RESOLVED)])
def test_no_other_entry_is_evidence(what: EntryType) -> None:
    """A refused request, a replay or a session is no act that was judged."""
    assert evidence_of(entry(what, reasons=("ok",), effect="DENY"), 1) is None


def test_an_entry_that_names_no_agent_or_no_reason_is_no_evidence() -> None:
    """A call that a crash left in doubt is closed without either's doing."""
    assert evidence_of(entry(COMPLETED, reasons=("ok",), agent=""), 1) is None
    assert evidence_of(entry(COMPLETED, reasons=()), 1) is None


def test_evidence_holds_what_the_model_needs_of_its_entry() -> None:
    """Its place, its day in UTC, and what kind of call it was."""
    call = entry(COMPLETED, id="evt_7", reasons=("ok",), risk=52, upstream="files", tool="read", args_digest="ab")
    found = evidence_of(call, 7)
    assert found == Evidence(
        kind=EvidenceKind.EXECUTED,
        risk=52,
        day=day_of("2026-01-01"),
        what=found.what if found else 0,
        time="2026-01-01T12:00:00.000Z",
        seq=7,
        id="evt_7",
    )


@pytest.mark.parametrize("other", [{"upstream": "x"}, {"tool": "x"}, {"args_digest": "x"}])
def test_two_calls_are_of_one_kind_only_where_tool_and_arguments_are_the_same(other: dict[str, str]) -> None:
    """Kinds are what repetition is told by."""
    base = {"reasons": ("ok",), "upstream": "files", "tool": "read", "args_digest": "ab"}
    one, same = evidence_of(entry(COMPLETED, **base), 1), evidence_of(entry(COMPLETED, **base), 2)
    another = evidence_of(entry(COMPLETED, **{**base, **other}), 3)
    assert one is not None
    assert same is not None
    assert another is not None
    assert one.what == same.what != another.what


@pytest.mark.parametrize(("written", "taken"), [(-5, 0), (0, 0), (100, 100), (1000, 100)])
def test_a_risk_beyond_its_bounds_is_taken_as_the_bound(written: int, taken: int) -> None:
    """The log of another gateway may hold anything; a sum must never turn its sign."""
    found = evidence_of(entry(COMPLETED, reasons=("ok",), risk=written), 1)
    assert found is not None
    assert found.risk == taken


# --- changes ----------------------------------------------------------------------------------------------------------

CHANGES = [
    (ChangeKind.PROMOTED, TrustTier.T1),
    (ChangeKind.DEMOTED, TrustTier.T0),
    (ChangeKind.FADED, TrustTier.T1),
    (ChangeKind.CAPPED, TrustTier.T2),
    (ChangeKind.CEILING, TrustTier.T4),
    (ChangeKind.CEILING, None),
    (ChangeKind.FROZEN, None),
    (ChangeKind.UNFROZEN, None),
]


@pytest.mark.parametrize(("kind", "tier"), CHANGES)
def test_a_change_is_read_from_the_reasons_that_it_is_written_with(kind: ChangeKind, tier: TrustTier | None) -> None:
    """Reasons are hashed with the entry, so that a recomputation needs no body."""
    change = Change(kind=kind, tier=tier, day=day_of("2026-01-01"), time="2026-01-01T12:00:00.000Z", seq=3, id="evt_1")
    assert change_of(entry(EntryType.TRUST_CHANGED, reasons=change.reasons), 3) == change


@pytest.mark.parametrize("reasons", [(), ("praised", "T4"), ("promoted", "T9"), ("promoted",)])
def test_what_is_no_change_in_known_words_changes_nothing(reasons: tuple[str, ...]) -> None:
    """A word of a later version must not be taken for something else."""
    assert change_of(entry(EntryType.TRUST_CHANGED, reasons=reasons), 1) is None


def test_a_change_is_told_by_its_own_entry_and_names_an_agent() -> None:
    """Nothing else may move a tier, whatever its reasons say."""
    assert change_of(entry(EntryType.AGENT_CHANGED, reasons=("promoted", "T1")), 1) is None
    assert change_of(entry(EntryType.TRUST_CHANGED, reasons=("promoted", "T1"), agent=""), 1) is None


# --- stored entries ---------------------------------------------------------------------------------------------------


def test_a_stored_entrys_hashed_fields_are_evidence_of_the_same() -> None:
    """The recomputation reads the log, the live state the drafts: they must see one and the same."""
    drafted = entry(COMPLETED, reasons=("ok",), risk=52, upstream="files", tool="read", args_digest="ab", effect="")
    content, _ = seal(drafted, seq=9, prev=b"\0" * 32, salt=b"\0" * 16)
    read = read_chained(orjson.loads(content))
    assert isinstance(read, EntryDraft)
    assert evidence_of(read, 9) == evidence_of(drafted, 9) is not None


def test_an_entry_of_an_unknown_type_is_passed_over() -> None:
    """A log that a newer gateway wrote on can still be folded as far as it is understood."""
    content, _ = seal(entry(COMPLETED), seq=9, prev=b"\0" * 32, salt=b"\0" * 16)
    assert read_chained({**orjson.loads(content), "type": "trust.praised"}) is None


def test_a_day_that_is_none_is_an_error() -> None:
    """A damaged log must not be folded as if it said something."""
    with pytest.raises(ValueError, match="isoformat"):
        day_of("yesterday")
