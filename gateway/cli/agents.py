"""`intended agents`: the agents that a tenant has registered, by itself or with their first intent."""

from typing import Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.administration import Administration, administer, show, show_one
from gateway.cli.command import group, placed
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data
from gateway.cli.trust import agent_path
from gateway.cli.trust_text import history, told
from gateway.errors import NotFound

__all__ = ["app"]

app = group("Agents: who acts, and what each declared for itself.")

COLUMNS = {
    "ID": "id",
    "SLUG": "slug",
    "NAME": "name",
    "DOMAINS": "domains",
    "INTENT TYPES": "intentTypes",
    "TIER": "trustTier",
    "SCORE": "trustScore",
    "CREATED": "createdAt",
}


@app.command("register")
@placed
def register(
    place: Place,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its slug is made from it: Billing Agent, billing-agent.")
    ],
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Only intents of this domain. May be repeated.")] = None,
    intent_type: Annotated[list[str] | None, typer.Option(help="Only intents of this type. May be repeated.")] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Register an agent, and what it is restricted to."""
    body = {"name": name, "description": description, "domains": domain, "intentTypes": intent_type}
    show([administer(place, lambda gateway: gateway.post("/v1/agents", body), begins=True)], output, COLUMNS)


@app.command("list")
@placed
def list_(place: Place, output: FormatOption = Format.TABLE) -> None:
    """List the registered agents, newest first.

    `intended trust list` has all that have acted, registered or not.
    """
    show(
        administer(place, lambda gateway: gateway.all("/v1/agents")),
        output,
        COLUMNS,
        none="no agent is registered; `intended trust list` has those that have acted",
    )


@app.command("show")
@placed
def show_(
    place: Place,
    agent: options.Agent,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show one agent, its trust over time, and what moved it."""
    path = agent_path(agent)

    async def act(gateway: Administration) -> Any:
        found = {}
        try:
            found = await gateway.get(path)
            found |= {"metrics": await gateway.get(f"{path}/metrics")}
        except NotFound:  # not registered; by MCP it may have acted all the same
            pass
        return found | {"trust": await gateway.get(f"{path}/trust"), "past": await gateway.get(f"{path}/trust/history")}

    found = administer(place, act)
    if output is not Format.TABLE:
        data(found, output)
        return
    trust, past, metrics = found.pop("trust"), found.pop("past"), found.pop("metrics", {})
    show_one(found or {"slug": trust["agent"]}, output)
    if metrics:
        statuses = ", ".join(f"{count} {status}" for status, count in metrics["intentsByStatus"].items() if count)
        print(f"intents   {metrics['intentsTotal']}{f': {statuses}' if statuses else ''}")
    for line in (*told(trust), *history(past)):
        print(line)
