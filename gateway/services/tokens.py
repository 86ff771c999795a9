"""The signing keys of every tenant, and the authority tokens that they sign.

Owns which key signs when, what the JWKS shows, and the rows and entries of both. The keys themselves are the signer's
(`ports.TokenSigner`); what a token says is `core/tokens.py`.

The life of a key, by the clock alone, so that no timer can be late for it:

    created ──PUBLISH_AHEAD_S──> signs ──next key signs──> retired ──MAX_TTL_S, CLOCK_SKEW_S──> out of the JWKS

A successor is published before it signs, because a verifier may keep a JWKS for as long as `Cache-Control` says and
would meanwhile refuse a key that it has not seen. A tenant's first key signs at once, since nobody can hold a JWKS in
which it ought to be; so does one that replaces a key which does not open, since nothing else could. The private half is
destroyed when a key is retired; its row keeps the public half for good, for whoever looks into an old token.
"""

import base64
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.tokens import MAX_TTL_S, Grant, claims_of, thumbprint
from gateway.errors import SigningError, StateConflict, StoreError, Unavailable
from gateway.ports import AuditLog, Clock, Conflict, Ids, SealedKey, StateStore, TokenSigner

__all__ = ["JWKS_MAX_AGE_S", "SigningKey", "Tokens"]

JWKS_MAX_AGE_S = 300
"""How long a verifier may keep a JWKS (`Cache-Control: max-age`)."""

CLOCK_SKEW_S = 60
"""By how much a verifier's clock may be behind ours, at most, for its keys to be there as long as it needs them."""

PUBLISH_AHEAD_S = JWKS_MAX_AGE_S + CLOCK_SKEW_S
"""From the publication of a successor to its first signature."""

SIGN_S = 5.0
"""For one token, the making of a tenant's first key included."""

TIDY_S = 60.0
"""Between two looks for keys whose time to sign is over."""

KEY_PREFIX = "signing:"
REVOKED = "revoked"
BY_ITSELF = "gateway"
"""Who made a tenant's first key, which no principal asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key as its row tells it. Times are seconds since 1970; `published_until` is 0 while it has no successor.

    `sealed` is the private half, encrypted; empty once the key is retired. `opens` is False where that half cannot be
    opened, or is destroyed. What a `revoked` one signed proves nothing: it may be in foreign hands.
    """

    kid: str
    public: JsonObject
    signs_from: float
    published_until: float = 0
    sealed: bytes = field(default=b"", repr=False)
    opens: bool = False
    revoked: bool = False

    def published_at(self, moment: float) -> bool:
        """Return whether the JWKS shows it then."""
        return not self.published_until or moment < self.published_until


