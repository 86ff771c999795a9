"""The sample configuration, its policies and the schemas that editors read."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.configuration import Layer, resolve
from gateway.core.principal import TrustTier
from gateway.policyfiles.files import load_bundle

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_sample_configuration_is_one() -> None:
    """It is what people copy."""
    settings = resolve(Layer(), environ={}, config=EXAMPLES / "intended.yaml").settings
    assert set(settings.upstreams) == {"github", "files"}
    assert settings.policies == (EXAMPLES / "policies",)
    assert settings.tiers.agents == {"local": TrustTier.T1}


def test_the_sample_policies_load() -> None:
    """It is what people copy."""
    assert load_bundle(EXAMPLES / "policies").digest


def test_the_schema_beside_it_is_what_the_command_prints() -> None:
    """Regenerate with `intended schema config > examples/intended.schema.json`."""
    printed = CliRunner().invoke(app, ["schema", "config"])
    assert printed.exit_code == 0
    assert json.loads(printed.stdout) == json.loads((EXAMPLES / "intended.schema.json").read_text())


@pytest.mark.parametrize(
    ("file", "schema"), [("intended.yaml", "intended.schema.json"), ("policies/team.yaml", "../policies/schema.json")]
)
def test_each_sample_fits_the_schema_on_its_first_line(file: str, schema: str) -> None:
    """An editor would otherwise mark what the gateway accepts."""
    text = (EXAMPLES / file).read_text()
    named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert ((EXAMPLES / file).parent / named).resolve() == (EXAMPLES / schema).resolve()
    document = YAML(typ="safe", pure=True).load(text)
    validator = Draft202012Validator(json.loads((EXAMPLES / schema).read_text()))
    assert [error.message for error in validator.iter_errors(document)] == []
