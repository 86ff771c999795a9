"""`intended agents`: the agents that a tenant has registered, by itself or with their first intent."""

from typing import Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.administration import Administration, Place, TenantOption, administer, segment, show, show_one
from gateway.cli.output import Format, FormatOption

__all__ = ["app"]

app = typer.Typer(help="Agents: who acts, and what each declared for itself.", no_args_is_help=True)

COLUMNS = {
    "ID": "id",
    "SLUG": "slug",
    "NAME": "name",
    "DOMAINS": "domains",
    "INTENT TYPES": "intentTypes",
    "CREATED": "createdAt",
}


@app.command("register")
def register(
    name: Annotated[str, typer.Argument(help="Its slug is made from it: Billing Agent, billing-agent.")],
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Only intents of this domain. May be repeated.")] = None,
    intent_type: Annotated[list[str] | None, typer.Option(help="Only intents of this type. May be repeated.")] = None,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Register an agent, and what it is restricted to."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    body = {"name": name, "description": description, "domains": domain, "intentTypes": intent_type}
    show([administer(place, lambda gateway: gateway.post("/v1/agents", body))], output, COLUMNS)


@app.command("list")
def list_(
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List the agents, newest first."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    show(administer(place, lambda gateway: gateway.all("/v1/agents")), output, COLUMNS)


@app.command("show")
def show_(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Slug, name or id.")],
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show everything about one agent."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)

    async def act(gateway: Administration) -> Any:
        from gateway.core.agents import slug_of

        return await gateway.get(f"/v1/agents/{segment(agent if agent.startswith('agt_') else slug_of(agent))}")

    show_one(administer(place, act), output)
