"""The shared options and their way into the settings' strongest layer."""

from pathlib import Path

import pytest
import typer

from gateway.cli.options import Flags, settle
from gateway.configuration import Resolved
from gateway.core.principal import TrustTier
from gateway.errors import ConfigurationError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No intended.yaml and no variable of the machine that runs this."""
    monkeypatch.chdir(tmp_path)


def settled(**flags: object) -> Resolved:
    return settle(Flags(**flags))


def test_a_single_url_is_the_upstream_default() -> None:
    """Design, section 4: a single URL is `default`."""
    resolved = settled(upstreams=["http://localhost:8080/mcp"])
    assert {name: one.url for name, one in resolved.settings.upstreams.items()} == {
        "default": "http://localhost:8080/mcp"
    }
    assert str(resolved.origin(("upstreams", "default"))) == "the command line"


def test_several_urls_have_names_and_keep_their_order() -> None:
    """The order of configuration decides between equal resource URIs."""
    upstreams = settled(upstreams=["b=http://x/?a=b", "a=https://y"]).settings.upstreams
    assert [(name, one.url) for name, one in upstreams.items()] == [("b", "http://x/?a=b"), ("a", "https://y")]


def test_a_url_with_an_equals_sign_is_still_a_url() -> None:
    """`http://x/?a=http://y` names no upstream."""
    assert settled(upstreams=["http://x/?a=http://y"]).settings.upstreams["default"].url == "http://x/?a=http://y"


def test_a_command_is_the_upstream_default() -> None:
    """Everything after `--` is the server's, options too."""
    upstream = settled(command=["npx", "-y", "server", "--port", "1"]).settings.upstreams["default"]
    assert (upstream.command, upstream.args) == ("npx", ("-y", "server", "--port", "1"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"upstreams": ["npx"]}, "write `--` before its command"),
        ({"upstreams": ["http://a", "http://b"]}, "need names"),
        ({"upstreams": ["a=http://a", "http://b"]}, "need names"),
        ({"upstreams": ["a=http://a", "a=http://b"]}, "named twice"),
        ({"upstreams": ["a=ftp://a"]}, "neither"),
        ({"upstreams": ["http://a"], "command": ["b"]}, "not both"),
        ({"tier": ["T2"]}, "AGENT=TIER"),
        ({"tier": ["=T2"]}, "AGENT=TIER"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(flags: dict, message: str) -> None:
    """With what to write instead."""
    with pytest.raises(typer.BadParameter, match=message):
        settled(**flags)


def test_every_flag_reaches_its_setting(tmp_path: Path) -> None:
    """And is named as its origin."""
    resolved = settled(
        host="localhost",
        port=0,
        policies=[tmp_path / "p", "shipped:default"],
        data=tmp_path / "d",
        state=tmp_path / "s",
        allow_host=["a.test"],
        allow_origin=["https://a.test"],
        tier=["local=T4", "acme/bot=T1"],
        tls_cert=tmp_path / "c",
        tls_key=tmp_path / "k",
        behind_tls_proxy=True,
        unsafe=True,
        log_format="json",
        authority="https://intended.example",
    )
    settings = resolved.settings
    assert (settings.host, settings.port) == ("localhost", 0)
    assert settings.policies == (tmp_path / "p", Path("shipped:default"))
    assert (settings.data, settings.state) == (tmp_path / "d", tmp_path / "s")
    assert (settings.allowed_hosts, settings.allowed_origins) == (("a.test",), ("https://a.test",))
    assert settings.tiers.agents == {"local": TrustTier.T4, "acme/bot": TrustTier.T1}
    assert (settings.tls_certificate, settings.tls_key) == (tmp_path / "c", tmp_path / "k")
    assert (settings.behind_tls_proxy, settings.unsafe_allow_unauthenticated) == (True, True)
    assert settings.log.format == "json"
    assert settings.authority.url == "https://intended.example"
    assert str(resolved.origin(("allowed_hosts",))) == "--allow-host"


def test_a_flag_that_was_not_given_sets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else no variable could ever count."""
    monkeypatch.setenv("INTENDED_GATEWAY_PORT", "1")
    monkeypatch.setenv("INTENDED_GATEWAY_UNSAFE_ALLOW_UNAUTHENTICATED", "true")
    settings = settled().settings
    assert (settings.port, settings.unsafe_allow_unauthenticated) == (1, True)


def test_a_wrong_flag_is_explained_like_a_wrong_file() -> None:
    """The same sentence, with the flag as its place."""
    with pytest.raises(ConfigurationError) as caught:
        settled(tier=["local=T9"])
    [problem] = caught.value.problems
    assert problem.source == "--tier"
    assert "T0, T1, T2, T3, T4" in problem.message
