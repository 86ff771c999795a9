"""Settings become the parts of the house, and nothing secret is told on the way."""

import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.core.holds import HoldTerms
from gateway.core.worth import Amounts, Credit
from gateway.errors import ConfigurationError
from gateway.parts import (
    amounts,
    audiences,
    data_folder,
    describe,
    hold_terms,
    make_authority,
    make_spans,
    make_upstream,
    make_upstreams,
    mounts,
    place_of,
    policy_places,
    public_url,
    sealing_key,
    state_folder,
)
from gateway.policyfiles.shipped import shipped_policy
from gateway.ports import Mount
from gateway.remote.authority import HttpAuthority
from gateway.services.tracing import TracedUpstream
from gateway.settings import HoldSettings, Settings, TokenSettings, TracingSettings, UpstreamSettings, ValueSettings
from gateway.upstream.http import HttpUpstream
from tests.simulate.world import FakeClock

URL = UpstreamSettings(url="http://127.0.0.1:9/mcp")


def settings_in(folder: Path, **changes: Any) -> Settings:
    return Settings(**({"upstreams": {"default": URL}, "data": folder / "data", "state": folder / "state"} | changes))


def test_one_upstream_keeps_its_names_and_several_share_one_path(tmp_path: Path) -> None:
    """`/mcp` serves all, `/mcp/NAME` one under its own names."""
    assert mounts(settings_in(tmp_path)) == {
        "/mcp": Mount(upstreams=("default",), prefixed=False),
        "/mcp/default": Mount(upstreams=("default",), prefixed=False),
    }
    two = mounts(settings_in(tmp_path, upstreams={"a": URL, "b": URL}))
    assert two["/mcp"] == Mount(upstreams=("a", "b"), prefixed=True)
    assert two["/mcp/b"] == Mount(upstreams=("b",), prefixed=False)
    assert mounts(settings_in(tmp_path, upstreams={})) == {}


def test_what_stands_behind_an_upstream_is_told_without_its_secrets() -> None:
    """The start prints and records it."""
    told = describe(UpstreamSettings(url="https://example.test/mcp?key=s3cret"))
    assert told == "https://example.test/mcp"
    told = describe(UpstreamSettings(url="https://example.test/@scope/mcp?mail=a@b#c"))
    assert told == "https://example.test/@scope/mcp"
    told = describe(UpstreamSettings(url="https://example.test/s/NjM0ZTk5YjAtYzE1Zi00OWY3LWE0YjM6Mzc1/mcp"))
    assert "NjM0" not in told
    assert told == "https://example.test/s/[removed]/mcp"
    args = (
        "-y",
        "@scope/server",
        "/tmp/x",
        "--token=hunter2",
        "--api-key",
        "hunter2",
        "API_KEY=hunter2",
        "--root",
        "/srv",
    )
    shown = describe(UpstreamSettings(command="npx", args=args))
    assert "hunter2" not in shown
    assert shown.startswith("npx -y @scope/server /tmp/x --token=")
    assert shown.endswith("--root /srv")


def test_folders_are_the_users_own_unless_set(tmp_path: Path) -> None:
    """The copy of the chain's head never lies in the data folder."""
    plain = Settings()
    assert data_folder(plain) != state_folder(plain)
    assert not state_folder(plain).is_relative_to(data_folder(plain))
    assert policy_places(plain) == (shipped_policy("default"),)
    assert policy_places(settings_in(tmp_path, policies=tmp_path)) == (tmp_path,)
    named = settings_in(tmp_path, policies=("shipped:default", "shipped:filesystem"))
    assert policy_places(named) == (shipped_policy("default"), shipped_policy("filesystem"))


