"""What the log gives is compared with everything that says otherwise, and every lie of these is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.core.audit.entry import EntryType, StoredEntry
from gateway.core.decision import BY_BUDGET
from gateway.core.principal import TrustTier
from gateway.core.trust.model import BEFORE_BUDGETS, VERSION
from gateway.ports import KeptRecords, StateRow
from gateway.services.trust import ROWS, TrustTerms
from gateway.services.trust_changes import Control
from gateway.services.trust_check import REMEMBERED, TrustCheck, TrustReport
from tests.simulate.trusting import ADMIN, Life

TAMPER = Callable[[dict[str, Any], dict[str, Any]], None]


async def lived(life: Life | None = None) -> Life:
    """Return a life with a promotion, a human's word, decisions and a fall."""
    life = life or Life()
    await decided(life)
    await life.days(4, settle=True)
    await decided(life)
    await life.changes.change(ADMIN, "bot", Control(ceiling=TrustTier.T3), reason="reviewed")
    await life.trust.keep()
    for _ in range(4):
        await life.denied(risk=100)
    await decided(life)
    await life.changes.settle()
    await decided(life)
    assert [draft.reasons[:2] for draft in life.told()] == [("promoted", "T1"), ("ceiling", "T3"), ("demoted", "T0")]
    return life


async def decided(life: Life) -> None:
    """Make one decision, as the gateway records it."""
    trusted = await life.trust.trusted("acme", "bot", life.clock.now())
    assert trusted.grounds is not None
    grounds = trusted.grounds
    facts = {
        "tier": int(trusted.tier),
        "score": trusted.score,
        "now": life.clock.now().isoformat(),
        "trust": {
            "upTo": grounds.up_to,
            "start": grounds.start.name,
            "ceiling": grounds.ceiling.name,
            "model": VERSION,
        },
    }
    entry = life.entry(
        EntryType.CALL_DECIDED, effect="ALLOW", reasons=("policy-allow",), body=orjson.dumps({"facts": facts})
    )
    await life.store.append(entry)


async def checked(
    life: Life,
    tamper: TAMPER | None = None,
    *,
    kept: KeptRecords | None = None,
    rows: list[StateRow] | None = None,
) -> TrustReport:
    """Return the report of a life; `tamper` may change each entry's content and body before it is read."""
    if rows is None:
        rows = list(await life.store.scan("acme", ROWS))
    head, _ = await life.store.head("acme")
    check = TrustCheck("acme", kept=kept or life.shelf.put_by.get("acme"), rows=rows, rows_as_of=head)
    async for entry in life.store.read("acme"):
        check.feed(entry if tamper is None else changed(entry, tamper))
    return check.report()


def changed(entry: StoredEntry, tamper: TAMPER) -> StoredEntry:
    content, body = orjson.loads(entry.content), orjson.loads(entry.body)
    tamper(content, body)
    return replace(entry, content=orjson.dumps(content), body=orjson.dumps(body))


def said(report: TrustReport) -> list[tuple[str, str, str]]:
    return [(one.what, one.recorded, one.recomputed) for one in report.differences]


async def test_an_honest_log_differs_from_nothing() -> None:
    """And gives every agent the record that it has."""
    life = await lived()
    report = await checked(life)
    held = life.trust.held("acme", "bot")
    assert held is not None
    assert said(report) == []
    assert report.records == {"bot": held.record}
    assert (report.changes, report.decisions, report.overtaken) == (3, 4, 0)
    assert (report.given, report.elsewhere) == (4, 0)
    assert report.head == len(life.store.drafts)


async def test_a_decision_above_what_the_log_allows_is_found() -> None:
    """Whatever it says that its tier was."""
    life = await lived()

    def higher(content: dict[str, Any], body: dict[str, Any]) -> None:
        if "trust" in body.get("facts", {}) and content["seq"] > 30:
            body["facts"]["tier"] = 4

    found = said(await checked(life, higher))
    assert found[-1][0] == "decision"
    assert found[-1][1].startswith("T4 ")
    assert found[-1][2].startswith("T0 ")


async def test_a_decision_that_rests_on_an_older_record_than_it_may_is_found() -> None:
    """From before a change of its tier, which its expected row would have told; or on nothing at all."""
    life = await lived()
    [*_, fall] = [seq for seq, one in enumerate(life.store.drafts, start=1) if one.reasons[:1] == ("demoted",)]

    def resting(up_to: int) -> TAMPER:
        def tamper(content: dict[str, Any], body: dict[str, Any]) -> None:
            if content["seq"] == fall + 1:
                body["facts"]["trust"]["upTo"] = up_to

        return tamper

    assert ("decision", f"rests on entry {fall - 2}", f"changed by {fall}") in said(
        await checked(life, resting(fall - 2))
    )
    for nothing in (10_000, fall + 1, 1):
        assert said(await checked(life, resting(nothing))) == [
            ("decision", f"rests on entry {nothing}", "none that moved the agent")
        ]


