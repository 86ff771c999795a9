"""Tool schemas: are the arguments what the pinned definition says? Never fetches anything.

JSON Schema 2020-12 as MCP has it (or the dialect that `$schema` names), by jsonschema-rs. A schema comes from an
upstream and is hostile until proven otherwise: a reference that leaves the document is refused, and patterns run in a
linear engine (research/building-blocks.md 1.2, defects 7 and 8).
"""

from typing import NoReturn

import jsonschema_rs

from gateway.core.jsonvalue import JsonObject, JsonValue

__all__ = ["ArgumentSchema", "SchemaUnusable"]


class SchemaUnusable(ValueError):
    """A tool's input schema is missing, invalid, or refers outside its document."""


class ArgumentSchema:
    """The compiled input schema of one tool."""

    __slots__ = ("_optional", "_validator")

    def __init__(self, schema: JsonValue) -> None:
        """Compile `schema`. Raises SchemaUnusable."""
        if not isinstance(schema, dict):
            msg = "inputSchema is missing or not an object"
            raise SchemaUnusable(msg)
        try:
            self._validator = jsonschema_rs.validator_for(
                schema, retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions(), validate_formats=False
            )
        except (ValueError, OSError, RecursionError) as error:
            msg = f"inputSchema cannot be used: {str(error).splitlines()[0]}"
            raise SchemaUnusable(msg) from error
        self._optional = _optional(schema)

    def problem(self, arguments: JsonObject) -> str:
        """Return where and how `arguments` break the schema, without any value of theirs; empty where they fit.

        A null for a property that need not be there counts as absent: clients write optional parameters so, and the
        conformance suite's own client does. What is forwarded still says null.
        """
        if self._validator.is_valid(arguments):
            return ""
        given = {name: value for name, value in arguments.items() if value is not None or name not in self._optional}
        if len(given) < len(arguments) and self._validator.is_valid(given):
            return ""
        error = next(iter(self._validator.iter_errors(arguments)))
        place = ".".join(("arguments", *map(str, error.instance_path)))
        missing = getattr(error.kind, "property", None)
        if missing is not None:
            return f"{place}: `{missing}` is required"
        return f"{place}: breaks `{error.schema_path[-1]}` of the tool's input schema"


def _optional(schema: JsonObject) -> frozenset[str]:
    """Return the declared properties that are not required."""
    declared, required = schema.get("properties"), schema.get("required")
    names = declared if isinstance(declared, dict) else {}
    return frozenset(names) - frozenset(required if isinstance(required, list) else ())


def _refuse(uri: str) -> NoReturn:
    """Stand in for the retriever, which by default would open files and connections."""
    msg = f"the schema refers outside its document ({uri})"
    raise ValueError(msg)
