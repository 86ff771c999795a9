"""Webhook endpoints and their deliveries in Ref's shape. The documents configure them in the console only."""

from typing import Annotated, Final

from pydantic import Field

from gateway.api.fields import MAX_NAME_CHARS, Answer, Managed, PageQuery, example, paged
from gateway.api.operation import Call, Operation
from gateway.core.destinations import MAX_URL_CHARS
from gateway.core.events import EVENTS
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.core.webhooks import Delivery, DeliveryState, Endpoint
from gateway.errors import NotFound, StateConflict
from gateway.services.webhooks import MAX_OVERLAP_S

__all__ = ["OPERATIONS"]

TAG: Final = "Webhooks"

Url = Annotated[str, Field(title="URL", min_length=1, max_length=MAX_URL_CHARS, description="Where to; `https` only.")]
Events = Annotated[
    list[str], Field(max_length=len(EVENTS), description="Names of events; none or an empty list: all of them.")
]


# --- what is asked ----------------------------------------------------------------------------------------------------


class CreateWebhookRequest(Managed):
    """An endpoint to which everything that happens from now on is sent."""

    tenantId: str | None = Field(default=None, title="Tenant", description="Must be the credential's own.")
    url: Url
    description: str = Field(default="", max_length=MAX_NAME_CHARS, description="For people.")
    events: Events = Field(default=[])

    model_config = example({"url": "https://example.com/hooks/intended", "events": ["intent.approved"]})


class ChangeWebhookRequest(Managed):
    """What of an endpoint changes; what is left out stays."""

    url: Url | None = Field(default=None)
    description: str | None = Field(default=None, max_length=MAX_NAME_CHARS, description="For people.")
    events: Events | None = Field(default=None)
    enabled: bool | None = Field(default=None, description="While it is not, everything waits where it is.")


class RotateWebhookRequest(Managed):
    """How an endpoint gets a new secret."""

    overlapSeconds: int = Field(
        default=0, ge=0, le=MAX_OVERLAP_S, description="For so long the old secret signs too, in `webhook-signature`."
    )


class DeliveriesQuery(PageQuery):
    """Which deliveries of an endpoint."""

    state: Annotated[DeliveryState, Field(strict=False)] | None = Field(default=None)


# --- what is answered -------------------------------------------------------------------------------------------------


class WebhookView(Answer):
    """What is shown of an endpoint: never its secret."""

    id: str
    tenantId: str
    url: str
    description: str
    events: list[str] = Field(description="Empty: all of them.")
    enabled: bool
    disabledReason: str | None = Field(description="`disabled` by an admin, or `gone`: the receiver answered 410.")
    oldSecretUntil: str | None
    createdAt: str
    createdBy: str


class CreatedWebhookView(WebhookView):
    """An endpoint with its secret, which is shown this once."""

    secret: str = Field(description="`whsec_…`, to verify signatures with. It cannot be shown again.")


class WebhookList(Answer):
    """Every endpoint of the tenant."""

    webhooks: list[WebhookView]


class DeliveryView(Answer):
    """One event on its way to one endpoint."""

    id: str
    webhookId: str
    event: str
    intentId: str | None
    state: DeliveryState
    attempts: int
    createdAt: str
    firstAttemptAt: str | None
    lastAttemptAt: str | None
    nextAttemptAt: str | None = Field(description="Not before; an earlier event of the same intent goes first.")
    status: int | None = Field(description="The receiver's last HTTP status.")
    reason: str | None = Field(description="What went wrong last. Nothing of the receiver's answer is kept.")


class DeliveryPage(Answer):
    """One page of deliveries, newest first."""

    items: list[DeliveryView]
    total: int
    page: int
    pageSize: int


# --- the endpoints ----------------------------------------------------------------------------------------------------


async def create_webhook(call: Call, body: CreateWebhookRequest) -> JsonObject:
    """A URL that leads to the gateway's own machine or network is refused, unless its host is allowed by name."""
    made = await call.services.webhooks.create(
        call.principal, url=body.url, description=body.description, events=body.events
    )
    return {**_view(made.endpoint), "secret": made.secret}


async def list_webhooks(call: Call) -> JsonObject:
    """Disabled ones included, oldest first."""
    return {"webhooks": [_view(one) for one in call.services.webhooks.list(call.principal)]}


async def show_webhook(call: Call, id: str) -> JsonObject:
    """Without its secret."""
    return _view(call.services.webhooks.show(call.principal, id))


