"""The environment as a source of settings: `INTENDED_GATEWAY_UPSTREAMS__github__URL=…`.

`__` steps into a section or map. Names of settings are matched whatever their case; names that the operator chooses
(an agent, a header, a child's variable) keep theirs, but an upstream's id is always lower case with `-` for `_`, the
only spelling it has. A list is a JSON array or words between commas; a section or map may be one JSON object. A
credential may stand in a file: `…__HEADERS__Authorization_FILE=/run/secrets/github`.

Every variable under the prefix must be known: a misspelt one that silently changed nothing would be a policy that is
not in force. Kubernetes adds variables of its own for every service, under the service's name: a service called
`intended-gateway` makes `INTENDED_GATEWAY_PORT=tcp://…`; `enableServiceLinks: false` turns that off.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.configuration.layers import Layer, Origin, leaves
from gateway.configuration.shape import SECRET_MAPS, Kind, Node
from gateway.core.policy.document import nearest
from gateway.core.strictjson import read_call
from gateway.errors import Problem

__all__ = ["CONFIG_VARIABLE", "PREFIX", "read_environment"]

PREFIX = "INTENDED_GATEWAY_"

CONFIG_VARIABLE = PREFIX + "CONFIG"
"""Names the configuration file; not a setting itself."""

MAX_SECRET_BYTES = 64 * 1024
"""A credential is a line, not a document."""

SERVICE_LINK = ("tcp://", "udp://", "sctp://")
"""How the values begin that Kubernetes injects."""


def read_environment(environ: Mapping[str, str], shape: Node) -> tuple[Layer, list[Problem]]:
    """Return what the variables under the prefix set, and a problem for each that sets nothing."""
    layer, problems = Layer(), []
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or name == CONFIG_VARIABLE:
            continue
        found = _place(name, shape)
        problem = found if isinstance(found, Problem) else _take(layer, name, environ[name], *found)
        if problem is not None:
            problems.append(problem)
    return layer, problems


def _place(name: str, shape: Node) -> tuple[tuple[str, ...], Node, bool] | Problem:
    """Return path, place and whether the value is a file's name; or what is wrong with the variable's name."""
    if not name.startswith(PREFIX):
        return _unknown(name, f" (did you mean '{PREFIX + name[len(PREFIX) :]}'?)")
    steps = name[len(PREFIX) :].split("__")
    path: list[str] = []
    node = shape
    from_file = False
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        if last and step.endswith("_FILE") and _may_be_in_a_file(node, step.removesuffix("_FILE")):
            step, from_file = step.removesuffix("_FILE"), True
        key = _key(node, step)
        child = node.child(key) if key else None
        if child is None:
            prefix = "__".join(steps[:position])
            known = [PREFIX + "__".join(filter(None, (prefix, item.upper()))) for item in node.names]
            return _unknown(name, nearest(name, known))
        path.append(key)
        node = child
    return tuple(path), node, from_file


def _may_be_in_a_file(node: Node, step: str) -> bool:
    """Return whether the place under `step` takes a credential."""
    child = node.child(_key(node, step))
    return node.name in SECRET_MAPS if node.kind is Kind.MAP else child is not None and child.secret


def _key(node: Node, step: str) -> str:
    """Spell one step as the settings do."""
    if node.kind is Kind.SECTION:
        return step.lower()
    return step.lower().replace("_", "-") if node.name == "upstreams" else step


def _take(layer: Layer, name: str, text: str, path: tuple[str, ...], node: Node, from_file: bool) -> Problem | None:  # noqa: FBT001 - one call, straight from _place
    """Put one variable's value into `layer`."""
    if layer.has(path):
        return Problem(
            source=name,
            field=".".join(path),
            message=f"this is set twice, here and by {_writer(layer, path)}",
            remedy="unset one of the two variables",
        )
    if not text:
        return Problem(source=name, message="is set, but empty", remedy="unset it, or give it a value")
    if node.kind is Kind.VALUE and text.startswith(SERVICE_LINK):
        return Problem(
            source=name,
            message="holds what Kubernetes injects for a service of that name",
            remedy="set `enableServiceLinks: false` in the pod's spec, or give the service another name",
        )
    try:
        value = _secret(Path(text)) if from_file else _value(text, node)
    except (OSError, ValueError) as error:
        return Problem(source=name, field=".".join(path), message=str(error), remedy=_remedy(node, from_file=from_file))
    origin = Origin(source=name)
    if isinstance(value, dict) and value:
        for inside, leaf in leaves(value, path):
            layer.put(inside, leaf, origin)
    else:
        layer.put(path, value, origin)
    return None


def _writer(layer: Layer, path: tuple[str, ...]) -> str:
    """Name the variable that already wrote `path`, something in it, or what covers it."""
    return next(
        str(origin) for done, origin in layer.origins.items() if done[: len(path)] == path or path[: len(done)] == done
    )


def _value(text: str, node: Node) -> Any:
    if node.kind in (Kind.LIST, Kind.PATHS):
        return _json(text) if text.startswith("[") else [word.strip() for word in text.split(",")]
    if node.kind in (Kind.SECTION, Kind.MAP):
        value = _json(text)
        if not isinstance(value, dict):
            msg = "is not a JSON object"
            raise ValueError(msg)
        return value
    return text


def _json(text: str) -> Any:
    """Read JSON as strictly as an agent's: a name that stands there twice is an error here too."""
    return read_call(text.encode(), depth=16, keys=10_000)


def _secret(path: Path) -> str:
    """Read a credential; one line end after it, as editors and `echo` leave it, is not part of it."""
    with path.open("rb") as file:
        raw = file.read(MAX_SECRET_BYTES + 1)
    if len(raw) > MAX_SECRET_BYTES:
        msg = f"{path} holds more than {MAX_SECRET_BYTES} bytes"
        raise ValueError(msg)
    text = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    if not text:
        msg = f"{path} is empty"
        raise ValueError(msg)
    return text


def _remedy(node: Node, *, from_file: bool) -> str:
    if from_file:
        return "name a readable file that holds the credential"
    if node.kind in (Kind.LIST, Kind.PATHS):
        return 'write words between commas, or a JSON array: ["a","b"]'
    return 'step into it with `__`, or write a JSON object: {"name": …}'


def _unknown(name: str, hint: str) -> Problem:
    return Problem(
        source=name,
        message=f"there is no such setting{hint}",
        remedy="correct the name or unset the variable; `intended config show` lists every setting",
    )
