"""Policy documents → one bundle: type-checked, indexed, under one digest."""

from dataclasses import dataclass

from gateway.core.intent.model import Mapping

__all__ = ["Bundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A compiled set of policy files.

    `digest` is the lower-case hex SHA-256 over the sorted (path, SHA-256) pairs of its files.
    """

    digest: str
    mappings: tuple[Mapping, ...]
