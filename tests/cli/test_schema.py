"""`intended schema`: schemas that are schemas."""

import json

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from gateway.cli.main import app


@pytest.mark.parametrize("document", ["config", "policy", "cases"])
def test_each_document_has_a_valid_schema(document: str) -> None:
    """Editors read it."""
    result = CliRunner().invoke(app, ["schema", document])
    schema = json.loads(result.stdout)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False


def test_the_configuration_is_the_default() -> None:
    """It is asked for most."""
    assert json.loads(CliRunner().invoke(app, ["schema"]).stdout)["title"] == "intended.yaml"


def test_a_tier_is_written_by_name_in_the_schema() -> None:
    """Else an editor would offer numbers, which the reader refuses."""
    schema = json.loads(CliRunner().invoke(app, ["schema"]).stdout)
    assert schema["$defs"]["TierSettings"]["properties"]["default"]["enum"] == ["T0", "T1", "T2", "T3", "T4"]
