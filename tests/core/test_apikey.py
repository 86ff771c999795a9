"""A key as it is kept: its row comes back whole, and its secrets end when they should."""

import math
from dataclasses import replace

import orjson
import pytest

from gateway.core.apikey import ApiKey, Former, Secret
from gateway.core.credentials import KeyFormat, digest
from gateway.core.principal import ROLE_SCOPES, Principal, Role, Scope

KEY = ApiKey(
    tenant="acme",
    id="key_01ABC",
    name="ci",
    format=KeyFormat.INTENDEDOPS,
    agent="github-actions",
    role=Role.AGENT,
    scopes=None,
    plan="",
    per_minute=None,
    created="2026-11-22T08:00:00.000Z",
    created_by="cli",
    expires="",
    digest=digest("first"),
)
NOON = "2026-11-22T12:00:00.000Z"
NOON_S = 1795348800.0
EVENING = "2026-11-22T18:00:00.000Z"
EVENING_S = NOON_S + 6 * 3600


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        replace(
            KEY,
            agent="",
            role=None,
            scopes=frozenset({Scope.MCP_CALL, Scope.AUDIT_READ}),
            plan="enterprise",
            per_minute=7,
            expires=NOON,
            former=(Former(digest=digest("old"), until=NOON, generation=0),),
            generation=1,
            rotated=NOON,
            revoked=NOON,
        ),
    ],
)
def test_a_row_gives_the_key_back(key: ApiKey) -> None:
    """A restart changes nothing."""
    assert ApiKey.decode("acme", key.encode()) == key


@pytest.mark.parametrize(
    "row",
    [b"", b"[]", b"{}", KEY.encode().replace(b'"agent"', b'"robot"'), KEY.encode().replace(b"intendedops", b"other")],
)
def test_a_row_of_another_making_is_none(row: bytes) -> None:
    """A key that is read half might do more than it should."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        ApiKey.decode("acme", row)


def test_a_row_holds_no_secret_and_shows_no_digest() -> None:
    """Contract, "Authentication": the store keeps only a hash; logs not even that."""
    assert "first" not in KEY.encode().decode()
    assert orjson.loads(KEY.encode())["sha256"] == digest("first").hex()
    assert KEY.digest.hex() not in repr(KEY)
    assert str(KEY.digest) not in repr(KEY) + repr(list(KEY.secrets()))
    assert "sha256" not in KEY.told()


def test_a_key_has_the_scopes_of_its_role_unless_they_are_narrowed() -> None:
    """And none where nothing says so: nothing is allowed by absence."""
    assert KEY.effective_scopes == ROLE_SCOPES[Role.AGENT]
    assert replace(KEY, scopes=frozenset({Scope.MCP_CALL})).effective_scopes == {Scope.MCP_CALL}
    assert replace(KEY, role=None).effective_scopes == frozenset()


def test_a_bound_key_is_its_agent_and_another_one_of_its_own() -> None:
    """Identity is the credential (issue 3)."""
    assert KEY.principal(per_minute=5, generation=2) == Principal(
        tenant="acme",
        agent="github-actions",
        credential="key_01ABC",
        scopes=ROLE_SCOPES[Role.AGENT],
        role=Role.AGENT,
        bound=True,
        per_minute=5,
        generation=2,
    )
    unbound = replace(KEY, agent="").principal(per_minute=5, generation=0)
    assert (unbound.agent, unbound.bound) == ("key-01abc", False)


def test_a_rotation_leaves_the_old_secret_until_its_time() -> None:
    """Nothing else of the key changes; another rotation shortens what is left of the first."""
    once = KEY.rotate(digest("second"), now="2026-11-22T08:00:00.000Z", until=EVENING)
    assert replace(once, digest=KEY.digest, former=(), generation=0, rotated="") == KEY
    assert list(once.secrets()) == [
        Secret(digest=digest("second"), until=math.inf, generation=1),
        Secret(digest=digest("first"), until=EVENING_S, generation=0),
    ]
    twice = once.rotate(digest("third"), now="2026-11-22T09:00:00.000Z", until=NOON)
    assert [(one.digest, one.until) for one in twice.secrets()] == [
        (digest("third"), math.inf),
        (digest("second"), NOON_S),
        (digest("first"), NOON_S),
    ]
    again = once.rotate(digest("third"), now="2026-11-22T19:00:00.000Z", until="2026-11-22T20:00:00.000Z")
    assert [one.digest for one in again.secrets()] == [digest("third"), digest("second")]
    assert [one.digest for one in twice.rotate(digest("x"), now=NOON, until=NOON).secrets()] == [digest("x")]


def test_no_secret_outlives_its_key() -> None:
    """Expiry and revocation are the key's."""
    key = replace(KEY, expires=NOON).rotate(digest("second"), now="2026-11-22T08:00:00.000Z", until=EVENING)
    assert [one.until for one in key.secrets()] == [NOON_S, NOON_S]
    assert list(key.revoke(NOON).secrets()) == []
    assert key.revoke(NOON).former == ()
