"""The composition root: what a start refuses, what it records, what it closes."""

import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from gateway.app import Gateway
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import SYSTEM_TENANT
from gateway.demo.upstream import DemoUpstream, running
from gateway.errors import AuditUnavailable, ConfigurationError, PolicyError, StoreRefused
from gateway.policyfiles.shipped import shipped_policy
from gateway.ports import Appended
from gateway.records import reading
from gateway.services.audit_query import tail
from gateway.services.operator import operator
from gateway.settings import Settings, UpstreamSettings, ValueSettings
from gateway.store.sqlite.store import StoreOptions, open_store
from gateway.telemetry.clock import SystemClock

URL = UpstreamSettings(url="http://127.0.0.1:9/mcp")
POLICY = """
apiVersion: intended/v1
policySet: mine
rules:
  - {id: reads, effect: allow, match: {effects: [read]}, reason: reads}
"""


def settings_in(folder: Path, **changes: Any) -> Settings:
    values = {"port": 0, "data": folder / "data", "state": folder / "state", "upstreams": {"default": URL}}
    return Settings(**(values | changes))


async def entries(settings: Settings) -> list[dict[str, Any]]:
    async with reading(settings) as reader:
        return list(await tail(reader, SYSTEM_TENANT, 100))


async def test_start_and_stop_are_on_record_with_the_policys_text(tmp_path: Path) -> None:
    """Whoever reads the chain sees under which policy the gateway stood."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings) as gateway:
        report = gateway.report
    started, loaded, stopped = await entries(settings)
    assert [one["type"] for one in (started, loaded, stopped)] == [
        "gateway.started",
        "policy.loaded",
        "gateway.stopped",
    ]
    assert started["body"]["upstreams"] == {"default": "http://127.0.0.1:9/mcp"}
    assert loaded["policyDigest"] == report.policy_digest
    assert loaded["body"]["files"][0]["text"] == shipped_policy("default").read_text()


async def test_paths_go_to_the_front_or_to_the_probes(tmp_path: Path) -> None:
    """`/mcp` and what is below it is MCP, everything else is not."""
    async with Gateway.open(settings_in(tmp_path)) as gateway:
        transport = httpx.ASGITransport(gateway.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787") as client:
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get("/mcpx")).json()["error"] == "NOT_FOUND"
            ping = await client.post("/mcp", content=b"[]", headers={"content-type": "application/json"})
            assert ping.json()["jsonrpc"] == "2.0"
            gateway.drain()
            assert (await client.get("/readyz")).status_code == 503


async def test_a_policy_change_is_recorded_with_the_old_one_in_force_where_it_is_broken(tmp_path: Path) -> None:
    """Each reload and each rejected one is an entry."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    settings = settings_in(tmp_path, policies=policy)
    async with Gateway.open(settings) as gateway:
        first = gateway.report.policy_digest
        policy.write_text(POLICY.replace("effect: allow", "effect: permit"))
        rejected = await gateway._policies.reload()
        policy.write_text(POLICY.replace("id: reads", "id: other"))
        await gateway._policies.reload()
        second = gateway.report.policy_digest
    kinds = [(one["type"], one["policyDigest"]) for one in await entries(settings)]
    assert isinstance(rejected, PolicyError)
    assert kinds[1:4] == [("policy.loaded", first), ("policy.rejected", first), ("policy.loaded", second)]


