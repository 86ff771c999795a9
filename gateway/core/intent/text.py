"""Free text or an intent type id → its intent, for what comes through the REST fronts and the command line."""

from gateway.core.call import Call
from gateway.core.intent.classify import classify
from gateway.core.intent.model import Intent, IntentContext
from gateway.core.intent.taxonomy import TAXONOMY, Taxonomy
from gateway.core.jsonvalue import JsonObject

__all__ = ["classify_text"]


def classify_text(
    action: str, params: JsonObject, system: str, context: IntentContext, taxonomy: Taxonomy = TAXONOMY
) -> Intent:
    """Return the intent of `action` with `params` on `system`."""
    call = Call(method="intent", upstream=system, name=action, uri="", arguments=params, arguments_digest="")
    return classify(call, context, taxonomy)
