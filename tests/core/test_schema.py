"""Arguments are held against the pinned schema; a schema that could reach out or hang is refused."""

import pytest

from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.schema import ArgumentSchema, SchemaUnusable

PATH: JsonObject = {
    "type": "object",
    "properties": {"path": {"type": "string", "pattern": "^/w"}, "options": {"type": "object", "maxProperties": 1}},
    "required": ["path"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"path": "/w"}, ""),
        ({}, "arguments: `path` is required"),
        ({"path": 7}, "arguments.path: breaks `type` of the tool's input schema"),
        ({"path": "/secret"}, "arguments.path: breaks `pattern` of the tool's input schema"),
        ({"path": "/w", "more": 1}, "arguments: breaks `additionalProperties` of the tool's input schema"),
        (
            {"path": "/w", "options": {"a": 1, "b": 2}},
            "arguments.options: breaks `maxProperties` of the tool's input schema",
        ),
    ],
)
def test_a_problem_names_place_and_keyword_but_no_value(arguments: JsonObject, problem: str) -> None:
    """The agent can mend its call; a secret in an argument is not repeated."""
    assert ArgumentSchema(PATH).problem(arguments) == problem


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        "object",
        {"type": "no-such-type"},
        {"$ref": "http://127.0.0.1:1/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"x": {"$ref": "other.json"}}},
        {"type": "object", "properties": {"x": {"pattern": "("}}},
    ],
)
def test_a_schema_that_is_invalid_or_refers_elsewhere_is_unusable(schema: JsonValue) -> None:
    """Schemas come from upstreams: nothing is fetched for them (building-blocks, 1.2, defect 7)."""
    with pytest.raises(SchemaUnusable, match="inputSchema"):
        ArgumentSchema(schema)


def test_references_inside_the_document_work() -> None:
    """Real servers use `$defs`."""
    schema = ArgumentSchema({"$defs": {"n": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/n"}}})
    assert schema.problem({"x": 1}) == ""
    assert schema.problem({"x": "1"}) != ""


def test_a_hostile_pattern_takes_linear_time() -> None:
    """A backtracking engine would hang on this for years."""
    schema = ArgumentSchema({"properties": {"x": {"type": "string", "pattern": "(a+)+$"}}})
    assert schema.problem({"x": "a" * 50_000 + "!"}) != ""


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ({"path": "/w", "options": None}, True),
        ({"path": None}, False),
        ({"path": "/w", "undeclared": None}, False),
        ({"path": "/w", "options": {"a": None, "b": None}}, False),
        ({"path": "/secret", "options": None}, False),
    ],
)
def test_a_null_for_an_optional_property_counts_as_absent(arguments: JsonObject, fits: bool) -> None:
    """Clients write optional parameters so; it makes nothing else fit."""
    assert (ArgumentSchema(PATH).problem(arguments) == "") is fits


def test_a_schema_without_properties_has_no_optional_ones() -> None:
    """Real servers list tools that take nothing."""
    assert ArgumentSchema({"type": "object", "additionalProperties": False}).problem({"x": None}) != ""
