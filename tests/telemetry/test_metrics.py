"""What is counted when: one event, one metric; bounded names; a few additions for each call."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.decision import Effect, Reason
from gateway.ports import Appended
from gateway.telemetry.catalogue import DECISION_S, OTHER
from gateway.telemetry.metrics import COMBINATIONS, Histogram, Metrics

AT = "2026-11-22T12:00:00.000Z"
APPENDED = Appended(seq=1, hash=b"")


def entry(kind: EntryType, **more: Any) -> EntryDraft:
    return EntryDraft(**{"tenant": "acme", "id": "evt_1", "type": kind, "time": AT, "agent": "bot", **more})


def decided(effect: Effect = Effect.ALLOW, reason: Reason = Reason.POLICY_ALLOW, **more: Any) -> EntryDraft:
    given = {"domain": "files", "intent_type": "files.read", "tier": "T1", **more}
    return entry(EntryType.CALL_DECIDED, effect=effect, reasons=(reason, "rule-1"), **given)


def completed(reason: str = "ok", **more: Any) -> EntryDraft:
    return entry(EntryType.CALL_COMPLETED, reasons=(reason,), domain="files", intent_type="files.read", **more)


def followed(*drafts: EntryDraft, names: int = 1000) -> Metrics:
    metrics = Metrics(names=names)
    for draft in drafts:
        metrics.follow(draft, APPENDED)
    return metrics


def judged(effect: Effect = Effect.ALLOW) -> Any:
    return SimpleNamespace(
        principal=SimpleNamespace(tenant="acme"),
        intent=SimpleNamespace(domain="files"),
        decision=SimpleNamespace(effect=effect),
        call=SimpleNamespace(upstream="disk"),
    )


def test_each_decided_entry_is_counted_by_its_words() -> None:
    """A further decision on the same intent is told apart, and a DENY has its reason."""
    metrics = followed(
        decided(),
        decided(),
        decided(again=True),
        decided(Effect.DENY, Reason.NO_RULE),
        decided(Effect.DENY, Reason.BUSY),
    )
    words = ("acme", "bot", "files", "files.read")
    assert metrics.intents == {
        (*words, "ALLOW", "T1", False): 2,
        (*words, "ALLOW", "T1", True): 1,
        (*words, "DENY", "T1", False): 2,
    }
    assert metrics.denials == {("acme", "no-rule"): 1, ("acme", "busy"): 1}
    assert metrics.entries == {("acme", EntryType.CALL_DECIDED): 5}


def test_each_completed_entry_is_counted_with_what_it_was_worth() -> None:
    """Cents only where the intent has earned some."""
    metrics = followed(completed(), completed(value_cents=250, value_type="revenue"), completed("tool-error"))
    words = ("acme", "bot", "files", "files.read")
    assert metrics.endings == {(*words, "ok"): 2, (*words, "tool-error"): 1}
    assert metrics.cents == {(*words, "revenue"): 250}


def test_an_entry_without_reasons_is_counted_all_the_same() -> None:
    """A follower must not fail at an entry."""
    metrics = followed(
        entry(EntryType.CALL_COMPLETED), entry(EntryType.CALL_DECIDED, effect=Effect.DENY), entry(EntryType.KEY_CREATED)
    )
    assert (metrics.endings, metrics.denials) == ({("acme", "bot", "", "", ""): 1}, {})
    assert metrics.entries["acme", EntryType.KEY_CREATED] == 1


def test_names_beyond_the_bound_are_one_name() -> None:
    """An agent that registers ever new ones must not fill the memory; each tenant has the bound for itself."""
    drafts = [decided(agent=f"bot-{number}", intent_type=f"files.{number}") for number in range(9)]
    metrics = followed(*drafts, *drafts, decided(tenant="other", agent="late"), names=3)
    agents = {key[1] for key in metrics.intents if key[0] == "acme"}
    assert agents == {"bot-0", "bot-1", "bot-2", OTHER}
    assert {key[3] for key in metrics.intents if key[0] == "acme"} == {"files.0", "files.1", "files.2", OTHER}
    assert metrics.intents["acme", OTHER, "files", OTHER, "ALLOW", "T1", False] == 12
    assert ("other", "late", "files", "files.read", "ALLOW", "T1", False) in metrics.intents
    assert sum(metrics.intents.values()) == 19


def test_combinations_of_known_names_are_bounded_too() -> None:
    """A thousand agents times a thousand types would be a million series."""
    names = 10
    drafts = [
        draft
        for agent in range(names)
        for kind in range(names)
        for effect in Effect
        for draft in (
            decided(effect, agent=f"bot-{agent}", intent_type=f"files.{kind}"),
            completed(f"end-{effect}", value_cents=1) if not kind else decided(effect, intent_type=f"files.{kind}"),
        )
    ]
    metrics = followed(
        *drafts, *(entry(EntryType.CALL_COMPLETED, agent=f"{n}", reasons=(f"{n}",)) for n in range(300)), names=names
    )
    assert len(metrics.intents) <= COMBINATIONS * names + len(Effect)
    assert sum(metrics.intents.values()) + sum(metrics.endings.values()) == len(drafts) + 300
    assert metrics.intents["acme", OTHER, "files", OTHER, "DENY", "T1", False] > 0


def test_the_names_of_one_tenant_take_no_room_of_another() -> None:
    """Else whoever makes up names at one customer blinds the operator to all the others."""
    names = 10
    kinds = [(f"bot-{agent}", f"files.{kind}") for agent in range(names) for kind in range(2 * names)]
    flood = [
        draft
        for agent, kind in kinds
        for draft in (
            decided(agent=agent, intent_type=kind),
            entry(EntryType.CALL_COMPLETED, agent=agent, intent_type=kind, reasons=("ok",)),
        )
    ]
    other = [replace(one, tenant="good", agent="bot", intent_type="files.read") for one in flood[-2:]]
    metrics = followed(*flood, *other, names=names)
    assert [key[:4] for key in metrics.intents if key[0] == "good"] == [("good", "bot", "files", "files.read")]
    assert [(key[1], key[3]) for key in metrics.endings if key[0] == "good"] == [("bot", "files.read")]


@pytest.mark.parametrize(
    ("state", "approval", "waits"),
    [
        ("approved", "apr_01KAN2H000ABCDEFGHJKMNPQRS", 1),
        ("pending", "apr_01KAN2H000ABCDEFGHJKMNPQRS", 0),
        ("expired", "apr_1", 0),
        ("denied", "apr_0000000u00ABCDEFGHJKMNPQRS", 0),
    ],
)
def test_how_long_an_approval_has_waited_is_read_from_its_id(state: str, approval: str, waits: int) -> None:
    """A ULID begins with its time; one yes of several is no end, and an id that is no ULID says nothing."""
    body = orjson.dumps({"approvalId": approval})
    metrics = followed(entry(EntryType.APPROVAL_RESOLVED, reasons=(state,), body=body, time="2026-11-22T12:00:00.000Z"))
    assert sum(sum(one.counts) for one in metrics.waits.values()) == waits
    if waits:
        assert metrics.waits["acme", state].total >= 0


def test_a_wait_is_the_time_between_the_two() -> None:
    """Thirty seconds and a half."""
    body = orjson.dumps({"approvalId": "apr_" + ulid(1_795_348_800_000) + "ABCDEFGHJKMNPQRS"})
    metrics = followed(
        entry(EntryType.APPROVAL_RESOLVED, reasons=("denied",), body=body, time="2026-11-22T12:00:30.500Z")
    )
    assert metrics.waits["acme", "denied"].total == pytest.approx(30.5)


def ulid(milliseconds: int) -> str:
    signs = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(signs[milliseconds >> shift & 31] for shift in range(45, -1, -5))


def test_changes_of_trust_are_counted_by_word_and_tier() -> None:
    """A freeze has no tier."""
    metrics = followed(
        entry(EntryType.TRUST_CHANGED, reasons=("promoted", "T1")),
        entry(EntryType.TRUST_CHANGED, reasons=("demoted", "T0")),
        entry(EntryType.TRUST_CHANGED, reasons=("frozen",)),
    )
    assert metrics.trust == {
        ("acme", "bot", "promoted", "T1"): 1,
        ("acme", "bot", "demoted", "T0"): 1,
        ("acme", "bot", "frozen", ""): 1,
    }


def test_refusals_count_as_often_as_they_were() -> None:
    """Strangers are told in summary."""
    metrics = followed(
        entry(EntryType.REQUEST_REFUSED, reasons=("-32600",)),
        entry(EntryType.STRANGERS_REFUSED, tenant="_system", reasons=("401",), body=b'{"count": 7}'),
    )
    assert metrics.refusals == {("acme", "-32600"): 1, ("_system", "401"): 7}


def test_reloads_of_policies_are_counted_and_the_last_good_one_has_its_time() -> None:
    """A file that cannot be taken leaves that time alone."""
    later = "2026-11-22T13:00:00.000Z"
    metrics = followed(entry(EntryType.POLICY_LOADED), entry(EntryType.POLICY_REJECTED, time=later))
    assert (metrics.reloads, metrics.reloaded_at) == ([2 - 1, 1], 1_795_348_800.0)


def test_durations_fall_under_their_upper_bounds() -> None:
    """A bound counts to the bucket below it, as Prometheus' `le` says."""
    metrics = Metrics()
    metrics.decided(judged(), evaluated_s=DECISION_S[0], recorded_s=DECISION_S[-1] + 1)
    evaluated = metrics.evaluations["acme", "files", Effect.ALLOW]
    assert (evaluated.counts[0], sum(evaluated.counts)) == (1, 1)
    assert (metrics.appends.counts[-1], sum(metrics.appends.counts)) == (1, 1)
    assert metrics.decisions["acme", Effect.ALLOW].total == pytest.approx(DECISION_S[0] + DECISION_S[-1] + 1)