class Tokens:
    """Issues tokens. `load` comes first; `run` is the background task that destroys retired private keys."""

    def __init__(
        self, *, signer: TokenSigner, audit: AuditLog, state: StateStore, clock: Clock, ids: Ids, issuer: str
    ) -> None:
        self._signer = signer
        self._audit = audit
        self._state = state
        self._clock = clock
        self._ids = ids
        self._issuer = issuer
        self._keys: dict[str, dict[str, SigningKey]] = {}
        self._locks: dict[str, anyio.Lock] = {}
        self._doubtful: set[str] = set()

    # --- what others ask ----------------------------------------------------------------------------------------------

    def ready(self) -> str:
        """Return an empty string while every tenant that has keys can sign, else what is wrong."""
        now = self._now()
        broken = sum(1 for keys in self._keys.values() if _signing(keys.values(), now) is None)
        if not broken:
            return ""
        return (
            f"the signing keys of {broken} tenant(s) do not open; is `tokens.key` the one that they were sealed under?"
        )

    async def issue(self, grant: Grant) -> str:
        """Return a token for one allowed act. Release it only once the decision is durable.

        Raises:
            SigningError: there is none, and nothing may stand in for it.
        """
        with anyio.move_on_after(SIGN_S):
            await self._key_for(grant.tenant)
            return await self.begin(grant)
        raise _too_slow()

    def begin(self, grant: Grant) -> Awaitable[str]:
        """Begin to sign a token while its decision is being made durable; `finish` gives it, and nobody before that.

        Raises:
            SigningError: the tenant has no key that signs (`ensure` makes one).
        """
        now = self._clock.now()
        key = _signing(self._keys.get(grant.tenant, {}).values(), now.timestamp())
        if key is None:
            raise SigningError("the tenant has no key that signs")
        claims = claims_of(grant, issuer=self._issuer, token_id=self._ids.new("tok"), now=now)
        return self._signer.sign(key.kid, claims)

    async def finish(self, begun: Awaitable[str]) -> str:
        """Return a token that `begin` began, whose decision is durable by now. Raises SigningError."""
        with anyio.move_on_after(SIGN_S):
            return await begun
        raise _too_slow()

    async def ensure(self, tenant: str) -> None:
        """Make sure that the tenant has a key that signs. Raises Unavailable where it cannot have one."""
        try:
            await self._key_for(tenant)
        except SigningError as error:
            raise Unavailable(str(error)) from error

    def jwks(self, tenant: str) -> JsonObject:
        """Return the tenant's public keys as a JWK set (RFC 7517, 5), the one that signs first.

        A tenant without keys and a tenant that does not exist look the same.
        """
        now = self._now()
        shown = [key for key in self._keys.get(tenant, {}).values() if key.published_at(now)]
        signing = _signing(shown, now)
        shown.sort(key=lambda key: (key is not signing, -key.signs_from))
        return {"keys": [key.public for key in shown]}

    def checkable(self, tenant: str) -> JsonObject:
        """Return the public keys under which evidence of the tenant may be signed, the newest first, as a JWK set.

        Retired ones are among them, since evidence is kept for years; revoked ones are not.
        """
        keys = [key for key in self._keys.get(tenant, {}).values() if not key.revoked]
        keys.sort(key=lambda key: -key.signs_from)
        return {"keys": [key.public for key in keys]}

    async def key_for_evidence(self, tenant: str) -> SigningKey:
        """Return the key that signs now. Raises SigningError."""
        with anyio.move_on_after(SIGN_S):
            return await self._key_for(tenant)
        raise _too_slow()

    async def attest(self, key: SigningKey, payload: bytes, *, type_: str) -> str:
        """Return a signature over a payload that stays outside (`core/evidence.py` has the types).

        Raises:
            SigningError: there is none; a key that was revoked meanwhile signs nothing.
        """
        with anyio.move_on_after(SIGN_S):
            return await self._signer.attest(key.kid, payload, type_=type_)
        raise _too_slow()

    async def rotate(self, principal: Principal, tenant: str, *, revoke: bool = False) -> SigningKey:
        """Make the tenant's next key. With `revoke` every older one is worthless at once: it may be in foreign hands.

        Tokens that a revoked key signed are refused as soon as verifiers look at the JWKS anew.

        Raises:
            StateConflict: the next key is made already, and only waits for its time.
            Unavailable: not everything could be recorded. Repeat it: until that succeeds, an old key may be good.
        """
        async with self._lock(tenant):
            try:
                keys = await self._known(tenant)
                now = self._now()
                if not revoke and any(key.opens and key.signs_from > now for key in keys.values()):
                    raise StateConflict("the tenant's next signing key is published already and has yet to sign")
                made = await self._make(tenant, by=principal.credential, at_once=revoke)
                if revoke:
                    older = [key for key in self._keys[tenant].values() if key.kid != made.kid]
                    for key in [key for key in older if key.sealed or key.published_at(now)]:
                        await self._retire(tenant, key, published_until=now, reason=REVOKED)
            except (SigningError, StoreError) as error:
                raise Unavailable("the signing key could not be made, or not recorded") from error
        return made

    # --- owned by app.py ----------------------------------------------------------------------------------------------

    async def load(self, tenants: Sequence[str]) -> None:
        """Read the keys of the tenants from the store. Raises StoreError.

        A key that does not open is still published: tokens that it signed are good until they expire.
        """
        for tenant in tenants:
            keys: dict[str, SigningKey] = {}
            for row in await self._state.scan(tenant, KEY_PREFIX):
                key = _from_row(row.value)
                keys[key.kid] = await self._opened(tenant, key)
            if keys:
                self._keys[tenant] = keys

    async def run(self) -> None:
        """Destroy private keys whose time is over, for as long as the gateway runs."""
        while True:
            await self.tidy()
            await anyio.sleep(TIDY_S)

    async def tidy(self) -> None:
        """Retire every key whose successor signs. What the store does not take now is retired next time."""
        for tenant in tuple(self._keys):
            async with self._lock(tenant):
                try:
                    keys = await self._known(tenant)
                    signing = _signing(keys.values(), self._now())
                    after = signing.signs_from if signing is not None else 0
                    for key in [key for key in keys.values() if key.sealed and key.signs_from < after]:
                        await self._retire(tenant, key, published_until=key.published_until, reason="succeeded")
                except StoreError:
                    continue

    # --- inside -------------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _lock(self, tenant: str) -> anyio.Lock:
        return self._locks.setdefault(tenant, anyio.Lock())

    async def _key_for(self, tenant: str) -> SigningKey:
        """Return the key that signs now, made where the tenant has none. Raises SigningError."""
        key = _signing(self._keys.get(tenant, {}).values(), self._now())
        if key is not None:
            return key
        async with self._lock(tenant):
            try:
                keys = await self._known(tenant)
                key = _signing(keys.values(), self._now())
                if key is None and keys:
                    msg = "the tenant's signing keys do not open; give the right `tokens.key`, or rotate the keys"
                    raise SigningError(msg)
                return key or await self._make(tenant, by=BY_ITSELF)
            except StoreError as error:
                raise SigningError("the tenant's signing key could not be read or recorded") from error

    async def _known(self, tenant: str) -> dict[str, SigningKey]:
        """Return the tenant's keys, from the store where memory may differ from it. Raises StoreError."""
        if tenant not in self._keys or tenant in self._doubtful:
            await self.load([tenant])
            self._doubtful.discard(tenant)
        return self._keys.get(tenant, {})

    async def _make(self, tenant: str, *, by: str, at_once: bool = False) -> SigningKey:
        """Make a key, and say in the same entry how long the others stay published. Raises SigningError, StoreError."""
        keys = self._keys.get(tenant, {})
        now = self._now()
        ahead = 0 if at_once or _signing(keys.values(), now) is None else PUBLISH_AHEAD_S
        made = await self._signer.make(tenant)
        fresh = SigningKey(kid=made.kid, public=made.public, signs_from=now + ahead, sealed=made.sealed, opens=True)
        last = fresh.signs_from + MAX_TTL_S + CLOCK_SKEW_S
        older = [replace(key, published_until=last) for key in keys.values() if not key.published_until]
        body = {"kid": fresh.kid, "by": by, "signsFrom": int(fresh.signs_from), "replaces": [key.kid for key in older]}
        try:
            await self._append(tenant, EntryType.SIGNING_KEY_CREATED, body, [fresh, *older])
        except StoreError:
            self._signer.forget(fresh.kid)
            raise
        self._keys[tenant] = keys | {key.kid: key for key in (*older, fresh)}
        return fresh

    async def _retire(self, tenant: str, key: SigningKey, *, published_until: float, reason: str) -> None:
        """Destroy a private half, in the store first. Raises StoreError."""
        until = min(key.published_until or published_until, published_until)
        revoked = reason == REVOKED
        retired = replace(key, sealed=b"", opens=False, published_until=until, revoked=revoked)
        body = {"kid": key.kid, "reason": reason, "publishedUntil": int(until)}
        await self._append(tenant, EntryType.SIGNING_KEY_RETIRED, body, [retired])
        self._keys[tenant][key.kid] = retired
        self._signer.forget(key.kid)

    async def _append(self, tenant: str, kind: EntryType, body: JsonObject, rows: Sequence[SigningKey]) -> None:
        names = [KEY_PREFIX + key.kid for key in rows]
        there = [await self._state.get(tenant, name) for name in names]
        expects = (Expect(key=name, version=row.version if row else 0) for name, row in zip(names, there, strict=True))
        draft = EntryDraft(
            tenant=tenant,
            id=self._ids.new("evt"),
            type=kind,
            time=timestamp(self._clock.now()),
            body=orjson.dumps(body),
            expects=tuple(expects),
            puts=tuple(Put(key=name, value=_to_row(key)) for name, key in zip(names, rows, strict=True)),
        )
        # Shielded, and doubtful until it is known to be durable: memory must not fall behind the rows.
        self._doubtful.add(tenant)
        with anyio.CancelScope(shield=True):
            if isinstance(await self._audit.append(draft), Conflict):
                raise StoreError("a signing key changed under another process")
        self._doubtful.discard(tenant)

    async def _opened(self, tenant: str, key: SigningKey) -> SigningKey:
        if not key.sealed:
            return key
        try:
            await self._signer.open(tenant, SealedKey(kid=key.kid, public=key.public, sealed=key.sealed))
        except SigningError:
            return key
        return replace(key, opens=True)


