"""An API key as it is kept: what it may do, when it ends, and of its secrets the digests only.

Owns the value and its JSON form in the state row `key:{id}`. Nothing here can be turned back into a key. Who may make
one and the directory of all of them is `services/keys.py`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import orjson

from gateway.core.credentials import KeyFormat
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import ROLE_SCOPES, Principal, Role, Scope

__all__ = ["ApiKey", "Former", "Secret"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """A secret that was replaced by a rotation. It proves the key until then (RFC 3339), as of its generation."""

    digest: bytes = field(repr=False)
    until: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One of the secrets that prove a key, until the given time in seconds since 1970."""

    digest: bytes = field(repr=False)
    until: float
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of one tenant. Times are RFC 3339, empty where there is none.

    `agent` is the slug of the one agent that the key is bound to, or empty. `scopes` are the explicit ones; None: those
    of the role, which a key without explicit scopes always has. `per_minute` is the key's own number, None where its
    plan says it. `created_by` names a credential.
    """

    tenant: str
    id: str
    name: str
    format: KeyFormat
    agent: str
    role: Role | None
    scopes: frozenset[Scope] | None
    plan: str
    per_minute: int | None
    created: str
    created_by: str
    expires: str
    digest: bytes = field(repr=False)
    former: tuple[Former, ...] = ()
    generation: int = 0
    rotated: str = ""
    revoked: str = ""

    @property
    def effective_scopes(self) -> frozenset[Scope]:
        """What the key may be used for; nothing where neither role nor scopes say."""
        if self.scopes is not None:
            return self.scopes
        return frozenset() if self.role is None else ROLE_SCOPES[self.role]

    def secrets(self) -> Iterator[Secret]:
        """Yield the secrets that prove the key, each until its time; none once it is revoked."""
        if self.revoked:
            return
        end = _seconds(self.expires) if self.expires else math.inf
        yield Secret(digest=self.digest, until=end, generation=self.generation)
        for one in self.former:
            yield Secret(digest=one.digest, until=min(end, _seconds(one.until)), generation=one.generation)

    def principal(self, *, per_minute: int, generation: int) -> Principal:
        """Return whom the secret of a generation stands for. An unbound key is an agent of its own on MCP."""
        return Principal(
            tenant=self.tenant,
            agent=self.agent or self.id.lower().replace("_", "-"),
            credential=self.id,
            scopes=self.effective_scopes,
            role=self.role,
            bound=bool(self.agent),
            per_minute=per_minute,
            generation=generation,
            plan=self.plan,
        )

    def rotate(self, digest: bytes, *, now: str, until: str) -> "ApiKey":
        """Return the key with a new secret. No older one is good beyond `until`; those that have ended are dropped."""
        current = Former(digest=self.digest, until=until, generation=self.generation)
        former = [replace(one, until=min(one.until, until)) for one in (current, *self.former)]
        return replace(
            self,
            digest=digest,
            former=tuple(one for one in former if one.until > now),
            generation=self.generation + 1,
            rotated=now,
        )

    def revoke(self, now: str) -> "ApiKey":
        """Return the key ended for good."""
        return replace(self, revoked=now, former=())

    def told(self) -> JsonObject:
        """Return what an audit entry says of the key; nothing of any secret."""
        return {
            "key": self.id,
            "name": self.name,
            "format": self.format,
            "agent": self.agent,
            "role": self.role,
            "scopes": sorted(self.effective_scopes),
            "plan": self.plan,
            "perMinute": self.per_minute,
            "expires": self.expires,
        }

    def encode(self) -> bytes:
        """Return the value of the key's state row."""
        return orjson.dumps(
            {
                "id": self.id,
                "name": self.name,
                "format": self.format,
                "agent": self.agent,
                "role": self.role,
                "scopes": None if self.scopes is None else sorted(self.scopes),
                "plan": self.plan,
                "perMinute": self.per_minute,
                "created": self.created,
                "createdBy": self.created_by,
                "expires": self.expires,
                "sha256": self.digest.hex(),
                "former": [
                    {"sha256": one.digest.hex(), "until": one.until, "generation": one.generation}
                    for one in self.former
                ],
                "generation": self.generation,
                "rotated": self.rotated,
                "revoked": self.revoked,
            }
        )

    @classmethod
    def decode(cls, tenant: str, row: bytes) -> "ApiKey":
        """Return the key of a state row.

        Raises:
            ValueError, KeyError, TypeError: it is none that this program wrote.
        """
        fields: JsonObject = orjson.loads(row)
        role, scopes = fields["role"], fields["scopes"]
        return cls(
            tenant=tenant,
            id=fields["id"],
            name=fields["name"],
            format=KeyFormat(fields["format"]),
            agent=fields["agent"],
            role=None if role is None else Role(role),
            scopes=None if scopes is None else frozenset(map(Scope, scopes)),
            plan=fields["plan"],
            per_minute=fields["perMinute"],
            created=fields["created"],
            created_by=fields["createdBy"],
            expires=fields["expires"],
            digest=bytes.fromhex(fields["sha256"]),
            former=tuple(
                Former(digest=bytes.fromhex(one["sha256"]), until=one["until"], generation=one["generation"])
                for one in fields["former"]
            ),
            generation=fields["generation"],
            rotated=fields["rotated"],
            revoked=fields["revoked"],
        )


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
