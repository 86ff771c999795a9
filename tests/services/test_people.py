"""Human users, login codes, portal sessions: durable first, used once, ended with the role they came from."""

from datetime import timedelta
from typing import Any

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.people import USERS, User, digest_of, put
from gateway.core.principal import ROLE_SCOPES, SYSTEM_TENANT, Principal, Role, Scope
from gateway.errors import (
    AuditUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    StateConflict,
    StoreError,
    Unauthenticated,
)
from gateway.services import people as module
from gateway.services.operator import operator
from gateway.services.people import CODE_TTL, SESSION_TTL, OpenedSession, People
from tests.simulate.store import MemoryStore, Moment
from tests.simulate.world import FakeClock, FakeIds

CLI = operator("acme")
OTHER = operator("other")


class House:
    """People on a store in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = FakeClock()
        self.ids = FakeIds()
        self.people = self.anew()

    def anew(self, **more: Any) -> People:
        return People(audit=self.store, state=self.store, clock=self.clock, ids=self.ids, **more)

    async def restarted(self) -> People:
        people = self.anew()
        await people.load(await self.store.tenants())
        return people

    async def user(self, name: str = "ada", role: Role = Role.OPERATOR, by: Principal = CLI) -> User:
        return await self.people.create(by, name=name, role=role)

    async def session(self, name: str = "ada", by: Principal = CLI) -> OpenedSession:
        return await self.people.open_session((await self.people.login_code(by, name)).code)

    def kinds(self) -> list[EntryType]:
        return [draft.type for draft in self.store.drafts]

    def last(self) -> tuple[EntryDraft, dict[str, Any]]:
        draft = self.store.drafts[-1]
        return draft, orjson.loads(draft.body)


async def test_a_user_logs_in_and_is_a_principal_with_the_scopes_of_the_role() -> None:
    """Contract, section 1: a session has a role, and is accepted where a key is."""
    house = House()
    user = await house.user()
    opened = await house.session()
    assert house.people.resolve(opened.secret) == Principal(
        tenant="acme",
        agent=user.id.lower().replace("_", "-"),
        credential=opened.session.id,
        scopes=ROLE_SCOPES[Role.OPERATOR],
        role=Role.OPERATOR,
        human=user.id,
        per_minute=1000,
    )
    assert (opened.user, opened.session.user, opened.secret[:3]) == (user, user.id, "ps_")
    assert house.kinds() == [EntryType.USER_CREATED, EntryType.USER_CHANGED, EntryType.SESSION_OPENED]


async def test_entries_tell_who_did_it_and_hold_no_secret() -> None:
    """An auditor sees the operator, the session and the human; whoever reads the chain cannot log in."""
    house = House()
    user = await house.user()
    code = await house.people.login_code(CLI, user.id)
    opened = await house.people.open_session(code.code)
    draft, body = house.last()
    assert draft.tenant == "acme"
    assert body == {
        "session": opened.session.id,
        "user": user.id,
        "name": "ada",
        "expires": "2026-11-23T00:00:00.000Z",
        "by": opened.session.id,
        "byUser": user.id,
    }
    assert orjson.loads(house.store.drafts[0].body)["by"] == "cli"
    written = b"".join(
        draft.body + b"".join(one.key.encode() + (one.value or b"") for one in draft.puts)
        for draft in house.store.drafts
    )
    for secret in (code.code, opened.secret):
        assert secret.encode() not in written
        assert secret not in repr((code, opened))
    assert digest_of(opened.secret).encode() in written


async def test_a_code_opens_one_session_only() -> None:
    """A link that was read over a shoulder or in a log is worth nothing once it was used."""
    house = House()
    await house.user()
    code = (await house.people.login_code(CLI, "ada")).code
    await house.people.open_session(code)
    with pytest.raises(Unauthenticated, match="unknown, used or expired"):
        await house.people.open_session(code)
    assert house.kinds().count(EntryType.SESSION_OPENED) == 1


async def test_of_two_who_use_a_code_at_once_one_gets_in() -> None:
    """Single use is exact under concurrency."""
    house = House()
    await house.user()
    code = (await house.people.login_code(CLI, "ada")).code
    outcomes: list[object] = []

    async def enter() -> None:
        try:
            outcomes.append(await house.people.open_session(code))
        except Unauthenticated as error:
            outcomes.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        tasks.start_soon(enter)
    assert sorted(type(one).__name__ for one in outcomes) == ["OpenedSession", "Unauthenticated"]
    assert house.kinds().count(EntryType.SESSION_OPENED) == 1


@pytest.mark.parametrize("text", ["", "login_", "ps_1", "x" * 1000])
async def test_what_is_no_code_opens_nothing(text: str) -> None:
    """There is no fallback identity, and nothing is written for a stranger's guess."""
    house = House()
    user = await house.user()
    for guess in (text, user.id, digest_of(text)):
        with pytest.raises(Unauthenticated):
            await house.people.open_session(guess)
        assert house.people.resolve(guess) is None
    assert len(house.store.drafts) == 1


