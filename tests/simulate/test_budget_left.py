"""What is left of a budget, on real figures: through a gateway, a restart, and the turn of the window."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.to_thread import run_sync
from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.app import Gateway
from gateway.core.principal import Role
from gateway.core.refusal import DECISION_META
from gateway.demo.upstream import DemoUpstream, running
from gateway.services.operator import operator
from gateway.settings import Settings, UpstreamSettings
from gateway.telemetry.clock import SystemClock
from tests.cli.desk import command

ACME = "acme"
POLICY = """
apiVersion: intended/v1
policySet: test
budgets:
  searches: {count: calls, per: agent, window: 1h, match: {tools: [notes.search]}}
rules:
  - {id: all, effect: allow}
  - {id: enough, effect: deny, when: count.searches >= 3}
"""
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
}


class Told(SystemClock):
    """A day that goes on only when a test says so; monotonic time is the system's."""

    at = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return Told.at


@asynccontextmanager
async def opened(folder: Path, upstream: str) -> AsyncIterator["House"]:
    settings = Settings(
        port=0,
        data=folder / "data",
        state=folder / "state",
        policies=folder / "policy.yaml",
        upstreams={"default": UpstreamSettings(url=upstream)},
    )
    async with Gateway.open(settings) as gateway:
        transport = httpx.ASGITransport(gateway.asgi, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787", timeout=30) as client:
            house = House(client)
            for name, given in (("admin", {"role": Role.ADMIN}), ("bot", {"role": Role.AGENT, "agent": "search-bot"})):
                made = await gateway.known.keys.create(operator(ACME), tenant=ACME, name=name, **given)
                house.keys[name] = {"x-api-key": made.secret}
            yield house


class House:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.keys: dict[str, dict[str, str]] = {}

    async def search(self) -> dict[str, Any]:
        """Make one tool call; return the record of its denial, nothing where it ran."""
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": "notes.search",
            **self.keys["bot"],
        }
        params = {"name": "notes.search", "arguments": {"q": "garden"}, "_meta": META}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await self.client.post("/mcp", json=message, headers=headers)
        result = json.loads(answer.text.partition("data: ")[2] or answer.text)["result"]
        assert bool(result.get("isError")) is (DECISION_META in result.get("_meta", {})), result
        return dict(result.get("_meta", {}).get(DECISION_META, {}))

    async def left(self) -> tuple[float, float, str | None]:
        answer = await self.client.get("/v1/budgets?agent=search-bot", headers=self.keys["admin"])
        [one] = answer.json()["data"]["items"]
        assert (one["budget"], one["account"], one["limit"]) == ("searches", "search-bot", 3)
        return one["spent"], one["left"], one["nextAt"]

    async def entries(self) -> list[dict[str, Any]]:
        answer = await self.client.get("/v1/budgets/searches?agent=search-bot", headers=self.keys["admin"])
        found: list[dict[str, Any]] = answer.json()["data"]["entries"]
        return found

    async def metrics(self) -> dict[str, float]:
        text = (await self.client.get("/metrics", headers=self.keys["admin"])).text
        families = [one for one in parse(text) if one.name.startswith("intended_budget_")]
        return {sample.name: sample.value for one in families for sample in one.samples}


def listed(folder: Path) -> list[dict[str, Any]]:
    """Ask the command line, while no gateway runs."""
    config = folder / "intended.yaml"
    config.write_text(f"policies: {folder / 'policy.yaml'}\n")
    asked = ("budgets", "list", "--agent", "Search Bot", "--tenant", ACME, "--config", str(config), "-o", "json")
    result = command(folder, *asked)
    assert f"no gateway runs on {folder / 'data'}" in result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


async def test_what_is_left_is_shown_through_a_restart_until_the_window_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every face tells the same numbers, and they are those that decisions go by."""
    monkeypatch.setattr("gateway.app.SystemClock", Told)
    monkeypatch.setattr(Told, "at", Told.at)
    (tmp_path / "policy.yaml").write_text(POLICY)
    back = "2026-11-22T13:01:00.000Z"
    async with running(DemoUpstream()) as upstream:
        async with opened(tmp_path, upstream) as house:
            assert await house.left() == (0, 3, None)
            for number in range(3):
                assert await house.search() == {}
                assert await house.left() == (number + 1, 2 - number, back)
            assert await house.metrics() == {"intended_budget_spent": 3, "intended_budget_limit": 3}
            entries = await house.entries()
            assert [(one["amount"], one["tool"], one["backAt"]) for one in entries] == [(1, "notes.search", back)] * 3
            denied = await house.search()
            assert (denied["outcome"], denied["retry"], denied["retryAfterS"]) == ("deny", "later", 3630)
        [shown] = await run_sync(listed, tmp_path)
        assert (shown["spent"], shown["left"], shown["file"], shown["line"]) == (3, 0, "policy.yaml", 5)
        async with opened(tmp_path, upstream) as house:
            assert await house.left() == (3, 0, back)
            assert await house.entries() == entries
            Told.at += timedelta(seconds=denied["retryAfterS"] - 1)
            assert (await house.search())["retryAfterS"] == 1
            assert await house.left() == (3, 0, back)
            Told.at += timedelta(seconds=1)
            assert await house.left() == (0, 3, None)
            assert (await house.entries(), await house.metrics()) == ([], {})
            assert await house.search() == {}
            assert (await house.left())[:2] == (1, 2)
