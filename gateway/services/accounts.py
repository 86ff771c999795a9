"""What is left of budgets, for people and programs: the accounts of a tenant, and what counts into one of them.

Owns which accounts are shown, and from where: their rows as they are durable, never a copy beside them. Nothing of it
is on the path of a call, which reads accounts by `services/budgets.py`. Of what has fallen out of its window nothing is
shown, whether its row is still there or not.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import anyio.lowlevel
import orjson

from gateway.core.accounts import (
    NOBODY,
    AccountView,
    Declared,
    Named,
    account_view,
    counts_it,
    declared_limits,
    in_units,
    limits,
)
from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryType, StoredEntry
from gateway.core.budgets import Tally, hidden_key, is_hidden, is_live, plain_key, read_tally, whose
from gateway.core.call import INTENT_METHOD
from gateway.core.policy.bundle import Budget, Bundle
from gateway.core.principal import Principal, TrustTier
from gateway.core.redact import redact
from gateway.errors import FieldProblem, InvalidRequest, NotFound, StoreError
from gateway.ports import Clock, EntryFilter, Page, PolicySource, RecordIndex, StateRow, StateStore

__all__ = ["CHARGES", "LOOKED_AT", "Accounts", "Charge", "Statement"]

CHARGES: Final = 100
"""Entries shown of one account, the newest; the audit trail has them all."""

LOOKED_AT: Final = 5_000
"""Decided entries looked at for these: most of an agent's calls may count into other budgets."""

PAGE: Final = 500

ROWS: Final = 500
"""Rows read in one go, a millisecond or two: there may be as many as systems that programs ever named."""

AT_ONCE: Final = 25
"""Accounts read before calls have their turn again."""


class KnownTier(Protocol):
    """What is shown of an agent's trust."""

    @property
    def tier(self) -> TrustTier:
        """Its tier now."""
        ...


class AgentTiers(Protocol):
    """Where the tiers of agents are known (`services/trust.py`)."""

    def shown(self, tenant: str, agent: str) -> KnownTier:
        """Return an agent's tier, without waiting. Raises StoreError where it is not known now."""
        ...


