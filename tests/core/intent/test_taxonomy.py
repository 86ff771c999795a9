"""The taxonomy holds what the published guide lists, and grows only by sound types."""

import re
from pathlib import Path

import pytest

from gateway.core.intent.model import EffectClass
from gateway.core.intent.taxonomy import (
    TAXONOMY,
    UNKNOWN_TYPE,
    Domain,
    IntentType,
    Taxonomy,
    TaxonomyError,
    ValueType,
)

PUBLISHED = Path(__file__).parents[2] / "golden" / "published_intents.txt"
VALUES = {
    "Efficiency": ValueType.EFFICIENCY,
    "Revenue": ValueType.REVENUE,
    "Risk Mitigation": ValueType.RISK_MITIGATION,
    "Cost Savings": ValueType.COST_SAVINGS,
    "-": None,
}


def operator_type(type_id: str, *, base_risk: int | None = None, domain: str | None = None) -> IntentType:
    return IntentType(
        id=type_id,
        domain=domain if domain is not None else type_id.partition(".")[0],
        value=None,
        effect_class=EffectClass.WRITE,
        base_risk=base_risk,
    )


def test_every_published_type_is_there_with_its_value_type() -> None:
    """Programs written for the published guide name these types (contract, section 2)."""
    rows = [line.rstrip("\n").split("|") for line in PUBLISHED.read_text().splitlines()]
    assert len(rows) == 75
    listed = {each.id: each.value for each in TAXONOMY.types if each.id in {row[0] for row in rows}}
    assert listed == {type_id: VALUES[value] for type_id, value in rows}


def test_the_published_domains_are_marked() -> None:
    """Ops refuses a type that is not of its domain, so the seven domains must be known as such."""
    published = [domain.name for domain in TAXONOMY.domains if domain.published]
    assert published == ["billing", "support", "sales", "compliance", "vendors", "contracts", "identity"]


def test_unknown_is_a_type_of_its_own() -> None:
    """What cannot be classified is decided as `unknown`, never as something harmless."""
    assert TAXONOMY.get("unknown") is UNKNOWN_TYPE
    assert UNKNOWN_TYPE.effect_class is EffectClass.UNKNOWN
    assert TAXONOMY.get("no.such_type") is None


def test_every_type_is_of_a_listed_domain_and_every_effect_has_a_general_type() -> None:
    """A tool of unclear domain must still find a type for its effect."""
    assert {each.domain for each in TAXONOMY.types} <= {domain.name for domain in TAXONOMY.domains}
    general = {each.effect_class for each in TAXONOMY.by_domain["general"]}
    assert general == set(EffectClass) - {EffectClass.UNKNOWN}


def test_ids_are_words_that_programs_can_hold() -> None:
    """Ids travel in tokens, labels and file names."""
    assert all(re.fullmatch(r"unknown|[a-z]+\.[a-z_]+", each.id) for each in TAXONOMY.types)


def test_an_operator_extends_the_taxonomy_without_changing_it() -> None:
    """An operator's data file adds to the shipped table; the shipped table stays as it is."""
    extended = TAXONOMY.extended([operator_type("plants.water"), operator_type("files.stamp", base_risk=12)])
    added = extended.get("plants.water")
    assert added is not None
    assert extended.by_domain["plants"] == (added,)
    assert extended.domains[-1] == Domain(name="plants", description="declared by the operator", published=False)
    assert TAXONOMY.get("plants.water") is None


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (operator_type("files.read"), "twice"),
        (operator_type("water"), "expected"),
        (operator_type("Plants.water"), "expected"),
        (operator_type("plants.water now"), "expected"),
        (operator_type("plants.water", domain="files"), "its domain is"),
        (operator_type("plants.water", base_risk=101), "base_risk"),
    ],
)
def test_an_unsound_type_is_refused_with_its_reason(bad: IntentType, says: str) -> None:
    """A silent clash would let a file replace what a shipped rule means by a type."""
    with pytest.raises(TaxonomyError, match=says):
        TAXONOMY.extended([bad])


def test_a_taxonomy_without_unknown_is_refused() -> None:
    """There must always be a type for what cannot be classified."""
    with pytest.raises(TaxonomyError, match="unknown"):
        Taxonomy(domains=(), types=())
