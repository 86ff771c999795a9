"""Human users, login codes and portal sessions: the values, and the state rows that keep them.

Owns shapes, names and digests. Who may change what, and that it is durable first, is `services/people.py`. A row holds
no secret: of codes and sessions only the SHA-256 is kept, which suffices because both are 256 random bits.
"""

import hashlib
import hmac
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import Put
from gateway.core.principal import Role

__all__ = [
    "LOGINS",
    "MAX_NAME_CHARS",
    "SESSIONS",
    "USERS",
    "Login",
    "PortalSession",
    "User",
    "digest_of",
    "folded",
    "held",
    "name_key",
    "name_problem",
    "put",
    "read_login",
    "read_session",
    "read_user",
    "removal",
]

MAX_NAME_CHARS: Final = 128
"""Of a user's name: it is shown in lists and written into entries."""

MAX_TEXT_CHARS: Final = 256
"""Of a presented code or session; ours have about 50."""

USERS: Final = "user:"
LOGINS: Final = "login:"
SESSIONS: Final = "session:"
"""How the keys of the rows begin; an id or a digest follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A human of one tenant. `created` is RFC 3339. A disabled one keeps name and id: the record names them."""

    tenant: str
    id: str
    name: str
    role: Role
    created: str
    disabled: bool = False

    @property
    def key(self) -> str:
        """The key of its row."""
        return USERS + self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login code that has not been used yet, known by its digest alone."""

    tenant: str
    user: str
    expires: datetime
    digest: str

    @property
    def key(self) -> str:
        """The key of its row."""
        return LOGINS + self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSession:
    """An open session. `id` names it in the record and opens nothing; `user` is the `usr_…`, `digest` the secret's."""

    tenant: str
    id: str
    user: str
    opened: datetime
    expires: datetime
    digest: str = field(repr=False)

    @property
    def key(self) -> str:
        """The key of its row."""
        return SESSIONS + self.digest


# --- names and secrets ------------------------------------------------------------------------------------------------


def name_problem(name: str) -> str:
    """Return an empty string, or why the text cannot be a user's name."""
    if not name.strip():
        return "a name is needed"
    if len(name) > MAX_NAME_CHARS:
        return f"at most {MAX_NAME_CHARS} characters"
    return "" if name.isprintable() and name == name.strip() else "no control characters, no blanks around it"


def folded(name: str) -> str:
    """Return the form in which two names are the same name."""
    return unicodedata.normalize("NFKC", name).casefold()


def name_key(name: str) -> str:
    """Return the key of the row that says a name is taken."""
    return f"user-name:{folded(name)}"


def digest_of(text: str) -> str:
    """Return the SHA-256 of a code or a session's secret, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


_Held = TypeVar("_Held", Login, PortalSession)


def held(table: Mapping[str, _Held], text: str) -> _Held | None:
    """Return what a presented text opens. The digests are compared in constant time."""
    if len(text) > MAX_TEXT_CHARS:
        return None
    digest = digest_of(text)
    found = table.get(digest)
    return found if found is not None and hmac.compare_digest(found.digest, digest) else None


# --- rows -------------------------------------------------------------------------------------------------------------


def put(one: User | Login | PortalSession) -> Put:
    """Return the row of `one`, to be written with the entry that tells of it."""
    if isinstance(one, User):
        row = {
            "id": one.id,
            "name": one.name,
            "role": one.role,
            "created": one.created,
            "disabled": one.disabled,
        }
    elif isinstance(one, Login):
        row = {"user": one.user, "expires": timestamp(one.expires), "digest": one.digest}
    else:
        row = {
            "id": one.id,
            "user": one.user,
            "opened": timestamp(one.opened),
            "expires": timestamp(one.expires),
            "digest": one.digest,
        }
    return Put(key=one.key, value=orjson.dumps(row))


def removal(one: Login | PortalSession) -> Put:
    """Return the deletion of the row of `one`."""
    return Put(key=one.key, value=None)


def read_user(tenant: str, row: bytes) -> User:
    """Return the user of a row."""
    found = orjson.loads(row)
    return User(
        tenant=tenant,
        id=found["id"],
        name=found["name"],
        role=Role(found["role"]),
        created=found["created"],
        disabled=found["disabled"],
    )


def read_login(tenant: str, row: bytes) -> Login:
    """Return the login code of a row."""
    found = orjson.loads(row)
    expires = datetime.fromisoformat(found["expires"])
    return Login(tenant=tenant, user=found["user"], expires=expires, digest=found["digest"])


def read_session(tenant: str, row: bytes) -> PortalSession:
    """Return the session of a row."""
    found = orjson.loads(row)
    return PortalSession(
        tenant=tenant,
        id=found["id"],
        user=found["user"],
        opened=datetime.fromisoformat(found["opened"]),
        expires=datetime.fromisoformat(found["expires"]),
        digest=found["digest"],
    )
