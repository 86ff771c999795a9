"""One credential, one principal; there is no fallback identity."""

from dataclasses import replace

import pytest

from gateway.core.principal import KEYLESS, Principal, Scope
from gateway.errors import Forbidden, RateLimited, StoreError, Unauthenticated
from gateway.services.authentication import Authentication, require_scope, require_tenant
from gateway.services.ratelimit import RateLimits
from tests.simulate.world import FakeClock

KNOWN = Principal(tenant="acme", agent="a", credential="key_1", scopes=frozenset({Scope.MCP_CALL}))
HUMAN = Principal(tenant="acme", agent="usr-1", credential="ps_1", human="usr_1")


class Keys:
    """Knows one key, which may have ended; `down` breaks it."""

    def __init__(self, *, ever: bool = True, ended: bool = False, down: bool = False) -> None:
        self.ever = ever
        self.ended = ended
        self.down = down

    def any(self) -> bool:
        return self.ever

    def resolve(self, presented: str) -> Principal | None:
        if self.down:
            msg = "down"
            raise StoreError(msg)
        return KNOWN if presented == "good" and not self.ended else None

    def stands(self, principal: Principal) -> bool:
        return principal == KNOWN and not self.ended


class Sessions:
    """Knows one portal session."""

    def resolve(self, text: str) -> Principal | None:
        return HUMAN if text == "ps_good" else None


def authentication(keys: Keys | None = None, *, sessions: Sessions | None = None) -> Authentication:
    return Authentication(keys=keys or Keys(), limits=RateLimits(FakeClock()), sessions=sessions or Sessions())