async def test_a_code_expires() -> None:
    """After fifteen minutes, to the moment."""
    house = House()
    await house.user()
    code = await house.people.login_code(CLI, "ada")
    assert code.expires == house.clock.now() + CODE_TTL
    house.clock.advance(CODE_TTL.total_seconds())
    with pytest.raises(Unauthenticated):
        await house.people.open_session(code.code)
    assert EntryType.SESSION_OPENED not in house.kinds()


async def test_a_session_expires_however_busy() -> None:
    """After twelve hours, to the moment."""
    house = House()
    await house.user()
    opened = await house.session()
    house.clock.advance(SESSION_TTL.total_seconds() - 1)
    assert house.people.resolve(opened.secret) is not None
    house.clock.advance(1)
    assert house.people.resolve(opened.secret) is None


async def test_a_logout_ends_the_session_that_asks_and_no_other() -> None:
    """Where one logs out on one machine, the other one goes on."""
    house = House()
    await house.user()
    first, second = await house.session(), await house.session()
    principal = house.people.resolve(first.secret)
    assert principal is not None
    closed = await house.people.close_session(principal)
    assert closed == first.session
    assert house.people.resolve(first.secret) is None
    assert house.people.resolve(second.secret) is not None
    draft, body = house.last()
    assert (draft.type, body["session"], body["by"]) == (EntryType.SESSION_CLOSED, first.session.id, first.session.id)
    with pytest.raises(NotFound):
        await house.people.close_session(principal)


async def test_a_key_has_no_session_to_end() -> None:
    """It says so, and nothing is written."""
    house = House()
    with pytest.raises(NotFound, match="another credential"):
        await house.people.close_session(CLI)
    assert house.store.attempts == []


@pytest.mark.parametrize("change", [{"role": Role.VIEWER}, {"disabled": True}], ids=["role", "disabled"])
async def test_a_change_of_a_user_ends_sessions_and_codes(change: dict[str, Any]) -> None:
    """What was handed out under the old role must not outlive it, not by a minute."""
    house = House()
    await house.user()
    await house.user("bob")
    opened, bobs = await house.session(), await house.session("bob")
    waiting = await house.people.login_code(CLI, "ada")
    changed = await house.people.change(CLI, "ada", **change)
    draft, body = house.last()
    assert (draft.type, body["sessionsClosed"], body["loginCodesVoid"]) == (
        EntryType.USER_CHANGED,
        [opened.session.id],
        1,
    )
    assert body["previous"] == {"role": "operator", "disabled": False}
    for people in (house.people, await house.restarted()):
        assert people.resolve(opened.secret) is None
        assert people.resolve(bobs.secret) is not None
        assert people.find(CLI, "ada") == changed
        with pytest.raises(Unauthenticated):
            await people.open_session(waiting.code)


async def test_a_disabled_user_cannot_log_in_until_enabled_again() -> None:
    """And is told apart from one who never was."""
    house = House()
    user = await house.user()
    await house.people.change(CLI, "ada", disabled=True)
    with pytest.raises(StateConflict, match="disabled"):
        await house.people.login_code(CLI, "ada")
    assert await house.people.change(CLI, "ada", disabled=False) == user
    assert house.people.resolve((await house.session()).secret) is not None


async def test_a_change_that_changes_nothing_ends_nothing() -> None:
    """Repeating a request must be harmless."""
    house = House()
    user = await house.user()
    opened = await house.session()
    written = len(house.store.drafts)
    assert await house.people.change(CLI, "ada", role=user.role, disabled=False) == user
    assert house.people.resolve(opened.secret) is not None
    assert len(house.store.drafts) == written


async def test_everything_outlives_a_restart() -> None:
    """Users, sessions and codes are rows; memory is only their copy."""
    house = House()
    await house.user()
    opened = await house.session()
    waiting = await house.people.login_code(CLI, "ada")
    people = await house.restarted()
    assert people.users(CLI) == house.people.users(CLI)
    assert people.resolve(opened.secret) == house.people.resolve(opened.secret)
    assert (await people.open_session(waiting.code)).user.name == "ada"


