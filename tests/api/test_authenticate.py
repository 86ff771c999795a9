"""How credentials are presented by REST, and what a route asks of a principal."""

import pytest

from gateway.api.authenticate import PRINCIPAL, authenticate, require
from gateway.core.principal import Principal, Role, Scope
from gateway.errors import Forbidden
from gateway.services.operator import OPERATOR_KEY, operator

WHO = Principal(tenant="acme", agent="bot", credential="key_1", scopes=frozenset({Scope.AUDIT_READ}), role=Role.VIEWER)


class Asked:
    """Keeps what it was asked; `refuses` is what it does not admit."""

    def __init__(self, *, refuses: Exception | None = None) -> None:
        self.presented: list[tuple[tuple[str, ...], str]] = []
        self.tenants: list[str] = []
        self.refuses = refuses

    def identify(self, presented: tuple[str, ...], *, session: str = "", keyless: bool = False) -> Principal:
        assert not keyless, "keyless mode is the MCP front's alone"
        self.presented.append((presented, session))
        return WHO

    def admit(self, principal: Principal, *, tenant: str = "") -> None:
        assert principal is WHO
        self.tenants.append(tenant)
        if self.refuses is not None:
            raise self.refuses


def presented(*headers: tuple[bytes, bytes]) -> tuple[tuple[str, ...], str, str]:
    asked = Asked()
    assert authenticate({"headers": list(headers)}, asked) is WHO  # type: ignore[arg-type]
    return (*asked.presented[0], asked.tenants[0])


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
def test_credentials_are_read_from_their_headers_only(headers, found) -> None:
    """Every one presented counts; another scheme is presented and nobody's; what comes twice is no tenant."""
    assert presented(*headers) == found


def test_who_asks_is_known_also_where_they_are_not_admitted() -> None:
    """A refusal of somebody is on record as theirs."""
    scope: dict[str, object] = {"headers": [(b"x-api-key", b"k"), (b"x-tenant-id", b"other")]}
    with pytest.raises(Forbidden):
        authenticate(scope, Asked(refuses=Forbidden("another tenant")))  # type: ignore[arg-type]
    assert scope[PRINCIPAL] is WHO


def test_the_operator_is_who_the_admin_socket_says() -> None:
    """Only the admin server puts the key there; no credential is looked at."""
    asked = Asked()
    who = operator("acme")
    found = authenticate({"headers": [(b"x-api-key", b"k")], OPERATOR_KEY: who}, asked)  # type: ignore[arg-type]
    assert found is who
    assert asked.presented == []


def test_something_else_under_the_operator_s_name_is_no_operator() -> None:
    """Whatever it is, it is no principal."""
    asked = Asked()
    assert authenticate({"headers": [], OPERATOR_KEY: "cli"}, asked) is WHO  # type: ignore[arg-type]


def test_a_scope_or_role_that_is_missing_is_forbidden() -> None:
    """403 names what is missing."""
    require(WHO, None, frozenset())
    require(WHO, Scope.AUDIT_READ, frozenset({Role.VIEWER}))
    with pytest.raises(Forbidden, match="intents:write"):
        require(WHO, Scope.INTENTS_WRITE, frozenset())
    with pytest.raises(Forbidden, match="`admin` or `policy_admin`"):
        require(WHO, Scope.AUDIT_READ, frozenset({Role.POLICY_ADMIN, Role.ADMIN}))
