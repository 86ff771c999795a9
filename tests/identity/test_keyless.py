"""Keyless mode: no credential is the local agent, and a wrong one is nobody."""

from gateway.core.principal import Principal
from gateway.identity.keyless import Keyless


async def test_a_request_without_credential_is_the_local_agent() -> None:
    """The one exception to "no anonymous access" (contract, section 1)."""
    assert Keyless().keyless() == Principal(tenant="default", agent="local", credential="keyless")


async def test_a_credential_proves_nobody() -> None:
    """A made-up key must not fall back to the local agent."""
    assert await Keyless().resolve("intendedops_default_x") is None
