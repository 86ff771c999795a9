"""Tiers recomputed from the log alone, and held against everything that says otherwise.

Owns the second reading of the chain: it folds entries as `services/trust.py` does, shares no state with it, and asks
the model again at each change of tier and at each decision that went by an earned tier. What a decision went by is in
its body; everything else is in the hashed fields. Nothing is written.

Calls are decided side by side, so that an entry of the same agent may come between what a decision rests on and the
decision. Such a decision is checked against the record that it names, and counted as overtaken; no change of its tier
can come between, since it expects the agent's row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson

from gateway.core.audit.entry import EntryDraft, EntryType, StoredEntry
from gateway.core.decision import BY_BUDGET, Effect
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import TrustTier
from gateway.core.trust.deserved import change_due, deserved_by, fold
from gateway.core.trust.evidence import BY_THE_MODEL, Change, change_of, evidence_of, read_chained
from gateway.core.trust.model import BEFORE_BUDGETS, VERSION
from gateway.core.trust.record import NEW, Record, read_record
from gateway.ports import KeptRecords, StateRow
from gateway.services.trust import ROWS

__all__ = ["Difference", "TrustCheck", "TrustReport"]

REMEMBERED: Final = 4_096
"""Records of one agent that a decision or change may rest on, newest last; they are made within seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that says otherwise than the log. `seq` is the entry, 0 where it is none."""

    seq: int
    agent: str
    what: str
    recorded: str
    recomputed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustReport:
    """What the log of one tenant gives. `records` are the agents', as of entry `head`.

    `decisions` were checked, `overtaken` of them; `given` went by a tier that is not earned, and `elsewhere` counts
    changes and decisions of another version of the model, which this one cannot ask again.
    """

    tenant: str
    head: int
    records: Mapping[str, Record]
    differences: Sequence[Difference]
    changes: int
    decisions: int
    overtaken: int
    given: int
    elsewhere: int


@dataclass(slots=True)
class _Agent:
    """One agent on the way through the log; `past` are its records by the entry that made each.

    `changed` is its last change, `settled` its last one before the rows were read. `marked`: it was denied for
    a budget, which the model before this one would have held against it.
    """

    record: Record = field(default_factory=lambda: NEW)
    past: dict[int, Record] = field(default_factory=lambda: {0: NEW})
    changed: int = 0
    settled: int = 0
    marked: bool = False

    def asks(self, model: int) -> bool:
        """Say whether what that version of the model made of this agent so far can be asked of this one."""
        return model == VERSION or (model == BEFORE_BUDGETS and not self.marked)

    def move(self, seq: int, record: Record) -> None:
        """Take the record that an entry makes."""
        self.record = record
        self.past[seq] = record
        if len(self.past) > REMEMBERED:
            del self.past[next(iter(self.past))]


class TrustCheck:
    """Reads one chain, entry by entry, to its end."""

    def __init__(
        self, tenant: str, *, kept: KeptRecords | None = None, rows: Sequence[StateRow] = (), rows_as_of: int = 0
    ) -> None:
        """`kept` are the records that were put by, `rows` the rows of agents, read when the chain had `rows_as_of`."""
        self._tenant = tenant
        self._kept = kept
        self._rows: dict[str, JsonObject] = {row.key.removeprefix(ROWS): orjson.loads(row.value) for row in rows}
        self._rows_as_of = rows_as_of
        self._row_seqs: dict[str, int] = {}
        self._agents: dict[str, _Agent] = {}
        self._differences: list[Difference] = []
        self._head = 0
        self._changes = self._decisions = self._overtaken = self._given = self._elsewhere = 0

    def feed(self, entry: StoredEntry) -> None:
        """Take the next entry in."""
        try:
            chained = read_chained(orjson.loads(entry.content))
            if chained is not None and chained.agent:
                self._take(chained, entry)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            self._differ(entry.seq, "", "entry", f"damaged ({type(error).__name__})", "an entry of the chain")
        self._head = entry.seq
        if self._kept is not None and self._kept.seq == entry.seq:
            self._compare_kept(self._kept, entry)

    def report(self) -> TrustReport:
        """Return what was found; to be called once, at the end of the chain."""
        if self._kept is not None and self._kept.seq > self._head:
            ends = f"the chain ends at {self._head}"
            self._differ(0, "", "records put by", f"as of entry {self._kept.seq}", ends)
        for agent in sorted({*self._rows, *self._agents}):
            found = self._row_seqs.get(agent, 0)
            settled = self._agents[agent].settled if agent in self._agents else 0
            if agent in self._rows and not found:
                self._differ(0, agent, "row", f"of entry {self._rows[agent]['entry']}", "no such change in the chain")
            elif found < settled:
                self._differ(settled, agent, "row", f"of entry {found}" if found else "none", f"of entry {settled}")
        return TrustReport(
            tenant=self._tenant,
            head=self._head,
            records={agent: one.record for agent, one in sorted(self._agents.items())},
            differences=tuple(self._differences),
            changes=self._changes,
            decisions=self._decisions,
            overtaken=self._overtaken,
            given=self._given,
            elsewhere=self._elsewhere,
        )

    # --- one entry ----------------------------------------------------------------------------------------------------

    def _take(self, chained: EntryDraft, entry: StoredEntry) -> None:
        agent = self._agents.get(chained.agent)
        if agent is None:
            agent = self._agents[chained.agent] = _Agent()
        if chained.type is EntryType.CALL_DECIDED:
            self._check_decision(agent, chained, entry)
            agent.marked = agent.marked or BY_BUDGET in chained.reasons
        evidence = evidence_of(chained, entry.seq)
        if evidence is not None:
            agent.move(entry.seq, fold(agent.record, evidence))
            return
        change = change_of(chained, entry.seq)
        if change is not None:
            self._changes += 1
            if change.kind in BY_THE_MODEL:
                self._check_change(agent, change, chained)
            agent.move(entry.seq, fold(agent.record, change))
            agent.changed = entry.seq
            if entry.seq <= self._rows_as_of:
                agent.settled = entry.seq
            self._compare_row(agent, chained, entry.seq)
        elif chained.type is EntryType.TRUST_CHANGED:
            self._differ(entry.seq, chained.agent, "change", ",".join(chained.reasons), "a change that is known")

    def _check_decision(self, agent: _Agent, chained: EntryDraft, entry: StoredEntry) -> None:
        """Ask the model again what a decision was told of its agent."""
        facts = orjson.loads(entry.body)["facts"]
        grounds = facts.get("trust")
        if grounds is None:
            self._given += 1
            return
        if not agent.asks(grounds["model"]):
            self._elsewhere += 1
            return
        self._decisions += 1
        up_to = grounds["upTo"]
        record = agent.past.get(up_to)
        if record is None or up_to >= entry.seq:
            self._differ(entry.seq, chained.agent, "decision", f"rests on entry {up_to}", "none that moved the agent")
            return
        if agent.changed > up_to and chained.effect != Effect.DENY:
            self._differ(entry.seq, chained.agent, "decision", f"rests on entry {up_to}", f"changed by {agent.changed}")
        self._overtaken += record is not agent.record
        found = deserved_by(
            record,
            datetime.fromisoformat(facts["now"]),
            ceiling=TrustTier[grounds["ceiling"]],
            start=TrustTier[grounds["start"]],
        )
        recorded = f"T{facts['tier']} with score {facts['score']}"
        recomputed = f"T{int(min(found.tier, found.recorded))} with score {found.score}"
        if recorded != recomputed:
            self._differ(entry.seq, chained.agent, "decision", recorded, recomputed)

    def _check_change(self, agent: _Agent, change: Change, chained: EntryDraft) -> None:
        """Ask the model again whether a change was due."""
        rests_on = dict(word.split("=", 1) for word in chained.reasons[2:])
        if not agent.asks(int(rests_on["model"])):
            self._elsewhere += 1
            return
        start, up_to = TrustTier[rests_on["start"]], int(rests_on["upTo"])
        before = agent.past.get(up_to)
        was = start if agent.record.tier is None else agent.record.tier
        if rests_on["from"] != was.name:
            self._differ(change.seq, chained.agent, "change", f"from {rests_on['from']}", f"from {was.name}")
        if before is None or agent.changed > up_to:
            self._differ(change.seq, chained.agent, "change", f"rests on entry {up_to}", "another record")
            return
        due = change_due(
            before, datetime.fromisoformat(change.time), ceiling=TrustTier[rests_on["ceiling"]], start=start
        )
        recorded = " ".join(change.reasons)
        recomputed = "no change" if due is None else f"{due[0].value} {due[1].tier.name}"
        if recorded != recomputed:
            self._differ(change.seq, chained.agent, "change", recorded, recomputed)

    # --- what else says so --------------------------------------------------------------------------------------------

    def _compare_row(self, agent: _Agent, chained: EntryDraft, seq: int) -> None:
        row = self._rows.get(chained.agent)
        if row is None or row["entry"] != chained.id:
            return
        self._row_seqs[chained.agent] = seq
        one = agent.record
        recorded, recomputed = (
            f"tier {tier}, ceiling {ceiling}, {'frozen' if frozen else 'not frozen'}"
            for tier, ceiling, frozen in (
                (row["tier"], row["ceiling"], row["frozen"]),
                (_name(one.tier), _name(one.ceiling), one.frozen),
            )
        )
        if recorded != recomputed:
            self._differ(seq, chained.agent, "row", recorded, recomputed)

    def _compare_kept(self, kept: KeptRecords, entry: StoredEntry) -> None:
        """Compare the records that were put by as of this entry; of another chain they are not used either."""
        if kept.hash != entry.hash:
            return
        known = {agent: one for agent, one in self._agents.items() if one.record is not NEW}
        for agent in sorted({*kept.records, *known}):
            text = kept.records.get(agent)
            seq, written, *_ = (0, None) if text is None else orjson.loads(text)
            record = NEW if written is None else read_record(orjson.dumps(written))
            if record is None:
                return  # another version of the model wrote them: the gateway folds the chain anew
            one = self._agents.get(agent, _Agent())
            if record != one.record or seq != next(reversed(one.past)):
                self._differ(entry.seq, agent, "record put by", f"as of {seq}: {_short(record)}", _short(one.record))

    def _differ(self, seq: int, agent: str, what: str, recorded: str, recomputed: str) -> None:
        self._differences.append(Difference(seq=seq, agent=agent, what=what, recorded=recorded, recomputed=recomputed))


def _name(tier: TrustTier | None) -> str | None:
    return None if tier is None else tier.name


def _short(record: Record) -> str:
    return record.written().decode()