@pytest.mark.parametrize(("folder", "option"), [(data_folder, "--data"), (state_folder, "--state")])
def test_a_user_without_a_home_is_told_what_to_set(
    folder: Callable[[Settings], Path], option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container is often run under a number that no account has; a traceback would not say what helps."""

    def homeless(app: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_data_path", homeless)
    monkeypatch.setattr("platformdirs.user_state_path", homeless)
    with pytest.raises(ConfigurationError) as refused:
        folder(Settings())
    assert option in refused.value.problems[0].remedy
    assert folder(Settings(data=Path("/d"), state=Path("/d"))) == Path("/d")


def test_an_upstream_without_transport_cannot_be_made() -> None:
    """Settings refuse it before; nobody else may slip one in."""
    with pytest.raises(ConfigurationError, match="no transport"):
        make_upstream("odd", UpstreamSettings.model_construct(url=None, command=None))


def test_each_upstream_that_asks_for_tokens_has_an_audience(tmp_path: Path) -> None:
    """Its own name, unless the server goes by another."""
    upstreams = {
        "notes": URL,
        "payments": UpstreamSettings(url="http://127.0.0.1:9/mcp", authority_token=True),
        "files": UpstreamSettings(command="x", authority_token=True, authority_audience="https://files.test"),
    }
    found = audiences(settings_in(tmp_path, upstreams=upstreams))
    assert found == {"payments": "payments", "files": "https://files.test"}


def test_signing_keys_are_sealed_under_the_configured_key_else_the_folder_s(tmp_path: Path) -> None:
    """The folder's key is made on first use and then stays."""
    first = sealing_key(settings_in(tmp_path))
    assert first == sealing_key(settings_in(tmp_path)) == (tmp_path / "data" / "keys" / "data.key").read_bytes()
    assert sealing_key(settings_in(tmp_path, tokens=TokenSettings(key=SecretStr("ab" * 32)))) == b"\xab" * 32


def test_amounts_are_those_of_the_settings(tmp_path: Path) -> None:
    """In the operator's currency, by type."""
    worth = ValueSettings(currency="EUR", amounts={"billing.send_invoice": Decimal("99.00")})
    found = amounts(settings_in(tmp_path, value=worth))
    assert found == Amounts(
        currency="EUR", credits={"billing.send_invoice": Credit(cents=9900, type="efficiency", currency="EUR")}
    )


def test_calls_wait_as_long_as_the_settings_say(tmp_path: Path) -> None:
    """Each number has one place."""
    holds = HoldSettings(leg_s=1, hold_s=2, hold_max_s=3, held_per_agent=4, agents={"bot": 5})
    found = hold_terms(settings_in(tmp_path, holds=holds))
    assert found == HoldTerms(leg_s=1, hold_s=2, hold_max_s=3, held_per_agent=4, agents={"bot": 5})


@pytest.mark.parametrize(
    ("changes", "origin"),
    [
        ({}, "http://127.0.0.1:8787"),
        ({"host": "0.0.0.0", "port": 1}, "http://127.0.0.1:1"),
        ({"host": "::"}, "http://[::1]:8787"),
        ({"tls_certificate": Path("c"), "tls_key": Path("k")}, "https://127.0.0.1:8787"),
        ({"public_url": "https://gate.example.org"}, "https://gate.example.org"),
    ],
)
def test_links_begin_with_the_public_url_or_the_address_served(
    tmp_path: Path, changes: dict[str, Any], origin: str
) -> None:
    """An address that stands for all of them leads nowhere."""
    assert public_url(settings_in(tmp_path, **changes)) == origin


def test_without_tracing_there_are_no_spans_and_upstreams_are_bare(tmp_path: Path) -> None:
    """The default costs a call nothing: there is nothing around it."""
    settings = settings_in(tmp_path)
    assert make_spans(settings) is None
    assert isinstance(make_upstreams(settings)["default"], HttpUpstream)


@pytest.mark.parametrize("exporter", ["otlp", "console"])
async def test_with_tracing_each_upstream_has_spans_around_it(tmp_path: Path, exporter: str) -> None:
    """Under its own name."""
    settings = settings_in(tmp_path, tracing=TracingSettings(exporter=exporter))
    spans = make_spans(settings)
    assert spans is not None
    traced = make_upstreams(settings, spans)["default"]
    assert isinstance(traced, TracedUpstream)
    assert traced.id == "default"
    await spans.aclose()


def test_tracing_without_the_extra_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting without the traces that were asked for would be found out when they are needed."""
    monkeypatch.setitem(sys.modules, "gateway.telemetry.tracing", None)
    with pytest.raises(ConfigurationError, match=r"install intended-mcp-gateway\[tracing\]"):
        make_spans(settings_in(tmp_path, tracing=TracingSettings(exporter="otlp")))


@pytest.mark.parametrize(
    ("upstream", "place"),
    [
        (UpstreamSettings(command="npx"), {"network.transport": "pipe"}),
        (UpstreamSettings(url="https://x.example/mcp?key=s3cret"), {"server.address": "x.example", "server.port": 443}),
        (UpstreamSettings(url="http://[::1]/mcp"), {"server.address": "::1", "server.port": 80}),
        (UpstreamSettings(url="http://x.example:8080/mcp"), {"server.address": "x.example", "server.port": 8080}),
    ],
)
def test_spans_tell_the_host_of_an_upstream_and_nothing_else_of_its_url(
    upstream: UpstreamSettings, place: dict[str, Any]
) -> None:
    """Some servers have their key in it."""
    http = {} if upstream.url is None else {"network.transport": "tcp", "network.protocol.name": "http"}
    assert place_of(upstream) == http | place


def authority(tmp_path: Path, **given: Any) -> HttpAuthority | None:
    return make_authority(settings_in(tmp_path, authority={"url": "http://127.0.0.1:9", **given}), FakeClock())


async def test_an_authority_is_asked_with_the_key_from_its_setting_or_file(tmp_path: Path) -> None:
    """Without an address there is none."""
    (tmp_path / "key").write_text("mrt_live_b\n")
    assert make_authority(settings_in(tmp_path), FakeClock()) is None
    for given, key in (({"key": "mrt_live_a"}, "mrt_live_a"), ({"key_file": tmp_path / "key"}, "mrt_live_b")):
        made = authority(tmp_path, **given)
        assert made is not None
        async with made:
            assert made._exchange._proof["authorization"] == f"Bearer {key}"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"", "holds no key"), (b"two words", "is no key"), (b"\xff", "cannot be read")],
    ids=str,
)
def test_an_authority_without_a_key_is_refused_with_a_remedy(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """It would deny everything."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as caught:
        authority(tmp_path, key_file=tmp_path / "key")
    assert caught.value.problems[0].field == "authority.key_file"
    with pytest.raises(ConfigurationError, match="INTENDED_API_KEY"):
        authority(tmp_path)
