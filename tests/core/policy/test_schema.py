"""Editors check policies against the committed schema: it must be that of this code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from gateway.core.intent.model import EffectClass
from gateway.core.intent.risk import RISK_FACTORS
from gateway.core.policy.cel import _VARIABLES
from gateway.core.policy.document import GATED_METHODS
from gateway.core.policy.schema import SCHEMAS, schema_text
from gateway.policyfiles.shipped import shipped_policies
from gateway.policyfiles.yamltext import read_yaml

POLICIES = shipped_policies()
GUIDE = (POLICIES / "README.md").read_text(encoding="utf-8")
FILES = sorted(POLICIES.rglob("*.yaml"))


def keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        for part in schema.values():
            yield from keys(part)


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


@pytest.mark.parametrize("key", sorted({key for name in SCHEMAS for key in keys(orjson.loads(schema_text(name)))}))
def test_the_guide_names_every_key(key: str) -> None:
    """What can be written and is not explained is found by nobody."""
    assert f"`{key}`" in GUIDE


@pytest.mark.parametrize(
    "word",
    [
        *(effect.value for effect in EffectClass),
        *(code for code in RISK_FACTORS if not code.startswith("effect-")),
        *(variable for variable in _VARIABLES),
        *GATED_METHODS,
    ],
)
def test_the_guide_names_every_word_that_rules_and_conditions_may_use(word: str) -> None:
    """An auditor reads the words of a policy here, not in the code."""
    assert f"`{word}`" in GUIDE
