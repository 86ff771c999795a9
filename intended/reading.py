"""Reads JSON answers strictly: what is there must have the right type, or the whole answer counts for nothing.

Unknown members are ignored, since a newer service may send more. A wrong type, a duplicate key, NaN or a missing member
that the caller cannot do without is `Nonsense`, which the client turns into a denial or a ServiceUnavailableError.
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

__all__ = ["Fields", "JsonObject", "Nonsense", "parse"]

JsonObject = Mapping[str, Any]

_T = TypeVar("_T")


class Nonsense(ValueError):
    """The answer is not what the service promises. The text names the place, never a value."""


def parse(body: bytes) -> Any:
    """Return the JSON value of `body`. Raises Nonsense."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_constant)
    except Nonsense:
        raise
    except RecursionError as error:
        raise Nonsense("the answer is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise Nonsense("the answer is not UTF-8") from error
    except ValueError as error:  # also a number of thousands of digits
        raise Nonsense("the answer is not JSON, or cut off") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is there twice: two readers could each take another verdict from it."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Nonsense("the answer has a key twice in one object")
    return found


def _constant(name: str) -> Any:
    raise Nonsense(f"the answer has {name} in it, which is not JSON")


class Fields:
    """The members of one JSON object. `where` names the object in errors."""

    __slots__ = ("_members", "where")

    def __init__(self, value: object, where: str = "the answer") -> None:
        if not isinstance(value, dict):
            raise Nonsense(f"{where} is not an object")
        self._members: dict[str, Any] = value
        self.where = where

    # --- members that must be there ---------------------------------------------------------------------------------

    def text(self, name: str) -> str:
        """Return a text that must be there and not be empty."""
        value = self._members.get(name)
        if not isinstance(value, str) or not value:
            raise self._wrong(name, "a text")
        return value

    def number(self, name: str, *, least: float, most: float) -> float:
        """Return a number that must be there and lie within the bounds."""
        value = self._members.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self._wrong(name, f"a number from {least:g} to {most:g}")
        return value

    def count(self, name: str) -> int:
        """Return a whole number, not negative, that must be there."""
        value = self._members.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self._wrong(name, "a whole number")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean that must be there."""
        value = self._members.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts that must be there; it may be empty."""
        value = self._members.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self._wrong(name, "a list of texts")
        return tuple(value)

    def one(self, name: str, read: Callable[["Fields"], _T]) -> _T:
        """Return an object that must be there, as `read` takes it."""
        return read(Fields(self._members.get(name), f"`{name}`"))

    def each(self, name: str, read: Callable[["Fields"], _T]) -> tuple[_T, ...]:
        """Return a list of objects that must be there, each as `read` takes it."""
        value = self._members.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return tuple(read(Fields(one, f"an item of `{name}`")) for one in value)

    # --- members that may be absent or null -------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Return True where the member is there and not null."""
        return self._members.get(name) is not None

    def text_or(self, name: str, default: str = "") -> str:
        """Return a text, or `default` where it is absent or null."""
        value = self._members.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def number_or(self, name: str, default: float | None = None) -> float | None:
        """Return a finite number, or `default` where it is absent or null."""
        value = self._members.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**63:
            raise self._wrong(name, "a number")
        return value

    def count_or(self, name: str, default: int = 0) -> int:
        """Return a whole number, or `default` where it is absent or null."""
        return self.count(name) if self.has(name) else default

    def texts_or(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, empty where it is absent or null."""
        return self.texts(name) if self.has(name) else ()

    def each_or(self, name: str, read: Callable[["Fields"], _T]) -> tuple[_T, ...]:
        """Return a list of objects, empty where it is absent or null."""
        return self.each(name, read) if self.has(name) else ()

    def object_or(self, name: str) -> JsonObject:
        """Return an object that nobody can change, empty where it is absent or null."""
        value = self._members.get(name)
        if value is None:
            return MappingProxyType({})
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return MappingProxyType(value)

    def whole(self) -> JsonObject:
        """Return the object itself, read-only, for what this client has no name for."""
        return MappingProxyType(self._members)

    def _wrong(self, name: str, expected: str) -> Nonsense:
        return Nonsense(f"{self.where} has no `{name}` that is {expected}")
