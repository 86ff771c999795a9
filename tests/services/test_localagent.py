"""The one agent of an embedded gateway: known without a key on the MCP front, by its key everywhere, and alone."""

import pytest

from gateway.core.credentials import digest
from gateway.core.principal import KEYLESS, Principal, Scope
from gateway.errors import Forbidden, Unauthenticated
from gateway.services.localagent import LocalAgent, LocalAuthentication
from gateway.services.ratelimit import RateLimits
from tests.simulate.world import FakeClock

LOCAL = Principal(tenant="tenant-a", agent="local", credential="embedded", scopes=frozenset({Scope.MCP_CALL}))
KNOWN = Principal(tenant="acme", agent="a", credential="key_1")
HUMAN = Principal(tenant="acme", agent="usr-1", credential="ps_1", human="usr_1")


class Keys:
    """The store's keys: one is known, and there always is one."""

    def any(self) -> bool:
        return True

    def resolve(self, presented: str) -> Principal | None:
        return KNOWN if presented == "stored" else None

    def stands(self, principal: Principal) -> bool:
        return principal == KNOWN


class Sessions:
    """Knows one portal session."""

    def resolve(self, text: str) -> Principal | None:
        return HUMAN if text == "ps_good" else None


def authentication() -> LocalAuthentication:
    local = LocalAgent(principal=LOCAL, key_digest=digest("mrt_live_..."))
    return LocalAuthentication(local, keys=Keys(), limits=RateLimits(FakeClock()), sessions=Sessions())


def admitted(
    asked: LocalAuthentication,
    presented: tuple[str, ...],
    *,
    session: str = "",
    tenant: str = "",
    keyless: bool = False,
) -> Principal:
    """Take both steps, as every face does."""
    principal = asked.identify(presented, session=session, keyless=keyless)
    asked.admit(principal, tenant=tenant)
    return principal


def test_without_a_credential_the_mcp_front_knows_the_local_agent() -> None:
    """The embedding program vouches for it; a key in the store does not end that."""
    assert admitted(authentication(), (), keyless=True) is LOCAL


def test_its_key_proves_it_too() -> None:
    """For a client that sends one, once or in both headers."""
    assert admitted(authentication(), ("mrt_live_...",), keyless=True) is LOCAL
    assert admitted(authentication(), ("mrt_live_...", "mrt_live_..."), keyless=False) is LOCAL


@pytest.mark.parametrize(
    ("presented", "session", "keyless"),
    [
        (("wrong",), "", True),
        (("",), "", True),
        (("mrt_live_...", "stored"), "", True),
        (("mrt_live_...",), "ps_good", True),
        ((), "ps_bad", True),
        ((), "", False),
    ],
)
def test_anything_else_proves_nobody(presented: tuple[str, ...], session: str, keyless: bool) -> None:
    """A failed check is never replaced by the local agent, and other fronts know nobody without a credential."""
    with pytest.raises(Unauthenticated):
        admitted(authentication(), presented, session=session, keyless=keyless)


def test_the_stores_own_credentials_go_on() -> None:
    """An operator of the embedded gateway has keys and sessions like any other."""
    assert admitted(authentication(), ("stored",)) == KNOWN
    assert admitted(authentication(), (), session="ps_good") == HUMAN


def test_another_tenant_is_refused() -> None:
    """It is the agent of one."""
    with pytest.raises(Forbidden):
        admitted(authentication(), (), tenant="acme", keyless=True)


def test_what_it_has_open_stays_open() -> None:
    """Until the gateway closes; others' stand as their credentials do."""
    known = authentication()
    assert known.stands(LOCAL)
    assert known.stands(KNOWN)
    assert not known.stands(KEYLESS)