def admitted(
    asked: Authentication,
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


@pytest.mark.parametrize("ever", [True, False])
@pytest.mark.parametrize("keyless", [True, False])
def test_a_known_key_proves_its_principal(ever: bool, keyless: bool) -> None:
    """A credential is what counts, wherever it is sent."""
    assert admitted(authentication(Keys(ever=ever)), ("good",), keyless=keyless) == KNOWN


@pytest.mark.parametrize("ever", [True, False])
@pytest.mark.parametrize("keyless", [True, False])
@pytest.mark.parametrize("presented", [("bad",), ("",), (" ",), ("good ",), ("Basic good",), ("bad", "bad")])
def test_an_unknown_key_proves_nobody_even_where_none_is_needed(
    presented: tuple[str, ...], ever: bool, keyless: bool
) -> None:
    """A failed check must never be replaced by an anonymous identity (LiteLLM's mistake)."""
    with pytest.raises(Unauthenticated, match="Unknown credential"):
        admitted(authentication(Keys(ever=ever)), presented, keyless=keyless)


@pytest.mark.parametrize(
    ("presented", "session"), [(("good", "bad"), ""), (("good",), "ps_good"), (("bad",), "ps_good"), (("good",), "x")]
)
def test_two_different_credentials_are_refused(presented: tuple[str, ...], session: str) -> None:
    """Which of them counts would be somebody's guess (contract, "Authentication")."""
    with pytest.raises(Unauthenticated, match="Two different credentials"):
        admitted(authentication(Keys(ever=False)), presented, session=session, keyless=True)


def test_the_same_credential_twice_is_one() -> None:
    """Clients send a key in both headers."""
    assert admitted(authentication(), ("good", "good")) == KNOWN


def test_a_portal_session_proves_its_human() -> None:
    """Wherever a key does, except on MCP, whose front passes none on (contract, "Authentication")."""
    assert admitted(authentication(), (), session="ps_good") == HUMAN


@pytest.mark.parametrize("keyless", [True, False])
@pytest.mark.parametrize("sessions", [True, False])
def test_an_unknown_session_proves_nobody(keyless: bool, sessions: bool) -> None:
    """Nor where nobody has any: it was presented, so it is not nothing."""
    known = Authentication(
        keys=Keys(ever=False), limits=RateLimits(FakeClock()), sessions=Sessions() if sessions else None
    )
    with pytest.raises(Unauthenticated, match="Unknown credential"):
        admitted(known, (), session="ps_bad", keyless=keyless)


def test_a_key_is_no_session_and_a_session_no_key() -> None:
    """Each has its own header."""
    with pytest.raises(Unauthenticated):
        admitted(authentication(), ("ps_good",))
    with pytest.raises(Unauthenticated):
        admitted(authentication(), (), session="good")


def test_without_a_credential_only_keyless_mode_knows_anybody() -> None:
    """On the MCP front, and as long as there never was a key (contract, "Keyless mode")."""
    assert admitted(authentication(Keys(ever=False)), (), keyless=True) == KEYLESS
    for keys, keyless in ((Keys(ever=False), False), (Keys(), True), (Keys(ended=True), True), (Keys(), False)):
        with pytest.raises(Unauthenticated, match="intended keys create"):
            admitted(authentication(keys), (), keyless=keyless)


def test_the_local_agent_may_call_and_no_more() -> None:
    """Approvals, keys and policies are not its own to handle (contract, "Keyless mode")."""
    assert (KEYLESS.tenant, KEYLESS.agent, KEYLESS.scopes) == ("default", "local", {Scope.MCP_CALL})
    assert (KEYLESS.role, KEYLESS.bound, KEYLESS.human, KEYLESS.per_minute) == (None, False, "", None)


def test_a_foreign_tenant_is_told_only_to_who_has_proved_valid() -> None:
    """Before, the answer would say which tenants there are (contract, "Authentication")."""
    assert admitted(authentication(), ("good",), tenant="acme") == KNOWN
    with pytest.raises(Forbidden, match="another tenant"):
        admitted(authentication(), ("good",), tenant="other")
    for presented in ((), ("bad",)):
        with pytest.raises(Unauthenticated):
            admitted(authentication(), presented, tenant="other")


def test_every_authenticated_request_counts() -> None:
    """Those that name a foreign tenant too; who is nobody counts for nobody (contract, "Rate limits")."""
    limits = RateLimits(FakeClock())
    keys = Keys()
    both = Authentication(keys=keys, limits=limits)
    admitted(both, ("good",))
    with pytest.raises(Forbidden):
        admitted(both, ("good",), tenant="other")
    with pytest.raises(Unauthenticated):
        admitted(both, ("bad",))
    assert limits.counts() == {"key_1": 2}


def test_who_has_used_up_this_minute_is_not_admitted() -> None:
    """Whatever tenant they name."""
    limited = authentication()
    hasty = replace(KNOWN, per_minute=1)
    limited.admit(hasty)
    with pytest.raises(RateLimited):
        limited.admit(hasty, tenant="other")


def test_a_directory_that_is_down_proves_nobody() -> None:
    """Fail closed; the face says 503."""
    with pytest.raises(StoreError):
        admitted(authentication(Keys(down=True, ever=False)), ("good",), keyless=True)


def test_what_is_open_stays_so_while_its_credential_stands() -> None:
    """And keyless mode ends with the first key."""
    assert authentication().stands(KNOWN)
    assert not authentication(Keys(ended=True)).stands(KNOWN)
    assert not authentication().stands(replace(KNOWN, generation=1))
    assert authentication(Keys(ever=False)).stands(KEYLESS)
    assert not authentication().stands(KEYLESS)


def test_a_scope_and_a_tenant_are_asked_for_by_name() -> None:
    """The message says what is missing, and nothing about anybody else."""
    require_scope(KNOWN, Scope.MCP_CALL)
    require_tenant(KNOWN, "acme")
    with pytest.raises(Forbidden, match="lacks the scope `audit:read`"):
        require_scope(KNOWN, Scope.AUDIT_READ)
    with pytest.raises(Forbidden):
        require_tenant(KNOWN, "")
