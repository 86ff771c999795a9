"""The settings themselves: what is refused, and what tiers mean."""

import pytest
from pydantic import ValidationError

from gateway.core.decision import Thresholds
from gateway.core.principal import TrustTier
from gateway.errors import ConfigurationError
from gateway.settings import Settings, TierSettings, UpstreamSettings


@pytest.mark.parametrize(
    "upstream",
    [
        {},
        {"url": "http://x", "command": "y"},
        {"url": "http://x", "args": ["-y"]},
        {"command": "y", "headers": {"a": "b"}},
    ],
    ids=["neither", "both", "arguments of no command", "headers of no URL"],
)
def test_an_upstream_has_exactly_one_transport(upstream: dict) -> None:
    """What would be ignored is refused instead."""
    with pytest.raises(ValidationError):
        UpstreamSettings.model_validate(upstream)


@pytest.mark.parametrize("tier", [2, "2", "t2", "T5", None, True])
def test_a_tier_is_written_by_its_name(tier: object) -> None:
    """One spelling; and `true` is not T1."""
    with pytest.raises(ValidationError):
        TierSettings.model_validate({"default": tier})


def test_thresholds_of_a_tier_are_the_operators_or_the_shipped_ones() -> None:
    """A tier that nobody wrote about still has caps."""
    tiers = TierSettings.model_validate({"thresholds": {"T1": {"allow_below": 10, "deny_from": 20}}})
    assert tiers.threshold(TrustTier.T1) == Thresholds(allow_below=10, deny_from=20)
    assert tiers.threshold(TrustTier.T0) == Thresholds(allow_below=30, deny_from=90)


def test_tiers_are_shown_as_they_are_written() -> None:
    """What `config show` prints can be pasted back."""
    assert TierSettings(agents={"a": TrustTier.T3}).model_dump(mode="json")["agents"] == {"a": "T3"}


@pytest.mark.parametrize("half", [{"tls_certificate": "a.pem"}, {"tls_key": "a.pem"}])
def test_half_a_tls_pair_is_refused(half: dict) -> None:
    """Serving in the clear although a certificate was named would be the lenient reading."""
    with pytest.raises(ValidationError):
        Settings.model_validate(half)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    """Keyless mode is for one machine (contract, section 1)."""
    Settings(host=host).require_loopback()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.test", "localhost.evil.test"])
def test_another_address_is_refused_without_keys(host: str) -> None:
    """Anyone in reach could otherwise call every tool; the error says what to do."""
    with pytest.raises(ConfigurationError, match="--unsafe-allow-unauthenticated"):
        Settings(host=host).require_loopback()


def test_the_unsafe_switch_is_named_for_what_it_does() -> None:
    """A container must bind every address; whoever wants that says so in one word that nobody overlooks."""
    Settings(host="0.0.0.0", unsafe_allow_unauthenticated=True).require_loopback()