async def test_a_broken_policy_change_takes_no_replica_out_of_service(tmp_path: Path) -> None:
    """All that share the file would go at once, though each decides by the last good one; the next start refuses it."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    settings = settings_in(tmp_path, policies=policy)
    async with Gateway.open(settings) as gateway:
        transport = httpx.ASGITransport(gateway.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787") as client:
            policy.write_text(POLICY.replace("effect: allow", "effect: permit"))
            await gateway._policies.reload()
            broken = await client.get("/readyz?verbose")
            assert (broken.status_code, broken.json()["status"]) == (200, "degraded")
            assert "policy.yaml:5:25" in broken.json()["checks"]["policies"]
            assert (await client.get("/health")).status_code == 200
            policy.write_text(POLICY)
            await gateway._policies.reload()
            assert (await client.get("/readyz")).json() == {"status": "ready"}
    policy.write_text(POLICY.replace("effect: allow", "effect: permit"))
    with pytest.raises(PolicyError):
        async with Gateway.open(settings):
            pass


async def test_a_policy_change_is_told_with_place_and_remedy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who saves a file looks at the terminal: an edit that is not in force must not look like one that is."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    caplog.set_level("INFO", logger="gateway.app")
    async with Gateway.open(settings_in(tmp_path, policies=policy)) as gateway:
        first = gateway.report.policy_digest[:12]
        policy.write_text(POLICY.replace("effect: allow", "effect: permit"))
        await gateway._policies.reload()
        policy.write_text(POLICY.replace("effect: allow", "effect: deny, when: 'risk < 5'").replace("id: r", "id: s"))
        await gateway._policies.reload()
        second = gateway.report.policy_digest[:12]
    told = [(record.levelname, record.message) for record in caplog.records]
    assert told[0] == ("ERROR", f"policies NOT reloaded, digest {first} stays in force")
    assert "policy.yaml:5:25: rules.0.effect: 'permit' is not one of" in told[1][1]
    assert "fix: write one of" in told[1][1]
    assert told[2] == ("INFO", f"policies reloaded, digest {second}")


async def test_upstreams_that_do_not_answer_are_named_and_stdio_ones_are_not_started(tmp_path: Path) -> None:
    """A start goes on without them; the operator learns it before an agent does, a wrong path included."""
    async with running(DemoUpstream()) as url:
        upstreams = {
            "good": UpstreamSettings(url=url),
            "path": UpstreamSettings(url=url.replace("/mcp", "/nothing")),
            "gone": URL,
            "python": UpstreamSettings(command=sys.executable, args=["-c", "pass"]),
            "typo": UpstreamSettings(command="no-such-command"),
        }
        async with Gateway.open(settings_in(tmp_path, upstreams=upstreams)) as gateway:
            found = {name: why async for name, why in gateway.unreachable()}
    assert list(found) == ["path", "gone", "typo"]
    assert found["path"] == "upstream path answered HTTP 404; is the path of its URL right?"
    assert "127.0.0.1:9" in found["gone"]
    assert found["typo"].startswith("upstream typo: its command was not found")


async def test_a_reload_is_recorded_once_the_store_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store's trouble must neither crash the watcher nor leave decisions whose policy is nowhere on record."""
    monkeypatch.setattr("gateway.app.RECORD_AGAIN_S", 0.01)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    settings = settings_in(tmp_path, policies=policy)
    async with Gateway.open(settings) as gateway:
        real, failures = gateway._lifecycle.policies_loaded, [AuditUnavailable("full"), AuditUnavailable("full")]

        async def failing(*what: Any) -> None:
            if failures:
                raise failures.pop()
            await real(*what)

        monkeypatch.setattr(gateway._lifecycle, "policies_loaded", failing)
        policy.write_text(POLICY.replace("id: reads", "id: other"))
        with anyio.fail_after(5):
            await gateway._policies.reload()
        digest = gateway.report.policy_digest
    loaded = [one["policyDigest"] for one in await entries(settings) if one["type"] == "policy.loaded"]
    assert (failures, loaded[-1], len(loaded)) == ([], digest, 2)


async def test_a_gateway_whose_store_is_gone_for_good_still_ends(tmp_path: Path) -> None:
    """A reload that nobody can record waits, and a shutdown does not wait for it."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    with anyio.fail_after(5):
        async with Gateway.open(settings_in(tmp_path, policies=policy)) as gateway:
            (tmp_path / "data" / "audit.db").unlink()
            policy.write_text(POLICY.replace("id: reads", "id: other"))
            with anyio.move_on_after(0.5) as waited:
                await gateway._policies.reload()
    assert waited.cancelled_caught


async def test_what_a_crash_left_open_is_closed_and_reported_before_anything_is_served(tmp_path: Path) -> None:
    """It may have run; it is listed and never sent again."""
    settings = settings_in(tmp_path)
    store = await open_store(StoreOptions(data=tmp_path / "data", state=tmp_path / "state"), SystemClock())
    await store.append(
        EntryDraft(
            tenant="default",
            id="evt_1",
            type=EntryType.CALL_DECIDED,
            time="2026-11-22T12:00:00.000Z",
            intent_id="int_1",
            effect="ALLOW",
            opens=True,
        )
    )
    await store.aclose()
    async with Gateway.open(settings) as gateway:
        assert [call.intent_id for call in gateway.report.in_doubt] == ["int_1"]
    async with Gateway.open(settings) as gateway:
        assert list(gateway.report.in_doubt) == []


async def test_two_gateways_on_one_data_folder_are_refused(tmp_path: Path) -> None:
    """Two writers would fork the chain."""
    async with Gateway.open(settings_in(tmp_path)):
        with pytest.raises(StoreRefused):
            async with Gateway.open(settings_in(tmp_path)):
                raise AssertionError


async def test_policies_that_cannot_be_loaded_stop_a_start(tmp_path: Path) -> None:
    """There is no last good bundle yet, and there is no default that permits."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules: []\n")
    with pytest.raises(PolicyError):
        async with Gateway.open(settings_in(tmp_path, policies=policy)):
            raise AssertionError
    assert not (tmp_path / "data").exists()


