"""API keys: made, listed, rotated and revoked, and whom a presented one proves.

Owns the directory of all tenants' keys. It is whole in memory: read at the start, and changed only after the entry of
the change is durable (one process owns the store). Every change holds from the next request on, in open sessions and
streams too: those are looked through by whoever was given to `on_change`. A key's row is never deleted, so that
`any` stays true once a key existed.

The last use of a key is noted beside the chain, at most once a minute: a crash may show it up to a minute too early.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import orjson

from gateway.core.agents import slug_of
from gateway.core.apikey import ApiKey, Secret
from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.credentials import MAX_CHARS, KeyFormat, digest, make_key
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role, Scope
from gateway.errors import FieldProblem, InvalidRequest, NotFound, StateConflict, StoreError
from gateway.ports import AuditLog, AuditReader, Clock, Conflict, Ids, StateStore, UseLog
from gateway.services.authentication import require_scope, require_tenant
from gateway.services.changing import Changing
from gateway.services.keygrants import check_fields, check_overlap, require_within
from gateway.services.ratelimit import RATES

__all__ = ["BindAgent", "CreatedKey", "KeyRecord", "KeyStatus", "Keys", "any_key"]

MAX_KEYS: Final = 10_000
"""Of one tenant, revoked ones included: all are in memory."""

MAX_FORMER: Final = 8
"""Secrets of one key that rotations have replaced and that are still good."""

NOTED_EVERY_S: Final = 60.0

_ROW: Final = "key:"

BindAgent = Callable[[Principal, str], Awaitable[str]]
"""Given who asks and the name or id of an agent of their tenant, returns its slug, registering it where it is new."""


class KeyStatus(StrEnum):
    """Whether a key proves anybody now."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What is shown of a key. Times are RFC 3339, empty where there is none.

    `scopes` are all that it may be used for and `per_minute` its limit, wherever they come from. `old_until` is when
    the last secret that a rotation replaced ends.
    """

    tenant: str
    id: str
    name: str
    format: KeyFormat
    status: KeyStatus
    agent: str
    role: Role | None
    scopes: frozenset[Scope]
    plan: str
    per_minute: int
    created: str
    created_by: str
    expires: str
    rotated: str
    old_until: str
    revoked: str
    last_used: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedKey:
    """A new key, or an old one with a new secret. `secret` is the whole text to present: shown now and never again."""

    record: KeyRecord
    secret: str = field(repr=False)


@dataclass(slots=True)
class _Held:
    """A key in memory. `used` is its last use, `noted` when that was last noted (monotonic seconds)."""

    key: ApiKey
    used: datetime | None = None
    noted: float | None = None


@dataclass(slots=True)
class _Proof:
    """What a digest leads to."""

    held: _Held
    secret: Secret
    principal: Principal


class Keys:
    """The keys of all tenants. `load` it before anybody is served."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        state: StateStore,
        uses: UseLog,
        clock: Clock,
        ids: Ids,
        rates: Mapping[str, int] = RATES,
        bind_agent: BindAgent | None = None,
    ) -> None:
        self._audit = audit
        self._state = state
        self._uses = uses
        self._clock = clock
        self._ids = ids
        self._rates = rates
        self._bind_agent = bind_agent or _slug
        self._held: dict[str, _Held] = {}
        self._proofs: dict[bytes, _Proof] = {}
        self._watchers: list[Callable[[], None]] = []
        self._changing = Changing(self._read)

    async def load(self, tenants: Iterable[str]) -> None:
        """Read the keys of these tenants; part of the start. Raises StoreError."""
        for tenant in tenants:
            await self._read(tenant)
        for key_id, at in (await self._uses.uses()).items():
            if key_id in self._held:
                self._held[key_id].used = datetime.fromisoformat(at)

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called after each change by which a principal may no longer stand."""
        self._watchers.append(call)

    def flush(self) -> None:
        """Note every last use that was not; part of the stop."""
        for held in self._held.values():
            if held.used is not None and held.noted is not None:
                self._uses.note(held.key.id, timestamp(held.used))

    # --- who is this? -------------------------------------------------------------------------------------------------

    def any(self) -> bool:
        """Return whether there is, or ever was, a key of any tenant."""
        return bool(self._held)

    def count(self) -> int:
        """Return how many keys of all tenants prove somebody now."""
        now = self._clock.now()
        return sum(self._status(one.key, now) is KeyStatus.ACTIVE for one in self._held.values())

    def resolve(self, presented: str) -> Principal | None:
        """Return whom a presented text proves now, or None where it proves nobody."""
        if len(presented) > MAX_CHARS:  # any other form needs no look: only whole keys of ours are in the directory
            return None
        found = digest(presented)
        proof = self._proofs.get(found)
        if proof is None or not hmac.compare_digest(proof.secret.digest, found):
            return None
        now = self._clock.now()
        if now.timestamp() >= proof.secret.until:
            return None
        self._touch(proof.held, now)
        return proof.principal

    def stands(self, principal: Principal) -> bool:
        """Return whether the secret that proved this principal still does."""
        held = self._held.get(principal.credential)
        if held is None:
            return False
        now = self._clock.now().timestamp()
        return any(
            now < secret.until and self._proofs[secret.digest].principal == principal for secret in held.key.secrets()
        )

    def _touch(self, held: _Held, now: datetime) -> None:
        held.used = now
        moment = self._clock.monotonic()
        if held.noted is None or moment - held.noted >= NOTED_EVERY_S:
            held.noted = moment
            self._uses.note(held.key.id, timestamp(now))

    # --- use cases ----------------------------------------------------------------------------------------------------

    def list(self, by: Principal, tenant: str) -> tuple[KeyRecord, ...]:
        """Return the tenant's keys, oldest first, expired and revoked ones included. Raises Forbidden."""
        self._allow(by, tenant)
        found = sorted((one for one in self._held.values() if one.key.tenant == tenant), key=lambda one: one.key.id)
        return tuple(map(self._shown, found))

    async def create(
        self,
        by: Principal,
        *,
        tenant: str,
        name: str,
        scopes: frozenset[Scope] | None = None,
        role: Role | None = None,
        agent: str = "",
        plan: str = "",
        per_minute: int | None = None,
        expires: datetime | None = None,
        format: KeyFormat = KeyFormat.INTENDEDOPS,
    ) -> CreatedKey:
        """Make a key. Without role and scopes it has the role `agent`; scopes narrow a role, or stand for themselves.

        Raises:
            Forbidden: the key could do what `by` itself may not.
            InvalidRequest: fields that cannot be used.
            AgentNotFound: the agent is named by an id that none has.
            StateConflict: the tenant has too many keys.
            StoreError: it could not be made durable; there is no such key.
        """
        self._allow(by, tenant)
        now = self._clock.now()
        check_fields(
            tenant=tenant,
            name=name,
            scopes=scopes,
            role=role,
            plan=plan,
            per_minute=per_minute,
            expires=expires,
            now=now,
            rates=self._rates,
        )
        secret = make_key(format, tenant, self._ids.secret())
        key = ApiKey(
            tenant=tenant,
            id=self._ids.new("key"),
            name=name.strip(),
            format=format,
            agent="",
            role=Role.AGENT if role is None and scopes is None else role,
            scopes=scopes,
            plan=plan,
            per_minute=per_minute,
            created=timestamp(now),
            created_by=by.credential,
            expires="" if expires is None else timestamp(expires),
            digest=digest(secret),
        )
        # Before an agent is registered for it; whether it is the right one for `by` can only be told afterwards.
        require_within(by, scopes=key.effective_scopes, role=key.role, agent=by.agent)
        if agent:
            key = replace(key, agent=await self._bind_agent(by, agent))
        require_within(by, scopes=key.effective_scopes, role=key.role, agent=key.agent)
        async with self._changing.settled(tenant):
            if sum(one.key.tenant == tenant for one in self._held.values()) >= MAX_KEYS:
                msg = f"The tenant has {MAX_KEYS} keys, revoked ones included; rotate one instead."
                raise StateConflict(msg)
            return CreatedKey(record=await self._change(by, EntryType.KEY_CREATED, key, {}), secret=secret)

    async def revoke(self, by: Principal, tenant: str, key_id: str) -> KeyRecord:
        """End a key for good, from the next request on. Revoking it again changes nothing.

        Raises:
            Forbidden: `by` may not handle this key.
            NotFound: the tenant has no such key.
            StoreError: it could not be made durable; the key may go on.
        """
        self._allow(by, tenant)
        async with self._changing.settled(tenant):
            held = self._find(tenant, key_id)
            require_within(by, scopes=frozenset(), role=None, agent=held.key.agent)
            if held.key.revoked:
                return self._shown(held)
            key = held.key.revoke(timestamp(self._clock.now()))
            return await self._change(by, EntryType.KEY_REVOKED, key, {})

    async def rotate(self, by: Principal, tenant: str, key_id: str, *, overlap_s: int = 0) -> CreatedKey:
        """Give a key a new secret; id, scopes and agent stay. Every older secret ends after `overlap_s` at the latest.

        Raises:
            Forbidden: the key may do what `by` itself may not.
            NotFound: the tenant has no such key.
            InvalidRequest: the overlap is out of bounds.
            StateConflict: the key is revoked or expired, or has too many secrets that are still good.
            StoreError: it could not be made durable; the old secret goes on.
        """
        self._allow(by, tenant)
        check_overlap(overlap_s)
        async with self._changing.settled(tenant):
            held = self._find(tenant, key_id)
            key = held.key
            require_within(by, scopes=key.effective_scopes, role=key.role, agent=key.agent)
            now = self._clock.now()
            if self._status(key, now) is not KeyStatus.ACTIVE:
                msg = f"The key is {self._status(key, now)}; make a new one."
                raise StateConflict(msg)
            until = timestamp(now + timedelta(seconds=overlap_s))
            secret = make_key(key.format, tenant, self._ids.secret())
            key = key.rotate(digest(secret), now=timestamp(now), until=until)
            if len(key.former) > MAX_FORMER:
                msg = f"{MAX_FORMER} older secrets of this key are still good; rotate it without overlap to end them."
                raise StateConflict(msg)
            details = {"generation": key.generation, "oldUntil": until}
            return CreatedKey(record=await self._change(by, EntryType.KEY_ROTATED, key, details), secret=secret)

    # --- memory and store ---------------------------------------------------------------------------------------------

    def _allow(self, by: Principal, tenant: str) -> None:
        require_scope(by, Scope.KEYS_WRITE)
        require_tenant(by, tenant)

    def _find(self, tenant: str, key_id: str) -> _Held:
        held = self._held.get(key_id)
        if held is None or held.key.tenant != tenant:
            msg = "There is no such key."
            raise NotFound(msg)
        return held

    async def _read(self, tenant: str) -> None:
        """Read one tenant's keys anew."""
        rows = await self._state.scan(tenant, _ROW)
        try:
            keys = [ApiKey.decode(tenant, row.value) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"a key of tenant {tenant} cannot be read; was it written by a newer version?"
            raise StoreError(msg) from error
        for key in keys:
            self._install(key)
        self._changing.known(tenant)
        self._tell()

    async def _change(self, by: Principal, kind: EntryType, key: ApiKey, details: JsonObject) -> KeyRecord:
        """Make a key's new form durable, then let it hold. Raises StoreError and StateConflict."""
        name = f"{_ROW}{key.id}"
        row = await self._state.get(key.tenant, name)
        draft = EntryDraft(
            tenant=key.tenant,
            id=self._ids.new("evt"),
            type=kind,
            time=timestamp(self._clock.now()),
            body=orjson.dumps({**key.told(), **details, **_who(by)}),
            expects=(Expect(key=name, version=0 if row is None else row.version),),
            puts=(Put(key=name, value=key.encode()),),
        )
        self._changing.doubt(key.tenant)  # until it is known what became of it
        outcome = await self._audit.append(draft)
        if isinstance(outcome, Conflict):
            msg = "The key changed meanwhile; look again, then repeat the request."
            raise StateConflict(msg)
        self._changing.known(key.tenant)
        held = self._install(key)
        self._tell()
        return self._shown(held)

    def _install(self, key: ApiKey) -> _Held:
        """Let a key be what it is now; every secret of its old form that is not one of the new ends."""
        held = self._held.get(key.id)
        if held is None:
            held = self._held[key.id] = _Held(key)
        for secret in held.key.secrets():
            self._proofs.pop(secret.digest, None)
        held.key = key
        for secret in key.secrets():
            principal = key.principal(per_minute=self._rate(key), generation=secret.generation)
            self._proofs[secret.digest] = _Proof(held, secret, principal)
        return held

    def _tell(self) -> None:
        for call in self._watchers:
            call()

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _rate(self, key: ApiKey) -> int:
        if key.per_minute is not None:
            return key.per_minute
        return self._rates.get(key.plan, self._rates[""])

    def _status(self, key: ApiKey, now: datetime) -> KeyStatus:
        if key.revoked:
            return KeyStatus.REVOKED
        return KeyStatus.EXPIRED if key.expires and key.expires <= timestamp(now) else KeyStatus.ACTIVE

    def _shown(self, held: _Held) -> KeyRecord:
        key = held.key
        now = self._clock.now()
        return KeyRecord(
            tenant=key.tenant,
            id=key.id,
            name=key.name,
            format=key.format,
            status=self._status(key, now),
            agent=key.agent,
            role=key.role,
            scopes=key.effective_scopes,
            plan=key.plan,
            per_minute=self._rate(key),
            created=key.created,
            created_by=key.created_by,
            expires=key.expires,
            rotated=key.rotated,
            old_until=max((one.until for one in key.former if one.until > timestamp(now)), default=""),
            revoked=key.revoked,
            last_used="" if held.used is None else timestamp(held.used),
        )


async def any_key(reader: AuditReader, state: StateStore) -> bool:
    """Return whether a store holds a key of any tenant, ended ones included. Raises StoreError."""
    for tenant in await reader.tenants():
        if await state.scan(tenant, _ROW):
            return True
    return False


async def _slug(by: Principal, name: str) -> str:
    """Bind to an agent by its name alone, where nobody keeps a register of agents."""
    slug = slug_of(name)
    if not slug:
        raise InvalidRequest(FieldProblem(path=("agent",), message="must have a letter or a digit"))
    return slug


def _who(by: Principal) -> JsonObject:
    return {"by": by.credential, **({"byUser": by.human} if by.human else {})}
