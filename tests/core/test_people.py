"""Users, login codes and sessions as values and as rows."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.people import (
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    Login,
    PortalSession,
    User,
    digest_of,
    folded,
    held,
    name_problem,
    put,
    read_login,
    read_session,
    read_user,
    removal,
)
from gateway.core.principal import Role

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOGIN = Login(tenant="t", user="usr_1", expires=NOON, digest=digest_of("login_x"))
SESSION = PortalSession(tenant="t", id="ps_1", user="usr_1", opened=NOON, expires=NOON, digest=digest_of("ps_x"))


@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("role", list(Role))
def test_a_user_comes_back_from_its_row_as_it_was(role: Role, disabled: bool) -> None:
    """A restart changes nobody's role."""
    user = User(tenant="t", id="usr_1", name="Ada", role=role, created="2026-11-22T12:00:00.000Z", disabled=disabled)
    row = put(user)
    assert row.key == "user:usr_1"
    assert row.value is not None
    assert read_user("t", row.value) == user


def test_codes_and_sessions_come_back_from_their_rows_as_they_were() -> None:
    """A restart neither logs anybody out nor makes anything last longer."""
    login, session = put(LOGIN), put(SESSION)
    assert login.value is not None
    assert session.value is not None
    assert read_login("t", login.value) == LOGIN
    assert read_session("t", session.value) == SESSION
    assert (removal(LOGIN).key, removal(LOGIN).value) == (login.key, None)
    assert (removal(SESSION).key, removal(SESSION).value) == (session.key, None)


def test_no_row_holds_a_secret() -> None:
    """Who reads the store must not be able to log in with what is there."""
    for row in (put(LOGIN), put(SESSION)):
        assert row.value is not None
        assert b"login_x" not in row.value + row.key.encode()
        assert b"ps_x" not in row.value + row.key.encode()
    assert SESSION.digest not in repr(SESSION)


def test_only_the_very_text_opens_anything() -> None:
    """Neither the digest, nor the public id, nor a text with something before or behind it."""
    table = {SESSION.digest: SESSION}
    assert held(table, "ps_x") is SESSION
    for other in ("", "ps_1", SESSION.digest, "ps_x ", "ps_X", "x" * (MAX_TEXT_CHARS + 1), "\ud800"):
        assert held(table, other) is None


def test_an_entry_that_is_not_what_its_key_says_opens_nothing() -> None:
    """The last word is a comparison in constant time, not the look-up."""
    assert held({digest_of("other"): SESSION}, "other") is None


@pytest.mark.parametrize("name", ["Ada", "ada@example.org", "Ada Lovelace", "Ж", "x" * MAX_NAME_CHARS])
def test_ordinary_names_are_taken(name: str) -> None:
    """In any script."""
    assert name_problem(name) == ""


@pytest.mark.parametrize(
    "name", ["", "  ", " Ada", "Ada ", "A\nda", "A\x1b[2Jda", "A\u202eda", "\ud800", "x" * (MAX_NAME_CHARS + 1)]
)
def test_names_that_would_deceive_are_not(name: str) -> None:
    """A name is printed on terminals and in the record."""
    assert name_problem(name)


def test_names_that_look_alike_are_one_name() -> None:
    """`intended users login ADA` must not mean somebody else than `ada`."""
    assert folded("ADA") == folded("ada") == folded("\uff21da")


@given(st.text())
def test_any_text_has_a_digest(text: str) -> None:
    """What is presented is whatever a stranger sends."""
    assert len(digest_of(text)) == 64
