"""The settings themselves: what is refused, and what tiers mean."""

import base64

import pytest
from pydantic import ValidationError

from gateway.core.decision import Thresholds
from gateway.core.principal import TrustTier
from gateway.errors import ConfigurationError
from gateway.services.ratelimit import RATES
from gateway.settings import (
    RateSettings,
    Settings,
    TierSettings,
    TokenSettings,
    UpstreamSettings,
)


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


@pytest.mark.parametrize("name", ["Billing Agent", "acme/key_01JABC", "acme/", "", "!"])
def test_a_tier_is_given_to_a_slug(name: str) -> None:
    """Who keeps an agent at T0 under a name that it does not act under would keep nobody there."""
    with pytest.raises(ValidationError, match="by its slug"):
        TierSettings.model_validate({"agents": {name: "T0"}})
    assert TierSettings.model_validate({"agents": {"acme/key-01jabc": "T0"}}).agents


def test_tiers_are_shown_as_they_are_written() -> None:
    """What `config show` prints can be pasted back."""
    assert TierSettings(agents={"a": TrustTier.T3}).model_dump(mode="json")["agents"] == {"a": "T3"}


@pytest.mark.parametrize("half", [{"tls_certificate": "a.pem"}, {"tls_key": "a.pem"}])
def test_half_a_tls_pair_is_refused(half: dict) -> None:
    """Serving in the clear although a certificate was named would be the lenient reading."""
    with pytest.raises(ValidationError):
        Settings.model_validate(half)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
@pytest.mark.parametrize("keyed", [True, False])
def test_loopback_needs_neither_key_nor_tls(host: str, keyed: bool) -> None:
    """Keyless mode is for one machine, and so is a key in the clear (contract, section 1)."""
    Settings(host=host).require_safe_address(keyed=keyed)


OPEN = ["0.0.0.0", "::", "192.0.2.1", "gateway.test", "localhost.evil.test"]
TLS = {"tls_certificate": "c.pem", "tls_key": "k.pem"}


@pytest.mark.parametrize("host", OPEN)
@pytest.mark.parametrize("more", [{}, TLS, {"behind_tls_proxy": True}], ids=["in the clear", "TLS", "proxy"])
def test_another_address_is_refused_without_keys(host: str, more: dict) -> None:
    """Anyone in reach could otherwise call every tool; the error says what to do."""
    with pytest.raises(ConfigurationError, match="--unsafe-allow-unauthenticated") as caught:
        Settings.model_validate({"host": host, **more}).require_safe_address(keyed=False)
    assert caught.value.problems[0].field == "host"


def test_a_proxy_brings_strangers_to_loopback_too() -> None:
    """Who declares one has others to keep out, whatever the address."""
    with pytest.raises(ConfigurationError, match="intended keys create") as caught:
        Settings(behind_tls_proxy=True).require_safe_address(keyed=False)
    assert caught.value.problems[0].field == "behind_tls_proxy"
    Settings(behind_tls_proxy=True).require_safe_address(keyed=True)


@pytest.mark.parametrize("host", OPEN)
def test_keys_do_not_travel_in_the_clear(host: str) -> None:
    """Away from loopback it wants TLS: its own certificate, or a declared proxy (contract, section 1)."""
    with pytest.raises(ConfigurationError, match="--behind-tls-proxy"):
        Settings(host=host).require_safe_address(keyed=True)
    for more in (TLS, {"behind_tls_proxy": True}):
        Settings.model_validate({"host": host, **more}).require_safe_address(keyed=True)


@pytest.mark.parametrize("keyed", [True, False])
def test_the_unsafe_switch_is_named_for_what_it_does(keyed: bool) -> None:
    """A container must bind every address; whoever wants that says so in one word that nobody overlooks.

    Its first key must not be what keeps it from starting again.
    """
    Settings(host="0.0.0.0", unsafe_allow_unauthenticated=True).require_safe_address(keyed=keyed)


def test_rates_have_a_number_for_each_plan() -> None:
    """The one without a name is a key's without a plan; `enterprise` has its own in each key."""
    assert RateSettings().by_plan() == RATES
    assert RateSettings(pro=7).by_plan()["pro"] == 7


KEY = bytes(range(224, 256))


@pytest.mark.parametrize(
    "written",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode(),
        base64.b64encode(KEY).decode().rstrip("="),
        base64.b64encode(KEY).decode() + "\n",
    ],
)
def test_the_key_of_the_signing_keys_is_thirty_two_bytes_in_text(written: str) -> None:
    """As `openssl rand` writes them, by base64 or hex."""
    assert TokenSettings.model_validate({"key": written}).sealing_key == KEY
    assert TokenSettings().sealing_key is None


@pytest.mark.parametrize("written", ["", "short", "a" * 43 + "!", "z" * 64, base64.b64encode(KEY + b"x").decode()])
def test_any_other_key_is_refused_without_being_repeated(written: str) -> None:
    """It must be found out at the start, and it is a secret."""
    with pytest.raises(ValidationError, match="32 bytes") as refused:
        TokenSettings.model_validate({"key": written})
    [problem] = refused.value.errors(include_input=False)
    assert not written or written not in problem["msg"]


def test_the_key_does_not_show() -> None:
    """Settings are printed, dumped and logged."""
    settings = Settings.model_validate({"tokens": {"key": KEY.hex()}})
    assert KEY.hex() not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize("ttl_s", [0, 301])
def test_a_token_lives_at_most_300_seconds(ttl_s: int) -> None:
    """The contract's bound is the setting's."""
    with pytest.raises(ValidationError):
        TokenSettings(ttl_s=ttl_s)


def test_an_audience_without_tokens_is_refused() -> None:
    """Whoever writes it believes that the server is guarded."""
    with pytest.raises(ValidationError, match="authority_token"):
        UpstreamSettings(url="http://x", authority_audience="x")


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://gate.example.org", "https://gate.example.org"),
        ("HTTPS://Gate.example.org/", "https://gate.example.org"),
        ("http://10.0.0.5:8787", "http://10.0.0.5:8787"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        (None, None),
    ],
)
def test_the_public_url_is_an_origin(written: str | None, origin: str | None) -> None:
    """Links begin with it, and a browser's Origin header is compared with it."""
    assert Settings.model_validate({"public_url": written}).public_url == origin


@pytest.mark.parametrize(
    "written",
    ["gate.example.org", "ftp://x", "https://", "https://x/path", "https://a:b@x", "https://x?y", "javascript:x", ""],
)
def test_a_public_url_that_is_more_or_less_than_an_origin_is_refused(written: str) -> None:
    """A password would be in every link, and a path would lead nowhere."""
    with pytest.raises(ValidationError):
        Settings.model_validate({"public_url": written})
