"""`intended approvals`: what waits for a human, and the human's answer."""

from typing import Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.administration import Place, TenantOption, administer, segment, show
from gateway.cli.approval_text import details_lines
from gateway.cli.output import Format, FormatOption, data
from gateway.errors import Unavailable

__all__ = ["app"]

app = typer.Typer(help="Approvals: escalated calls that wait for a human.", no_args_is_help=True)

COLUMNS = {
    "ID": "id",
    "STATUS": "status",
    "AGENT": "agent",
    "INTENT": "intentId",
    "REASON": "reason",
    "EXPIRES": "expiresAt",
}

ApprovalArgument = Annotated[str, typer.Argument(metavar="APPROVAL", help="Its id: apr_...")]
Reason = Annotated[str | None, typer.Option(help="Why; it is recorded.")]


@app.command("ls")
def ls(
    status: Annotated[str, typer.Option(help="pending, approved, rejected, expired, cancelled or failed.")] = "pending",
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List what waits, newest first."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    show(administer(place, lambda gateway: gateway.all("/v1/approvals", {"status": status})), output, COLUMNS)


@app.command("show")
def show_(
    approval: ApprovalArgument,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show what would happen, why it waits and who asks."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    found = administer(place, lambda gateway: gateway.get(f"/v1/approvals/{segment(approval)}"))
    if output is not Format.TABLE:
        data(found, output)
        return
    print("\n".join(details_lines(found)))


@app.command("approve")
def approve(
    approval: ApprovalArgument,
    reason: Reason = None,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Say yes: that very call may run, once."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    _resolve(f"/v1/approvals/{segment(approval)}/approve", {"reason": reason}, place, output)


@app.command("deny")
def deny(
    approval: ApprovalArgument,
    reason: Reason = None,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Say no, for good."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    _resolve(f"/v1/approvals/{segment(approval)}/reject", {"reason": reason}, place, output)


@app.command("watch")
def watch(
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
) -> None:
    """Watch what waits, live; read and answer one at a time by keys."""
    from gateway.cli import watch as screen

    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    _require_gateway(place)
    administer(place, screen.watch)


def _require_gateway(place: Place) -> None:
    """Without a gateway nothing new can wait, and watching would keep one from starting. Raises Unavailable."""
    from gateway.admin.address import is_answered
    from gateway.parts import data_folder

    if not is_answered(data_folder(place.settings())):
        raise Unavailable("no gateway is running on this data folder; start one, or see `intended approvals ls`")


def _resolve(path: str, body: dict[str, Any], place: Place, output: Format) -> None:
    show([administer(place, lambda gateway: gateway.post(path, body))], output, COLUMNS)
