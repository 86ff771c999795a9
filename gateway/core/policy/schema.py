"""The JSON Schemas of policy and case files, for editors. Generated from the documents, so that they cannot differ."""

import orjson

from gateway.core.policy.cases import CaseFileDocument
from gateway.core.policy.document import PolicyDocument, Section

__all__ = ["SCHEMAS", "schema_text"]

SCHEMAS: dict[str, type[Section]] = {"schema.json": PolicyDocument, "cases.schema.json": CaseFileDocument}
"""File name under `policies/` → the document that it describes."""


def schema_text(name: str) -> str:
    """Return the text of the schema file `name`, one of `SCHEMAS`."""
    schema = SCHEMAS[name].model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