async def test_a_session_without_its_user_stands_for_nobody() -> None:
    """Rows that contradict each other, as after a repair by hand, prove nothing."""
    house = House()
    user = await house.user()
    opened = await house.session()
    disabled = User(**{name: getattr(user, name) for name in User.__slots__} | {"disabled": True})
    for row in (put(disabled), Put(key=user.key, value=None)):
        await house.store.append(
            EntryDraft(tenant="acme", id="evt_x", type=EntryType.USER_CHANGED, time="", puts=(row,))
        )
        assert (await house.restarted()).resolve(opened.secret) is None


async def test_tenants_do_not_see_each_other() -> None:
    """By name or by id."""
    house = House()
    ours, theirs = await house.user(), await house.user(by=OTHER)
    assert house.people.users(CLI) == (ours,)
    assert house.people.find(CLI, "ada") == ours
    for act in (
        lambda: house.people.change(CLI, theirs.id, disabled=True),
        lambda: house.people.login_code(CLI, theirs.id),
    ):
        with pytest.raises(NotFound):
            await act()
    assert house.people.users(OTHER) == (theirs,)
    opened = await house.session(by=OTHER)
    found = house.people.resolve(opened.secret)
    assert found is not None
    assert found.tenant == "other"


async def test_a_name_is_given_once_per_tenant() -> None:
    """In any case of its letters, and by the store too where memory does not know."""
    house = House()
    await house.user()
    with pytest.raises(StateConflict, match="already") as caught:
        await house.user("ADA")
    assert caught.value.field == "name"
    with pytest.raises(StateConflict, match="meanwhile"):
        await house.anew().create(CLI, name="Ada", role=Role.VIEWER)
    assert house.kinds() == [EntryType.USER_CREATED]


async def test_a_name_that_would_deceive_is_refused() -> None:
    """Before anything is written."""
    house = House()
    with pytest.raises(InvalidRequest, match="name: "):
        await house.user("a\nb")
    assert house.store.attempts == []


def limited(*scopes: Scope, tenant: str = "acme") -> Principal:
    return Principal(tenant=tenant, agent="x", credential="key_1", scopes=frozenset(scopes))


async def test_nobody_makes_a_user_who_may_more_than_itself() -> None:
    """Else `keys:write` alone would be every scope."""
    house = House()
    keys_only = limited(Scope.KEYS_WRITE)
    with pytest.raises(Forbidden, match="approvals:write"):
        await house.user(by=keys_only)
    with pytest.raises(Forbidden, match="keys:write"):
        await house.user(role=Role.VIEWER, by=limited(*ROLE_SCOPES[Role.VIEWER]))
    assert house.store.attempts == []
    assert await house.user(role=Role.VIEWER, by=limited(Scope.KEYS_WRITE, *ROLE_SCOPES[Role.VIEWER]))


@pytest.mark.parametrize(
    ("by", "role"),
    [
        (Principal(tenant="acme", agent="x", credential="key_1", scopes=frozenset(Scope)), Role.OPERATOR),
        (
            Principal(tenant="acme", agent="x", credential="key_1", scopes=frozenset(Scope), role=Role.OPERATOR),
            Role.ADMIN,
        ),
        (
            Principal(
                tenant="acme", agent="x", credential="key_1", scopes=frozenset(Scope), role=Role.ADMIN, bound=True
            ),
            Role.VIEWER,
        ),
    ],
    ids=["no role", "another role", "an agent's own"],
)
async def test_scopes_alone_do_not_make_a_role(by: Principal, role: Role) -> None:
    """A role is more than its scopes: rules ask for approvers and thresholds for admins by role."""
    house = House()
    with pytest.raises(Forbidden, match="by an admin"):
        await house.user(role=role, by=by)
    assert house.store.attempts == []


async def test_a_role_manages_its_own() -> None:
    """Who has the scope for it and is an operator may add an operator."""
    house = House()
    by = Principal(tenant="acme", agent="x", credential="ps_1", scopes=frozenset(Scope), role=Role.OPERATOR)
    assert await house.user(by=by)


async def test_nobody_changes_or_becomes_a_user_who_may_more_than_itself() -> None:
    """A login code for an admin is an admin's session."""
    house = House()
    await house.user(role=Role.ADMIN)
    by = limited(Scope.KEYS_WRITE, *ROLE_SCOPES[Role.VIEWER])
    with pytest.raises(Forbidden):
        await house.people.login_code(by, "ada")
    with pytest.raises(Forbidden):
        await house.people.change(by, "ada", role=Role.VIEWER)
    await house.user("bob", Role.VIEWER)
    with pytest.raises(Forbidden):
        await house.people.change(by, "bob", role=Role.ADMIN)
    assert [one.role for one in house.people.users(CLI)] == [Role.ADMIN, Role.VIEWER]
    assert await house.people.login_code(by, "bob")


