"""`intended webhooks`: where a tenant's events are sent. A secret goes to standard output, once; all else is talk."""

from typing import Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.administration import (
    Administration,
    Place,
    TenantOption,
    administer,
    duration,
    segment,
    show,
    show_one,
)
from gateway.cli.output import Format, FormatOption, data, say

__all__ = ["app"]

app = typer.Typer(help="Webhooks: where events are sent, and what became of them.", no_args_is_help=True)

COLUMNS = {"ID": "id", "URL": "url", "EVENTS": "events", "ENABLED": "enabled", "DESCRIPTION": "description"}
DELIVERIES = {
    "ID": "id",
    "EVENT": "event",
    "INTENT": "intentId",
    "STATE": "state",
    "ATTEMPTS": "attempts",
    "LAST": "lastAttemptAt",
    "NEXT": "nextAttemptAt",
    "REASON": "reason",
}

HookArgument = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id, as `list` shows it.")]
EventOption = Annotated[list[str] | None, typer.Option("--event", help="Only this event. May be repeated.")]
DescriptionOption = Annotated[str | None, typer.Option(help="For people.")]


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Where to; https only.")],
    event: EventOption = None,
    description: DescriptionOption = None,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Add a webhook and print its secret, once."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    body = {"url": url, "events": event or None, "description": description}
    _tell(administer(place, lambda gateway: gateway.post("/webhooks", body)), output)


@app.command("list")
def list_(
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List the webhooks; never their secrets."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    show(administer(place, lambda gateway: gateway.get("/webhooks"))["webhooks"], output, COLUMNS)


@app.command("show")
def show_(
    webhook: HookArgument,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show one webhook."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    show_one(administer(place, lambda gateway: gateway.get(f"/webhooks/{segment(webhook)}")), output)


@app.command("update")
def update(
    webhook: HookArgument,
    url: Annotated[str | None, typer.Option(help="Where to; https only.")] = None,
    event: EventOption = None,
    all_events: Annotated[bool, typer.Option("--all-events", help="Every event again.")] = False,
    description: DescriptionOption = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="While disabled, everything waits where it is.")
    ] = None,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Change a webhook, disable or enable it."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    events = [] if all_events else event or None
    given = {"url": url, "events": events, "description": description, "enabled": enable}
    body = {name: value for name, value in given.items() if value is not None}
    show_one(administer(place, lambda gateway: gateway.patch(f"/webhooks/{segment(webhook)}", body)), output)


@app.command("rm")
def remove(
    webhook: HookArgument,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Delete a webhook, and what waits for it."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    show([administer(place, lambda gateway: gateway.delete(f"/webhooks/{segment(webhook)}"))], output, COLUMNS)


@app.command("rotate")
def rotate(
    webhook: HookArgument,
    overlap: Annotated[str, typer.Option(help="How long the old secret signs too: 1h, 2d.")] = "0s",
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Give a webhook a new secret and print it, once."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    body = {"overlapSeconds": int(duration(overlap, option="--overlap").total_seconds())}
    _tell(administer(place, lambda gateway: gateway.post(f"/webhooks/{segment(webhook)}/rotate", body)), output)


@app.command("deliveries")
def deliveries(
    webhook: HookArgument,
    only: Annotated[str, typer.Option("--only", help="pending, failed, delivered or given_up.")] = "",
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List what was sent, or waits to be, newest first."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    query = {"state": only} if only else {}
    show(
        administer(place, lambda gateway: gateway.all(f"/webhooks/{segment(webhook)}/deliveries", query)),
        output,
        DELIVERIES,
    )


@app.command("resend")
def resend(
    webhook: HookArgument,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, as `deliveries` shows it.")],
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Send a delivery again, under the same id."""

    async def act(gateway: Administration) -> Any:
        return await gateway.post(f"/webhooks/{segment(webhook)}/deliveries/{segment(delivery)}/resend", {})

    show([administer(Place(tenant=tenant, data=data_dir, state=state, config=config), act)], output, DELIVERIES)


@app.command("test")
def try_out(
    webhook: HookArgument,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Send a test event."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    found = administer(place, lambda gateway: gateway.post(f"/webhooks/{segment(webhook)}/test", {}))
    show([found], output, DELIVERIES)
    say(f"`intended webhooks deliveries {segment(webhook)}` shows what became of it; a running gateway sends it.")


def _tell(webhook: dict[str, Any], output: Format) -> None:
    """Print the secret alone, so that it can be taken into a variable; everything about it is talk."""
    if output is not Format.TABLE:
        data(webhook, output)
        return
    print(webhook["secret"])
    events = ", ".join(webhook["events"]) or "all events"
    say(f"webhook {webhook['id']} of tenant {webhook['tenantId']}: {events} to {webhook['url']}")
    if webhook["oldSecretUntil"]:
        say(f"the old secret signs too until {webhook['oldSecretUntil']}")
    say("The secret is shown this once; deliveries are signed with it.")
