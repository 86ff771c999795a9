"""Dashboard, rules and alerts against what a gateway really exports: every name, label, value, unit and threshold.

Offline and without Prometheus; `tests/clients/test_monitoring.py` asks the real one, where that is installed.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft7Validator
from prometheus_client.parser import text_string_to_metric_families as parse
from ruamel.yaml import YAML

from gateway.configuration.environment import read_environment
from gateway.configuration.shape import root
from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect, Reason
from gateway.core.principal import SYSTEM_TENANT, TrustTier
from gateway.core.submission import Outcome
from gateway.core.webhooks import DeliveryState
from gateway.services.judged import Completion
from gateway.settings import Settings
from gateway.telemetry.catalogue import METRICS, Kind
from tests.examples.expressions import (
    COMPARISONS,
    TARGET,
    Exported,
    inner,
    labels_of,
    parsed,
    problems,
    selectors,
    unit_of,
)
from tests.simulate.test_numbers_agree import drive, loaded

FOLDER = Path(__file__).parents[2] / "examples" / "monitoring"
SCHEMA = Path(__file__).parent / "compose-spec.schema.json"


def read(name: str) -> Any:
    text = (FOLDER / name).read_text("utf-8")
    return json.loads(text) if name.endswith(".json") else YAML(typ="safe", pure=True).load(text)


RULES = [rule for group in read("rules.yml")["groups"] for rule in group["rules"]]
ALERTS = [rule for group in read("alerts.yml")["groups"] for rule in group["rules"]]
DASHBOARD: dict[str, Any] = read("grafana/dashboard.json")
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]

VALUES = {
    "decision": frozenset(map(str, Effect)),
    "trustTier": frozenset(tier.name for tier in TrustTier),
    "outcome": frozenset(map(str, (*Completion, *Outcome, *ApprovalState, *DeliveryState, Reason.AUDIT_UNAVAILABLE))),
    "reason": frozenset(map(str, Reason)),
    "type": frozenset(map(str, EntryType)),
    "job": frozenset({"intended-gateway"}),
    "jobName": frozenset({"webhook-delivery", "approvals-expiry", "policy-reload"}),
    "check": frozenset({"audit", "policies", "trust", "tokens", "authority", "draining"}),
}
"""What labels with a closed list of values can be; a tenant is checked where it is the gateway's own."""

UNITS = {"seconds": "s", "cents": "short", "": "short"}
SEVERITIES = {"critical", "warning", "info"}


