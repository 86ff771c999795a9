"""`intended.yaml` as a source of settings, read by the same strict reader as the policies.

Relative paths in it are meant from the folder that it lies in, so that the gateway may be started from anywhere.
"""

from pathlib import Path
from typing import Any

from gateway.configuration.layers import Layer, Origin
from gateway.configuration.shape import Kind, Node
from gateway.configuration.yaml_seam import load
from gateway.errors import ConfigurationError, Problem

__all__ = ["read_file"]

MAX_BYTES = 1024 * 1024
"""The bound of a policy file (design, section 4, "Policies"), kept here too."""


def read_file(path: Path, shape: Node) -> tuple[Layer, list[Problem]]:
    """Return what the file sets, and its problems. Whether its names and values fit is judged after merging."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        return Layer(), [Problem(source=str(path), message=message, remedy="name a readable file with --config")]
    if len(raw) > MAX_BYTES:
        message = f"is larger than {MAX_BYTES} bytes"
        return Layer(), [Problem(source=str(path), message=message, remedy="a configuration is far smaller; check it")]
    try:
        document = load(raw, source=str(path))
    except ConfigurationError as error:
        return Layer(), list(error.problems)
    if document.value is None:
        return Layer(), []
    if not isinstance(document.value, dict):
        message = "holds no map of settings"
        return Layer(), [
            Problem(source=str(path), message=message, remedy="write `name: value` lines, as `port: 8787`")
        ]
    layer = Layer()
    for key, value in document.value.items():
        _put(layer, (key,), value, shape.child(key), document, path)
    return layer, []


def _put(layer: Layer, path: tuple[str, ...], value: Any, node: Node | None, document: Any, file: Path) -> None:
    """Copy one value of the document into the layer, map by map, with the position of its key."""
    line, column = document.position(path)
    origin = Origin(source=str(file), line=line, column=column)
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _put(layer, (*path, key), item, node.child(key) if node else None, document, file)
        layer.origins.setdefault(path, origin)
        return
    if node is not None and node.kind is Kind.PATH and isinstance(value, str):
        value = str(file.parent / Path(value).expanduser())
    layer.put(path, value, origin)
