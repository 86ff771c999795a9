"""`intended thresholds`: how much risk each trust tier of a tenant may take without a human."""

import re
from typing import Annotated, Any

import typer

from gateway.cli.administration import Administration, administer
from gateway.cli.command import group, placed
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data, say, table

__all__ = ["app"]

app = group("Risk that each trust tier may take without a human.")

CAPS = re.compile(r"(T[0-4])=([0-9]{1,3}):([0-9]{1,3})")


@app.command("show")
@placed
def show(place: Place, output: FormatOption = Format.TABLE) -> None:
    """Show the thresholds in force."""
    _print(administer(place, lambda gateway: gateway.get(f"/authority/thresholds/{place.tenant}")), output)


@app.command("set")
@placed
def set_(
    place: Place,
    caps: Annotated[list[str], typer.Argument(metavar="TIER=ALLOW:DENY...", help="As T1=50:90; other tiers stay.")],
    output: FormatOption = Format.TABLE,
) -> None:
    """Allow below one risk, deny from another, ask in between."""
    wanted = dict(map(_read, caps))
    path = f"/authority/thresholds/{place.tenant}"

    async def act(gateway: Administration) -> Any:
        found = await gateway.get(path)
        return await gateway.put(path, {"tiers": found["tiers"] | wanted, "version": found["version"]})

    _print(administer(place, act, begins=True), output)


def _read(text: str) -> tuple[str, dict[str, int]]:
    found = CAPS.fullmatch(text)
    if found is None:
        message = "write TIER=ALLOW:DENY, as T1=50:90: below 50 no human is needed, from 90 on it is denied; 101: never"
        raise typer.BadParameter(message, param_hint="TIER=ALLOW:DENY")
    return found[1], {"allowBelow": int(found[2]), "denyFrom": int(found[3])}


def _print(found: dict[str, Any], output: Format) -> None:
    if output is not Format.TABLE:
        data(found, output)
        return
    rows = ((tier, caps["allowBelow"], caps["denyFrom"]) for tier, caps in found["tiers"].items())
    table(("TIER", "ALLOW BELOW", "DENY FROM"), rows)
    say(f"version {found['version']}" + (": the table of the configuration" if found["version"] == 0 else ""))
