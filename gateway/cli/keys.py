"""`intended keys`: the API keys of a tenant. A secret goes to standard output, once; all else about it is talk."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.administration import (
    Administration,
    address,
    administer,
    duration,
    moment,
    segment,
    show,
)
from gateway.cli.command import group, placed
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data, say
from gateway.core.credentials import KeyFormat
from gateway.core.principal import Role, Scope
from gateway.errors import NotFound, StateConflict

if TYPE_CHECKING:
    from gateway.settings import Settings

__all__ = ["app"]

app = group("API keys: who may use the gateway, and as which agent.")

COLUMNS = {
    "ID": "id",
    "NAME": "name",
    "AGENT": "agent",
    "ROLE": "role",
    "STATUS": "status",
    "EXPIRES": "expires",
    "LAST USED": "lastUsedAt",
}

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Its id, or its name where only one has it.")]


@app.command("create")
@placed
def create(
    place: Place,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people will know it by.")],
    agent: Annotated[str | None, typer.Option(help="The only agent that it may act as, by name.")] = None,
    role: Annotated[Role | None, typer.Option(help="What it may do [default: agent].")] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(metavar="SCOPE", help="Only this scope of the role. May be repeated.")
    ] = None,
    plan: Annotated[str | None, typer.Option(help="Rate limit: free, pro, business or enterprise.")] = None,
    per_minute: Annotated[int | None, typer.Option(help="Requests a minute, for enterprise or no plan.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 90d, 2027-01-31 [default: never].")] = None,
    key_format: Annotated[
        KeyFormat | None, typer.Option("--format", help="How it is written [default: intendedops].")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a key and print it, once."""
    body = {
        "name": name,
        "agent": agent,
        "role": role,
        "scopes": scope or None,
        "plan": plan,
        "perMinute": per_minute,
        "expires": None if expires is None else moment(expires, option="--expires"),
        "format": key_format,
    }
    _tell(administer(place, lambda gateway: gateway.post("/keys", body), begins=True), place.settings(), output)


@app.command("list")
@placed
def list_(place: Place, output: FormatOption = Format.TABLE) -> None:
    """List the keys, ended ones included; never their secrets."""
    show(
        administer(place, lambda gateway: gateway.get("/keys"))["keys"],
        output,
        COLUMNS,
        none="no key yet; `intended keys create NAME` makes one",
    )


@app.command("revoke")
@placed
def revoke(
    place: Place,
    key: KeyArgument,
    output: FormatOption = Format.TABLE,
) -> None:
    """End a key for good, from the next request on."""

    async def act(gateway: Administration) -> Any:
        return await gateway.post(f"/keys/{segment(await _id_of(gateway, key))}/revoke", {})

    show([administer(place, act)], output, COLUMNS)


@app.command("rotate")
@placed
def rotate(
    place: Place,
    key: KeyArgument,
    overlap: Annotated[str, typer.Option(help="How long the old secret stays good: 1h, 30m.")] = "0s",
    output: FormatOption = Format.TABLE,
) -> None:
    """Give a key a new secret and print it, once."""
    seconds = int(duration(overlap, option="--overlap").total_seconds())

    async def act(gateway: Administration) -> Any:
        return await gateway.post(f"/keys/{segment(await _id_of(gateway, key))}/rotate", {"overlapSeconds": seconds})

    _tell(administer(place, act), place.settings(), output)


async def _id_of(gateway: Administration, key: str) -> str:
    """Return the id of the key that is meant. Raises NotFound and StateConflict."""
    if key.startswith("key_"):
        return key
    named = [one for one in (await gateway.get("/keys"))["keys"] if one["name"] == key]
    found = [one["id"] for one in named if not one["revokedAt"]]
    if named and not found:
        msg = f"The key '{key}' is revoked already, for good; `intended keys create {key}` makes another one."
        raise StateConflict(msg)
    if not found:
        msg = f"There is no key '{key}' in tenant {gateway.tenant}; `intended keys list` shows those that there are."
        raise NotFound(msg)
    if len(found) > 1:
        msg = f"{len(found)} keys have the name '{key}'; say which by its id: {', '.join(found)}"
        raise StateConflict(msg)
    return str(found[0])


def _tell(key: dict[str, Any], settings: "Settings", output: Format) -> None:
    """Print the secret alone, so that it can be taken into a variable; everything about it is talk."""
    if output is not Format.TABLE:
        data(key, output)
        return
    print(key["key"])
    calls = "mcp:call" in key["scopes"]
    unbound = f"any agent by REST, {'an agent of its own' if calls else 'nobody'} on MCP"
    who = f"agent {key['agent']} only" if key["agent"] else unbound
    end = f", until {key['expires']}" if key["expires"] else ""
    say(
        f"key {key['id']} ({key['name']}) of tenant {key['tenantId']}: {who}; {key['perMinute']} requests a minute{end}"
    )
    if key["oldSecretUntil"]:
        say(f"the old secret is good until {key['oldSecretUntil']}")
    say("It is shown this once and kept nowhere. With it in $INTENDED_AGENT_KEY:")
    header = '--header "Authorization: Bearer $INTENDED_AGENT_KEY"'
    if calls:
        say(f"  claude mcp add --transport http intended {address(settings)}/mcp {header}")
    if "agents:read" in key["scopes"]:
        say(f"  curl {header} {address(settings)}/v1/agents")