def _too_slow() -> SigningError:
    return SigningError(f"no token could be signed within {SIGN_S:.0f} s")


def _signing(keys: Iterable[SigningKey], now: float) -> SigningKey | None:
    """Return the key that signs now: the newest whose time has come, among those that outlive their next token.

    Before the time of any (a clock that was set back) it is the oldest of them.
    """
    usable = [key for key in keys if key.opens and key.published_at(now + MAX_TTL_S)]
    due = [key for key in usable if key.signs_from <= now]
    if due:
        return max(due, key=lambda key: key.signs_from)
    return min(usable, key=lambda key: key.signs_from, default=None)


def _to_row(key: SigningKey) -> bytes:
    return orjson.dumps(
        {
            "kid": key.kid,
            "public": key.public,
            "signsFrom": key.signs_from,
            "publishedUntil": key.published_until,
            "sealed": base64.b64encode(key.sealed).decode("ascii"),
            **({"revoked": True} if key.revoked else {}),
        }
    )


def _from_row(value: bytes) -> SigningKey:
    """Read a row. Raises StoreError where it is not as it was written, a public key under a foreign name included."""
    try:
        row = orjson.loads(value)
        kid, public, sealed = row["kid"], row["public"], base64.b64decode(row["sealed"])
        signs_from, published_until = float(row["signsFrom"]), float(row["publishedUntil"])
        revoked = row.get("revoked", False) is True
        known = thumbprint(public) == kid
    except (ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise StoreError("the row of a signing key was changed")
    return SigningKey(
        kid=kid,
        public=public,
        signs_from=signs_from,
        published_until=published_until,
        sealed=sealed,
        revoked=revoked,
    )
