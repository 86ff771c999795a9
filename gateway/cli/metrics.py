"""`intended metrics`: the numbers that Prometheus would read, of all tenants, from the running gateway."""

from typing import Annotated

import typer

from gateway.cli.administration import Administration, administer
from gateway.cli.command import placed
from gateway.cli.options import Place, Where
from gateway.cli.output import say, visible
from gateway.core.principal import DEFAULT_TENANT
from gateway.errors import Unavailable

__all__ = ["metrics"]


@placed
def metrics(
    where: Where,
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="Only metrics whose name begins so, as intended_approvals.")
    ] = "",
) -> None:
    """Print the metrics of a running gateway."""

    async def act(gateway: Administration) -> str:
        return await gateway.text("/metrics")

    place = Place(tenant=DEFAULT_TENANT, data=where.data, state=where.state, config=where.config)
    _require_running(place)
    shown = [line for line in administer(place, act).splitlines() if _name(line).startswith(prefix)]
    for line in shown:
        print(visible(line))
    if not shown:
        say(f"no metric's name begins with {prefix}; without it all are shown")


def _require_running(place: Place) -> None:
    """Raise Unavailable where no gateway answers: one that is opened to be asked would say that it is ready."""
    from gateway.admin.address import is_answered
    from gateway.parts import data_folder

    folder = data_folder(place.settings())
    if not is_answered(folder):
        msg = f"no gateway runs on {folder}; what is on record is told by `intended audit` and `intended agents`"
        raise Unavailable(msg)


def _name(line: str) -> str:
    """Return the name that a line is about: of a sample its first word, of a comment its third."""
    return line.split(" ", 3)[2] if line.startswith("# ") else line
