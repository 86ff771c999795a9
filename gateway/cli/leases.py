"""`intended approvals leases`: what humans have granted beyond single calls, and taking it back."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from gateway.cli import options
from gateway.cli.administration import administer, segment, show
from gateway.cli.command import group, placed
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data
from gateway.cli.output import visible as harmless
from gateway.core.visible import visible

__all__ = ["app"]

app = group("Leases: a yes to calls of one shape, for some time.", acts_alone=True)

COLUMNS = {
    "ID": "id",
    "STATUS": "status",
    "AGENT": "agent",
    "UPSTREAM": "upstream",
    "TOOL": "tool",
    "USED": "used",
    "OF": "maxUses",
    "EXPIRES": "expiresAt",
    "BY": "grantedBy",
}

LinesOption = Annotated[int | None, typer.Option("--lines", "-n", min=1, help="Only the newest so many.")]
LeaseArgument = Annotated[str, typer.Argument(metavar="LEASE", help="Its id: lse_...")]


StatusOption = Annotated[
    Literal["active", "used-up", "expired", "revoked", "tool-changed", "all"], typer.Option("--status", help="Which.")
]


@app.callback(invoke_without_command=True)
@placed
def leases(
    place: Place,
    context: typer.Context,
    status: StatusOption = "active",
    output: FormatOption = Format.TABLE,
) -> None:
    """List the leases in force, newest first."""
    if context.invoked_subcommand is None:
        _list(place, status, output)


@app.command("list")
@placed
def list_(
    place: Place,
    status: StatusOption = "active",
    lines: LinesOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List the leases in force, newest first, as `leases` alone does."""
    _list(place, status, output, lines)


@app.command("show")
@placed
def show_(
    place: Place,
    lease: LeaseArgument,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show what a lease allows, and how much of it is left."""
    found = administer(place, lambda gateway: gateway.get(f"/v1/leases/{segment(lease)}"))
    if output is not Format.TABLE:
        data(found, output)
        return
    print("\n".join(map(harmless, _lines(found))))


@app.command("revoke")
@placed
def revoke(
    place: Place,
    lease: LeaseArgument,
    reason: options.Why = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """End a lease at once."""
    path = f"/v1/leases/{segment(lease)}" + (f"?reason={quote(reason, safe='')}" if reason else "")
    show([administer(place, lambda gateway: gateway.delete(path))], output, COLUMNS)


def _list(place: Place, status: str, output: Format, lines: int | None = None) -> None:
    show(
        administer(place, lambda gateway: gateway.all("/v1/leases", {"status": status}, most=lines)),
        output,
        COLUMNS,
        none=f"no lease is {status}" if status != "all" else "there are none",
    )


def _lines(lease: Mapping[str, Any]) -> Iterator[str]:
    """Yield a lease as lines; what an agent chose is written out."""
    tool = "/".join(visible(lease[part]) for part in ("upstream", "tool"))
    yield f"{lease['id']}: {visible(lease['agent'])} may call {tool}, risk {lease['maxRisk']} at most"
    yield f"{lease['status'].capitalize()}: used {lease['used']} of {lease['maxUses']}, until {lease['expiresAt']}"
    yield f"Granted by {visible(lease['grantedBy'])} at {lease['grantedAt']} with {lease['approvalId']}"
    if lease["reason"]:
        yield f"Reason given: {visible(lease['reason'])}"
    if lease["endedAt"]:
        why = f": {visible(lease['endReason'])}" if lease["endReason"] else ""
        yield f"Ended by {visible(lease['endedBy'])} at {lease['endedAt']}{why}"
    if lease["shape"] is None:
        return
    yield "Arguments, and no others:"
    for place in lease["shape"]:
        yield f"  {visible(place['path'])} {place['check']} {place['value']}".rstrip()
