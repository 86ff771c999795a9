"""The compose file: valid by the compose specification's own schema, and carrying what makes it safe."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from gateway.configuration.environment import PREFIX, read_environment
from gateway.configuration.shape import root
from gateway.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "examples/compose/compose.yaml"
SCHEMA = Path(__file__).parent / "compose-spec.schema.json"
"""`schema/compose-spec.json` of the repository compose-spec/compose-spec as of June 2026 (Apache-2.0)."""

COMPOSE: dict[str, Any] = YAML(typ="safe", pure=True).load(EXAMPLE.read_text())


def test_it_is_a_compose_file() -> None:
    """No engine is at hand, but the specification's schema is."""
    schema = json.loads(SCHEMA.read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(COMPOSE)] == []


def test_the_schema_would_notice_a_misspelt_key() -> None:
    """So that the test above can fail."""
    wrong = {"services": {"a": {"image": "b", "netwroks": []}}}
    assert list(Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(wrong))


def test_only_the_gateway_reaches_the_servers() -> None:
    """The gateway guards nothing that an agent can go around."""
    services = COMPOSE["services"]
    assert set(services["agent"]["networks"]) & set(services["files"]["networks"]) == set()
    assert set(services["gateway"]["networks"]) == {"agents", "servers"}
    assert COMPOSE["networks"]["agents"]["internal"] is True
    assert all("ports" not in service for service in services.values())


def test_the_agent_waits_for_a_healthy_gateway() -> None:
    """It must never start unguarded."""
    assert COMPOSE["services"]["agent"]["depends_on"]["gateway"]["condition"] == "service_healthy"
    assert COMPOSE["services"]["gateway"]["healthcheck"]["test"] == ["CMD", "intended", "health"]


def test_its_variables_are_settings() -> None:
    """The gateway refuses to start on a variable that it does not know."""
    variables = COMPOSE["services"]["gateway"]["environment"]
    assert all(name.startswith(PREFIX) for name in variables)
    layer, problems = read_environment(variables, root(Settings))
    assert problems == []
    settings = Settings.model_validate(layer.values)
    assert settings.allowed_hosts == ("gateway:8787",)


def test_the_gateway_has_time_to_drain() -> None:
    """Killed earlier, calls in flight would be left in doubt."""
    grace = COMPOSE["services"]["gateway"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > Settings().drain_s
