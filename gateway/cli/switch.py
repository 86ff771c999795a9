"""`intended switch`: stop an agent, an upstream or the whole tenant at once, and let it go again."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from shlex import quote
from typing import Annotated, Final
from urllib.parse import urlencode

import typer

from gateway.cli.administration import administer, agent_segment, segment, show
from gateway.cli.command import group, placed
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, say, warn
from gateway.core.principal import DEFAULT_TENANT
from gateway.errors import GatewayError

__all__ = ["app"]

app = group("Kill switches: stop agents, upstreams or the tenant at once.")

COLUMNS = {"KIND": "kind", "NAME": "name", "SINCE": "since", "BY": "by", "REASON": "reason"}

READ_S: Final = 2.0
"""How long a throw waits at most to learn whether its tenant is known: it is thrown in any case."""


class Kind(StrEnum):
    """What a switch stops."""

    agent = "agent"
    upstream = "upstream"
    tenant = "tenant"


KindArgument = Annotated[Kind, typer.Argument(metavar="KIND", help="What is meant.")]
NameArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="An agent's name, slug or id, or its key's id; an upstream; left out of the tenant."
    ),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is recorded, and told to what is stopped.")]


@app.command("list")
@placed
def list_(place: Place, output: FormatOption = Format.TABLE) -> None:
    """List what is stopped, the latest first."""
    show(
        administer(place, lambda gateway: gateway.get("/switches"))["switches"],
        output,
        COLUMNS,
        none="nothing is stopped",
    )


@app.command("throw")
@placed
def throw(
    place: Place,
    kind: KindArgument,
    reason: ReasonOption,
    name: NameArgument = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Stop it: nothing passes once this returns."""
    name, place = _meant(kind, name, place)
    if place.tenant != DEFAULT_TENANT:
        _warn_of_strangers(place)
    thrown = administer(place, lambda gateway: gateway.put(f"/switches/{kind}/{name}", {"reason": reason}), begins=True)
    show([thrown], output, COLUMNS)
    folder = "" if place.data is None else f" --data {quote(str(place.data))}"
    where = "" if kind is Kind.tenant or place.tenant == DEFAULT_TENANT else f" --tenant {place.tenant}"
    release = f"intended switch release {kind} {thrown['name']}{where}{folder} --reason ..."
    say(f"{kind} {thrown['name']} is stopped; {_told(thrown['cancelledApprovals'])}; `{release}` lets it go")


@app.command("release")
@placed
def release(
    place: Place,
    kind: KindArgument,
    reason: ReasonOption,
    name: NameArgument = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Let it go again; what was cancelled stays so."""
    name, place = _meant(kind, name, place)
    path = f"/switches/{kind}/{name}?{urlencode({'reason': reason})}"
    released = administer(place, lambda gateway: gateway.delete(path))
    show([released], output, COLUMNS)
    say(f"{kind} {released['name']} is not stopped any more")


def _told(cancelled: int | None) -> str:
    """Return what became of the approvals of what is stopped now."""
    if cancelled is None:
        return "some of its approvals are left and are cancelled later"
    return {0: "no approval was open", 1: "1 approval was cancelled"}.get(
        cancelled, f"{cancelled} approvals were cancelled"
    )


def _warn_of_strangers(place: Place) -> None:
    """Warn where nothing is on record of the tenant: who mistypes in a hurry takes the wrong one for stopped.

    It is no refusal, since a tenant may be stopped before its first call, as an agent may.
    """
    import anyio

    found = anyio.run(_strangers, place)
    if found is not None:
        warn("unknown tenant", f"nothing is on record of '{place.tenant}'; tenants are: {', '.join(found) or 'none'}")


async def _strangers(place: Place) -> Sequence[str] | None:
    """Return the tenants that there are where the one meant is none of them; None where that is not known in time."""
    import anyio

    from gateway.records import reading

    known: Sequence[str] = (place.tenant,)
    with anyio.move_on_after(READ_S), suppress(GatewayError):
        async with reading(place.settings()) as reader:
            known = [one for one in await reader.tenants() if not one.startswith("_")]
    return None if place.tenant in known else known


def _meant(kind: Kind, name: str | None, place: Place) -> tuple[str, Place]:
    """Return the name that is meant, as one segment of a path, and where. Raises BadParameter and NotFound."""
    if kind is Kind.tenant:
        if name is not None and place.tenant not in (DEFAULT_TENANT, name):
            message = f"is {name}, but --tenant says {place.tenant}; leave one of them out"
            raise typer.BadParameter(message, param_hint="NAME")
        return segment(name or place.tenant), replace(place, tenant=name or place.tenant)
    if name is None:
        raise typer.BadParameter(f"say which {kind}", param_hint="NAME")
    return agent_segment(name) if kind is Kind.agent else segment(name), place
