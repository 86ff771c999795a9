"""Parsed data → a checked document, or Problems with line, column and remedy.

Owns positions and the words of refusals. The data and its positions come from whoever read the text
(`policyfiles`: YAML); the schema is `document.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.core.policy.document import ID_PATTERN, NAME_PATTERN, PIN_PATTERN, PolicyDocument, Section, nearest
from gateway.errors import PolicyError, Problem

__all__ = ["LoadedDocument", "Place", "Places", "Steps", "read_document", "validated"]

Steps = tuple[str | int, ...]
"""The way from the top of a document to one of its values: keys and list indexes."""


# --- positions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands, counted from 1. `text_line` and `text_column` are where a text's own characters begin.

    They are 0 where lines of the text are not lines of the file (folded text); then only the start is known.
    """

    line: int
    column: int
    text_line: int = 0
    text_column: int = 0

    def within(self, line: int, column: int) -> "Place":
        """Return the place of a line and column inside the text that stands here."""
        if not self.text_line:
            return self
        return Place(line=self.text_line + line - 1, column=self.text_column + column - 1)


_NOWHERE = Place(line=0, column=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The position of every value and every key of a document."""

    values: Mapping[Steps, Place] = field(default_factory=dict)
    keys: Mapping[Steps, Place] = field(default_factory=dict)

    def of(self, steps: Steps, *, key: bool = False) -> Place:
        """Return where the value (or its key) stands, or the nearest thing around it that has a position."""
        if key and steps in self.keys:
            return self.keys[steps]
        while steps and steps not in self.values:
            steps = steps[:-1]
        return self.values.get(steps, _NOWHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedDocument:
    """A policy file as it was read: its path relative to what was loaded, the SHA-256 of its bytes, its contents."""

    path: str
    sha256: str
    document: PolicyDocument
    places: Places = field(default_factory=Places)

    def problem(self, steps: Steps, message: str, remedy: str, *, inside: tuple[int, int] | None = None) -> Problem:
        """Return a problem at a value of this file; `inside` is a line and column within a text."""
        place = self.places.of(steps)
        if inside is not None:
            place = place.within(*inside)
        return _problem(self.path, steps, place, message, remedy)


# --- reading ----------------------------------------------------------------------------------------------------------

_Document = TypeVar("_Document", bound=Section)


def read_document(path: str, sha256: str, data: object, places: Places) -> LoadedDocument:
    """Check parsed data against the schema.

    Raises:
        PolicyError: with a Problem, at its line and column, for everything that is wrong.
    """
    return LoadedDocument(
        path=path, sha256=sha256, document=validated(PolicyDocument, path, data, places), places=places
    )


def validated(model: type[_Document], path: str, data: object, places: Places) -> _Document:
    """Return the data as `model`. Raises PolicyError with positions."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # pydantic also counts a list as too short when it is only its items that are wrong
        real = [detail for detail in details if detail["type"] != "too_short" or not detail["input"]]
        problems = [_explain(path, detail, places, model) for detail in real]
    raise PolicyError(*problems)


def _explain(path: str, detail: ErrorDetails, places: Places, model: type[Section]) -> Problem:
    """One pydantic error → one Problem an operator can act on."""
    steps = tuple(step for step in detail["loc"] if step != "[key]")
    kind, context = detail["type"], detail.get("ctx", {})
    value = detail["input"]
    on_key = kind == "extra_forbidden" or "[key]" in detail["loc"]
    message, remedy = _words(kind, steps, value, context, detail["msg"], model)
    return _problem(path, steps, places.of(steps, key=on_key), message, remedy)


def _words(
    kind: str, steps: Steps, value: object, context: Mapping[str, Any], message: str, model: type[Section]
) -> tuple[str, str]:
    """Say it in an operator's words: what is wrong, what to do."""
    last = str(steps[-1]) if steps else ""
    if kind == "extra_forbidden":
        fields = _fields_at(model, steps[:-1])
        return f"unknown field{nearest(last, fields)}", f"use one of {', '.join(fields)}"
    if kind == "missing":
        return f"`{last}` is missing", f"add `{last}`"
    if kind in ("literal_error", "enum"):
        return _not_one_of(value, context["expected"])
    if kind == "too_short":
        return "an empty list matches nothing and is refused", f"name at least one, or leave `{last}` out"
    if kind == "string_pattern_mismatch":
        return _PATTERNS[context["pattern"]]
    return _EXPECTED.get(kind, (message[:1].lower() + message[1:], "write it as policies/README.md says"))


def _not_one_of(value: object, expected: str) -> tuple[str, str]:
    words = expected.replace("'", "").replace(" or ", ", ")
    if isinstance(value, str | int):
        hint = nearest(str(value), words.split(", "))
        return f"{value!r} is not one of {words}{hint}", f"write one of {words}"
    return f"expected one of {words}", f"write one of {words}"


_PATTERNS = {
    ID_PATTERN: ("expected lower-case letters, digits and `.`, `_`, `-`, at most 64", "choose a name like this"),
    NAME_PATTERN: ("expected a lower-case letter, then letters, digits and `_`, at most 32", "choose a name like this"),
    PIN_PATTERN: ("expected 64 lower-case hex digits", "copy the tool's digest as the gateway prints it"),
}

_EXPECTED = {
    "tuple_type": ("expected a list", "write it as a list, for example [read_file, list_directory]"),
    "string_type": ("expected text", "put it in quotes"),
    "int_type": ("expected a whole number", "write a whole number without quotes"),
    "dict_type": ("expected a mapping of names to values", "write `name: …` lines, indented"),
    "model_type": ("expected a mapping of fields to values", "write `field: value` lines, indented"),
}


def _fields_at(model: type[Section], steps: Steps) -> list[str]:
    """The fields of the section that the steps lead to, found through the generated schema."""
    schema = model.model_json_schema()
    node = schema
    for step in steps:
        node = _resolved(schema, _child(node, step))
    return list(node.get("properties", {}))


def _child(node: dict[str, Any], step: str | int) -> dict[str, Any]:
    if isinstance(step, int):
        return dict(node.get("items", {}))
    named = (*node.get("patternProperties", {}).values(), node.get("additionalProperties"))
    return dict(node.get("properties", {}).get(step) or next(filter(None, named), {}))


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    for option in node.get("anyOf", ()):
        if option.get("type") != "null":
            node = option
    if "$ref" in node:
        return dict(schema["$defs"][node["$ref"].rpartition("/")[2]])
    return node


def _problem(path: str, steps: Steps, place: Place, message: str, remedy: str) -> Problem:
    field_name = ".".join(map(str, steps))
    return Problem(source=path, message=message, remedy=remedy, field=field_name, line=place.line, column=place.column)