def plain(text: str) -> str:
    """Return an expression of the dashboard as Grafana sends it, for everything."""
    return text.replace("$tenant", ".*").replace("$agent", ".*")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The metrics of a gateway after a mixed load and a verification."""

    async def driven(patch: pytest.MonkeyPatch) -> str:
        async with loaded(tmp_path_factory.mktemp("gateway"), patch) as load:
            await drive(load)
            assert (await load.ask("admin", "GET", "/v1/audit/verify")).status_code == 200
            return (await load.ask("admin", "GET", "/metrics")).text

    with pytest.MonkeyPatch.context() as patch:
        return anyio.run(driven, patch)


@pytest.fixture(scope="module")
def known(export: str) -> dict[str, Exported]:
    """Every name that can be asked for, with its labels: as exported, or as declared where nothing has moved it yet."""
    declared = {one.name.removesuffix("_total"): one for one in METRICS}
    found = {"up": Exported(kind="gauge", labels=TARGET, unit="short")}
    for family in parse(export):
        if family.name not in declared:
            continue
        one = declared[family.name]
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(one.labels), sample
        labels, unit = frozenset(one.labels) | TARGET, UNITS[one.unit]
        if one.kind is Kind.HISTOGRAM:
            for suffix, more in (("_bucket", {"le"}), ("_sum", set()), ("_count", set())):
                found[one.name + suffix] = Exported(kind="counter", labels=labels | more, unit=unit, histogram=one.name)
        else:
            found[one.name] = Exported(kind=str(one.kind), labels=labels, unit=unit)
    for rule in RULES:
        tree = parsed(rule["expr"])
        buckets = [one.name for one in selectors(tree) if one.name.endswith("_bucket")]
        histogram = buckets[0].removesuffix("_bucket") if buckets else ""
        labels = labels_of(tree, found)
        found[rule["record"]] = Exported(kind="gauge", labels=labels, unit=unit_of(tree, found), histogram=histogram)
    return found


def test_the_load_moved_most_metrics(export: str) -> None:
    """Else the checks below would rest on declarations alone."""
    still = {one.name for one in parse(export) if not one.samples}
    assert len(still) <= 6, still


# --- rules and alerts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["record"])
def test_a_recording_rule_asks_for_what_there_is(rule: dict[str, str], known: dict[str, Exported]) -> None:
    """And its name says level, metric and operation, as Prometheus advises: the level are the labels that it keeps."""
    tree = parsed(rule["expr"])
    assert problems(tree, known, VALUES) == []
    level, metric, operation = rule["record"].split(":")
    assert set(level.split("_")) == labels_of(tree, known)
    assert any(one.name.startswith(metric) or metric.endswith("_failures") for one in selectors(tree))
    assert re.fullmatch(r"(ratio_)?(rate|p[0-9]{2}_)[0-9]+m", operation)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is(rule: dict[str, Any], known: dict[str, Exported]) -> None:
    """Names, labels, values of labels, counters where rates are taken, buckets where quantiles are."""
    assert problems(parsed(rule["expr"]), known, VALUES) == []
    tenants = re.findall(r'tenantId="([^"]*)"', rule["expr"])
    assert set(tenants) <= {SYSTEM_TENANT}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any], known: dict[str, Exported]) -> None:
    """Its text names only labels that its answer has: an empty name in a page at night helps nobody."""
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Intended[A-Z][A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in SEVERITIES
    assert re.fullmatch(r"[0-9]+[smh]", rule.get("for", "0s"))
    assert set(rule["annotations"]) == {"summary", "description"}
    texts = " ".join(rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", texts))
    assert named <= labels_of(parsed(rule["expr"]), known)
    assert named, "whose?"
    for word in re.findall(r"`intended ([a-z]+)", texts):
        assert word in {"audit", "agents", "approvals", "budgets", "webhooks", "check"}, word


def comparisons(tree: Any) -> Iterator[tuple[Any, float]]:
    """Yield each expression that is held against a number, with the number."""
    tree = inner(tree)
    if hasattr(tree, "lhs"):
        if str(tree.op) in COMPARISONS:
            yield tree.lhs, tree.rhs
        else:
            for side in (tree.lhs, tree.rhs):
                yield from comparisons(side)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_threshold_can_be_passed(rule: dict[str, Any], known: dict[str, Exported]) -> None:
    """A share is below 1; a quantile is only known to a bucket's bound, and never above the last."""
    bounds = {one.name: one.buckets for one in METRICS}
    for asked, number in comparisons(parsed(rule["expr"])):
        unit = unit_of(asked, known)
        text = str(number)
        if unit == "percentunit":
            assert 0 < float(text) < 1
        histograms = {known[one.name].histogram for one in selectors(asked)} - {""}
        if unit == "s" and histograms:
            (name,) = histograms
            assert float(text) in bounds[name][:-1]


def test_no_two_alerts_or_records_share_a_name() -> None:
    """The second would hide the first."""
    names = [rule["alert"] for rule in ALERTS] + [rule["record"] for rule in RULES]
    assert len(set(names)) == len(names)


# --- the dashboard ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=lambda one: one.get("title") or one.get("refId"))
def test_a_panel_asks_for_what_there_is_in_its_unit(
    panel: dict[str, Any], target: dict[str, Any], known: dict[str, Exported]
) -> None:
    """A legend names labels of the answer; seconds are shown as seconds, shares as shares, rates as rates."""
    tree = parsed(plain(target["expr"]))
    assert problems(tree, known, VALUES) == []
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels_of(tree, known)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    assert unit == unit_of(tree, known) or (unit == "none" and unit_of(tree, known) == "short")
    assert panel["description"].endswith(".")


def test_every_panel_of_a_tenants_metric_is_of_the_tenant_that_is_chosen(known: dict[str, Exported]) -> None:
    """Else one tenant's line would be drawn under another's name. Recorded sums over all tenants are the gateway's."""
    for _, target in TARGETS:
        for one in selectors(parsed(plain(target["expr"]))):
            if "tenantId" in known[one.name].labels:
                assert "tenantId" in {matcher.name for matcher in one.matchers.matchers}, target["expr"]