class Slugs(Protocol):
    """Where the names of agents are known (`services/agents.py`)."""

    def slug(self, tenant: str, name: str) -> str:
        """Return the slug under which an agent acts, by its name, slug or id, be it registered or not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """An allowed call that counts into an account: its decided entry, what it added, and when that comes back."""

    seq: int
    id: str
    at: str
    intent_id: str
    agent: str
    upstream: str
    tool: str
    amount: float
    back_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One account and what counts into it, newest first; not `complete` where there may be more than is shown."""

    account: AccountView
    charges: tuple[Charge, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """An account's row; nothing is held where it has none. `submitted`: of what programs name a system so."""

    budget: Budget
    whose: str
    held: bytes | None
    submitted: bool = False


@dataclass(frozen=True, slots=True)
class _Look:
    """Whose accounts are looked at, when, and by which policies; `declared` are the limits of budgets seen so far."""

    tenant: str
    bundle: Bundle
    now: datetime
    agent: str = ""
    upstream: str = ""
    declared: dict[str, Declared] = field(default_factory=dict)

    def limits(self, budget: Budget) -> Declared:
        """Return the limits of a budget; they are read off all rules, and the same for each of its accounts."""
        found = self.declared.get(budget.name)
        if found is None:
            found = self.declared[budget.name] = declared_limits(self.bundle, budget)
        return found


class Accounts:
    """Shows the accounts of budgets."""

    def __init__(
        self,
        *,
        policies: PolicySource,
        state: StateStore,
        index: RecordIndex,
        clock: Clock,
        agents: Slugs,
        trust: AgentTiers,
    ) -> None:
        self._policies = policies
        self._state = state
        self._index = index
        self._clock = clock
        self._agents = agents
        self._trust = trust

    async def list(
        self, principal: Principal, *, agent: str = "", upstream: str = "", page: int, page_size: int
    ) -> Page[AccountView]:
        """Return the tenant's accounts in the order in which policies declare budgets, then by whose they are.

        With `agent` (name, slug or id) and `upstream` those into which that agent's calls, or calls to that upstream,
        count: its own, also where it has spent nothing, and those that it shares with others.

        Raises:
            InvalidRequest: `agent` is nobody's name.
            StoreError: an account cannot be read, or is damaged.
        """
        look = self._look(principal.tenant, agent, upstream)
        rows = [one async for one in self._rows(look)]
        shown = rows[(page - 1) * page_size : page * page_size]
        return Page(items=tuple([self._view(look, one) for one in shown]), total=len(rows))

    async def show(self, principal: Principal, name: str, *, agent: str = "", upstream: str = "") -> Statement:
        """Return one account with the entries that count into it.

        Raises:
            NotFound: no policy declares such a budget.
            InvalidRequest: it has an account of each agent, or upstream, and none is named, or by nobody's name.
            StoreError: it cannot be read, or is damaged.
        """
        look = self._look(principal.tenant, agent, upstream)
        budget = next((one for one in look.bundle.budgets if one.name == name), None)
        if budget is None:
            msg = f"No policy declares a budget '{name}'."
            raise NotFound(msg)
        if not _meant(look, budget):
            text = f"must be named: each {budget.per} has its own account of this budget"
            raise InvalidRequest(FieldProblem(path=(budget.per,), message=text))
        row = (await self._of(look, budget))[0]
        charges, complete = await self._charges(look, row)
        return Statement(account=self._view(look, row), charges=charges, complete=complete)

    async def fullest(self, tenant: str) -> tuple[AccountView, ...]:
        """Return all accounts of which something is spent, or that are the tenant's, the fullest first.

        Raises StoreError.
        """
        look = self._look(tenant)
        views = [self._view(look, row) async for row in self._rows(look) if row.whose != NOBODY]
        return tuple(sorted(views, key=lambda one: (one.share, one.spent), reverse=True))

    def _look(self, tenant: str, agent: str = "", upstream: str = "") -> _Look:
        slug = self._agents.slug(tenant, agent) if agent else ""
        if agent and not slug:  # it would read as everybody
            text = "must hold a letter a to z or a digit: an agent's slug is made of these"
            raise InvalidRequest(FieldProblem(path=("agent",), message=text))
        return _Look(tenant, self._policies.current(), self._clock.now(), slug, upstream)

    # --- which accounts -----------------------------------------------------------------------------------------------

    async def _rows(self, look: _Look) -> AsyncIterator[_Row]:
        named = Named(agent=_named(look.tenant, look.agent), upstream=look.upstream)
        for budget in look.bundle.budgets:
            if counts_it(budget, named):
                for number, row in enumerate(await self._of(look, budget)):
                    if number % AT_ONCE == AT_ONCE - 1:
                        await anyio.lowlevel.checkpoint()
                    yield row

    async def _of(self, look: _Look, budget: Budget) -> Sequence[_Row]:
        """Return the accounts of one budget; the one that is named, or the tenant's, be anything spent of it or not."""
        tenant, name = look.tenant, _meant(look, budget)
        if not name:
            return await self._live(look, budget) or [_Row(budget, NOBODY, None)]
        key = budget.place if budget.per == "tenant" else plain_key(budget, name)
        plain = _Row(budget, name, await self._held(tenant, key))
        if budget.per != "upstream":
            return [plain]
        # What programs submit for a system of the same name is another account, whose key has the name's digest.
        hidden = _Row(budget, name, await self._held(tenant, hidden_key(budget, name)), submitted=True)
        if not _is_live(budget, hidden.held, look.now):
            return [plain]
        return [plain, hidden] if _is_live(budget, plain.held, look.now) else [hidden]

    async def _live(self, look: _Look, budget: Budget) -> Sequence[_Row]:
        """Return the accounts of which something counts. Rows stay for weeks, and programs make them by naming any."""
        live: list[_Row] = []
        after = ""
        while True:
            rows = await self._state.page(look.tenant, budget.place, after=after, limit=ROWS)
            live += [_row(look.tenant, budget, one) for one in rows if _is_live(budget, one.value, look.now)]
            if len(rows) < ROWS:
                return live
            after = rows[-1].key

    async def _held(self, tenant: str, key: str) -> bytes | None:
        row = await self._state.get(tenant, key)
        return None if row is None else row.value

    def _view(self, look: _Look, row: _Row) -> AccountView:
        budget = row.budget
        agent = row.whose if budget.per == "agent" and row.whose else look.agent
        upstream = row.whose if budget.per == "upstream" and row.whose else look.upstream
        tier = self._trust.shown(look.tenant, agent).tier if agent else None
        named = Named(agent=_named(look.tenant, agent), upstream=upstream, tier=tier)
        view = account_view(budget, row.whose, _tally(row, look.now), limits(look.limits(budget), named))
        return replace(view, submitted=row.submitted)

    # --- what counts --------------------------------------------------------------------------------------------------

    async def _charges(self, look: _Look, row: _Row) -> tuple[tuple[Charge, ...], bool]:
        """Return what counts into an account, newest first, and whether that is all."""
        budget, now, tally = row.budget, look.now, _tally(row, look.now)
        if not tally.total:
            return (), True
        wanted = EntryFilter(
            type=EntryType.CALL_DECIDED,
            agent=row.whose if budget.per == "agent" else "",
            upstream=_shown(row) if budget.per == "upstream" else "",
            since=timestamp(now - timedelta(seconds=budget.window_s + tally.width_s)),
        )
        found: list[Charge] = []
        for _ in range(LOOKED_AT // PAGE):
            page = (await self._index.entries(look.tenant, wanted, page=1, page_size=PAGE)).items
            for entry in page:
                charge = _charge(entry, row, tally.width_s)
                if charge is not None and charge.back_at > now:
                    found.append(charge)
            if len(page) < PAGE:
                return tuple(found[:CHARGES]), len(found) <= CHARGES
            if len(found) > CHARGES:
                break
            wanted = replace(wanted, before=page[-1].seq)
        return tuple(found[:CHARGES]), False


def _meant(look: _Look, budget: Budget) -> str:
    """Return whose account of a budget is looked at; empty where it is those of all."""
    return {"agent": look.agent, "upstream": look.upstream, "tenant": look.tenant}[budget.per]


def _named(tenant: str, agent: str) -> str:
    """Return an agent as policies name it."""
    return Principal(tenant=tenant, agent=agent, credential="").named if agent else ""


def _row(tenant: str, budget: Budget, row: StateRow) -> _Row:
    return _Row(budget, whose(budget, row.key, tenant), row.value, submitted=is_hidden(budget, row.key))


def _is_live(budget: Budget, held: bytes | None, now: datetime) -> bool:
    """Return whether anything counts that a row holds. Raises StoreError where it is damaged."""
    try:
        return held is not None and is_live(held, int(now.timestamp()), budget.window_s)
    except ValueError as error:
        raise _damaged(budget) from error


def _tally(row: _Row, now: datetime) -> Tally:
    """Return what of an account counts now. Raises StoreError where it is damaged."""
    try:
        return read_tally(row.held).at(int(now.timestamp()), row.budget.window_s)
    except ValueError as error:
        raise _damaged(row.budget) from error


def _damaged(budget: Budget) -> StoreError:
    return StoreError(f"an account of the budget '{budget.name}' is damaged")


def _shown(row: _Row) -> str:
    """Return an upstream as entries have it: what a program calls a system is redacted there."""
    return str(redact({"system": row.whose})["system"]) if row.submitted else row.whose


def _charge(entry: StoredEntry, row: _Row, width_s: int) -> Charge | None:
    """Return what an entry adds to an account; None where it adds nothing to it, or is damaged."""
    try:
        told, body = orjson.loads(entry.content), orjson.loads(entry.body)
        amount = body["decision"].get("charges", {}).get(row.budget.name)
        submitted = body["call"]["method"] == INTENT_METHOD
        bucket = int(datetime.fromisoformat(told["time"]).timestamp()) // width_s
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # the chain's own verification tells of it
    if not isinstance(amount, int) or (row.budget.per == "upstream" and submitted is not row.submitted):
        return None
    return Charge(
        seq=entry.seq,
        id=told["id"],
        at=told["time"],
        intent_id=told["intentId"],
        agent=told["agent"],
        upstream=told["upstream"],
        tool=told["tool"],
        amount=in_units(row.budget, amount),
        back_at=datetime.fromtimestamp((bucket + 1) * width_s + row.budget.window_s, UTC),
    )
