"""The operator's principal."""

from gateway.core.principal import CLI_CREDENTIAL, Role, Scope
from gateway.services.operator import operator


def test_the_operator_may_do_everything_in_the_tenant_it_names() -> None:
    """Who owns the data folder could edit the store itself; refusing a scope would only pretend."""
    found = operator("acme")
    assert (found.tenant, found.credential, found.role) == ("acme", CLI_CREDENTIAL, Role.ADMIN)
    assert found.scopes == frozenset(Scope)
    assert (found.bound, found.human, found.per_minute) == (False, "", None)