def test_variables_and_marks_ask_for_what_there_is(known: dict[str, Exported]) -> None:
    """A menu that stays empty makes every panel empty."""
    queries = [one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    for query in queries:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert found is not None
        tree = parsed(plain(found[1]))
        assert problems(tree, known, VALUES) == []
        assert found[2] in labels_of(tree, known)
    for mark in DASHBOARD["annotations"]["list"]:
        assert problems(parsed(mark["expr"]), known, VALUES) == []
    names = {one["name"] for one in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) <= names


def test_panels_lie_beside_each_other() -> None:
    """Ids once, nothing hidden behind another, nothing beyond the 24 columns."""
    taken: dict[tuple[int, int], int] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for place in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert taken.setdefault(place, panel["id"]) == panel["id"], panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}


def test_every_metric_is_looked_at_somewhere() -> None:
    """What no panel and no rule asks for is a number that nobody sees."""
    texts = [target["expr"] for _, target in TARGETS] + [rule["expr"] for rule in RULES + ALERTS]
    asked = {one.name for text in texts for one in selectors(parsed(plain(text)))}
    asked |= {name.removesuffix(suffix) for name in asked for suffix in ("_bucket", "_sum", "_count")}
    unseen = {one.name for one in METRICS} - asked
    assert unseen == {
        "intendedops_governance_decisions_total",  # the same events as intended_decisions_total
        "intendedops_webhooks_received_total",  # intended_webhook_deliveries_total by outcome says more
        "intended_config_last_reload_success_timestamp_seconds",  # marks on the time line
    }


# --- the checks themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("intended_decision_total", "no metric intended_decision_total"),
        ("intended_decisions", "no metric intended_decisions"),
        ('intended_decisions_total{effect="ALLOW"}', "no label effect"),
        ('intended_decisions_total{decision="allow"}', "decision is never allow"),
        ('intended_decisions_total{decision=~"ALLOW|DENIED"}', "decision is never DENIED"),
        ("sum by (agentId) (intended_decisions_total)", "has the label agentId"),
        ("rate(intended_approvals_pending[5m])", "which is a gauge"),
        ("histogram_quantile(0.9, rate(intended_decision_duration_seconds_sum[5m]))", "no buckets"),
        ("histogram_quantile(0.9, sum(rate(intended_decision_duration_seconds_bucket[5m])))", "no label le"),
        ("intended_ready / intended_approvals_pending", "no labels in common"),
    ],
)
def test_a_mistake_is_found(text: str, problem: str, known: dict[str, Exported]) -> None:
    """So that the tests above can fail."""
    assert any(problem in one for one in problems(parsed(text), known, VALUES))
    with pytest.raises(ValueError, match=r"."):
        parsed("sum by (")


# --- files beside them ------------------------------------------------------------------------------------------------


def test_prometheus_finds_its_rules_and_the_port_of_the_compose_file() -> None:
    """A target that nothing listens at is an alert, not monitoring."""
    config = read("prometheus.yml")
    assert all((FOLDER / name).exists() for name in config["rule_files"])
    (job,) = config["scrape_configs"]
    assert job["job_name"] in VALUES["job"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:9464"]}]
    variables = read("compose.yaml")["services"]["gateway"]["environment"]
    layer, wrong = read_environment(variables, root(Settings))
    assert wrong == []
    settings = Settings.model_validate(layer.values)
    assert (settings.metrics.host, settings.metrics.port) == ("127.0.0.1", 9464)


def test_the_compose_file_is_one_and_keeps_the_metrics_in() -> None:
    """Prometheus is in the gateway's network namespace; no port of the gateway is published."""
    compose = read("compose.yaml")
    assert [error.message for error in Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(compose)] == []
    services = compose["services"]
    assert services["prometheus"]["network_mode"] == "service:gateway"
    assert "ports" not in services["gateway"]
    assert services["grafana"]["ports"] == ["127.0.0.1:3000:3000"]
    mounted = [one.split(":")[0] for service in services.values() for one in service.get("volumes", ())]
    assert all((FOLDER / one).exists() for one in mounted if one.startswith("."))
    alias = services["gateway"]["networks"]["monitoring"]["aliases"]
    assert read("grafana/datasources.yml")["datasources"][0]["url"] == f"http://{alias[0]}:9090"
