"""The shape of the settings as a tree to walk: which names exist where, and what kind of value each takes.

Read from the pydantic models, so that a new setting is known to every source without a second list.
"""

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from pydantic import BaseModel, SecretStr

__all__ = ["SECRET_MAPS", "Kind", "Node", "root"]

SECRET_MAPS = frozenset({"headers", "env"})
"""Maps whose values are credentials: masked wherever settings are shown, and readable from a `…_FILE`."""


class Kind(StrEnum):
    """What a place in the settings takes."""

    SECTION = "section"
    """A fixed set of names."""
    MAP = "map"
    """Names that the operator chooses."""
    LIST = "list"
    PATH = "path"
    PATHS = "paths"
    """A list of paths, where one may stand alone."""
    VALUE = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One place: its kind, the type behind it, and its name in the parent."""

    name: str
    kind: Kind
    type: Any

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a section has; empty for everything else."""
        return tuple(self.type.model_fields) if self.kind is Kind.SECTION else ()

    @property
    def secret(self) -> bool:
        """Whether a single value here is a credential: masked wherever it is shown, and readable from a `…_FILE`."""
        return self.type is SecretStr

    def child(self, name: str) -> "Node | None":
        """Return the place under `name`, or None where there is none."""
        if self.kind is Kind.SECTION:
            field = self.type.model_fields.get(name)
            return None if field is None else _node(name, field.annotation)
        if self.kind is Kind.MAP:
            return _node(name, typing.get_args(self.type)[1])
        return None

    def at(self, path: Sequence[str]) -> "Node | None":
        """Return the place at the end of `path`, or None."""
        node: Node | None = self
        for step in path:
            node = None if node is None else node.child(step)
        return node


def root(model: type[BaseModel]) -> Node:
    """Return the place that holds all of `model`."""
    return Node(name="", kind=Kind.SECTION, type=model)


def _node(name: str, annotation: Any) -> Node:
    bare = _bare(annotation)
    origin = typing.get_origin(bare)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return Node(name=name, kind=Kind.SECTION, type=bare)
    if origin is dict:
        return Node(name=name, kind=Kind.MAP, type=bare)
    if origin is tuple:
        paths = typing.get_args(bare)[0] is Path
        return Node(name=name, kind=Kind.PATHS if paths else Kind.LIST, type=bare)
    return Node(name=name, kind=Kind.PATH if bare is Path else Kind.VALUE, type=bare)


def _bare(annotation: Any) -> Any:
    """Take `Annotated` and `| None` off a type."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _bare(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        rest = [item for item in typing.get_args(annotation) if item is not NoneType]
        return _bare(rest[0]) if len(rest) == 1 else annotation
    return annotation
