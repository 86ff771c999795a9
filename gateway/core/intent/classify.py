"""A gated call → its intent. Deterministic and explained."""

from gateway.core.call import Call
from gateway.core.intent.model import EffectClass, Evidence, Intent, IntentContext
from gateway.core.intent.risk import effect_factor, total
from gateway.core.intent.taxonomy import TAXONOMY, Taxonomy

__all__ = ["classify"]


def classify(call: Call, context: IntentContext, taxonomy: Taxonomy = TAXONOMY) -> Intent:
    """Return the intent of `call` with its risk."""
    factors = (effect_factor(EffectClass.UNKNOWN, "nothing is known yet"),)
    return Intent(
        type=taxonomy.by_id["unknown"].id,
        domain="unknown",
        effect_class=EffectClass.UNKNOWN,
        confidence=0.0,
        evidence=(Evidence(source="method", detail=call.method),),
        risk=total(factors) if context.novel else total(factors),
        factors=factors,
    )
