"""Kill switches: who may throw and release one, that it holds from the next call on, and what it ends at once.

Owns the switches in force. They are whole in memory, read at the start and changed only once the change is durable, and
in force before whoever asked for the change is answered. That memory is not out of date is no matter of trust: every
decision expects the tenant's row of switches as memory has it (`expects`), so that one which was begun before a switch
was thrown and would be recorded after it conflicts, and is made anew.

Once a switch is in force, calls that are at their upstreams are ended, held calls are denied, and the approvals that
those waited for are cancelled, yeses that were not used yet included: none of them may run when it is released. What
cannot be cancelled at once, because the store is slow or gone, is cancelled later.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Final, Protocol

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.decision import Stop
from gateway.core.principal import Principal, Role, Scope
from gateway.core.redact import redact
from gateway.core.submitted import is_text
from gateway.core.switches import (
    MAX_NAME_CHARS,
    SWITCH,
    SWITCHES_KEY,
    Cancelled,
    Place,
    Switch,
    SwitchKind,
    is_switch_name,
    read_switch,
    stopping,
    switch_key,
)
from gateway.errors import FieldProblem, Forbidden, InvalidRequest, NotFound, StateConflict, StoreError
from gateway.ports import AuditLog, Clock, Conflict, Ids, StateStore
from gateway.services.agents import Agents

__all__ = ["MAX_REASON_CHARS", "SETTLE_S", "SWITCHES_KEPT", "Cancels", "Switches"]

MAX_REASON_CHARS: Final = 256
"""Of a reason: every call that is denied for it repeats it."""

SWITCHES_KEPT: Final = 10_000
"""Thrown at once in one tenant; they are whole in memory."""

SETTLE_S: Final = 5.0
"""How long a throw waits until the approvals are cancelled, and how long until what is left is tried again."""

ATTEMPTS: Final = 5
"""How often a change starts again because an earlier one proves to have become durable after all."""

_NOTHING: Final[dict[Place, Switch]] = {}

_UNTHROWN: Final = (Expect(key=SWITCHES_KEY, version=0),)


class Cancels(Protocol):
    """Cancels approvals whose calls may not run any more (`services/cancelling.py`)."""

    async def cancel(self, tenant: str, stopped: Callable[[str, str], Switch | None]) -> Cancelled:
        """Cancel the open approvals of whose agent and upstream `stopped` names a switch, as far as it can be done."""
        ...


class Switches:
    """The switches of every tenant."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        state: StateStore,
        clock: Clock,
        ids: Ids,
        agents: Agents,
        cancels: Cancels,
        upstreams: Collection[str],
    ) -> None:
        """`upstreams` are the names of those that are configured; another cannot be switched off."""
        self._audit = audit
        self._state = state
        self._clock = clock
        self._ids = ids
        self._agents = agents
        self._cancels = cancels
        self._upstreams = upstreams
        self._thrown: dict[str, dict[Place, Switch]] = {}
        self._expects: dict[str, tuple[Expect]] = {}
        self._told: list[Callable[[str, Switch], None]] = []
        self._unsettled: set[str] = set()
        self._lock = anyio.Lock()

    def on_throw(self, tell: Callable[[str, Switch], None]) -> None:
        """Call `tell` with tenant and switch the moment that one is in force; it must be quick and must not raise."""
        self._told.append(tell)

    async def load(self, tenants: Iterable[str]) -> None:
        """Read what is thrown in these tenants; part of the start. Raises StoreError."""
        for tenant in tenants:
            await self._read(tenant)

    async def run(self) -> None:
        """Cancel what could not be cancelled when its switch was thrown, for ever; `app.py` owns the task."""
        while True:
            for tenant in tuple(self._unsettled):
                await self._settle(tenant)
            await anyio.sleep(SETTLE_S)

    # --- what every decision asks -------------------------------------------------------------------------------------

    def stop(self, tenant: str, agent: str, upstream: str) -> Stop | None:
        """Return why a call of this agent to this upstream is stopped; None where it is not."""
        thrown = self._thrown.get(tenant) if self._thrown else None
        if thrown is None:
            return None
        found = stopping(thrown, tenant, agent, upstream)
        return None if found is None else found.stop

    def expects(self, tenant: str) -> tuple[Expect]:
        """Return what must still hold when a decision is recorded that rests on `stop`."""
        return self._expects.get(tenant, _UNTHROWN)

    async def reread(self, tenant: str) -> None:
        """Bring memory to what is durable, after a decision found it out of date. Raises StoreError."""
        async with self._lock:
            await self._read(tenant)

    # --- throwing and releasing ---------------------------------------------------------------------------------------

    def list(self, principal: Principal) -> tuple[Switch, ...]:
        """Return what is thrown in the principal's tenant, the latest first."""
        thrown = self._thrown.get(principal.tenant, {}).values()
        return tuple(sorted(thrown, key=lambda one: (one.since, one.place), reverse=True))

    async def throw(
        self, principal: Principal, kind: SwitchKind, name: str, *, reason: str
    ) -> tuple[Switch, int | None]:
        """Stop an agent, an upstream or the tenant; where that is so already, its first reason stands.

        Returns the switch, and how many approvals this cancelled; None where some are left to be cancelled later.

        An agent may be stopped before it was ever seen. It is named as elsewhere: by its name, slug or id; one that
        acts with a key of its own by that key's id.

        Raises:
            Forbidden: the principal may not, or names another tenant.
            InvalidRequest: the name or the reason is none.
            NotFound: there is no such upstream.
            StateConflict: too many are thrown, or others are changing them at this moment.
            StoreError: it could not be made durable; it may be in force or not.
        """
        _require(principal)
        place = self._place(principal, kind, name)
        if kind is SwitchKind.UPSTREAM and name not in self._upstreams:
            known = ", ".join(sorted(self._upstreams)) or "none"
            msg = f"There is no upstream '{name}'; configured are: {known}."
            raise NotFound(msg)
        switch = Switch(
            kind=kind,
            name=place[1],
            who=principal.human or principal.credential,
            why=_reason(reason),
            since=timestamp(self._clock.now()),
        )
        with anyio.CancelScope(shield=True):
            thrown = await self._replaced(principal, place, switch, switch.why)
            cancelled: int | None = None
            with anyio.move_on_after(SETTLE_S):
                cancelled = await self._settle(principal.tenant)
        return thrown, cancelled

    async def release(self, principal: Principal, kind: SwitchKind, name: str, *, reason: str) -> Switch:
        """Let go what was stopped, and return the switch as it was.

        Raises:
            Forbidden: the principal is no admin, or names another tenant.
            InvalidRequest: the name or the reason is none.
            NotFound: it is not switched off.
            StateConflict: others are changing the switches at this moment.
            StoreError: it could not be made durable; it may be released or not.
        """
        _require(principal, releasing=True)
        place = self._place(principal, kind, name)
        why = _reason(reason)
        with anyio.CancelScope(shield=True):
            if principal.tenant in self._unsettled:  # what it has left without sense does not come back with it
                with anyio.move_on_after(SETTLE_S):
                    await self._settle(principal.tenant)
            released = await self._replaced(principal, place, None, why)
        return released  # noqa: RET504 - mypy takes a scope for one that may swallow the return

    def _place(self, principal: Principal, kind: SwitchKind, name: str) -> Place:
        """Return what is meant by a name. Raises Forbidden and InvalidRequest."""
        if kind is SwitchKind.TENANT and name != principal.tenant:
            raise Forbidden("A tenant is stopped and let go by its own operators and admins only.")
        if kind is SwitchKind.AGENT:
            name = self._agents.slug(principal.tenant, name)
        if not is_switch_name(name):
            text = f"must name an agent or upstream in at most {MAX_NAME_CHARS} letters, digits and `_.-`"
            raise InvalidRequest(FieldProblem(path=("name",), message=text))
        return kind.value, name

    async def _replaced(self, principal: Principal, place: Place, after: Switch | None, why: str) -> Switch:
        """Make a change durable and bring it into force; return the switch that is thrown now, or was until now."""
        tenant = principal.tenant
        async with self._lock:
            for _ in range(ATTEMPTS):
                await self._read(tenant)
                before = self._thrown.get(tenant, {}).get(place)
                if after is not None and before is not None:
                    return before
                switch = after or before
                if switch is None:
                    msg = f"The {place[0]} '{place[1]}' is not switched off."
                    raise NotFound(msg)
                self._require_room(tenant, after)
                if not isinstance(await self._audit.append(self._draft(principal, place, after, why)), Conflict):
                    self._take(tenant, place, after)
                    with suppress(StoreError):  # it is in force; the next decision finds out that its version is not
                        await self._read(tenant)
                    return switch
        raise StateConflict("The switches are being changed by others at this moment; look at them again.")

    def _require_room(self, tenant: str, after: Switch | None) -> None:
        if after is not None and len(self._thrown.get(tenant, ())) >= SWITCHES_KEPT:
            msg = f"This tenant has {SWITCHES_KEPT} switches thrown, which is as many as it may; stop the tenant."
            raise StateConflict(msg)

    def _draft(self, principal: Principal, place: Place, after: Switch | None, why: str) -> EntryDraft:
        kind, name = place
        state = "released" if after is None else "thrown"
        told = {"kind": kind, "name": name, "state": state, "by": principal.credential, "human": principal.human}
        row = None if after is None else orjson.dumps(after.written())
        now = timestamp(self._clock.now())
        return EntryDraft(
            tenant=principal.tenant,
            id=self._ids.new("evt"),
            type=EntryType.SWITCH_CHANGED,
            time=now,
            agent=name if kind == SwitchKind.AGENT else "",
            upstream=name if kind == SwitchKind.UPSTREAM else "",
            reasons=(state, kind),
            body=orjson.dumps({**told, "reason": why}),
            expects=self.expects(principal.tenant),
            puts=(Put(key=switch_key(place), value=row), Put(key=SWITCHES_KEY, value=now.encode())),
        )

    # --- what is in force ---------------------------------------------------------------------------------------------

    async def _read(self, tenant: str) -> None:
        """Bring memory to what is durable. Raises StoreError.

        The version is looked at before the switches: where a change comes between, its version is not the one that
        decisions expect then, so that the next one finds out.
        """
        row = await self._state.get(tenant, SWITCHES_KEY)
        version = 0 if row is None else row.version
        if version == self.expects(tenant)[0].version:
            return
        durable = {one.place: one for one in (read_switch(row.value) for row in await self._state.scan(tenant, SWITCH))}
        for place in (*durable, *self._thrown.get(tenant, ())):
            self._take(tenant, place, durable.get(place))
        self._expects[tenant] = (Expect(key=SWITCHES_KEY, version=version),)

    def _take(self, tenant: str, place: Place, after: Switch | None) -> None:
        """Bring one switch into force or out of it, and end what it stops."""
        thrown = dict(self._thrown.get(tenant, {}))
        before = thrown.pop(place, None)
        if after is not None:
            thrown[place] = after
        self._thrown[tenant] = thrown
        if not thrown:  # so that where nothing is thrown anywhere, a decision looks no further
            del self._thrown[tenant]
        if after is not None and after != before:
            self._unsettled.add(tenant)
            for tell in self._told:
                tell(tenant, after)

    async def _settle(self, tenant: str) -> int | None:
        """Cancel what the tenant's switches have left without sense, and return how many approvals that were.

        Returns None where some cannot be cancelled now: that is tried again.
        """
        thrown = self._thrown.get(tenant, _NOTHING)
        try:
            done = await self._cancels.cancel(tenant, lambda agent, upstream: stopping(thrown, tenant, agent, upstream))
        except StoreError:
            return None
        if done.complete and self._thrown.get(tenant, _NOTHING) is thrown:
            self._unsettled.discard(tenant)
        return done.approvals if done.complete else None


# --- who may, and what is said ----------------------------------------------------------------------------------------


def _require(principal: Principal, *, releasing: bool = False) -> None:
    """Let operators and admins stop, and admins only let go. Raises Forbidden.

    A credential that is an agent's own does neither, whatever its role: what a switch is against must not reach it.
    """
    if principal.bound:
        raise Forbidden("A credential that is bound to an agent changes no switches.")
    if Scope.APPROVALS_WRITE not in principal.scopes:
        raise Forbidden(f"Switches are thrown with the scope `{Scope.APPROVALS_WRITE}`, as operators and admins have.")
    if releasing and principal.role is not Role.ADMIN:
        raise Forbidden("Any operator may stop; only an admin lets go again.")


def _reason(text: str) -> str:
    """Return a reason as it may be recorded and told. Raises InvalidRequest."""
    plain = " ".join(text.split())
    if not plain or not is_text(plain, MAX_REASON_CHARS):
        problem = f"must say why, in at most {MAX_REASON_CHARS} characters"
        raise InvalidRequest(FieldProblem(path=("reason",), message=problem))
    return str(redact({"reason": plain})["reason"])
