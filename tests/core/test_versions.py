"""The versions must be the specification's."""

from mcp_types import version

from gateway.core import versions


def test_versions_are_those_of_the_official_sdk() -> None:
    """A revision that the SDK learns must be looked at before agents can name it here."""
    assert versions.HANDSHAKE_VERSIONS == version.HANDSHAKE_PROTOCOL_VERSIONS
    assert versions.MODERN_VERSIONS == version.MODERN_PROTOCOL_VERSIONS
    assert versions.KNOWN_VERSIONS == version.KNOWN_PROTOCOL_VERSIONS
