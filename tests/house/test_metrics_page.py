"""The page on metrics says what the code exports."""

import re

from gateway.api.metrics import OPERATIONS
from gateway.settings import MetricsSettings
from gateway.telemetry.catalogue import METRICS, OTHER
from tests.house.documents import ROOT
from tests.house.metrics_page import PAGE, metrics_page


def test_the_tables_are_those_of_the_code() -> None:
    """Regenerate with `python -m tests.house.documents`."""
    assert PAGE.read_text("utf-8") == metrics_page()


def test_every_metric_has_one_row() -> None:
    """With the one event that moves it (contract, section 6)."""
    rows = re.findall(r"^\| `(intended\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [one.name for one in METRICS]


def test_no_other_name_is_told() -> None:
    """A name that is not exported would be looked for in vain."""
    known = {one.name for one in METRICS}
    named = set(re.findall(r"\bintended(?:ops)?_[a-z_]+\b", PAGE.read_text("utf-8")))
    assert {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in named} <= known


def test_the_numbers_and_words_are_those_of_the_code() -> None:
    """Settings, the label beyond the bound, who may ask."""
    text = PAGE.read_text("utf-8")
    assert f"first {MetricsSettings().names} agents" in text
    assert f"`{OTHER}`" in text
    assert [sorted(one.roles) for one in OPERATIONS] == [["admin"]]
    assert "role `admin`" in text
    assert all(f"`metrics.{name}`" in text for name in MetricsSettings.model_fields)


def test_every_alert_has_its_row() -> None:
    """Who is woken by one finds here what it means."""
    alerts = re.findall(r"- alert: (\w+)", (ROOT / "examples/monitoring/alerts.yml").read_text("utf-8"))
    told = re.findall(r"^\| `(Intended\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert told == alerts
