"""The signatures of a delivery, verified as each document's receiver does it."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook

from gateway.core.events import EVENTS, Event, body_of
from gateway.core.webhooks import Delivery, make_secret
from gateway.telemetry.clock import SystemClock
from gateway.webhooks.sign import signed
from tests.ecmascript import stringify

NOW = datetime(2026, 11, 22, 12, 0, 0, 900_000, tzinfo=UTC)
NEW, OLD = make_secret("new"), make_secret("old")
DATA = {"intentId": "int_abc123", "decision": "ALLOW", "riskScore": 42}


def delivery(event: str) -> Delivery:
    made = Event(tenant="acme", name=event, time="2026-03-22T14:30:00.000Z", lane="x", data=DATA)
    return Delivery(
        tenant="acme",
        endpoint="hook_1",
        id="whk_1",
        lane="x",
        event=event,
        intent_id="int_abc123",
        body=body_of(made, "whk_1"),
        created="",
        due="",
    )


def digest(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("event", EVENTS)
def test_every_delivery_can_be_verified_in_each_documents_way(event: str) -> None:
    """A receiver has one of the three checks, and gets events of both families."""
    headers, body = signed(delivery(event), [NEW], at=NOW)
    assert headers["x-intendedops-signature"] == digest(NEW, body)
    assert headers["x-meritt-signature"] == f"sha256={digest(NEW, body)}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("whk_1", str(int(NOW.timestamp())))
    to_sign = f"whk_1.{int(NOW.timestamp())}.".encode() + body
    key = base64.b64decode(NEW.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, to_sign, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    # The guide's receiver serialises again what it parsed.
    assert stringify(json.loads(body)).encode() == body


def test_the_references_body_ends_with_its_signature() -> None:
    """Over the body without it (contract, section 5); the guide's has none."""
    _, body = signed(delivery("decision.completed"), [NEW], at=NOW)
    told = json.loads(body)
    assert list(told) == ["event", "intentId", "decision", "riskScore", "timestamp", "signature"]
    signature = told.pop("signature")
    assert signature == f"sha256={digest(NEW, stringify(told).encode())}"
    _, other = signed(delivery("intent.approved"), [NEW], at=NOW)
    assert "signature" not in json.loads(other)


def test_both_secrets_sign_while_both_are_good() -> None:
    """A receiver changes its secret when it can; headers with room for one carry the newest."""
    headers, body = signed(delivery("intent.approved"), [NEW, OLD], at=NOW)
    moment = NOW.replace(microsecond=0)
    both = [Webhook(secret).sign("whk_1", moment, body.decode()) for secret in (NEW, OLD)]
    assert headers["webhook-signature"].split(" ") == both
    assert headers["x-intendedops-signature"] == digest(NEW, body)


def test_the_time_is_utc_whichever_zone_it_came_in() -> None:
    """The library reads any time as if it were UTC."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert signed(delivery("intent.approved"), [NEW], at=elsewhere) == signed(
        delivery("intent.approved"), [NEW], at=NOW
    )


def test_the_library_itself_verifies_it() -> None:
    """Standard Webhooks' own check, with its tolerance of five minutes."""
    at = SystemClock().now()
    headers, body = signed(delivery("chain.break"), [NEW, OLD], at=at)
    for secret in (NEW, OLD):
        Webhook(secret).verify(body, headers)