async def change_webhook(call: Call, id: str, body: ChangeWebhookRequest) -> JsonObject:
    """One that is enabled again goes on where it stopped."""
    changed = await call.services.webhooks.update(
        call.principal, id, url=body.url, description=body.description, events=body.events, enabled=body.enabled
    )
    return _view(changed)


async def delete_webhook(call: Call, id: str) -> JsonObject:
    """What was not delivered yet is not."""
    return _view(await call.services.webhooks.delete(call.principal, id))


async def rotate_webhook_secret(call: Call, id: str, body: RotateWebhookRequest) -> JsonObject:
    """The endpoint keeps its id and its deliveries."""
    made = await call.services.webhooks.rotate(call.principal, id, overlap_s=body.overlapSeconds)
    return {**_view(made.endpoint), "secret": made.secret}


async def list_deliveries(call: Call, id: str, query: DeliveriesQuery) -> JsonObject:
    """Kept for 30 days after they were settled."""
    found = await call.services.webhooks.deliveries(
        call.principal, id, state=query.state, page=query.page, page_size=query.pageSize
    )
    return paged(map(_delivery, found.items), total=found.total, query=query)


async def resend_delivery(call: Call, id: str, deliveryId: str) -> JsonObject:
    """Now, under the same id, whatever became of it."""
    return _delivery(await call.services.webhooks.resend(call.principal, id, deliveryId))


async def test_webhook(call: Call, id: str) -> JsonObject:
    """Sends an event `webhook.test`, which tells of nothing."""
    return _delivery(await call.services.webhooks.test(call.principal, id))


def _view(endpoint: Endpoint) -> JsonObject:
    return {
        "id": endpoint.id,
        "tenantId": endpoint.tenant,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": sorted(endpoint.events),
        "enabled": not endpoint.disabled,
        "disabledReason": endpoint.disabled or None,
        "oldSecretUntil": endpoint.former_until or None,
        "createdAt": endpoint.created,
        "createdBy": endpoint.created_by,
    }


def _delivery(delivery: Delivery) -> JsonObject:
    return {
        "id": delivery.id,
        "webhookId": delivery.endpoint,
        "event": delivery.event,
        "intentId": delivery.intent_id or None,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "createdAt": delivery.created,
        "firstAttemptAt": delivery.first or None,
        "lastAttemptAt": delivery.last or None,
        "nextAttemptAt": delivery.due if delivery.state.open else None,
        "status": delivery.status or None,
        "reason": delivery.reason or None,
    }


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/webhooks",
        name="create_webhook",
        summary="Add a webhook",
        endpoint=create_webhook,
        answers=CreatedWebhookView,
        status=201,
        scope=Scope.WEBHOOKS_WRITE,
        also=(StateConflict,),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/webhooks",
        name="list_webhooks",
        summary="List the tenant's webhooks",
        endpoint=list_webhooks,
        answers=WebhookList,
        scope=Scope.WEBHOOKS_WRITE,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/webhooks/{id}",
        name="show_webhook",
        summary="Show a webhook",
        endpoint=show_webhook,
        answers=WebhookView,
        scope=Scope.WEBHOOKS_WRITE,
        also=(NotFound,),
        tag=TAG,
    ),
    Operation(
        method="PATCH",
        path="/webhooks/{id}",
        name="change_webhook",
        summary="Change a webhook, disable or enable it",
        endpoint=change_webhook,
        answers=WebhookView,
        scope=Scope.WEBHOOKS_WRITE,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="DELETE",
        path="/webhooks/{id}",
        name="delete_webhook",
        summary="Delete a webhook",
        endpoint=delete_webhook,
        answers=WebhookView,
        scope=Scope.WEBHOOKS_WRITE,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/webhooks/{id}/rotate",
        name="rotate_webhook_secret",
        summary="Give a webhook a new secret",
        endpoint=rotate_webhook_secret,
        answers=CreatedWebhookView,
        scope=Scope.WEBHOOKS_WRITE,
        body_optional=True,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/webhooks/{id}/deliveries",
        name="list_deliveries",
        summary="List a webhook's deliveries",
        endpoint=list_deliveries,
        answers=DeliveryPage,
        scope=Scope.WEBHOOKS_WRITE,
        also=(NotFound,),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/webhooks/{id}/deliveries/{deliveryId}/resend",
        name="resend_delivery",
        summary="Send a delivery again",
        endpoint=resend_delivery,
        answers=DeliveryView,
        scope=Scope.WEBHOOKS_WRITE,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/webhooks/{id}/test",
        name="test_webhook",
        summary="Send a test event to a webhook",
        endpoint=test_webhook,
        answers=DeliveryView,
        scope=Scope.WEBHOOKS_WRITE,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
)
