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


def schema(
    document: Annotated[Document, typer.Argument(help="intended.yaml, or a policy file.")] = Document.CONFIG,
) -> None:
    """Print the JSON Schema of intended.yaml or of a policy file."""
    if document is Document.CONFIG:
        from gateway.settings import Settings

        described = Settings.model_json_schema(mode="validation")
        data({"$schema": DIALECT, **described, "title": "intended.yaml"})
        return
    from gateway.core.policy.document import PolicyDocument

    data({"$schema": DIALECT, **PolicyDocument.model_json_schema(mode="validation"), "title": "policy file"})