async def test_a_decision_that_another_entry_has_overtaken_is_counted() -> None:
    """Calls are decided side by side; the record that it names is the one that it is held against."""
    life = Life()
    await life.did()
    trusted = await life.trust.trusted("acme", "bot", life.clock.now())
    await life.did()

    async def earlier(*_: object) -> object:
        return trusted

    life.trust.trusted = earlier  # type: ignore[method-assign,assignment]
    await decided(life)
    report = await checked(life)
    assert (said(report), report.overtaken) == ([], 1)


@pytest.mark.parametrize(
    ("place", "word", "found"),
    [
        (1, "T2", ("change", "promoted T2", "promoted T1")),
        (0, "demoted", ("change", "demoted T1", "promoted T1")),
        (2, "from=T1", ("change", "from T1", "from T0")),
        (3, "upTo=2", ("change", "promoted T1", "no change")),
        (3, "upTo=999", ("change", "rests on entry 999", "another record")),
        (5, "ceiling=T0", ("change", "promoted T1", "no change")),
    ],
)
async def test_a_change_that_the_record_does_not_give_is_found(place: int, word: str, found: tuple[str, ...]) -> None:
    """Each word of its reasons is one that the model is asked with."""
    life = await lived()

    def tamper(content: dict[str, Any], body: dict[str, Any]) -> None:
        if content["reasons"][:1] == ["promoted"]:
            content["reasons"][place] = word

    assert found in said(await checked(life, tamper))


async def test_what_another_model_decided_is_counted_and_not_judged() -> None:
    """This one cannot say what that one would."""
    life = await lived()

    def tamper(content: dict[str, Any], body: dict[str, Any]) -> None:
        content["reasons"] = [word.replace(f"model={VERSION}", "model=0") for word in content["reasons"]]
        if "trust" in body.get("facts", {}):
            body["facts"]["trust"]["model"] = 0

    report = await checked(life, tamper)
    assert (said(report), report.elsewhere, report.decisions) == ([], 6, 0)


def by_the_one_before(content: dict[str, Any], body: dict[str, Any]) -> None:
    content["reasons"] = [word.replace(f"model={VERSION}", f"model={BEFORE_BUDGETS}") for word in content["reasons"]]
    if "trust" in body.get("facts", {}):
        body["facts"]["trust"]["model"] = BEFORE_BUDGETS


async def test_what_the_model_before_this_one_decided_is_judged_as_ever() -> None:
    """It differs only by a mark that no entry of its time has: an old chain gives the same, and shows its lies."""
    life = await lived()
    report = await checked(life, by_the_one_before)
    assert (said(report), report.elsewhere, report.decisions, report.changes) == ([], 0, 4, 3)

    def lie(content: dict[str, Any], body: dict[str, Any]) -> None:
        by_the_one_before(content, body)
        if "trust" in body.get("facts", {}):
            body["facts"]["score"] = 99

    assert len(said(await checked(life, lie))) == 4


async def test_a_denial_for_a_budget_leaves_a_record_as_it_was_in_the_log_too() -> None:
    """A stranger comes to what the gateway went by; what an older one made of the mark cannot be asked of this one."""
    life = Life()
    await life.days(4, settle=True)
    for _ in range(30):
        await life.denied(risk=100, marks=(BY_BUDGET,))
    await decided(life)
    assert await life.tier() == TrustTier.T1
    report = await checked(life)
    assert (said(report), report.changes, report.decisions, report.elsewhere) == ([], 1, 1, 0)
    report = await checked(life, by_the_one_before)
    assert (said(report), report.changes, report.decisions, report.elsewhere) == ([], 1, 0, 1)


async def test_a_change_in_words_that_are_none_is_found() -> None:
    """It would move nobody, and somebody meant it to."""
    life = await lived()

    def tamper(content: dict[str, Any], body: dict[str, Any]) -> None:
        if content["reasons"][:1] == ["ceiling"]:
            content["reasons"] = ["ceiling", "T9"]

    assert ("change", "ceiling,T9", "a change that is known") in said(await checked(life, tamper, rows=[]))


async def test_a_damaged_entry_is_found_and_the_others_are_read() -> None:
    """`intended audit verify` says more of it."""
    life = await lived()

    def tamper(content: dict[str, Any], body: dict[str, Any]) -> None:
        if content["seq"] == 3:
            del content["agent"]

    report = await checked(life, tamper)
    assert said(report)[0] == ("entry", "damaged (KeyError)", "an entry of the chain")
    assert report.head == len(life.store.drafts)


