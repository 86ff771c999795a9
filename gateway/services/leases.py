"""Leases: grant one with the yes to a pending approval, use it, list, revoke and end it.

Owns who may grant one, that each is durable before it is used, and that its uses are counted in the transaction of the
decisions that rest on it: N uses are N executions at most, however many calls come at once. All active leases are in
memory, with their shapes; one process owns the store. What a shape covers is `core/leases.py`'s, and whether today's
policy and tier still agree is decided each time (`core/decide.py`, rung 15).

A lease can be granted only by the vote that decides an approval by itself. Where a rule asks for several approvers each
would have to agree to the same shape, so there is none; a role that the rule asks for is needed for the vote anyway.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import anyio
import orjson

from gateway.core.approvals import Approval
from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import Count, EntryDraft, EntryType, Expect, Put
from gateway.core.call import Call
from gateway.core.jsonvalue import JsonObject
from gateway.core.lease_rows import (
    SHAPES,
    Lease,
    lease_key,
    read_lease,
    read_shape,
    shape_bytes,
    shape_key,
    uses_key,
)
from gateway.core.leases import Bounds, Leased, LeaseState, Shape, Told, told
from gateway.core.presentation import Offer
from gateway.core.principal import Principal
from gateway.core.redact import redact
from gateway.core.retention import LEASE, read_kept_lease
from gateway.core.rows import About, HeldApproval
from gateway.core.submitted import MAX_TEXT_CHARS, is_text
from gateway.core.switches import SWITCHES_KEY, places_of, switch_key
from gateway.errors import FieldProblem, Forbidden, InvalidRequest, NotFound, StateConflict, StoreError
from gateway.ports import AuditLog, Clock, Conflict, HeldFilter, Ids, Page, RecordIndex, StateStore, Vault
from gateway.services.approvals import BY_ITSELF, SWEEP_S, Approvals
from gateway.services.judged import Judged, Rows
from gateway.services.lease_terms import LeaseTerms, obstacle, problems_with
from gateway.services.voting import may_answer

__all__ = ["ACTIVE_PER_AGENT", "Covering", "LeaseView", "Leases"]

ACTIVE_PER_AGENT: Final = 100
"""Each escalated call of the agent looks through those of its tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covering:
    """A lease that covers a call: the fact, and the rows by which its decision counts one use."""

    fact: Leased
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """A lease as a human looks at it. `shape` is None for who it was granted to, and once it has ended."""

    lease: Lease
    used: int
    shape: tuple[Told, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Active:
    """A lease in memory. `shape` is None where it does not open: such a lease covers nothing."""

    lease: Lease
    shape: Shape | None


_Place = tuple[str, str, str, str]
"""Tenant, agent, upstream, tool."""


class Leases:
    """The leases of every tenant."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        audit: AuditLog,
        state: StateStore,
        index: RecordIndex,
        clock: Clock,
        ids: Ids,
        vault: Vault,
        bounds: Bounds | None = None,
        show_arguments: bool = True,
    ) -> None:
        """`show_arguments`: entries show the values of a shape, with secrets removed; else its places alone."""
        self._approvals = approvals
        self._audit = audit
        self._state = state
        self._index = index
        self._clock = clock
        self._ids = ids
        self._vault = vault
        self.bounds = bounds or Bounds()
        self._show_arguments = show_arguments
        self._active: dict[_Place, dict[str, _Active]] = {}
        self._told_of_grants: list[Callable[[], None]] = []

    def on_grant(self, tell: Callable[[], None]) -> None:
        """Call `tell` at once when there is a new lease, durably: calls that wait may be of its shape."""
        self._told_of_grants.append(tell)

    async def load(self, tenants: Iterable[str]) -> None:
        """Read the active leases of these tenants; part of the start. Raises StoreError."""
        for tenant in tenants:
            for sealed in await self._state.scan(tenant, SHAPES):  # there as long as their leases are active
                row = await self._state.get(tenant, lease_key(sealed.key.removeprefix(SHAPES)))
                lease = None if row is None else read_lease(tenant, row.value, row.version)
                if lease is not None and lease.state is LeaseState.ACTIVE:
                    self._take(_Active(lease=lease, shape=self._unsealed(lease, sealed.value)))

    async def run(self) -> None:
        """End what is over, for ever; `app.py` owns the task."""
        while True:
            await anyio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except StoreError:
                continue  # what cannot be recorded now is still over at the next look; it is not used meanwhile

    # --- looking ------------------------------------------------------------------------------------------------------

    async def list(
        self, principal: Principal, *, state: LeaseState | None = LeaseState.ACTIVE, page: int, page_size: int
    ) -> Page[LeaseView]:
        """Return one page (from 1) of the tenant's leases in that state (None: in any), newest first.

        Raises StoreError.
        """
        await self.sweep()
        tenant, first = principal.tenant, (page - 1) * page_size
        if state is LeaseState.ACTIVE:  # known here, should the index be behind: whoever revokes one looks for it now
            rows = [await self._state.get(tenant, lease_key(one.id)) for one in self.active(tenant)]
            leases = [read_lease(tenant, row.value, row.version) for row in rows if row is not None]
            active = sorted([one for one in leases if one.state is state], key=lambda one: one.id, reverse=True)
            views = [await self._view(principal, one) for one in active[first : first + page_size]]
            return Page(items=tuple(views), total=len(active))
        wanted = HeldFilter(kind=LEASE, state=state or "")
        found = await self._index.held(tenant, wanted, page=page, page_size=page_size)
        views = [await self._stood(principal, row.id, row.kept) for row in found.items]
        return Page(items=tuple(views), total=found.total)

    async def show(self, principal: Principal, lease_id: str) -> LeaseView:
        """Return a lease of the principal's tenant. Raises NotFound and StoreError."""
        await self.sweep()
        return await self._stood(principal, lease_id)

    def offer(self, held: HeldApproval, arguments: JsonObject | None) -> Offer:
        """Return what a lease with this approval would be.

        `arguments` are the exact ones, None where they may not be seen or are gone.
        """
        problem = obstacle(held, self.bounds)
        if not problem and arguments is None:
            problem = "its exact arguments are for those who may answer, while it waits"
        if problem or arguments is None:
            return Offer(problem=problem)
        return Offer(
            places=tuple((one.path, one.value) for one in told(Shape(arguments=arguments), exact=True)),
            max_minutes=self.bounds.minutes,
            max_uses=self.bounds.uses,
        )

    # --- granting and revoking ----------------------------------------------------------------------------------------

    async def approve(
        self,
        principal: Principal,
        terms: LeaseTerms,
        *,
        approval_id: str = "",
        intent_id: str = "",
        rationale: str = "",
        claimed: str = "",
    ) -> tuple[Approval, Lease]:
        """Say yes to an approval, and to calls of its shape. The approved call itself is not counted as a use.

        Raises what `Approvals.resolve` does, and:
            InvalidRequest: the terms cannot be granted, or not for this approval (`lease…`); it has no answer then.
            StateConflict: the agent has as many active leases as it may, or a switch was thrown or released at this
                moment; then the yes may stand.
            StoreError: the yes or the lease could not be made durable; either may be.
        """
        held = await self._approvals.answerable(principal, approval_id=approval_id, intent_id=intent_id)
        shape, about = await self._wished(held, terms)
        unstopped = await self._unstopped(held.approval, about)
        approval = await self._approvals.resolve(
            principal, approval_id=held.approval.id, approve=True, rationale=rationale, claimed=claimed
        )
        lease = self._made(principal, replace(held, approval=approval), about, terms)
        with anyio.CancelScope(shield=True):
            # Known before it is durable, which is looked at for each use: one of which nobody knows whether it is must
            # end with a switch all the same.
            self._take(_Active(lease=lease, shape=shape))
            if isinstance(await self._audit.append(self._granted(lease, shape, about, unstopped)), Conflict):
                self._drop(lease)
                raise _overtaken()
            for tell in self._told_of_grants:
                tell()
        return approval, lease

    async def revoke(self, principal: Principal, lease_id: str, *, reason: str = "") -> LeaseView:
        """End a lease at once; one that has ended stays as it is.

        Raises:
            Forbidden: the principal is an agent.
            NotFound: this tenant has no such lease.
            InvalidRequest: the reason cannot be recorded.
            StoreError: it could not be made durable; the lease may still be in force.
        """
        if principal.bound:
            raise Forbidden("A credential that is bound to an agent revokes no leases, whatever its role.")
        if not is_text(reason, MAX_TEXT_CHARS):
            problem = f"must be a text of at most {MAX_TEXT_CHARS} characters"
            raise InvalidRequest(FieldProblem(path=("reason",), message=problem))
        view = await self._stood(principal, lease_id)
        if view.lease.state is not LeaseState.ACTIVE:
            return view
        said = str(redact({"reason": reason})["reason"])
        lease = await self._end(view.lease, LeaseState.REVOKED, by=principal.credential, reason=said)
        return await self._view(principal, lease)

    def active(self, tenant: str) -> tuple[Lease, ...]:
        """Return the tenant's active leases as they were granted."""
        return tuple(one.lease for place, at in self._active.items() if place[0] == tenant for one in at.values())

    async def stop(self, lease: Lease, *, by: str, why: str) -> None:
        """End a lease whose calls have been switched off: it does not come back with the switch. Raises StoreError."""
        await self._end(lease, LeaseState.REVOKED, by=by, reason=why)

    async def sweep(self) -> None:
        """End what is used up or out of time. Raises StoreError."""
        now = timestamp(self._clock.now())
        for lease in [one.lease for at in self._active.values() for one in at.values()]:
            if lease.expires <= now:
                await self._end(lease, LeaseState.EXPIRED, by=BY_ITSELF)
            elif await self._used(lease) >= lease.uses:
                await self._end(lease, LeaseState.USED_UP, by=BY_ITSELF)

    # --- the desk: what escalated calls ask ---------------------------------------------------------------------------

    async def covering(self, judged: Judged) -> Covering | None:
        """Return a lease that covers an escalated call as it was judged now, None where there is none.

        Raises StoreError.
        """
        principal, call, facts = judged.principal, judged.call, judged.facts
        at = self._active.get(_place(principal, call))
        if not at:
            return None
        factors = [factor.code for factor in judged.intent.factors]
        rules, risk = judged.decision.rules, judged.intent.risk
        for one in list(at.values()):
            lease = one.lease
            if not _same_tool(lease, call):
                await self._end(lease, LeaseState.TOOL_CHANGED, by=BY_ITSELF)
            elif _fits(one, call, facts.now) and lease.fact.covers(rules, risk=risk, factors=factors, tier=facts.tier):
                row = await self._state.get(lease.tenant, lease_key(lease.id))
                if row is not None and await self._used(lease) < lease.uses:
                    current = read_lease(lease.tenant, row.value, row.version)
                    if current.state is LeaseState.ACTIVE:
                        return _covering(current)
        return None

    def fitting(self, principal: Principal, call: Call) -> frozenset[str]:
        """Return the leases whose shape a call has, whatever else speaks against it."""
        now, at = self._clock.now(), self._active.get(_place(principal, call), {})
        return frozenset(id_ for id_, one in at.items() if _same_tool(one.lease, call) and _fits(one, call, now))

    # --- terms --------------------------------------------------------------------------------------------------------

    async def _wished(self, held: HeldApproval, terms: LeaseTerms) -> tuple[Shape, About]:
        """Return the shape that is to be granted, and of what. Raises InvalidRequest and StateConflict."""
        problem, about = obstacle(held, self.bounds), held.about
        if problem or about is None:
            raise InvalidRequest(FieldProblem(path=("lease",), message=problem))
        call = await self._approvals.call(held, arguments_digest="")
        if call is None or call.answers:
            text = "there is no lease for a call that carries answers of an earlier round, or whose input is gone"
            raise InvalidRequest(FieldProblem(path=("lease",), message=text))
        shape = Shape(arguments=call.arguments, constraints=terms.constraints)
        problems = tuple(problems_with(terms, self.bounds, shape))
        if problems:
            raise InvalidRequest(*problems)
        one = held.approval
        owned = [at for place, at in self._active.items() if place[:2] == (one.tenant, one.agent)]
        if sum(map(len, owned)) >= ACTIVE_PER_AGENT:
            raise StateConflict(f"The agent has {ACTIVE_PER_AGENT} active leases; revoke one.", field="lease")
        return shape, about

    async def _unstopped(self, approval: Approval, about: About) -> Expect:
        """Return what holds as long as no switch has been thrown since. Raises StateConflict where one stops the calls.

        A switch ends the leases that it finds; one that came after it would be in force again with its release.
        """
        row = await self._state.get(approval.tenant, SWITCHES_KEY)  # first: a change after it shows
        for place in places_of(approval.tenant, approval.agent, about.upstream):
            if await self._state.get(approval.tenant, switch_key(place)) is not None:
                raise _overtaken()
        return Expect(key=SWITCHES_KEY, version=0 if row is None else row.version)

    def _made(self, principal: Principal, held: HeldApproval, about: About, terms: LeaseTerms) -> Lease:
        id_, approval = self._ids.new("lse"), held.approval
        return Lease(
            id=id_,
            tenant=approval.tenant,
            agent=approval.agent,
            upstream=about.upstream,
            tool=about.target,
            pin=about.pin,
            approval_id=approval.id,
            intent_id=approval.intent_id,
            requested_by=approval.requested_by,
            human=held.human,
            granted=approval.resolved,
            granted_by=principal.credential,
            claimed=approval.claimed,
            rationale=approval.rationale,
            expires=timestamp(datetime.fromisoformat(approval.resolved) + timedelta(minutes=terms.minutes)),
            uses=terms.uses,
            fact=Leased(id=id_, rules=held.rules, risk=about.risk, factors=frozenset(about.factors), tier=about.tier),
        )

    # --- rows and entries ---------------------------------------------------------------------------------------------

    def _granted(self, lease: Lease, shape: Shape, about: About, unstopped: Expect) -> EntryDraft:
        listed = told(shape, exact=False)
        shown = [[one.path, one.check, one.value if self._show_arguments else ""] for one in listed]
        body: JsonObject = {
            **_told_of(lease),
            "by": lease.granted_by,
            "claimed": lease.claimed,
            "rationale": lease.rationale,
            "pin": lease.pin,
            "uses": lease.uses,
            "expires": lease.expires,
            "shape": shown,
            "fact": lease.fact.written(),
        }
        sealed = self._vault.seal(shape_bytes(shape), tenant=lease.tenant, intent_id=lease.intent_id, entry_id=lease.id)
        puts = (Put(key=lease_key(lease.id), value=lease.written()), Put(key=shape_key(lease.id), value=sealed))
        draft = self._entry(lease, EntryType.LEASE_GRANTED, LeaseState.ACTIVE, body, lease.granted)
        return replace(
            draft,
            risk=lease.fact.risk,
            args_digest=about.args_digest,
            expects=(Expect(key=lease_key(lease.id), version=0), unstopped),
            puts=puts,
        )

    async def _end(self, lease: Lease, state: LeaseState, *, by: str, reason: str = "") -> Lease:
        """End a lease, durably, and return it as it stands; one that has ended stays as it is. Raises StoreError."""
        row = await self._state.get(lease.tenant, lease_key(lease.id))
        if row is None:  # it never became durable
            self._drop(lease)
            return lease
        current = read_lease(lease.tenant, row.value, row.version)
        if current.state is LeaseState.ACTIVE:
            after = current.after(state, ended=timestamp(self._clock.now()), by=by, reason=reason)
            body = {**_told_of(after), "by": by, "reason": reason}
            draft = replace(
                self._entry(after, EntryType.LEASE_ENDED, state, body, after.ended),
                expects=(Expect(key=lease_key(lease.id), version=current.version),),
                puts=(Put(key=lease_key(lease.id), value=after.written()), Put(key=shape_key(lease.id), value=None)),
            )
            with anyio.CancelScope(shield=True):
                if isinstance(await self._audit.append(draft), Conflict):  # another one has ended it at this moment
                    return await self._end(lease, state, by=by, reason=reason)
            current = after
        self._drop(lease)
        return current

    def _entry(self, lease: Lease, type_: EntryType, state: LeaseState, body: JsonObject, time: str) -> EntryDraft:
        return EntryDraft(
            tenant=lease.tenant,
            id=self._ids.new("evt"),
            type=type_,
            time=time,
            intent_id=lease.intent_id,
            agent=lease.agent,
            upstream=lease.upstream,
            tool=lease.tool,
            reasons=(state,),
            body=orjson.dumps(body),
        )

    async def _stood(self, principal: Principal, lease_id: str, kept: bytes | None = None) -> LeaseView:
        """Return a lease as it stands, or as the chain keeps it where its rows were removed. Raises NotFound."""
        tenant = principal.tenant
        row = None if kept is not None else await self._state.get(tenant, lease_key(lease_id))
        if row is not None:
            return await self._view(principal, read_lease(tenant, row.value, row.version))
        if kept is None:
            found = await self._index.held_one(tenant, LEASE, id=lease_id)
            kept = None if found is None else found.kept
        if kept is None:
            msg = f"There is no lease '{lease_id}'."
            raise NotFound(msg)
        lease, used = read_kept_lease(tenant, kept)
        return replace(await self._view(principal, lease), used=used)

    async def _used(self, lease: Lease) -> int:
        row = await self._state.get(lease.tenant, uses_key(lease.id))
        return 0 if row is None else int(row.value)

    def _unsealed(self, lease: Lease, sealed: bytes) -> Shape | None:
        """Return the shape of an active lease, None where it does not open: the key is another one since."""
        try:
            plain = self._vault.unseal(sealed, tenant=lease.tenant, intent_id=lease.intent_id, entry_id=lease.id)
        except StoreError:
            return None
        return read_shape(plain)

    def _drop(self, lease: Lease) -> None:
        self._active.get(_kept_at(lease), {}).pop(lease.id, None)

    def _take(self, one: _Active) -> None:
        self._active.setdefault(_kept_at(one.lease), {})[one.lease.id] = one

    async def _view(self, principal: Principal, lease: Lease) -> LeaseView:
        """Show a lease: not the shape to whoever acts under it, which it would teach how far it may go."""
        own = principal.agent == lease.agent or principal.credential == lease.requested_by
        own = own or (bool(principal.human) and principal.human == lease.human)
        one = self._active.get(_kept_at(lease), {}).get(lease.id)
        shape = None if own or one is None or one.shape is None else one.shape
        return LeaseView(
            lease=lease,
            used=await self._used(lease),
            shape=None if shape is None else told(shape, exact=may_answer(principal)),
        )


def _overtaken() -> StateConflict:
    text = "A switch was thrown or released at this moment: there is no lease. See what is stopped, and try again."
    return StateConflict(text, field="lease")


def _place(principal: Principal, call: Call) -> _Place:
    return principal.tenant, principal.agent, call.upstream, call.name


def _kept_at(lease: Lease) -> _Place:
    return lease.tenant, lease.agent, lease.upstream, lease.tool


def _same_tool(lease: Lease, call: Call) -> bool:
    return call.tool is not None and call.tool.pin == lease.pin


def _fits(one: _Active, call: Call, now: datetime) -> bool:
    """Return whether a call is of the shape, in time, and carries nothing beside its arguments."""
    if one.shape is None or one.lease.expires <= timestamp(now):
        return False
    return call.method == "tools/call" and not call.answers and one.shape.covers(call.arguments)


def _covering(lease: Lease) -> Covering:
    rows = Rows(
        expects=(Expect(key=lease_key(lease.id), version=lease.version),),
        counts=(Count(key=uses_key(lease.id), most=lease.uses),),
    )
    return Covering(fact=lease.fact, rows=rows)


def _told_of(lease: Lease) -> JsonObject:
    return {"leaseId": lease.id, "approvalId": lease.approval_id}
