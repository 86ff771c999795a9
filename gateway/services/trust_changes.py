"""Changes of trust on record: what a record has earned or lost, and what a human says of it.

Owns the `trust.changed` entries. Their reasons, which the chain hashes, are all that a stranger needs to fold them: the
kind of change and its tier, then what a change by the model rests on (`from`, `upTo`, `start`, `ceiling`, `model`), so
that the model can be asked again. The body says it for people. Each writes the agent's row, which every decision on an
earned tier expects: one that was made under another tier conflicts and is made anew.

A demotion is in force before its entry (`services/trust.py`); the entry follows as soon as the store takes it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.principal import CLI_CREDENTIAL, Principal, Role, TrustTier
from gateway.core.redact import redact
from gateway.core.submitted import MAX_TEXT_CHARS, is_text
from gateway.core.trust.deserved import Need, change_due, cites, needs
from gateway.core.trust.evidence import ChangeKind, EvidenceKind
from gateway.core.trust.model import VERSION
from gateway.core.trust.record import NEW, Cited, Record
from gateway.errors import AgentNotFound, FieldProblem, Forbidden, InvalidRequest, StateConflict, StoreError
from gateway.ports import Appended, AuditLog, Clock, Conflict, Ids
from gateway.services.agents import Agents
from gateway.services.trust import Trust, trust_key
from gateway.services.trusted import Trusted

__all__ = ["LOOK_S", "Control", "TrustChanges", "TrustRow", "TrustView"]

LOOK_S: Final = 60.0
"""Between two looks at the calendar: evidence fades by the day."""

AGAIN_S: Final = 1.0
"""Between two attempts to write what the store did not take."""

ATTEMPTS: Final = 5
"""How often a human's change starts again because the agent's trust changed meanwhile."""

_ROLES: Final = frozenset({Role.ADMIN, Role.POLICY_ADMIN})
"""Who may say how far an agent rises: those who say what a tier may do (contract, section 1)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What a human wants of an agent's trust; None leaves it. `unset` gives the ceiling back to the configuration."""

    frozen: bool | None = None
    ceiling: TrustTier | None = None
    unset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRow:
    """An agent's trust in a list.

    `recorded` is the tier of the last change, `tier` the one in force, which may be lower until its entry is written.
    `own_ceiling` says that a human set the ceiling. `since` is the day of the last change, or of the first evidence,
    empty where there is neither.
    """

    agent: str
    id: str
    tier: TrustTier
    recorded: TrustTier
    score: int
    pinned: bool
    frozen: bool
    ceiling: TrustTier
    own_ceiling: bool
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustView:
    """Everything that there is to say of an agent's trust. `raised` and `lowered` moved the score last."""

    row: TrustRow
    failures_in_row: int
    counts: dict[str, int]
    raised: Sequence[Cited]
    lowered: Sequence[Cited]
    needs: Sequence[Need]
    version: int


