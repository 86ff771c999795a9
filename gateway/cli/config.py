"""`intended config show`: every setting with its value in force and where that was written."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.cli import options
from gateway.cli.command import group
from gateway.cli.output import Format, FormatOption, data, table

if TYPE_CHECKING:
    from gateway.configuration import Resolved

__all__ = ["app", "rows"]

app = group("The configuration in force.")

MASK = "********"


@app.command("show")
def show(config: options.Config = None, output: FormatOption = Format.TABLE) -> None:
    """Show every setting, its value (credentials masked) and its origin."""
    found = rows(options.settle(options.Flags(), config))
    if output is Format.TABLE:
        table(["setting", "value", "origin"], [(name, _text(value), origin) for name, value, origin in found])
        return
    data([{"setting": name, "value": value, "origin": origin} for name, value, origin in found], output)


def rows(resolved: "Resolved") -> list[tuple[str, Any, str]]:
    """Return (setting, value fit to be shown, origin) for every setting, defaults included."""
    from gateway.configuration.layers import leaves
    from gateway.parts import data_folder, policy_places, state_folder

    settings = resolved.settings
    tree = settings.model_dump(mode="json")
    # What is not set still lies somewhere: whoever looks for the data must find it here.
    tree |= {
        "policies": [str(place) for place in policy_places(settings)],
        "data": str(data_folder(settings)),
        "state": str(state_folder(settings)),
    }
    return [(".".join(path), _masked(path, value), str(resolved.origin(path))) for path, value in leaves(tree)]


def _masked(path: tuple[str, ...], value: Any) -> Any:
    """Hide what is or may hold a credential: header and environment values, the user part of a URL, its query."""
    from gateway.configuration.shape import SECRET_MAPS

    if len(path) > 1 and path[-2] in SECRET_MAPS:
        return MASK
    if path[-1] == "url" and isinstance(value, str):
        parts = urlsplit(value)
        netloc = f"{MASK}@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
        return parts._replace(netloc=netloc, query=MASK if parts.query else "").geturl()
    return value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return "-"
    return "-" if value is None else str(value)
