"""Human users of a tenant, the one-time codes by which they log in, and the portal sessions that a login opens.

Owns who there is, which session stands for whom, and that every change is durable before it takes effect. The directory
is whole in memory, read at the start: one process owns the store. Values and rows are `core/people.py`. Pages for
people come later; a login is one request.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.jsonvalue import JsonObject
from gateway.core.people import (
    LOGINS,
    MAX_NAME_CHARS,
    SESSIONS,
    USERS,
    Login,
    PortalSession,
    User,
    digest_of,
    folded,
    held,
    name_key,
    name_problem,
    put,
    read_login,
    read_session,
    read_user,
    removal,
)
from gateway.core.principal import PLAIN_ROLES, ROLE_SCOPES, Principal, Role, Scope
from gateway.errors import FieldProblem, Forbidden, InvalidRequest, NotFound, StateConflict, StoreError, Unauthenticated
from gateway.ports import AuditLog, Clock, Conflict, Ids, StateStore
from gateway.services.changing import Changing

__all__ = ["CODE_TTL", "SESSION_TTL", "LoginCode", "OpenedSession", "People"]

CODE_TTL: Final = timedelta(minutes=15)
"""Of a login code: long enough to hand it over by another channel, too short to be found lying about."""

SESSION_TTL: Final = timedelta(hours=12)
"""Of a portal session, however busy: a working day."""

SESSION_PER_MINUTE: Final = 1000
"""Requests of one session, as of an API key without a plan (contract, section 1)."""

SWEPT_AT_ONCE: Final = 100
"""Expired rows that one change takes along. Each change makes one such row at most, so that they cannot pile up."""

CODE_PREFIX: Final = "login_"
SESSION_PREFIX: Final = "ps_"
"""Of a session's secret and of its public id alike (contract, section 1); only the secret opens anything."""

