"""`intended webhooks`: where a tenant's events are sent. A secret goes to standard output, once; all else is talk."""

from typing import Annotated, Any, Literal

import typer

from gateway.cli.administration import (
    Administration,
    administer,
    duration,
    segment,
    show,
    show_one,
)
from gateway.cli.command import group, placed
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data, say

__all__ = ["app"]

app = group("Webhooks: where events are sent, and what became of them.")

COLUMNS = {"ID": "id", "URL": "url", "EVENTS": "events", "ENABLED": "enabled", "DESCRIPTION": "description"}
DELIVERIES = {
    "ID": "id",
    "EVENT": "event",
    "INTENT": "intentId",
    "STATUS": "state",
    "ATTEMPTS": "attempts",
    "LAST": "lastAttemptAt",
    "NEXT": "nextAttemptAt",
    "REASON": "reason",
}

Delivered = Literal["pending", "failed", "delivered", "given_up"]

HookArgument = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id, as `list` shows it.")]
EventOption = Annotated[list[str] | None, typer.Option("--event", help="Only this event. May be repeated.")]
DescriptionOption = Annotated[str | None, typer.Option(help="For people.")]


@app.command("create")
@placed
def create(
    place: Place,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to; https only.")],
    event: EventOption = None,
    description: DescriptionOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a webhook and print its secret, once."""
    body = {"url": url, "events": event or None, "description": description}
    _tell(administer(place, lambda gateway: gateway.post("/webhooks", body), begins=True), output)


@app.command("list")
@placed
def list_(place: Place, output: FormatOption = Format.TABLE) -> None:
    """List the webhooks; never their secrets."""
    show(
        administer(place, lambda gateway: gateway.get("/webhooks"))["webhooks"],
        output,
        COLUMNS,
        none="no webhook yet; `intended webhooks create URL` makes one",
    )


@app.command("show")
@placed
def show_(
    place: Place,
    webhook: HookArgument,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show one webhook."""
    show_one(administer(place, lambda gateway: gateway.get(f"/webhooks/{segment(webhook)}")), output)


@app.command("update")
@placed
def update(
    place: Place,
    webhook: HookArgument,
    url: Annotated[str | None, typer.Option(help="Where to; https only.")] = None,
    event: EventOption = None,
    all_events: Annotated[bool, typer.Option("--all-events", help="Every event again.")] = False,
    description: DescriptionOption = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="While disabled, everything waits where it is.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Change a webhook, disable or enable it."""
    events = [] if all_events else event or None
    given = {"url": url, "events": events, "description": description, "enabled": enable}
    body = {name: value for name, value in given.items() if value is not None}
    show_one(administer(place, lambda gateway: gateway.patch(f"/webhooks/{segment(webhook)}", body)), output)


@app.command("remove")
@placed
def remove(
    place: Place,
    webhook: HookArgument,
    output: FormatOption = Format.TABLE,
) -> None:
    """Remove a webhook, and what waits for it."""
    show([administer(place, lambda gateway: gateway.delete(f"/webhooks/{segment(webhook)}"))], output, COLUMNS)


@app.command("rotate")
@placed
def rotate(
    place: Place,
    webhook: HookArgument,
    overlap: Annotated[str, typer.Option(help="How long the old secret signs too: 1h, 2d.")] = "0s",
    output: FormatOption = Format.TABLE,
) -> None:
    """Give a webhook a new secret and print it, once."""
    body = {"overlapSeconds": int(duration(overlap, option="--overlap").total_seconds())}
    _tell(administer(place, lambda gateway: gateway.post(f"/webhooks/{segment(webhook)}/rotate", body)), output)


@app.command("deliveries")
@placed
def deliveries(
    place: Place,
    webhook: HookArgument,
    status: Annotated[Delivered | None, typer.Option(help="Only these [default: all].")] = None,
    only: Annotated[Delivered | None, typer.Option("--only", hidden=True)] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List what was sent, or waits to be, newest first."""
    state = status or only  # `--only` is what this option was called at first
    query = {} if state is None else {"state": state}
    show(
        administer(place, lambda gateway: gateway.all(f"/webhooks/{segment(webhook)}/deliveries", query)),
        output,
        DELIVERIES,
    )


@app.command("resend")
@placed
def resend(
    place: Place,
    webhook: HookArgument,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, as `deliveries` shows it.")],
    output: FormatOption = Format.TABLE,
) -> None:
    """Send a delivery again, under the same id."""

    async def act(gateway: Administration) -> Any:
        return await gateway.post(f"/webhooks/{segment(webhook)}/deliveries/{segment(delivery)}/resend", {})

    show([administer(place, act)], output, DELIVERIES)


@app.command("test")
@placed
def try_out(
    place: Place,
    webhook: HookArgument,
    output: FormatOption = Format.TABLE,
) -> None:
    """Send a test event."""
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
