"""`intended schema`: JSON Schemas for editors, made from the models that read the files."""

from enum import StrEnum
from typing import Annotated

import typer

from gateway.cli.output import data

__all__ = ["schema"]


DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Document(StrEnum):
    """Whose schema."""

    CONFIG = "config"
    POLICY = "policy"
    CASES = "cases"


def schema(
    document: Annotated[
        Document, typer.Argument(metavar="DOCUMENT", help="config (intended.yaml), policy, or cases of a policy.")
    ] = Document.CONFIG,
) -> None:
    """Print the JSON Schema of intended.yaml, policies or cases."""
    if document is Document.CONFIG:
        from gateway.settings import Settings

        described = Settings.model_json_schema(mode="validation")
        data({"$schema": DIALECT, **described, "title": "intended.yaml"})
        return
    from gateway.core.policy.schema import schema_text

    print(schema_text("schema.json" if document is Document.POLICY else "cases.schema.json"), end="")
