"""Editors check policies against the committed schema: it must be that of this code."""

from pathlib import Path

import jsonschema_rs
import orjson
import pytest

from gateway.core.policy.schema import SCHEMAS, schema_text
from gateway.policyfiles.shipped import shipped_policies
from gateway.policyfiles.yamltext import read_yaml

POLICIES = shipped_policies()
FILES = sorted(POLICIES.rglob("*.yaml"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_committed_schema_is_current(name: str) -> None:
    """Write it anew with `python -c "from gateway.core.policy.schema import schema_text; …"` (policies/README.md)."""
    assert (POLICIES / name).read_text(encoding="utf-8") == schema_text(name)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_shipped_file_names_its_schema_on_line_one_and_meets_it(file: Path) -> None:
    """The first thing an operator copies must show them mistakes as they type."""
    text = file.read_text(encoding="utf-8")
    name = "cases.schema.json" if file.stem.endswith("_test") else "schema.json"
    depth = "./" if file.parent == POLICIES else "../"
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={depth}{name}"
    jsonschema_rs.validate(orjson.loads(schema_text(name)), read_yaml(file.name, text)[0])
