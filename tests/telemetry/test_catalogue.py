"""The names of the metrics: the guide's table word for word, and names that Prometheus' own linter would take."""

import re

import pytest

from gateway.telemetry.catalogue import METRICS, Definition, Kind
from tests.documents.rows import OPS, lines


def named(one: Definition) -> str:
    return one.name


def test_the_guides_table_is_there_in_its_order_with_its_types_and_descriptions() -> None:
    """Dashboards are written against that table."""
    table = [re.fullmatch(r"(intendedops_\w+) (Counter|Gauge|Histogram) (.+)", line) for line in lines(OPS)]
    wanted = [(found[1], found[2].lower(), found[3]) for found in table if found]
    assert [(one.name, one.kind, one.about) for one in METRICS[: len(wanted)]] == wanted
    assert len(wanted) == 17


def test_no_name_is_given_twice() -> None:
    """The second would hide the first."""
    assert len({one.name for one in METRICS}) == len(METRICS)


@pytest.mark.parametrize("one", METRICS, ids=named)
def test_a_name_says_what_its_metric_is(one: Definition) -> None:
    """`_total` is a counter's, a unit is the name's end, and everything has its help, its event and known labels."""
    assert re.fullmatch(r"intended(ops)?_[a-z][a-z_]*[a-z]", one.name)
    assert one.name.endswith("_total") == (one.kind is Kind.COUNTER)
    assert one.name.removesuffix("_total").endswith(one.unit)
    assert bool(one.buckets) == (one.kind is Kind.HISTOGRAM)
    assert list(one.buckets) == sorted(set(one.buckets))
    assert one.about
    assert one.event
    assert all(re.fullmatch(r"[a-z][A-Za-z]*", label) for label in one.labels)
    assert len(set(one.labels)) == len(one.labels)


def test_what_every_admin_sees_tells_of_no_tenant() -> None:
    """And all the rest is either one tenant's or the operator's."""
    assert not [one.name for one in METRICS if one.open and "tenantId" in one.labels]
