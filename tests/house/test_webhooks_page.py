"""The page on webhooks says what the code does: the events, their families, the headers, the numbers."""

import re
from pathlib import Path

from gateway.core.events import EVENTS, TEST_EVENT, Family, body_of, probe
from gateway.core.webhooks import FIRST_WAIT_S, GIVE_UP_S, LONGEST_WAIT_S, Delivery, make_secret
from gateway.services.delivering import IN_FLIGHT, KEPT
from gateway.telemetry.clock import SystemClock
from gateway.webhooks.courier import ATTEMPT_S
from gateway.webhooks.sign import signed
from tests.house.documents import ROOT

PAGE = (Path(ROOT) / "docs/webhooks.md").read_text("utf-8")


def test_the_table_of_events_is_that_of_the_code() -> None:
    """An event that nobody is told about is not received by anybody."""
    rows = re.findall(r"^\| `([a-z.]+)` \| (Ops|Ref) \|", PAGE, re.MULTILINE)
    families = {"Ops": Family.OPS, "Ref": Family.REF}
    assert [(name, families[family]) for name, family in rows] == list(EVENTS.items())
    assert f"`{TEST_EVENT}`" in PAGE


def test_every_header_that_proves_a_delivery_is_named() -> None:
    """A receiver's author reads this page only."""
    event = probe("acme", time="2026-11-22T12:00:00.000Z", lane="x")
    fields = dict.fromkeys(("tenant", "endpoint", "id", "lane", "intent_id", "created", "due"), "x")
    delivery = Delivery(**fields, event=event.name, body=body_of(event, "x"))
    headers, _ = signed(delivery, [make_secret("x")], at=SystemClock().now())
    assert [name for name in headers if f"`{name}`" not in PAGE] == ["content-type", "user-agent"]


def test_the_numbers_are_those_of_the_code() -> None:
    """A receiver is built to them."""
    for text in (
        f"within {ATTEMPT_S:.0f} seconds",
        f"after about {FIRST_WAIT_S:.0f} s",
        f"up to {LONGEST_WAIT_S / 3600:.0f} hours",
        f"for {GIVE_UP_S / 3600:.0f} hours",
        f"kept for {KEPT.days} days",
    ):
        assert text in PAGE
    assert IN_FLIGHT == 4
    assert "At most four attempts" in PAGE