class TrustChanges:
    """Writes what changes, and shows what stands."""

    def __init__(self, *, trust: Trust, audit: AuditLog, agents: Agents, clock: Clock, ids: Ids) -> None:
        self._trust = trust
        self._audit = audit
        self._agents = agents
        self._clock = clock
        self._ids = ids

    # --- what the record has earned or lost ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what is due, and look each day what has faded; ends when cancelled."""
        looked = self._clock.now().toordinal()
        while True:
            with anyio.move_on_after(LOOK_S):
                await self._trust.some_due()
            today = self._clock.now().toordinal()
            if today != looked:
                looked = today
                await self._trust.look()
            if not await self.settle():
                await anyio.sleep(AGAIN_S)  # what is still due wakes this at once

    async def settle(self) -> bool:
        """Write every change that is due; False where some could not be written yet."""
        for tenant, agent in self._trust.pending:
            self._trust.taken_up(tenant, agent)
            try:
                written = await self._settle(tenant, agent)
            except StoreError as error:
                _log.warning("a change of trust could not be recorded yet: %s", error)
                written = False
            if not written:
                self._trust.still_due(tenant, agent)
        return not self._trust.pending

    async def _settle(self, tenant: str, agent: str) -> bool:
        """Write the change that is due to one agent, if one still is; False where the agent has changed meanwhile."""
        version = await self._trust.version(tenant, agent)
        held = self._trust.held(tenant, agent)
        terms = self._trust.terms
        now = self._clock.now()
        if held is None or held.pinned is not None:
            return True
        due = change_due(held.record, now, ceiling=terms.ceiling, start=terms.start)
        if due is None:
            return True
        kind, deserved = due
        id_, name = self._named(tenant, agent)
        body = {
            "id": id_,
            "agent": agent,
            "name": name,
            "previousTier": deserved.recorded.name,
            "tier": deserved.tier.name,
            "score": deserved.score,
            "why": kind.value,
            "rests": [{"seq": seq, "id": entry} for seq, entry in cites(held.record, kind)],
            "upTo": held.seq,
            "at": timestamp(now),
        }
        rests_on = {
            "from": deserved.recorded.name,
            "upTo": held.seq,
            "start": terms.start.name,
            "ceiling": terms.ceiling.name,
            "model": VERSION,
        }
        draft = self._draft(
            tenant,
            agent,
            now,
            reasons=(kind.value, deserved.tier.name, *(f"{name}={one}" for name, one in rests_on.items())),
            body=orjson.dumps(body),
            version=version,
            row=(deserved.tier, held.record.ceiling, held.record.frozen),
        )
        return isinstance(await self._audit.append(draft), Appended)

    # --- what a human says --------------------------------------------------------------------------------------------

    async def change(
        self, principal: Principal, name: str, wanted: Control, *, reason: str, version: int | None = None
    ) -> TrustView:
        """Freeze an agent or let it go, and set its ceiling, as a human of its tenant says; each is an entry.

        Frozen, an agent is not promoted; it may still fall. `version` is that of the trust that was looked at.

        Raises:
            Forbidden: the principal is neither `admin` nor `policy_admin`, or is an agent.
            AgentNotFound: this tenant has no such agent.
            InvalidRequest: no reason, or nothing to change.
            StateConflict: the trust has changed since, or the configuration gives the agent its tier.
            StoreError: it could not be made durable; of two changes the first may be.
        """
        agent = self._agent(principal.tenant, name)
        if principal.role not in _ROLES:
            raise Forbidden("The trust of agents is changed by the tenant's own `admin` or `policy_admin`.")
        if principal.bound or (principal.agent == agent and principal.credential != CLI_CREDENTIAL):
            raise Forbidden("No agent changes trust, its own or another's, whatever the role of its credential.")
        if not reason.strip() or not is_text(reason, MAX_TEXT_CHARS):
            text = f"must be a text of at most {MAX_TEXT_CHARS} characters that is not empty"
            raise InvalidRequest(FieldProblem(path=("reason",), message=text))
        if wanted == Control():
            raise InvalidRequest(FieldProblem(path=("frozen",), message="name `frozen` or `ceiling`"))
        if self._trust.pinned(principal.tenant, agent) is not None:
            raise StateConflict("The configuration gives this agent its tier (`tiers`); change it there.")
        if version is not None and version != await self._trust.version(principal.tenant, agent):
            raise _changed()
        if wanted.frozen is not None:
            kind = ChangeKind.FROZEN if wanted.frozen else ChangeKind.UNFROZEN
            await self._say(principal, agent, kind, None, reason)
        if wanted.ceiling is not None or wanted.unset:
            await self._say(principal, agent, ChangeKind.CEILING, wanted.ceiling, reason)
        return await self.view(principal.tenant, agent)

    def shown(self, tenant: str, agent: str) -> Trusted:
        """Return an agent's tier and score, by its slug. Raises StoreError where they are not known."""
        return self._trust.shown(tenant, agent)

    def rows(self, tenant: str, *, page: int, page_size: int) -> tuple[Sequence[TrustRow], int]:
        """Return a page of the agents that have acted, by name, and how many there are. Raises StoreError."""
        agents = sorted(self._trust.agents(tenant))
        first = (page - 1) * page_size
        return [self._row(tenant, agent) for agent in agents[first : first + page_size]], len(agents)

    async def view(self, tenant: str, name: str) -> TrustView:
        """Return everything about an agent's trust.

        Raises:
            AgentNotFound: this tenant has no such agent.
            StoreError: it is not known.
        """
        agent = self._agent(tenant, name)
        version = await self._trust.version(tenant, agent)
        row = self._row(tenant, agent)
        record = self._record(tenant, agent)
        terms = self._trust.terms
        now = self._clock.now()
        return TrustView(
            row=row,
            failures_in_row=record.failures_in_row,
            counts={kind.name.lower(): record.counts[kind] for kind in EvidenceKind},
            raised=record.good,
            lowered=record.worst,
            needs=() if row.pinned else needs(record, now, ceiling=terms.ceiling, start=terms.start),
            version=version,
        )

    def _row(self, tenant: str, agent: str) -> TrustRow:
        """Return what a list tells of an agent, by its slug. Raises StoreError."""
        shown = self._trust.shown(tenant, agent)
        record = self._record(tenant, agent)
        pinned = self._trust.pinned(tenant, agent)
        terms = self._trust.terms
        return TrustRow(
            agent=agent,
            id=self._named(tenant, agent)[0],
            tier=shown.tier,
            recorded=shown.tier if pinned is not None else terms.start if record.tier is None else record.tier,
            score=shown.score,
            pinned=pinned is not None,
            frozen=record.frozen,
            ceiling=max(terms.ceiling, terms.start) if record.ceiling is None else record.ceiling,
            own_ceiling=record.ceiling is not None,
            since=datetime.fromordinal(record.since).date().isoformat() if record.since else "",
        )

    def _record(self, tenant: str, agent: str) -> Record:
        held = self._trust.held(tenant, agent)
        return NEW if held is None else held.record

    async def _say(
        self, principal: Principal, agent: str, kind: ChangeKind, ceiling: TrustTier | None, reason: str
    ) -> None:
        """Write one change of a human's, unless it is so already."""
        tenant = principal.tenant
        for _ in range(ATTEMPTS):
            version = await self._trust.version(tenant, agent)
            record = self._record(tenant, agent)
            row = (record.tier, record.ceiling, kind is ChangeKind.FROZEN)
            if kind is ChangeKind.CEILING:
                row = (record.tier, ceiling, record.frozen)
            if row == (record.tier, record.ceiling, record.frozen):
                return
            body = self._said(principal, agent, kind, ceiling, record.ceiling, reason)
            reasons = (kind.value,) if ceiling is None else (kind.value, ceiling.name)
            now = self._clock.now()
            draft = self._draft(tenant, agent, now, reasons=reasons, body=body, version=version, row=row)
            if not isinstance(await self._audit.append(draft), Conflict):
                return
        raise _changed()

    def _said(
        self,
        principal: Principal,
        agent: str,
        kind: ChangeKind,
        ceiling: TrustTier | None,
        previous: TrustTier | None,
        reason: str,
    ) -> bytes:
        id_, name = self._named(principal.tenant, agent)
        told = {"id": id_, "agent": agent, "name": name, "by": principal.credential, "human": principal.human}
        if kind is ChangeKind.CEILING:
            told["ceiling"] = "" if ceiling is None else ceiling.name
            told["previousCeiling"] = "" if previous is None else previous.name
        return orjson.dumps({**told, **redact({"reason": reason})})

    def _draft(
        self,
        tenant: str,
        agent: str,
        now: datetime,
        *,
        reasons: tuple[str, ...],
        body: bytes,
        version: int,
        row: tuple[TrustTier | None, TrustTier | None, bool],
    ) -> EntryDraft:
        id_ = self._ids.new("evt")
        tier, ceiling, frozen = row
        written = {
            "tier": None if tier is None else tier.name,
            "ceiling": None if ceiling is None else ceiling.name,
            "frozen": frozen,
            "entry": id_,
        }
        key = trust_key(agent)
        return EntryDraft(
            tenant=tenant,
            id=id_,
            type=EntryType.TRUST_CHANGED,
            time=timestamp(now),
            agent=agent,
            reasons=reasons,
            body=body,
            expects=(Expect(key=key, version=version),),
            puts=(Put(key=key, value=orjson.dumps(written)),),
        )

    def _agent(self, tenant: str, name: str) -> str:
        """Return the slug of an agent that is registered, or that entries tell of: MCP asks for no registration."""
        slug = self._agents.slug(tenant, name)
        if self._agents.find(tenant, slug) is None and self._trust.held(tenant, slug) is None:
            raise AgentNotFound(f"There is no agent '{name[:128]}': none is registered so, and none has acted.")
        return slug

    def _named(self, tenant: str, agent: str) -> tuple[str, str]:
        """Return an agent's id and name; its slug for either where it is not registered."""
        found = self._agents.find(tenant, agent)
        return (agent, agent) if found is None else (found.id, found.name)


def _changed() -> StateConflict:
    return StateConflict("The agent's trust has changed meanwhile; look at it and decide anew.", field="version")
