"""Prometheus itself on the examples: its checks, its rule tests, and every expression against a live gateway.

Runs `promtool` and `prometheus` as Debian ships them (`setup.sh`), on loopback, without any network.
"""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import httpx
import pytest

from gateway.demo.upstream import DemoUpstream
from gateway.demo.upstream import running as upstream_running
from tests.clients.conftest import CALL_SECONDS, START_SECONDS, Environments
from tests.documents import live
from tests.documents.live import Service
from tests.examples.test_monitoring import ALERTS, FOLDER, RULES, TARGETS, plain

pytestmark = pytest.mark.clients

SCRAPE = "1s"


@pytest.fixture(scope="module")
def metrics_port() -> int:
    """A free one."""
    return free_port()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, metrics_port: int) -> Iterator[Service]:
    """A gateway with a port for metrics, and some traffic behind it."""
    folder = tmp_path_factory.mktemp("gateway")
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(upstream_running(DemoUpstream())) as upstream,
        live.running(folder, upstream, INTENDED_GATEWAY_METRICS__PORT=str(metrics_port)) as started,
    ):
        live.register_agents(started, "tenant123")
        yield started


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def drive(service: Service) -> None:
    with service.client("tenant123") as client:
        for number in range(5):
            service.escalated("tenant123", f"number {number}")
            done = client.post("/intent", json={"action": "read the repository", "actor": "bot", "system": "github"})
            client.post(f"/intent/{done.json()['intentId']}/outcome", json={"status": "completed"})
            # It has declared itself for billing only.
            client.post("/intent", json={"action": {"type": "files.read"}, "actor": "billing-agent"})
        client.get("/v1/audit/verify")


@pytest.fixture(scope="module")
def tools(environments: Environments) -> Path:
    return environments.folder / "prometheus" / "usr" / "bin"


def promtool(tools: Path, *arguments: str, given: str = "") -> str:
    done = subprocess.run(
        [tools / "promtool", *arguments], cwd=FOLDER, input=given, capture_output=True, text=True, timeout=CALL_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_takes_configuration_rules_and_alerts(tools: Path) -> None:
    """And the made-up series make the alerts do what they are for."""
    promtool(tools, "check", "config", "prometheus.yml")
    promtool(tools, "check", "rules", "rules.yml", "alerts.yml")
    assert "SUCCESS" in promtool(tools, "test", "rules", "alerts_test.yml")


def test_promtool_takes_the_metrics_themselves(tools: Path, service: Service) -> None:
    """Its linter knows how names and units ought to be; the guide's names are the guide's."""
    drive(service)
    with service.client("tenant123") as client:
        text = client.get("/metrics").text
    done = subprocess.run(
        [tools / "promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=CALL_SECONDS
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "camelCase" not in line]
    assert ours == []


@pytest.fixture(scope="module")
def asked(
    tools: Path, service: Service, metrics_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A Prometheus with the example's rules, which has scraped the gateway several times."""
    folder = tmp_path_factory.mktemp("prometheus")
    port = free_port()
    text = (FOLDER / "prometheus.yml").read_text()
    (folder / "prometheus.yml").write_text(text.replace("9464", str(metrics_port)).replace("15s", SCRAPE))
    for name in ("rules.yml", "alerts.yml"):
        (folder / name).write_text((FOLDER / name).read_text())
    process = subprocess.Popen(
        [
            tools / "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=CALL_SECONDS) as client:
            _until(lambda: client.get("/-/ready").status_code == 200)
            _until(lambda: _answer(client, "up") == [1.0])
            drive(service)
            _until(lambda: _answer(client, "sum(increase(intended_decisions_total[1m]))") > [0.0])
            _until(lambda: bool(_answer(client, "job:intended_decision_duration_seconds:p99_5m")))
            yield client
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _until(true: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if true():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _answer(client: httpx.Client, expression: str) -> list[float]:
    answer = client.get("/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", answer
    return [float(one["value"][1]) for one in answer["data"]["result"]]


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=lambda one: one.get("title") or one.get("refId"))
def test_prometheus_answers_every_panel(asked: httpx.Client, panel: dict[str, Any], target: dict[str, Any]) -> None:
    """Parsed, planned and run on what the gateway really exports; only what nothing has moved yet is empty."""
    found = _answer(asked, plain(target["expr"]))
    assert found or panel["title"] in STILL, panel["title"]


STILL = frozenset(
    {
        "Upstreams, p95",
        "Upstream failures",
        "Execution by domain, p95",
        "Time to an answer",
        "Answers in the last hour",
        "Promotions and demotions",
        "Value today",
        "Value by type",
        "Budgets: share that is spent",
        "In flight and held",
        "Webhooks",
        "Refused before a decision",
    }
)
"""Panels of what this traffic had none of: tool calls, answers of humans, value, webhooks."""


@pytest.mark.parametrize("rule", [*RULES, *ALERTS], ids=lambda rule: rule.get("record") or rule["alert"])
def test_prometheus_runs_every_rule_and_none_of_them_cries_for_nothing(
    asked: httpx.Client, rule: dict[str, Any]
) -> None:
    """A healthy gateway raises no alert but that approvals wait, which they do."""
    found = _answer(asked, rule["expr"])
    if "alert" in rule and rule["labels"]["severity"] != "info":
        assert found == []


def test_prometheus_found_no_fault_in_its_rules(asked: httpx.Client) -> None:
    """An expression may parse and still fail with each evaluation, as a match of many to many."""
    groups = asked.get("/api/v1/rules").json()["data"]["groups"]
    assert [rule for group in groups for rule in group["rules"] if rule.get("lastError")] == []
    assert len([rule for group in groups for rule in group["rules"]]) == len(RULES) + len(ALERTS)
    assert json.loads(asked.get("/api/v1/targets").text)["data"]["activeTargets"][0]["health"] == "up"
