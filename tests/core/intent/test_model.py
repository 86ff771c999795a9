"""The values of intent are closed sets and plain values."""

from gateway.core.intent.model import EffectClass, IntentContext


def test_the_effect_classes_are_a_closed_list() -> None:
    """Policies compare them as text; a renamed one would silently match nothing."""
    assert [effect.value for effect in EffectClass] == [
        "read",
        "write",
        "destructive",
        "execute",
        "send",
        "payment",
        "credential",
        "access",
        "unknown",
    ]


def test_without_a_context_an_agent_is_new_and_nothing_is_mapped() -> None:
    """A default that is forgotten must err on the careful side."""
    assert IntentContext() == IntentContext(mappings=(), novel=True, inside_domains=())
