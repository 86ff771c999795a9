"""A tool's definition → its pin: the digest that stands for exactly this name, description, schema and annotations."""

from gateway.core.audit.canonical import digest
from gateway.core.call import PinnedTool, Review
from gateway.core.jsonvalue import JsonObject
from gateway.core.paramheaders import header_marks
from gateway.core.schema import ArgumentSchema, SchemaUnusable

__all__ = ["pin_tool"]


def pin_tool(upstream: str, definition: JsonObject, *, known: PinnedTool | None = None) -> PinnedTool:
    """Return the pinned form of a tool as `upstream` listed it; `known` is how it was pinned before, if at all.

    A definition without a string name is the caller's to drop. Raises CanonicalError where the definition has no
    canonical form; such a tool cannot be pinned and is withheld.
    """
    pin = digest(definition)
    if known is not None and known.pin == pin:
        return known
    try:
        schema, problem = ArgumentSchema(definition.get("inputSchema")), ""
    except SchemaUnusable as error:
        schema, problem = None, str(error)
    return PinnedTool(
        upstream=upstream,
        name=definition["name"],
        pin=pin,
        definition=definition,
        review=Review.UNREVIEWED if known is None else Review.CHANGED,
        schema=schema,
        schema_problem=problem,
        header_marks=header_marks(definition.get("inputSchema")),
    )