async def test_a_row_that_says_otherwise_is_found() -> None:
    """Its value, its absence, that it is an older one, or of no entry at all."""
    life = await lived()
    [row] = await life.store.scan("acme", ROWS)
    value = orjson.loads(row.value)
    head = next(seq for seq, one in enumerate(life.store.drafts, start=1) if one.id == value["entry"])
    first = life.told()[0]
    older = next(seq for seq, one in enumerate(life.store.drafts, start=1) if one is first)
    cases = (
        ({**value, "ceiling": "T4"}, ("row", "tier T0, ceiling T4, not frozen", "tier T0, ceiling T3, not frozen")),
        ({**value, "frozen": True}, ("row", "tier T0, ceiling T3, frozen", "tier T0, ceiling T3, not frozen")),
        ({**value, "entry": "evt_none"}, ("row", "of entry evt_none", "no such change in the chain")),
        (
            {"tier": "T1", "ceiling": None, "frozen": False, "entry": first.id},
            ("row", f"of entry {older}", f"of entry {head}"),
        ),
    )
    for lie, found in cases:
        report = await checked(life, rows=[replace(row, value=orjson.dumps(lie))])
        assert said(report) == [found]
    assert said(await checked(life, rows=[])) == [("row", "none", f"of entry {head}")]
    stranger = replace(row, key=f"{ROWS}nobody")
    assert ("row", f"of entry {value['entry']}", "no such change in the chain") in said(
        await checked(life, rows=[row, stranger])
    )


async def test_changes_after_the_rows_were_read_are_no_difference() -> None:
    """A gateway may run meanwhile."""
    life = Life()
    await life.did()
    rows = list(await life.store.scan("acme", ROWS))
    head, _ = await life.store.head("acme")
    await life.changes.change(ADMIN, "bot", Control(frozen=True), reason="why")
    check = TrustCheck("acme", rows=rows, rows_as_of=head)
    async for entry in life.store.read("acme"):
        check.feed(entry)
    assert said(check.report()) == []


async def test_records_put_by_that_say_otherwise_are_found() -> None:
    """A start would take them."""
    life = await lived()
    kept = life.shelf.put_by["acme"]
    seq, written = orjson.loads(kept.records["bot"])
    better = [*written]
    better[2] = "T4"
    assert [one[0] for one in said(await checked(life, kept=with_bot(kept, seq, better)))] == ["record put by"]
    assert [one[0] for one in said(await checked(life, kept=with_bot(kept, seq - 1, written)))] == ["record put by"]
    assert [one[0] for one in said(await checked(life, kept=replace(kept, records={})))] == ["record put by"]
    stranger = replace(kept, records={**kept.records, "stranger": kept.records["bot"]})
    assert [one.agent for one in (await checked(life, kept=stranger)).differences] == ["stranger"]
    ends = f"the chain ends at {len(life.store.drafts)}"
    assert said(await checked(life, kept=replace(kept, seq=9_999))) == [("records put by", "as of entry 9999", ends)]


async def test_records_put_by_that_no_start_would_take_are_no_difference() -> None:
    """Of another chain, or another version of the model."""
    life = await lived()
    kept = life.shelf.put_by["acme"]
    seq, written = orjson.loads(kept.records["bot"])
    assert said(await checked(life, kept=replace(kept, hash=b"another", records={}))) == []
    assert said(await checked(life, kept=with_bot(kept, seq, [99, *written[1:]]))) == []


def with_bot(kept: KeptRecords, seq: int, written: list[Any]) -> KeptRecords:
    return replace(kept, records={"bot": orjson.dumps((seq, written))})


async def test_agents_that_begin_above_are_checked_by_where_they_began() -> None:
    """The configuration of that time is on record with each decision and change."""
    life = Life(terms=TrustTerms(start=TrustTier.T4))
    await decided(life)
    await life.denied(risk=100)
    await decided(life)
    await life.changes.settle()
    await decided(life)
    report = await checked(life)
    assert (said(report), report.changes, report.decisions) == ([], 1, 3)


async def test_the_memory_of_a_check_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision rests on one of an agent's last records."""
    life = Life()
    check = TrustCheck("acme")
    await life.did()
    async for entry in life.store.read("acme"):
        for seq in range(1, REMEMBERED + 10):
            check.feed(replace(entry, seq=seq))
    report = check.report()
    assert report.records["bot"].counts[0] == REMEMBERED + 9
    assert len(check._agents["bot"].past) == REMEMBERED


async def test_entries_that_tell_of_no_agent_are_passed_over() -> None:
    """Those of a later version too."""
    life = Life()
    await life.store.append(life.entry(EntryType.KEY_CREATED, agent=""))
    await life.did()
    report = await checked(life, lambda content, body: content.update(type="from.the-future"))
    assert (report.head, report.records, said(report)) == (2, {}, [])