_UNUSABLE: Final = (
    "This login code is unknown, used or expired. An operator makes a new one with `intended users login NAME`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginCode:
    """A code that opens one session, once. It is shown once and kept nowhere."""

    user: User
    code: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """A session just opened, with the secret that is shown once: the value of `x-portal-session-id`."""

    session: PortalSession
    user: User
    secret: str = field(repr=False)


class People:
    """The directory of humans over all tenants.

    A tenant is nowhere an argument: it is that of the principal who asks, or of the code that is used.
    """

    def __init__(
        self,
        *,
        audit: AuditLog,
        state: StateStore,
        clock: Clock,
        ids: Ids,
        per_minute: int | None = SESSION_PER_MINUTE,
    ) -> None:
        self._audit = audit
        self._state = state
        self._clock = clock
        self._ids = ids
        self._per_minute = per_minute
        self._users: dict[str, User] = {}
        self._logins: dict[str, Login] = {}
        self._sessions: dict[str, PortalSession] = {}
        self._changing = Changing(self._read)

    async def load(self, tenants: Iterable[str]) -> None:
        """Read the directory of these tenants; part of the start. Raises StoreError."""
        for tenant in tenants:
            await self._read(tenant)

    # --- looking ------------------------------------------------------------------------------------------------------

    def resolve(self, text: str) -> Principal | None:
        """Return whom a presented session stands for now, or None where it stands for nobody."""
        session = held(self._sessions, text)
        if session is None or session.expires <= self._clock.now():
            return None
        user = self._users.get(session.user)
        if user is None or user.disabled:
            return None
        return Principal(
            tenant=session.tenant,
            agent=user.id.lower().replace("_", "-"),
            credential=session.id,
            scopes=ROLE_SCOPES[user.role],
            role=user.role,
            human=user.id,
            per_minute=self._per_minute,
        )

    def users(self, by: Principal) -> tuple[User, ...]:
        """Return the users of the principal's tenant, oldest first."""
        return tuple(sorted((one for one in self._users.values() if one.tenant == by.tenant), key=lambda one: one.id))

    def find(self, by: Principal, name: str) -> User:
        """Return a user of the principal's tenant by id or name. Raises NotFound."""
        found = self._users.get(name)
        if found is None or found.tenant != by.tenant:
            found = self._named(by.tenant, name)
        if found is None:
            msg = f"There is no user '{name[:MAX_NAME_CHARS]}'."
            raise NotFound(msg)
        return found

    def named(self, by: Principal, user_id: str) -> str:
        """Return the name of a user of the principal's tenant; empty where it has no such user, or none any more.

        An agent is told no names: who it has to persuade is nothing it needs to know.
        """
        user = self._users.get(user_id)
        return "" if user is None or by.bound or user.tenant != by.tenant else user.name

    # --- users --------------------------------------------------------------------------------------------------------

    async def create(self, by: Principal, *, name: str, role: Role) -> User:
        """Add a user.

        Raises:
            InvalidRequest: the name cannot be used.
            StateConflict: another user has it.
            Forbidden: the principal may not, or the role may do what the principal itself may not.
            StoreError: it could not be made durable; there is no such user.
        """
        problem = name_problem(name)
        if problem:
            raise InvalidRequest(FieldProblem(path=("name",), message=problem))
        _require_role(by, role)
        async with self._changing.settled(by.tenant):
            if self._named(by.tenant, name) is not None:
                msg = f"There is a user '{name}' already."
                raise StateConflict(msg, field="name")
            user = User(
                tenant=by.tenant,
                id=self._ids.new("usr"),
                name=name,
                role=role,
                created=timestamp(self._clock.now()),
            )
            await self._record(
                by,
                EntryType.USER_CREATED,
                {"user": user.id, "name": name, "role": role},
                expects=(Expect(key=user.key, version=0), Expect(key=name_key(name), version=0)),
                puts=(put(user), Put(key=name_key(name), value=user.id.encode())),
            )
            self._users[user.id] = user
        return user

    async def change(self, by: Principal, name: str, *, role: Role | None = None, disabled: bool | None = None) -> User:
        """Give a user another role, disable or enable it; None leaves that as it is.

        A change ends the user's sessions and login codes: what was handed out under the old role is void.
        Raises NotFound, Forbidden and StoreError as `create`.
        """
        async with self._changing.settled(by.tenant):
            before = self.find(by, name)
            user = replace(
                before,
                role=before.role if role is None else role,
                disabled=before.disabled if disabled is None else disabled,
            )
            _require_role(by, before.role)
            _require_role(by, user.role)
            if user == before:
                return user
            sessions = [one for one in self._sessions.values() if one.user == user.id]
            logins = [one for one in self._logins.values() if one.user == user.id]
            await self._record(
                by,
                EntryType.USER_CHANGED,
                {
                    "user": user.id,
                    "name": user.name,
                    "role": user.role,
                    "disabled": user.disabled,
                    "previous": {"role": before.role, "disabled": before.disabled},
                    "sessionsClosed": [one.id for one in sessions],
                    "loginCodesVoid": len(logins),
                },
                expects=(await self._as_read(user.tenant, user.key),),
                puts=(put(user), *map(removal, sessions), *map(removal, logins)),
            )
            self._users[user.id] = user
            self._forget(sessions, logins)
        return user

    # --- logging in and out -------------------------------------------------------------------------------------------

    async def login_code(self, by: Principal, name: str) -> LoginCode:
        """Make a code by which the user opens one session within `CODE_TTL`.

        Raises:
            NotFound: there is no such user.
            Forbidden: the principal may not, or the user may do what the principal itself may not.
            StateConflict: the user is disabled.
            StoreError: it could not be made durable; there is no such code.
        """
        async with self._changing.settled(by.tenant):
            user = self.find(by, name)
            _require_role(by, user.role)
            if user.disabled:
                msg = f"User '{user.name}' is disabled."
                raise StateConflict(msg)
            code = CODE_PREFIX + self._ids.secret()
            expires = self._clock.now() + CODE_TTL
            login = Login(tenant=user.tenant, user=user.id, expires=expires, digest=digest_of(code))
            await self._record(
                by,
                EntryType.USER_CHANGED,
                {"user": user.id, "name": user.name, "loginCodeUntil": timestamp(expires)},
                expects=(await self._as_read(user.tenant, user.key),),
                puts=(put(login),),
            )
            self._logins[login.digest] = login
        return LoginCode(user=user, code=code, expires=expires)

    async def open_session(self, code: str) -> OpenedSession:
        """Use a login code up and open a session.

        Raises:
            Unauthenticated: the code is unknown, used or expired.
            StoreError: it could not be made durable; the code may still be good.
        """
        known = held(self._logins, code)
        if known is None:
            raise Unauthenticated(_UNUSABLE)
        async with self._changing.settled(known.tenant):
            now = self._clock.now()
            login = held(self._logins, code)
            if login is None or login.expires <= now:
                raise Unauthenticated(_UNUSABLE)
            user = self._users[login.user]
            secret = SESSION_PREFIX + self._ids.secret()
            session = PortalSession(
                tenant=user.tenant,
                id=self._ids.new("ps"),
                user=user.id,
                opened=now,
                expires=now + SESSION_TTL,
                digest=digest_of(secret),
            )
            await self._record(
                Principal(tenant=user.tenant, agent="", credential=session.id, human=user.id),
                EntryType.SESSION_OPENED,
                {"session": session.id, "user": user.id, "name": user.name, "expires": timestamp(session.expires)},
                expects=(await self._as_read(login.tenant, login.key),),
                puts=(removal(login), put(session)),
            )
            self._forget([], [login])
            self._sessions[session.digest] = session
        return OpenedSession(session=session, user=user, secret=secret)

    async def close_session(self, by: Principal) -> PortalSession:
        """End the session that the principal came with.

        Raises:
            NotFound: it came with another credential, or the session is over.
            StoreError: it could not be made durable; the session goes on.
        """
        async with self._changing.settled(by.tenant):
            session = next((one for one in self._sessions.values() if one.id == by.credential), None)
            if session is None:
                msg = "There is no portal session to end: this request came with another credential."
                raise NotFound(msg)
            body = {"session": session.id, "user": session.user}
            await self._record(by, EntryType.SESSION_CLOSED, body, puts=(removal(session),))
            self._forget([session], [])
        return session

    # --- memory and store ---------------------------------------------------------------------------------------------

    async def _read(self, tenant: str) -> None:
        """Read one tenant's directory anew."""
        users = [read_user(tenant, row.value) for row in await self._state.scan(tenant, USERS)]
        logins = [read_login(tenant, row.value) for row in await self._state.scan(tenant, LOGINS)]
        sessions = [read_session(tenant, row.value) for row in await self._state.scan(tenant, SESSIONS)]
        self._users = _elsewhere(self._users, tenant) | {one.id: one for one in users}
        self._logins = _elsewhere(self._logins, tenant) | {one.digest: one for one in logins}
        self._sessions = _elsewhere(self._sessions, tenant) | {one.digest: one for one in sessions}
        self._changing.known(tenant)

    async def _as_read(self, tenant: str, key: str) -> Expect:
        """Return the expectation that a row, which memory knows, is still as the store has it now."""
        row = await self._state.get(tenant, key)
        if row is None:
            self._changing.doubt(tenant)
            msg = f"the row {key} of tenant {tenant} is gone"
            raise StoreError(msg)
        return Expect(key=key, version=row.version)

    async def _record(
        self,
        by: Principal,
        kind: EntryType,
        body: JsonObject,
        *,
        puts: tuple[Put, ...],
        expects: tuple[Expect, ...] = (),
    ) -> None:
        """Make one change durable, and take what has expired along. Raises StoreError and StateConflict."""
        now = self._clock.now()
        logins = [one for one in self._logins.values() if one.tenant == by.tenant and one.expires <= now]
        sessions = [one for one in self._sessions.values() if one.tenant == by.tenant and one.expires <= now]
        logins, sessions = logins[:SWEPT_AT_ONCE], sessions[:SWEPT_AT_ONCE]
        written = {one.key for one in puts}
        swept = [one for one in (*map(removal, logins), *map(removal, sessions)) if one.key not in written]
        draft = EntryDraft(
            tenant=by.tenant,
            id=self._ids.new("evt"),
            type=kind,
            time=timestamp(now),
            body=orjson.dumps({**body, "by": by.credential, "byUser": by.human}),
            expects=expects,
            puts=(*puts, *swept),
        )
        self._changing.doubt(by.tenant)  # until it is known what became of it
        if isinstance(await self._audit.append(draft), Conflict):
            msg = "The users changed meanwhile. Look at them again, then repeat the request."
            raise StateConflict(msg)
        self._changing.known(by.tenant)
        self._forget(sessions, logins)

    def _forget(self, sessions: Iterable[PortalSession], logins: Iterable[Login]) -> None:
        for session in sessions:
            self._sessions.pop(session.digest, None)
        for login in logins:
            self._logins.pop(login.digest, None)

    def _named(self, tenant: str, name: str) -> User | None:
        wanted = folded(name)
        return next((one for one in self._users.values() if one.tenant == tenant and folded(one.name) == wanted), None)


_One = TypeVar("_One", User, Login, PortalSession)


def _elsewhere(table: dict[str, _One], tenant: str) -> dict[str, _One]:
    return {key: one for key, one in table.items() if one.tenant != tenant}


def _require_role(by: Principal, role: Role) -> None:
    """Let nobody hand out, take away or log in to what it may not do itself. Raises Forbidden."""
    missing = ({Scope.KEYS_WRITE} | ROLE_SCOPES[role]) - by.scopes
    if missing:
        named = ", ".join(sorted(missing))
        msg = f"To manage users of the role `{role}` a credential needs their scopes too; this one lacks {named}."
        raise Forbidden(msg)
    if by.bound or (role not in PLAIN_ROLES and by.role not in (role, Role.ADMIN)):
        msg = f"Users of the role `{role}` are managed by an admin."
        raise Forbidden(msg)