async def test_an_address_that_others_reach_wants_a_key_and_tls(tmp_path: Path) -> None:
    """Keyless mode is loopback only (contract, section 1); a start that is refused is not on record."""
    with pytest.raises(ConfigurationError, match="there is no API key"):
        async with Gateway.open(settings_in(tmp_path, host="0.0.0.0", behind_tls_proxy=True)):
            raise AssertionError
    async with Gateway.open(settings_in(tmp_path)) as gateway:
        assert gateway.report.keyless
        await gateway.known.keys.create(operator("default"), tenant="default", name="first")
        assert not gateway.report.keyless
    before = await entries(settings_in(tmp_path))
    with pytest.raises(ConfigurationError, match="in the clear"):
        async with Gateway.open(settings_in(tmp_path, host="0.0.0.0")):
            raise AssertionError
    assert await entries(settings_in(tmp_path)) == before
    async with Gateway.open(settings_in(tmp_path, host="0.0.0.0", behind_tls_proxy=True)) as gateway:
        assert not gateway.report.keyless


async def test_a_decision_that_becomes_durable_too_late_is_closed(tmp_path: Path) -> None:
    """Its call was refused as unrecorded, so its entry must say that it did not run."""
    settings = settings_in(tmp_path)
    async with Gateway.open(settings) as gateway:
        draft = EntryDraft(
            tenant="default",
            id="evt_late",
            type=EntryType.CALL_DECIDED,
            time="2026-11-22T12:00:00.000Z",
            intent_id="int_late",
            effect="ALLOW",
            opens=True,
        )
        appended = await gateway._store.append(draft)
        gateway._disown(replace(draft, opens=False), appended)  # type: ignore[arg-type]
        gateway._disown(draft, appended)  # type: ignore[arg-type]
        with anyio.fail_after(5):
            while await gateway._store.open_calls():
                await anyio.lowlevel.checkpoint()
    async with reading(settings) as reader:
        (_, closed) = await tail(reader, "default", 10)
    assert closed["body"] == {"completion": "disowned", "mayHaveRun": False}


async def test_no_argument_of_a_command_is_kept_for_good(tmp_path: Path) -> None:
    """Any of them may be a key, and an entry cannot be taken back."""
    command = UpstreamSettings(command="npx", args=("server", "-p", "hunter2"))
    settings = settings_in(tmp_path, upstreams={"default": command})
    async with Gateway.open(settings):
        pass
    assert (await entries(settings))[0]["body"]["upstreams"] == {"default": "npx (+3 arguments)"}


async def test_a_late_entry_without_a_gateway_to_close_it_is_left_to_the_next_start(tmp_path: Path) -> None:
    """The store may hand one over before the tasks begin or after they end; that must be no fault."""
    settings = settings_in(tmp_path)
    late = EntryDraft(
        tenant="default", id="evt_1", type=EntryType.CALL_DECIDED, time="t", intent_id="int_late", opens=True
    )
    gateway = Gateway(settings)
    gateway._disown(late, Appended(seq=1, hash=b""))
    async with Gateway.open(settings) as gateway:
        pass
    gateway._disown(late, Appended(seq=1, hash=b""))


async def test_what_completed_intents_are_worth_is_added_up(tmp_path: Path) -> None:
    """From the operator's file to `valueGenerated`; other amounts after a restart rewrite nothing."""
    told = []
    for amount in ("99.00", "1.00"):
        worth = ValueSettings(currency="EUR", amounts={"billing.send_invoice": Decimal(amount)})
        rules = Path(__file__).parents[1] / "policies/allow-all.yaml"
        settings = settings_in(tmp_path, value=worth, policies=rules, tiers={"default": "T4"})
        async with Gateway.open(settings) as gateway:
            transport = httpx.ASGITransport(gateway.operator)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                await client.post("/v1/agents", json={"name": "Billing Agent"})
                body = {"type": "billing.send_invoice", "domain": "billing", "agentId": "billing-agent", "params": {}}
                for status in ("completed", "failed"):
                    made = (await client.post("/v1/intents", json=body)).json()["data"]
                    await client.post(f"/v1/intents/{made['intentId']}/outcome", json={"status": status})
                await client.post("/v1/intents", json=body)
                metrics = await client.get("/v1/agents/billing-agent/metrics")
                told.append(metrics.json()["data"]["valueGenerated"])
    assert told == [99.0, 100.0]
