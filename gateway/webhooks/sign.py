"""The signatures of one delivery: both documents' headers, the reference's `signature` member, Standard Webhooks.

Owns the bytes that are sent. Every delivery carries all three headers, so that a receiver that verifies one of them,
whichever, can verify every event. Several secrets sign at once only where a header can say so (`webhook-signature`);
the others carry the first, the newest.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from standardwebhooks import Webhook

from gateway.core.events import EVENTS, Family
from gateway.core.webhooks import Delivery

__all__ = ["signed"]


def signed(delivery: Delivery, secrets: Sequence[str], *, at: datetime) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an attempt at this time. `secrets` are good now, the newest first."""
    newest = secrets[0].encode()
    body = delivery.body
    if EVENTS.get(delivery.event) is Family.REF:
        body = _with_signature(body, f"sha256={_hmac(newest, body)}")
    over_body = _hmac(newest, body)
    # The library takes a naive time to be UTC and any other as if it were: this one is.
    moment = at.astimezone(UTC).replace(microsecond=0)
    text = body.decode()
    headers = {
        "content-type": "application/json",
        "user-agent": "intended-gateway-webhooks/1",
        "x-intendedops-signature": over_body,
        "x-meritt-signature": f"sha256={over_body}",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(delivery.id, moment, text) for secret in secrets),
    }
    return headers, body


def _with_signature(body: bytes, signature: str) -> bytes:
    """Return the body with its last member."""
    return body[:-1] + b',"signature":' + orjson.dumps(signature) + b"}"


def _hmac(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()
