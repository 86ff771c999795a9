"""`intended approvals`: what waits for a human, and the human's answer."""

import shutil
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from gateway.cli import leases, options
from gateway.cli.administration import administer, segment, show
from gateway.cli.approval_text import details_lines, folded, listed_lines
from gateway.cli.command import group, placed
from gateway.cli.lease_terms import lease_body
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data, say
from gateway.errors import Unavailable

__all__ = ["app"]

app = group("Approvals: escalated calls that wait for a human.")
app.add_typer(leases.app, name="leases")

COLUMNS = {
    "ID": "id",
    "STATUS": "status",
    "AGENT": "agent",
    "INTENT": "intentId",
    "REASON": "reason",
    "EXPIRES": "expiresAt",
}
LISTED = {**COLUMNS, "TARGET": "target", "ASKED": "asked", "WAITING": "waiting", "ALIKE": "groupSize"}
Status = Literal["pending", "approved", "rejected", "denied", "expired", "cancelled", "failed"]
"""REST's words, and `denied`: what the command that does it is called."""

ApprovalArgument = Annotated[str, typer.Argument(metavar="APPROVAL", help="Its id: apr_...")]


@app.command("list")
@placed
def list_(
    place: Place,
    status: Annotated[Status, typer.Option(help="Which.")] = "pending",
    group: Annotated[str, typer.Option(help="Only one group: an agent's calls of one tool.")] = "",
    flat: Annotated[bool, typer.Option("--flat", help="Each in its line, groups too.")] = False,
    lines: leases.LinesOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List what waits, newest first; on a terminal groups are folded."""
    query = {"status": "rejected" if status == "denied" else status, "group": group}
    found = administer(place, lambda gateway: gateway.all("/v1/approvals", query, most=lines))
    shown = found
    if output is Format.TABLE and status == "pending" and not (group or flat) and _is_terminal():
        shown = folded(found)
    none = "nothing waits for a human" if status == "pending" else f"no approval is {status}"
    if output is Format.TABLE and shown and _is_terminal():
        print("\n".join(listed_lines(shown, width=shutil.get_terminal_size().columns)))
    else:
        show(shown, output, LISTED, none=none)
    if len(shown) < len(found):
        say(f"{len(found)} wait, folded to {len(shown)}; --flat lists each. Each is answered by itself.")


@app.command("show")
@placed
def show_(
    place: Place,
    approval: ApprovalArgument,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show what would happen, why it waits and who asks."""
    found = administer(place, lambda gateway: gateway.get(f"/v1/approvals/{segment(approval)}"))
    if output is not Format.TABLE:
        data(found, output)
        return
    print("\n".join(details_lines(found)))


@app.command("approve")
@placed
def approve(
    place: Place,
    approval: ApprovalArgument,
    reason: options.Why = None,
    time: Annotated[str | None, typer.Option("--for", metavar="TIME", help="And calls like it, for 10m.")] = None,
    uses: Annotated[int | None, typer.Option(help="And so many calls like it [default: 10].")] = None,
    let: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE=CHECK:VALUE",
            help="Where they may differ: args.path=prefix:/srv/data/, args.amount=max:500, also min, oneOf, equals,"
            " any. May be repeated.",
        ),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Say yes: that very call may run, once; and its like, if asked.

    With --for, --uses or --let the yes is for calls of the same shape, too: a lease.
    """
    lease = lease_body(time, uses, let)
    columns = COLUMNS if lease is None else {**COLUMNS, "LEASE": "leaseId"}
    _resolve(f"/v1/approvals/{segment(approval)}/approve", {"reason": reason, "lease": lease}, place, output, columns)


@app.command("deny")
@placed
def deny(
    place: Place,
    approval: ApprovalArgument,
    reason: options.Why = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Say no, for good."""
    _resolve(f"/v1/approvals/{segment(approval)}/reject", {"reason": reason}, place, output)


@app.command("watch")
@placed
def watch(
    place: Place,
) -> None:
    """Watch what waits, live; read and answer one at a time by keys."""
    from gateway.cli import watch as screen

    _require_gateway(place)
    administer(place, screen.watch)


def _require_gateway(place: Place) -> None:
    """Without a gateway nothing new can wait, and watching would keep one from starting. Raises Unavailable."""
    from gateway.admin.address import is_answered
    from gateway.parts import data_folder

    if not is_answered(data_folder(place.settings())):
        raise Unavailable("no gateway is running on this data folder; start one, or see `intended approvals list`")


def _is_terminal() -> bool:
    """Return whether people read the list; programs get each line of it."""
    return sys.stdout.isatty()


def _resolve(
    path: str, body: dict[str, Any], place: Place, output: Format, columns: Mapping[str, str] = COLUMNS
) -> None:
    show([administer(place, lambda gateway: gateway.post(path, body))], output, columns)
