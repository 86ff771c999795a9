"""`intended.yaml` as a source of settings, read by the same strict reader as the policies.

Relative paths in it are meant from the folder that it lies in, so that the gateway may be started from anywhere.
"""

from pathlib import Path
from typing import Any

from gateway.configuration.layers import Layer, Origin
from gateway.configuration.shape import Kind, Node
from gateway.core.policy.reading import Places
from gateway.errors import ConfigurationError, Problem
from gateway.policyfiles.files import read_text
from gateway.policyfiles.shipped import SHIPPED
from gateway.policyfiles.yamltext import read_yaml

__all__ = ["read_file"]


def read_file(path: Path, shape: Node) -> tuple[Layer, list[Problem]]:
    """Return what the file sets, and its problems. Whether its names and values fit is judged after merging."""
    layer = Layer()
    try:
        text = read_text(path).text
        if _only_comments(text):
            return layer, []
        document, places = read_yaml(str(path), text)
    except ConfigurationError as error:
        return layer, list(error.problems)
    if not isinstance(document, dict):
        message = "holds no map of settings"
        return layer, [Problem(source=str(path), message=message, remedy="write `name: value` lines, as `port: 8787`")]
    for key, value in document.items():
        _put(layer, (key,), value, shape.child(key), places, path)
    return layer, []


def _only_comments(text: str) -> bool:
    """A configuration with everything commented out is a fine beginning; a policy file of that kind is a mistake."""
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())


def _put(layer: Layer, path: tuple[str, ...], value: Any, node: Node | None, places: Places, file: Path) -> None:
    """Copy one value of the document into the layer, map by map, with the position of its key."""
    place = places.of(path, key=True)
    origin = Origin(source=str(file), line=place.line, column=place.column)
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _put(layer, (*path, key), item, node.child(key) if node else None, places, file)
        layer.origins[path] = origin
        return
    if node is not None and node.kind is Kind.PATH and isinstance(value, str):
        value = _from_folder(value, file)
    if node is not None and node.kind is Kind.PATHS:
        items = value if isinstance(value, list) else [value]
        value = [_from_folder(item, file) if isinstance(item, str) and item else item for item in items]
    layer.put(path, value, origin)


def _from_folder(value: str, file: Path) -> str:
    """Return a path as meant from the file's folder; the name of a shipped policy is none."""
    return value if value.startswith(SHIPPED) else str(file.parent / Path(value).expanduser())
