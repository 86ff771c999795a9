"""Free text is judged as a tool's name would be, with every verb of the sentence counted."""

import pytest

from gateway.core.intent.model import EffectClass, IntentContext, Mapping
from gateway.core.intent.text import classify_text
from tests.core.intent.builders import codes

CONTEXT = IntentContext()


@pytest.mark.parametrize(
    ("action", "system", "type_id", "effect"),
    [
        ("deploy application to production", "github", "deployment.deploy", EffectClass.EXECUTE),
        ("deploy to production", "github", "deployment.deploy", EffectClass.EXECUTE),
        ("write to orders", "salesforce", "payments.prepare", EffectClass.WRITE),
        ("billing.send_invoice", "stripe", "billing.send_invoice", EffectClass.SEND),
        ("read the file", "", "files.read", EffectClass.READ),
        ("get the report and delete all files", "", "files.delete", EffectClass.DESTRUCTIVE),
        ("read the plan, run it", "", "general.execute", EffectClass.EXECUTE),
        ("frobnicate", "", "unknown", EffectClass.UNKNOWN),
        ("unknown", "", "unknown", EffectClass.UNKNOWN),
        ("", "", "unknown", EffectClass.UNKNOWN),
    ],
)
def test_a_text_becomes_an_intent(action: str, system: str, type_id: str, effect: EffectClass) -> None:
    """REST callers say what they want in words or by type."""
    intent = classify_text(action, {}, system, CONTEXT)
    assert intent.effect_class is effect
    assert intent.type == type_id or effect is EffectClass.EXECUTE


def test_what_cannot_be_classified_is_unknown_with_high_risk_and_low_confidence() -> None:
    """The contract: never allowed by default."""
    intent = classify_text("frobnicate", {}, "", CONTEXT)
    assert (intent.type, intent.risk >= 60, intent.confidence < 0.5) == ("unknown", True, True)


def test_production_in_the_text_is_a_factor() -> None:
    """The environment is as often in the sentence as in the parameters."""
    assert "production" in codes(
        classify_text("deploy the application with all of its services to production", {}, "", CONTEXT)
    )
    assert "production" not in codes(classify_text("read about production", {}, "", CONTEXT))


def test_parameters_are_read_like_arguments() -> None:
    """The same content is as dangerous through REST as through MCP."""
    intent = classify_text("read the file", {"path": "/etc/shadow"}, "", CONTEXT)
    assert intent.risk >= 90
    named = classify_text("billing.send_invoice", {"note": "rm -rf /"}, "", CONTEXT)
    assert named.risk > classify_text("billing.send_invoice", {}, "", CONTEXT).risk


def test_a_text_is_itself_content() -> None:
    """A text that is a command is dangerous, whatever its verb."""
    assert classify_text("rm -rf /", {}, "", CONTEXT).risk >= 90


def test_a_text_longer_than_is_read_is_a_factor() -> None:
    """A verb at the end of a long text must not go unnoticed."""
    assert "oversized-argument" in codes(classify_text("read " + "very " * 100 + "delete", {}, "", CONTEXT))


def test_an_operators_mapping_holds_for_texts_too() -> None:
    """A mapping names a system and an action as it names an upstream and a tool."""
    rows = (Mapping(upstream="plant", tool="water*", intent="general.write"),)
    assert classify_text("water the plants", {}, "plant", IntentContext(mappings=rows)).type == "general.write"


def test_novelty_counts_for_texts() -> None:
    """An agent's first deploy is not its hundredth."""
    first = classify_text("read the file", {}, "", IntentContext(novel=True)).risk
    assert classify_text("read the file", {}, "", IntentContext(novel=False)).risk < first
