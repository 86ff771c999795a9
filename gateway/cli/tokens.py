"""`intended tokens`: the keys that sign authority tokens."""

from typing import Annotated

import typer

from gateway.cli.administration import administer
from gateway.cli.command import group, placed
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data, say

__all__ = ["app"]

app = group("Authority tokens: the keys that sign them.")


@app.command("rotate")
@placed
def rotate(
    place: Place,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="The old keys may be in foreign hands: void at once, with their tokens.")
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make the next signing key of a tenant."""
    made = administer(place, lambda gateway: gateway.post("/authority/keys/rotate", {"revoke": revoke}), begins=True)
    if output is not Format.TABLE:
        data(made, output)
        return
    print(made["kid"])
    say(f"It signs from {made['signsFrom']} on, and is published in the tenant's JWKS already.")
    say("Old keys are void." if revoke else "The old one stays published until its last token has expired.")
