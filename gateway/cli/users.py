"""`intended users`: the humans of a tenant, and how they log in."""

from typing import Annotated, Any, Literal

import typer

from gateway.cli.administration import Administration, address, administer, show
from gateway.cli.command import group, placed
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data, say
from gateway.errors import NotFound

__all__ = ["app"]

app = group("Human users: who may look, approve and administer.")

COLUMNS = {"ID": "id", "NAME": "name", "ROLE": "role", "DISABLED": "disabled", "CREATED": "createdAt"}

UserRole = Literal["viewer", "operator", "policy_admin", "admin"]
"""No human is an agent."""

UserArgument = Annotated[str, typer.Argument(metavar="USER", help="Name or id.")]


@app.command("create")
@placed
def create(
    place: Place,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Unique in the tenant, as an address: jane@example.org.")],
    role: Annotated[UserRole, typer.Option(help="What they may do.")] = "viewer",
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a user; `users login` lets them in."""
    made = administer(place, lambda gateway: gateway.post("/users", {"name": name, "role": role}), begins=True)
    show([made], output, COLUMNS)


@app.command("list")
@placed
def list_(place: Place, output: FormatOption = Format.TABLE) -> None:
    """List the users, disabled ones included."""
    show(
        administer(place, lambda gateway: gateway.get("/users"))["users"],
        output,
        COLUMNS,
        none="no user yet; `intended users create NAME` makes one",
    )


@app.command("disable")
@placed
def disable(
    place: Place,
    user: UserArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Let them log in again.")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Shut a user out at once: sessions and login codes end."""
    _change(user, {"disabled": not undo}, place, output)


@app.command("role")
@placed
def role(
    place: Place,
    user: UserArgument,
    new: Annotated[UserRole, typer.Argument(metavar="ROLE", help="viewer, operator, policy_admin or admin.")],
    output: FormatOption = Format.TABLE,
) -> None:
    """Give a user another role; sessions and login codes end."""
    _change(user, {"role": new}, place, output)


@app.command("login")
@placed
def login(
    place: Place,
    user: UserArgument,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a code by which a user logs in, once, and print it."""

    async def act(gateway: Administration) -> Any:
        return await gateway.post(f"/users/{await _id_of(gateway, user)}/login-link", {})

    made = administer(place, act)
    if output is not Format.TABLE:
        data(made, output)
        return
    print(made["code"])
    from gateway.parts import public_url

    say(f"It opens one session of {user}, once, until {made['expiresAt']}. To answer approvals, type it at")
    say(f"  {public_url(place.settings())}/approve/")
    say("A program logs in with it in $CODE:")
    sent = """-H 'content-type: application/json' -d '{"code": "'"$CODE"'"}'"""
    say(f"  curl {sent} {address(place.settings())}/portal/sessions")
    say("The answer's `sessionId` goes into the header x-portal-session-id.")


def _change(user: str, body: dict[str, Any], place: Place, output: Format) -> None:
    async def act(gateway: Administration) -> Any:
        return await gateway.patch(f"/users/{await _id_of(gateway, user)}", body)

    show([administer(place, act)], output, COLUMNS)


async def _id_of(gateway: Administration, user: str) -> str:
    """Return the id of the user that is meant. Raises NotFound."""
    from gateway.core.people import folded

    for one in (await gateway.get("/users"))["users"]:
        if one["id"] == user or folded(one["name"]) == folded(user):
            return str(one["id"])
    msg = f"There is no user '{user}' in tenant {gateway.tenant}; `intended users list` shows those that there are."
    raise NotFound(msg)
