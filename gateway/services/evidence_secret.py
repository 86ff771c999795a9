"""The secret under which a tenant's evidence bundles are authenticated: made when first wanted, shown once, rotated.

Owns its row and entries. The secret lies sealed, is told to an admin once, and a new one takes its place at once:
bundles name the secret that they were made with, and whoever keeps an old bundle keeps its secret.
"""

import base64
from dataclasses import dataclass, field
from typing import Final

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Scope
from gateway.errors import Forbidden, StateConflict, StoreError, Unavailable
from gateway.ports import AuditLog, Clock, Conflict, Ids, StateStore, Vault
from gateway.services.authentication import require_scope

__all__ = ["EvidenceSecrets", "Secret"]

BY_ITSELF: Final = "gateway"
ATTEMPTS: Final = 3

_ROW: Final = "evidence-secret"
_SEALED: Final = "evidence"
"""What it is sealed for, in the place of an intent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One secret by its name. `text` is what is shown once and keys the HMAC as UTF-8."""

    id: str
    created: str
    shown: bool
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    id: str
    created: str
    shown: bool
    sealed: bytes = field(repr=False)
    version: int = 0

    def written(self) -> bytes:
        sealed = base64.b64encode(self.sealed).decode("ascii")
        return orjson.dumps({"id": self.id, "created": self.created, "shown": self.shown, "sealed": sealed})


class EvidenceSecrets:
    """The secrets of all tenants, read when they are wanted."""

    def __init__(self, *, audit: AuditLog, state: StateStore, vault: Vault, clock: Clock, ids: Ids) -> None:
        self._audit = audit
        self._state = state
        self._vault = vault
        self._clock = clock
        self._ids = ids

    async def current(self, tenant: str) -> Secret:
        """Return the secret in force, made where there is none.

        Raises:
            Unavailable: it does not open.
            StateConflict: others change it at this moment.
            StoreError: it could not be read or made durable.
        """
        for _ in range(ATTEMPTS):
            row = await self._read(tenant)
            if row is None:
                row, _made = self._made(tenant, shown=False, version=0)
                told: JsonObject = {"by": BY_ITSELF, "replaces": ""}
                if not await self._put(tenant, EntryType.EVIDENCE_SECRET_CREATED, row, told):
                    continue
            return self._opened(tenant, row)
        raise _overtaken()

    async def show(self, by: Principal) -> Secret:
        """Return the secret in force, once.

        Raises Forbidden, StateConflict (it was shown before), Unavailable and StoreError.
        """
        _require(by)
        secret = await self.current(by.tenant)
        row = await self._read(by.tenant)
        if row is None or row.id != secret.id:
            raise _overtaken()
        if row.shown:
            raise StateConflict("The evidence secret was shown before and is not shown again. Rotate it for a new one.")
        after = _Row(id=row.id, created=row.created, shown=True, sealed=row.sealed, version=row.version)
        if not await self._put(by.tenant, EntryType.EVIDENCE_SECRET_SHOWN, after, _who(by)):
            raise _overtaken()
        return Secret(id=row.id, created=row.created, shown=True, text=secret.text)

    async def rotate(self, by: Principal) -> Secret:
        """Put a new secret in the place of the one before, and return it, once. The old one is destroyed.

        Raises Forbidden, StateConflict and StoreError.
        """
        _require(by)
        before = await self._read(by.tenant)
        row, text = self._made(by.tenant, shown=True, version=0 if before is None else before.version)
        told = {**_who(by), "replaces": "" if before is None else before.id}
        if not await self._put(by.tenant, EntryType.EVIDENCE_SECRET_CREATED, row, told):
            raise _overtaken()
        return Secret(id=row.id, created=row.created, shown=True, text=text)

    def _made(self, tenant: str, *, shown: bool, version: int) -> tuple[_Row, str]:
        id_, text = self._ids.new("evs"), f"evsec_{self._ids.secret()}"
        sealed = self._vault.seal(text.encode(), tenant=tenant, intent_id=_SEALED, entry_id=id_)
        created = timestamp(self._clock.now())
        return _Row(id=id_, created=created, shown=shown, sealed=sealed, version=version), text

    def _opened(self, tenant: str, row: _Row) -> Secret:
        try:
            text = self._vault.unseal(row.sealed, tenant=tenant, intent_id=_SEALED, entry_id=row.id).decode()
        except StoreError as error:
            msg = "The evidence secret does not open; put the data key back, or rotate the secret."
            raise Unavailable(msg) from error
        return Secret(id=row.id, created=row.created, shown=row.shown, text=text)

    async def _read(self, tenant: str) -> _Row | None:
        found = await self._state.get(tenant, _ROW)
        if found is None:
            return None
        try:
            row = orjson.loads(found.value)
            sealed = base64.b64decode(row["sealed"])
            return _Row(id=row["id"], created=row["created"], shown=row["shown"], sealed=sealed, version=found.version)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError("the row of the evidence secret was changed") from error

    async def _put(self, tenant: str, kind: EntryType, row: _Row, told: JsonObject) -> bool:
        """Make a row durable with its entry; False where another one was quicker. Raises StoreError."""
        draft = EntryDraft(
            tenant=tenant,
            id=self._ids.new("evt"),
            type=kind,
            time=timestamp(self._clock.now()),
            body=orjson.dumps({"id": row.id, **told}),
            expects=(Expect(key=_ROW, version=row.version),),
            puts=(Put(key=_ROW, value=row.written()),),
        )
        conflict = True
        with anyio.CancelScope(shield=True):  # bounded by the append's own deadline
            conflict = isinstance(await self._audit.append(draft), Conflict)
        return not conflict


def _require(by: Principal) -> None:
    """Let no agent have the secret: with it bundles of its own acts are made that nobody can tell from true ones."""
    require_scope(by, Scope.KEYS_WRITE)
    if by.bound:
        raise Forbidden("A credential that is bound to an agent gets no evidence secret, whatever its role.")


def _overtaken() -> StateConflict:
    return StateConflict("The evidence secret changed at this moment; repeat the request.")


def _who(by: Principal) -> JsonObject:
    return {"by": by.credential, **({"byUser": by.human} if by.human else {})}