def test_only_what_was_forwarded_took_its_time_there() -> None:
    """A caller that was gone before the first byte says nothing of an upstream."""
    metrics = Metrics()
    metrics.ended(judged(), SimpleNamespace(reason="caller-gone"), upstream_s=None)
    assert metrics.executions == {}
    metrics.ended(judged(), SimpleNamespace(reason="ok"), upstream_s=0.3)
    assert metrics.executions["acme", "files", "disk", "ok"].total == pytest.approx(0.3)


def test_two_histograms_are_one() -> None:
    """Sums of a label that is left out."""
    one, other = Histogram((1.0, 2.0)), Histogram((1.0, 2.0))
    one.add(0.5)
    other.add(3)
    both = one.merged(other)
    assert (both.counts, both.total, one.counts) == ([1, 0, 1], 3.5, [1, 0, 0])


def test_a_snapshot_stays_as_it_was() -> None:
    """It is written to text in a thread while calls go on."""
    metrics = followed(decided())
    taken = metrics.snapshot()
    metrics.follow(decided(), APPENDED)
    metrics.follow(entry(EntryType.POLICY_LOADED), APPENDED)
    assert (sum(taken.intents.values()), taken.reloads) == (1, [0, 0])


def test_a_call_pays_microseconds() -> None:
    """All of it on the path of a call: two entries and two durations; 2.5 us where this was written."""
    metrics, begun, ended = Metrics(), decided(), completed()
    who, outcome = judged(), SimpleNamespace(reason="ok")
    best = 1.0
    for _ in range(30):
        started = time.perf_counter()
        for _ in range(200):
            metrics.follow(begun, APPENDED)
            metrics.decided(who, evaluated_s=0.0002, recorded_s=0.001)
            metrics.follow(ended, APPENDED)
            metrics.ended(who, outcome, upstream_s=0.01)
        best = min(best, (time.perf_counter() - started) / 200)
    assert best < 20e-6