@pytest.mark.parametrize("moment", list(Moment))
async def test_what_could_not_be_made_durable_has_not_happened(moment: Moment) -> None:
    """Durable before it takes effect; what was written all the same shows at the next change, not half of it."""
    house = House()
    await house.user()
    opened = await house.session()
    house.store.break_append(moment)
    with pytest.raises(AuditUnavailable):
        await house.people.change(CLI, "ada", disabled=True)
    assert house.people.resolve(opened.secret) is not None
    await house.user("bob")
    gone = moment is Moment.AFTER
    assert house.people.find(CLI, "ada").disabled is gone
    assert (house.people.resolve(opened.secret) is None) is gone
    house.store.break_append(moment)
    with pytest.raises(AuditUnavailable):
        await house.user("eve")
    with pytest.raises(NotFound):
        house.people.find(CLI, "eve")


@pytest.mark.parametrize("moment", list(Moment))
async def test_a_code_whose_use_could_not_be_recorded_opens_nothing(moment: Moment) -> None:
    """No session without its entry. Where the entry is there after all, the code is used up."""
    house = House()
    await house.user()
    code = (await house.people.login_code(CLI, "ada")).code
    house.store.break_append(moment)
    with pytest.raises(AuditUnavailable):
        await house.people.open_session(code)
    if moment is Moment.BEFORE:
        assert (await house.people.open_session(code)).user.name == "ada"
    else:
        with pytest.raises(Unauthenticated):
            await house.people.open_session(code)


async def test_a_caller_that_hangs_up_leaves_memory_and_store_alike() -> None:
    """A disabling that is in the record is in force, whoever waited for it."""
    house = House()
    await house.user()
    opened = await house.session()
    house.store.held = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:

            async def disable() -> None:
                await house.people.change(CLI, "ada", disabled=True)

            tasks.start_soon(disable)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
            house.store.held.set()
    assert house.people.resolve(opened.secret) is None
    assert (await house.restarted()).resolve(opened.secret) is None


async def test_a_row_that_is_gone_stops_the_change() -> None:
    """Memory and store must agree on what is changed; the next look reads the store."""
    house = House()
    user = await house.user()
    await house.store.append(
        EntryDraft(
            tenant="acme", id="evt_x", type=EntryType.USER_CHANGED, time="", puts=(Put(key=user.key, value=None),)
        )
    )
    with pytest.raises(StoreError, match=f"{USERS}{user.id}"):
        await house.people.login_code(CLI, "ada")
    with pytest.raises(NotFound):
        await house.people.login_code(CLI, "ada")


async def test_a_store_that_cannot_be_read_stops_the_start() -> None:
    """Without the directory nobody can be told from nobody."""
    house = House()
    house.store.unreadable = "gone"
    with pytest.raises(StoreError):
        await house.people.load(["acme", SYSTEM_TENANT])


async def test_expired_rows_go_with_the_next_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the state grows with each login; a bounded number at a time."""
    monkeypatch.setattr(module, "SWEPT_AT_ONCE", 1)
    house = House()
    await house.user()
    await house.user(by=OTHER)
    await house.session()
    await house.session()
    await house.session(by=OTHER)
    for _ in range(2):
        await house.people.login_code(CLI, "ada")
    house.clock.advance((SESSION_TTL + timedelta(seconds=1)).total_seconds())
    for left in (1, 0):
        await house.user(f"new-{left}")
        assert len(await house.store.scan("acme", "session:")) == left
        assert len(await house.store.scan("acme", "login:")) == left
    assert len(await house.store.scan("other", "session:")) == 1


async def test_an_expired_session_that_is_ended_is_ended_once() -> None:
    """Its row is in the change already."""
    house = House()
    await house.user()
    opened = await house.session()
    house.clock.advance(SESSION_TTL.total_seconds())
    await house.people.change(CLI, "ada", disabled=True)
    draft, body = house.last()
    assert body["sessionsClosed"] == [opened.session.id]
    assert [one.key for one in draft.puts].count(opened.session.key) == 1


async def test_the_rate_of_a_session_is_a_setting() -> None:
    """Contract, section 1: every authenticated request counts."""
    house = House()
    house.people = house.anew(per_minute=None)
    await house.user()
    found = house.people.resolve((await house.session()).secret)
    assert found is not None
    assert found.per_minute is None
