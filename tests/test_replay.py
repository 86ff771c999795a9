"""Decisions are made again from the store alone, as an auditor would."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from gateway.app import Gateway
from gateway.demo.upstream import DemoUpstream, running
from gateway.replay import replayed, trust_reports
from gateway.services.recompute import Recomputation
from gateway.serving import serving
from gateway.settings import HoldSettings, Settings, UpstreamSettings

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("notes.search", {"q": "invoice"}),
    ("files.delete", {"path": "/etc/passwd"}),
    ("payments.refund", {"amount": 900, "to": "ACME"}),
]


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """A store with an ALLOW, a DENY and an ESCALATE of a real client."""
    async with running(DemoUpstream()) as url:
        settings = Settings(
            port=0,
            data=tmp_path / "data",
            state=tmp_path / "state",
            holds=HoldSettings(leg_s=0),
            upstreams={"default": UpstreamSettings(url=url)},
        )
        async with (
            Gateway.open(settings) as gateway,
            serving(gateway, settings) as served,
            Client(f"{served.url}/mcp") as client,
        ):
            for name, arguments in CALLS:
                await client.call_tool(name, arguments)
    return settings


async def all_of(settings: Settings, intent_id: str = "") -> list[Recomputation]:
    return [one async for one in replayed(settings, "default", intent_id)]


async def test_every_verdict_follows_from_what_was_recorded(settings: Settings) -> None:
    """Policy text, tool definition, arguments and facts: all of it is in the store."""
    found = await all_of(settings)
    assert len(found) == 3
    assert all(one.same for one in found), found


async def test_one_intent_can_be_asked_for(settings: Settings) -> None:
    """By the id that the agent was told."""
    first = (await all_of(settings))[0]
    assert await all_of(settings, first.intent_id) == [first]
    assert await all_of(settings, "int_unknown") == []


async def test_without_the_data_key_nothing_is_recomputed_and_nothing_guessed(settings: Settings) -> None:
    """Arguments are encrypted at rest; the store alone does not give them away."""
    assert settings.data is not None
    (settings.data / "keys" / "data.key").unlink()
    assert {one.problem for one in await all_of(settings)} == {"the evaluation input is no longer kept"}
    assert not (settings.data / "keys" / "data.key").exists()


async def test_every_tier_follows_from_the_log(settings: Settings) -> None:
    """Beside a running gateway too, and for one tenant alone; the gateway's own chain has no agents."""
    [report] = await trust_reports(settings)
    assert (report.tenant, report.differences, report.decisions, report.given) == ("default", (), 3, 0)
    assert sum(report.records["local"].counts) == 2
    async with Gateway.open(settings) as gateway:
        held = gateway.known.trust.held("default", "local")
        assert held is not None
        [beside] = await trust_reports(settings, "default")
        assert beside.records["local"] == held.record == report.records["local"]
    assert await trust_reports(settings, "acme") == []
