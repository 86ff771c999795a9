"""`intended budgets`: what is left of each budget, of whom, and when more is."""

from collections.abc import Mapping
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.administration import administer, segment, show
from gateway.cli.budget_text import COLUMNS, lines, row
from gateway.cli.command import group, placed
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data, say
from gateway.core.principal import DEFAULT_TENANT
from gateway.errors import RequestError

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["app"]

app = group("Budgets: what is spent, what is left, and when more is.")

AgentOption = Annotated[str | None, typer.Option("--agent", help="Of this agent: slug, name or id.")]
UpstreamOption = Annotated[str | None, typer.Option("--upstream", help="Of this upstream, or system in intents.")]


@app.command("list")
@placed
def list_(
    place: Place,
    agent: AgentOption = None,
    upstream: UpstreamOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List what is left of each budget.

    With --agent or --upstream also of budgets that it shares with others.
    """
    named = _named(agent, upstream)
    found = administer(place, lambda gateway: gateway.all("/v1/budgets", named))
    _say_whose_policies(place)
    if output is Format.TABLE:
        now = _now()
        found = [row(one, now) for one in found]
    show(found, output, COLUMNS)


@app.command("show")
@placed
def show_(
    place: Place,
    budget: Annotated[str, typer.Argument(metavar="BUDGET", help="Its name, as a policy declares it.")],
    agent: AgentOption = None,
    upstream: UpstreamOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show one account of a budget, and the calls that count.

    A budget per agent takes --agent, one per upstream --upstream.
    """
    named = _named(agent, upstream)
    path = f"/v1/budgets/{segment(budget)}"
    try:
        found: Mapping[str, Any] = administer(place, lambda gateway: gateway.get(path, named))
    except RequestError as error:
        _say_what_to_type(error, place, budget, named)
        raise
    _say_whose_policies(place)
    if output is not Format.TABLE:
        data(found, output)
        return
    for line in lines(found, _now()):
        print(line)


def _named(agent: str | None, upstream: str | None) -> dict[str, str]:
    given = {"agent": agent, "upstream": upstream}
    return {name: one for name, one in given.items() if one is not None}


def _say_what_to_type(error: RequestError, place: Place, budget: str, named: Mapping[str, str]) -> None:
    """Give an error the line that names an account, where the budget has one of each agent or upstream."""
    missing = next(
        (one for one in ("agent", "upstream") if not named.get(one) and str(error).startswith(f"{one}: ")), ""
    )
    if missing:
        tenant = "" if place.tenant == DEFAULT_TENANT else f" --tenant {quote(place.tenant)}"
        folder = "" if place.data is None else f" --data {quote(str(place.data))}"
        error.add_note(f"fix: `intended budgets show {budget} --{missing} NAME{tenant}{folder}`")


def _say_whose_policies(place: Place) -> None:
    """Say whose budgets are shown where no gateway runs: one that was started with others may have declared more."""
    from gateway.admin.address import is_answered
    from gateway.parts import data_folder, policy_places

    settings = place.settings()
    if not is_answered(data_folder(settings)):
        declaring = ", ".join(map(str, policy_places(settings)))
        say(f"no gateway runs on {data_folder(settings)}: these are the budgets of {declaring}")


def _now() -> "datetime":
    from gateway.telemetry.clock import SystemClock

    return SystemClock().now()
