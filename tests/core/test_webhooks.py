"""Endpoints and deliveries as values, and the schedule of attempts."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audit.body import timestamp
from gateway.core.webhooks import (
    GIVE_UP_S,
    Delivery,
    DeliveryState,
    Endpoint,
    Posted,
    attempted,
    make_secret,
    read_endpoint,
    wait_s,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENDPOINT = Endpoint(
    tenant="acme",
    id="hook_1",
    url="https://example.com/",
    description="",
    events=frozenset({"intent.approved"}),
    created="2026-11-22T12:00:00.000Z",
    created_by="key_1",
    after=7,
    secret=b"\x00sealed",
    former=b"older",
    former_until="2026-11-23T12:00:00.000Z",
    disabled="gone",
)
DELIVERY = Delivery(
    tenant="acme",
    endpoint="hook_1",
    id="whk_1",
    lane="int_1",
    event="intent.approved",
    intent_id="int_1",
    body=b"{}",
    created=timestamp(NOW),
    due=timestamp(NOW),
)


def test_an_endpoint_is_read_back_as_it_was_written() -> None:
    """The row is all that a restart has."""
    assert read_endpoint("acme", ENDPOINT.written(), 3) == replace(ENDPOINT, version=3)


def test_an_endpoint_wants_what_it_names_and_tests() -> None:
    """No names: everything."""
    assert ENDPOINT.wants("intent.approved")
    assert not ENDPOINT.wants("intent.rejected")
    assert ENDPOINT.wants("webhook.test")
    assert replace(ENDPOINT, events=frozenset()).wants("chain.break")


def test_a_secret_has_the_form_of_standard_webhooks() -> None:
    """`whsec_` and 24 to 64 bytes in base64."""
    secret = make_secret("random")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert make_secret("other") != secret


def test_a_delivery_that_arrived_is_done() -> None:
    """An empty reason is success."""
    done = attempted(DELIVERY, Posted(status=204), now=NOW)
    assert (done.state, done.attempts, done.status, done.first) == (DeliveryState.DELIVERED, 1, 204, timestamp(NOW))
    assert not done.state.open
    assert DELIVERY.state.open


def test_a_failure_is_tried_again_over_days_and_then_given_up() -> None:
    """About 72 hours: over a weekend."""
    one, now = DELIVERY, NOW
    moments = []
    while one.state.open:
        one = attempted(one, Posted(status=500, reason="answered with an error (500)"), now=now)
        moments.append(now)
        now = datetime.fromisoformat(one.due)
    assert one.state is DeliveryState.GIVEN_UP
    assert timedelta(hours=50) < moments[-1] - NOW <= timedelta(seconds=GIVE_UP_S)
    assert 10 < one.attempts < 20
    assert (one.first, one.last) == (timestamp(NOW), timestamp(moments[-1]))


def test_a_receiver_that_is_gone_is_not_asked_again() -> None:
    """410."""
    gone = attempted(DELIVERY, Posted(status=410, reason="answered with an error (410)"), now=NOW)
    assert gone.state is DeliveryState.GIVEN_UP


def test_a_receiver_gets_the_time_that_it_asks_for() -> None:
    """`Retry-After`, where it is longer than the plan."""
    busy = attempted(DELIVERY, Posted(status=429, reason="busy", retry_after_s=3600), now=NOW)
    assert (busy.state, busy.due) == (DeliveryState.FAILED, timestamp(NOW + timedelta(hours=1)))
    soon = attempted(DELIVERY, Posted(status=503, reason="busy", retry_after_s=0.0), now=NOW)
    assert soon.due > timestamp(NOW + timedelta(seconds=3))


@given(st.text(), st.integers(min_value=1, max_value=10_000), st.none() | st.floats(min_value=0, max_value=1e12))
def test_waits_grow_within_bounds_and_differ(id_: str, attempts: int, asked: float | None) -> None:
    """Jitter of a quarter; never longer than a day."""
    found = wait_s(id_.encode("utf-8", "ignore").decode(), attempts, asked)
    assert 3.75 <= found <= 86_400
    assert {wait_s(f"whk_{number}", 3, None) for number in range(10)} != {80.0}
