"""One source's values and where each of them was written; how layers lie over each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Layer", "Origin", "Path", "leaves", "merge"]

Path = tuple[str, ...]
"""The place of a value in the settings: `("upstreams", "github", "url")`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value was written: a flag, a variable, or a file with line and column (from 1; 0: no line)."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """`intended.yaml:3:5`, `INTENDED_GATEWAY_PORT`, `--port`."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(slots=True)
class Layer:
    """The values of one source as a tree of dicts with text keys, and the origin of each node that was written.

    `replaces` are top-level names that this layer does not mix with what lies below: an upstream named on the command
    line must not inherit a credential that a file holds for another server under the same id.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)
    replaces: frozenset[str] = frozenset()

    def put(self, path: Sequence[str], value: Any, origin: Origin) -> None:
        """Write one value; the maps on the way to it are made."""
        node = self.values
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node[path[-1]] = value
        self.origins[tuple(path)] = origin

    def has(self, path: Sequence[str]) -> bool:
        """Return True where this very path, something inside it, or a value that covers it was written."""
        wanted = tuple(path)
        return any(wanted[: len(written)] == written or written[: len(wanted)] == wanted for written in self.origins)


def merge(layers: Sequence[Layer]) -> Layer:
    """Lay `layers` over each other, the first the strongest, maps key by key."""
    merged = Layer()
    for layer in reversed(layers):
        for name in layer.replaces & layer.values.keys():
            merged.values.pop(name, None)
            merged.origins = {path: origin for path, origin in merged.origins.items() if path[0] != name}
        _overlay(merged.values, layer.values)
        merged.origins.update(layer.origins)
    return merged


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> None:
    for key, value in above.items():
        present = below.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _overlay(present, value)
        else:
            below[key] = _copy(value)


def _copy(value: Any) -> Any:
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value


def leaves(tree: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every value of a tree that is not itself a filled map, with its path, in order."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value
