"""Two JSON values compared, place by place: what came, what went, what is another one.

Owns the comparison. Lists are compared by position. Values are shown as `core/visible.py` has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from gateway.core.jsonvalue import JsonValue
from gateway.core.visible import compact, visible

__all__ = ["MAX_DIFFERENCES", "Change", "Difference", "differences"]

MAX_DIFFERENCES: Final = 100
"""That are told; whoever needs more reads the arguments."""


class Change(StrEnum):
    """What became of a place."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place that is not as it was. `before` and `after` are for people; empty where there is no value."""

    path: str
    change: Change
    before: str = ""
    after: str = ""


def differences(before: JsonValue, after: JsonValue) -> tuple[Difference, ...]:
    """Return the first `MAX_DIFFERENCES` places in which two values differ, in the order of `after`."""
    return tuple(islice(_between(before, after, ""), MAX_DIFFERENCES))


def _between(before: JsonValue, after: JsonValue, path: str) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, one in after.items():
            place = f"{path}.{visible(key)}" if path else visible(key)
            if key in before:
                yield from _between(before[key], one, place)
            else:
                yield _added(place, one)
        gone = ((f"{path}.{visible(key)}" if path else visible(key), one) for key, one in before.items())
        yield from (_removed(place, one) for (place, one), key in zip(gone, before, strict=True) if key not in after)
    elif isinstance(before, list) and isinstance(after, list):
        for number, (was, one) in enumerate(zip(before, after, strict=False)):
            yield from _between(was, one, f"{path}[{number}]")
        yield from (_added(f"{path}[{len(before) + number}]", one) for number, one in enumerate(after[len(before) :]))
        yield from (_removed(f"{path}[{len(after) + number}]", one) for number, one in enumerate(before[len(after) :]))
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):
        yield Difference(path=path, change=Change.CHANGED, before=compact(before), after=compact(after))


def _added(path: str, value: JsonValue) -> Difference:
    return Difference(path=path, change=Change.ADDED, after=compact(value))


def _removed(path: str, value: JsonValue) -> Difference:
    return Difference(path=path, change=Change.REMOVED, before=compact(value))
