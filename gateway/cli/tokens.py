"""`intended tokens`: the keys that sign authority tokens."""

from typing import Annotated

import typer

from gateway.cli import options
from gateway.cli.administration import Place, TenantOption, administer
from gateway.cli.output import Format, FormatOption, data, say

__all__ = ["app"]

app = typer.Typer(help="Authority tokens: the keys that sign them.", no_args_is_help=True)


@app.callback()
def tokens() -> None:
    """Keep `rotate` a command of its own, although it is the only one so far."""


@app.command("rotate")
def rotate(
    revoke: Annotated[
        bool, typer.Option("--revoke", help="The old keys may be in foreign hands: void at once, with their tokens.")
    ] = False,
    tenant: TenantOption = "default",
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make the next signing key of a tenant."""
    place = Place(tenant=tenant, data=data_dir, state=state, config=config)
    made = administer(place, lambda gateway: gateway.post("/authority/keys/rotate", {"revoke": revoke}))
    if output is not Format.TABLE:
        data(made, output)
        return
    print(made["kid"])
    say(f"It signs from {made['signsFrom']} on, and is published in the tenant's JWKS already.")
    say("Old keys are void." if revoke else "The old one stays published until its last token has expired.")
