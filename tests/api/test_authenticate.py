"""How credentials are presented by REST, and what a route asks of a principal."""

import pytest

from gateway.api.authenticate import authenticate, require
from gateway.core.principal import Principal, Role, Scope
from gateway.errors import Forbidden
from gateway.services.operator import OPERATOR_KEY, operator

WHO = Principal(tenant="acme", agent="bot", credential="key_1", scopes=frozenset({Scope.AUDIT_READ}), role=Role.VIEWER)


class Asked:
    """Keeps what it was asked."""

    def __init__(self) -> None:
        self.presented: list[tuple[tuple[str, ...], str, str]] = []

    async def authenticate(
        self, presented: tuple[str, ...], *, session: str = "", tenant: str = "", keyless: bool = False
    ) -> Principal:
        assert not keyless, "keyless mode is the MCP front's alone"
        self.presented.append((presented, session, tenant))
        return WHO


async def presented(*headers: tuple[bytes, bytes]) -> tuple[tuple[str, ...], str, str]:
    asked = Asked()
    assert await authenticate({"headers": list(headers)}, asked) is WHO  # type: ignore[arg-type]
    return asked.presented[0]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ((), ((), "", "")),
        (((b"x-api-key", b" k "),), (("k",), "", "")),
        (((b"authorization", b"Bearer k"),), (("k",), "", "")),
        (((b"authorization", b"bearer  k"),), (("k",), "", "")),
        (((b"authorization", b"Basic k"),), (("Basic k",), "", "")),
        (((b"x-api-key", b"a"), (b"authorization", b"Bearer b")), (("a", "b"), "", "")),
        (((b"x-portal-session-id", b"ps_1"), (b"x-tenant-id", b"acme")), ((), "ps_1", "acme")),
        (((b"x-portal-session-id", b"a"), (b"x-portal-session-id", b"b")), ((), "a, b", "")),
        (((b"x-tenant-id", b"acme"), (b"x-tenant-id", b"acme")), ((), "", "acme, acme")),
        (((b"cookie", b"x-api-key=k"),), ((), "", "")),
    ],
)
async def test_credentials_are_read_from_their_headers_only(headers, found) -> None:
    """Every one presented counts; another scheme is presented and nobody's; what comes twice is no tenant."""
    assert await presented(*headers) == found


async def test_the_operator_is_who_the_admin_socket_says() -> None:
    """Only the admin server puts the key there; no credential is looked at."""
    asked = Asked()
    who = operator("acme")
    found = await authenticate({"headers": [(b"x-api-key", b"k")], OPERATOR_KEY: who}, asked)  # type: ignore[arg-type]
    assert found is who
    assert asked.presented == []


async def test_something_else_under_the_operator_s_name_is_no_operator() -> None:
    """Whatever it is, it is no principal."""
    asked = Asked()
    assert await authenticate({"headers": [], OPERATOR_KEY: "cli"}, asked) is WHO  # type: ignore[arg-type]


def test_a_scope_or_role_that_is_missing_is_forbidden() -> None:
    """403 names what is missing."""
    require(WHO, None, frozenset())
    require(WHO, Scope.AUDIT_READ, frozenset({Role.VIEWER}))
    with pytest.raises(Forbidden, match="intents:write"):
        require(WHO, Scope.INTENTS_WRITE, frozenset())
    with pytest.raises(Forbidden, match="`admin` or `policy_admin`"):
        require(WHO, Scope.AUDIT_READ, frozenset({Role.POLICY_ADMIN, Role.ADMIN}))
