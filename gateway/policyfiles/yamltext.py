"""One YAML text → plain data with the position of every value, or Problems. Stricter than YAML on purpose.

Policies must read the same to a person, to us and to the next tool, so everything with a second reading is refused:
duplicate keys, tags, anchors, aliases, merges, directives, timestamps, several documents, keys that are no text,
numbers that are not plain decimal. Builds from parser events, not from constructed objects: no constructor runs.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any, NoReturn

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.nodes import ScalarNode

from gateway.core.policy.reading import Place, Places, Steps
from gateway.errors import PolicyError, Problem

__all__ = ["read_yaml"]

DEPTH = 24
"""Nesting of one file. A policy needs 6; a case's arguments a few more."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = frozenset({f"{_TAG}str", f"{_TAG}null", f"{_TAG}bool", f"{_TAG}int", f"{_TAG}float"})
_WORDS = {"true": True, "false": False}


def read_yaml(source: str, text: str) -> tuple[Any, Places]:
    """Return the document's data and the places of its values and keys.

    Raises:
        PolicyError: with the first thing that cannot be read, at its line and column.
    """
    return _Reader(source, text).document()


class _Reader:
    """One pass over the parser's events."""

    def __init__(self, source: str, text: str) -> None:
        self._source = source
        self._lines = text.split("\n")
        self._yaml = YAML(typ="safe", pure=True)
        self._resolve = self._yaml.resolver.resolve
        self._events: Iterator[Any] = iter(self._parsed(text))
        self._values: dict[Steps, Place] = {}
        self._keys: dict[Steps, Place] = {}

    def document(self) -> tuple[Any, Places]:
        """Read exactly one document."""
        next(self._events)  # start of the stream
        start = next(self._events)
        if isinstance(start, events.StreamEndEvent):
            self._refuse(start.start_mark, "the file is empty", "fill it, or remove it")
        if start.version is not None or start.tags:
            self._refuse(start.start_mark, "directives (%YAML, %TAG) are refused", "remove the line that begins with %")
        data = self._value(next(self._events), ())
        next(self._events)  # end of the document
        after = next(self._events)
        if not isinstance(after, events.StreamEndEvent):
            self._refuse(after.start_mark, "there is a second document", "put it into a file of its own")
        return data, Places(values=self._values, keys=self._keys)

    def _parsed(self, text: str) -> Iterator[Any]:
        """The parser's events, its errors as Problems."""
        try:
            yield from self._yaml.parse(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._refuse(mark, f"not YAML: {error.problem or error.context}", "mend the indentation or quoting here")
        except YAMLError as error:
            message = "not YAML: it holds a character that YAML does not allow"
            raise PolicyError(
                Problem(source=self._source, message=message, remedy="remove control characters")
            ) from error

    def _value(self, event: Any, steps: Steps) -> Any:
        if isinstance(event, events.AliasEvent):
            self._refuse(event.start_mark, f"the alias *{event.anchor} is refused", "write the value out")
        if event.anchor is not None:
            self._refuse(event.start_mark, f"the anchor &{event.anchor} is refused", "remove it and write values out")
        if event.tag is not None:
            self._refuse(event.start_mark, f"the tag {event.tag} is refused", "remove it")
        if len(steps) > DEPTH:
            self._refuse(event.start_mark, f"nested deeper than {DEPTH} levels", "make it flatter")
        self._values[steps] = self._place(event)
        if isinstance(event, events.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, events.SequenceStartEvent):
            return self._sequence(steps)
        return self._mapping(steps)

    def _sequence(self, steps: Steps) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, events.SequenceEndEvent):
                break
            items.append(self._value(event, (*steps, len(items))))
        return items

    def _mapping(self, steps: Steps) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, events.MappingEndEvent):
                break
            key = self._key(event)
            here = (*steps, key)
            if key in members:
                first = self._keys[here].line
                self._refuse(event.start_mark, f"the key `{key}` is there twice (first in line {first})", "keep one")
            self._keys[here] = self._place(event)
            members[key] = self._value(next(self._events), here)
        return members

    def _key(self, event: Any) -> str:
        if not isinstance(event, events.ScalarEvent):
            self._refuse(event.start_mark, "a key must be text", "write `name: value`")
        if event.value == "<<":
            self._refuse(event.start_mark, "merge keys (<<) are refused", "write the values out")
        key = self._value(event, ("",))
        if not isinstance(key, str):
            self._refuse(event.start_mark, f"the key `{event.value}` is not text", "put it in quotes if it is meant")
        return key

    def _scalar(self, event: Any) -> Any:
        if not event.implicit[0]:
            return event.value
        text: str = event.value
        tag = str(self._resolve(ScalarNode, text, (True, False)))
        if tag not in _PLAIN:
            kind = tag.removeprefix(_TAG)
            self._refuse(event.start_mark, f"a plain {kind} is refused", "put it in quotes if text is meant")
        if tag == f"{_TAG}null":
            return None
        if tag == f"{_TAG}bool":
            return self._known(event, _WORDS.get(text), "write true or false")
        if tag == f"{_TAG}int":
            return self._known(event, _integer(text), "write it in plain decimal, or in quotes if text is meant")
        if tag == f"{_TAG}float":
            return self._known(event, _real(text), "write it in plain decimal, or in quotes if text is meant")
        return text

    def _known(self, event: Any, value: object, remedy: str) -> object:
        if value is None:
            self._refuse(event.start_mark, f"`{event.value}` can be read in more than one way", remedy)
        return value

    def _place(self, event: Any) -> Place:
        """Where the event stands, and where the characters of a text begin if its lines are lines of the file."""
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        style = getattr(event, "style", None) if isinstance(event, events.ScalarEvent) else "none"
        if style in (None, "'", '"') and event.end_mark.line == mark.line:
            return Place(line=line, column=column, text_line=line, text_column=column + bool(style))
        if style == "|":
            return Place(line=line, column=column, text_line=line + 1, text_column=self._indent(event) + 1)
        return Place(line=line, column=column)

    def _indent(self, event: Any) -> int:
        """By how much a literal block is indented, seen at its first line that holds something."""
        for number, content in enumerate(event.value.split("\n"), start=event.start_mark.line + 1):
            if content.strip():
                return len(self._lines[number].rstrip("\r")) - len(content)
        return 0

    def _refuse(self, mark: StreamMark | None, message: str, remedy: str) -> NoReturn:
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        raise PolicyError(Problem(source=self._source, message=message, remedy=remedy, line=line, column=column))


def _integer(text: str) -> int | None:
    digits = text.removeprefix("-")
    plain = digits.isascii() and digits.isdigit() and len(digits) <= 16 and (digits == "0" or digits[0] != "0")
    return int(text) if plain else None


def _real(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and "_" not in text else None
