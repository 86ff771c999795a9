"""Values of the hot path: immutable for the type checker, and made at a quarter of a frozen dataclass's cost.

A frozen dataclass sets each field through `object.__setattr__`; over the some 150 fields that one call makes, that is a
tenth of its CPU. The values that every call makes are therefore frozen by mypy (strict, in CI), not at run time. Values
that are made once in a while, are hashed, or could be changed by mistake from outside stay frozen dataclasses.

A module that every call passes binds the members of Enums that it asks for to globals (`_ALLOW: Final = Effect.ALLOW`):
Python 3.11 finds a member through its metaclass, at five times the cost, and a call asks for some forty.
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

__all__ = ["value"]

_T = TypeVar("_T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def value(cls: type[_T]) -> type[_T]:
    """Make a class with annotated fields a value: keyword-only, with slots, compared by its fields."""
    return dataclass(slots=True, kw_only=True)(cls)
