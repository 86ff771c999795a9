"""Webhook endpoints and deliveries as values: what is kept of them, their secrets' form, and when to try again.

Owns the shapes and the schedule. What is sent is `core/events.py`'s, where it may go `core/destinations.py`'s.
"""

import base64
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import orjson

from gateway.core.audit.body import timestamp
from gateway.core.events import TEST_EVENT
from gateway.core.jsonvalue import JsonObject

__all__ = [
    "GIVE_UP_S",
    "GONE",
    "Delivery",
    "DeliveryState",
    "Endpoint",
    "Posted",
    "Told",
    "attempted",
    "make_secret",
    "read_endpoint",
    "wait_s",
]

FIRST_WAIT_S: Final = 5.0
GROWTH: Final = 4.0
LONGEST_WAIT_S: Final = 12 * 3600.0
GIVE_UP_S: Final = 72 * 3600.0
"""From the first attempt: a receiver that fails on Friday evening is mended on Monday morning."""

GONE: Final = 410
"""The status by which a receiver says that it wants nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a tenant has its events sent. Times are RFC 3339; empty where there is none.

    `events` are the names that it wants; empty: all. Entries up to sequence number `after` were there before it.
    `secret` is sealed, as is `former`, the one before it, which signs beside it until `former_until`. `disabled` says
    why nothing is sent, and is empty while it is. `version` is that of its row.
    """

    tenant: str
    id: str
    url: str
    description: str
    events: frozenset[str]
    created: str
    created_by: str
    after: int
    secret: bytes
    former: bytes = b""
    former_until: str = ""
    disabled: str = ""
    version: int = 0

    def wants(self, event: str) -> bool:
        """Return True where the event is to be sent here."""
        return event == TEST_EVENT or not self.events or event in self.events

    def written(self) -> bytes:
        """Return the row's value."""
        return orjson.dumps(
            {
                "id": self.id,
                "url": self.url,
                "description": self.description,
                "events": sorted(self.events),
                "created": self.created,
                "createdBy": self.created_by,
                "after": self.after,
                "secret": base64.b64encode(self.secret).decode(),
                "former": base64.b64encode(self.former).decode(),
                "formerUntil": self.former_until,
                "disabled": self.disabled,
            }
        )


def read_endpoint(tenant: str, value: bytes, version: int) -> Endpoint:
    """Return the endpoint of a row."""
    row: JsonObject = orjson.loads(value)
    return Endpoint(
        tenant=tenant,
        id=row["id"],
        url=row["url"],
        description=row["description"],
        events=frozenset(row["events"]),
        created=row["created"],
        created_by=row["createdBy"],
        after=row["after"],
        secret=base64.b64decode(row["secret"]),
        former=base64.b64decode(row["former"]),
        former_until=row["formerUntil"],
        disabled=row["disabled"],
        version=version,
    )


def make_secret(random: str) -> str:
    """Return a secret as Standard Webhooks writes it, made of so much randomness as `random` has, 256 bits at most."""
    return "whsec_" + base64.b64encode(hashlib.sha256(random.encode()).digest()).decode()


# --- deliveries -------------------------------------------------------------------------------------------------------


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    """Not tried yet."""
    FAILED = "failed"
    """Tried without success; it will be tried again."""
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    """It is not tried again by itself."""

    @property
    def open(self) -> bool:
        """True while it is still to be delivered."""
        return self in (DeliveryState.PENDING, DeliveryState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one endpoint. Times are RFC 3339.

    Of one `lane` the oldest is delivered, or given up, before the next is tried. `due` is when it may be tried,
    `first` when it first was. `status` is the receiver's last HTTP status, 0 where it gave none; `reason` is what went
    wrong, in our words: what a receiver answers is nowhere kept.
    """

    tenant: str
    endpoint: str
    id: str
    lane: str
    event: str
    intent_id: str
    body: bytes
    created: str
    due: str
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    first: str = ""
    last: str = ""
    status: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One audit entry, read for its events: content and body, and those of the last decided entry of its intent before
    it. `entry` is None where it is damaged, which is the verifier's to tell.
    """

    seq: int
    entry: JsonObject | None = None
    body: JsonObject | None = None
    earlier: tuple[JsonObject, JsonObject] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """How an attempt went. An empty `reason` is success; `status` 0 is no answer."""

    status: int = 0
    reason: str = ""
    retry_after_s: float | None = None


def attempted(delivery: Delivery, posted: Posted, *, now: datetime) -> Delivery:
    """Return a delivery after an attempt."""
    moment = timestamp(now)
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        first=delivery.first or moment,
        last=moment,
        status=posted.status,
        reason=posted.reason,
    )
    if not posted.reason:
        return replace(tried, state=DeliveryState.DELIVERED)
    due = now + timedelta(seconds=wait_s(tried.id, tried.attempts, posted.retry_after_s))
    until = datetime.fromisoformat(tried.first) + timedelta(seconds=GIVE_UP_S)
    if posted.status == GONE or due > until:
        return replace(tried, state=DeliveryState.GIVEN_UP)
    return replace(tried, state=DeliveryState.FAILED, due=timestamp(due))


def wait_s(id_: str, attempts: int, retry_after_s: float | None) -> float:
    """Return how long to wait after so many attempts: four times as long each time, a quarter more or less.

    The jitter is taken from id and number, so that what failed together does not come back together. A receiver that
    asks for more time has it, within bounds.
    """
    digest = hashlib.sha256(f"{id_}|{attempts}".encode()).digest()
    jitter = 0.75 + int.from_bytes(digest[:4], "big") / 2**33
    planned = min(FIRST_WAIT_S * GROWTH ** min(attempts - 1, 16), LONGEST_WAIT_S) * jitter
    return min(max(planned, retry_after_s or 0.0), 2 * LONGEST_WAIT_S)
