"""What is settled of a call is compared by identity, so that it can carry what is remembered of it."""

from gateway.core.call import Call
from gateway.core.intent.classify import settle
from gateway.core.intent.model import IntentContext
from gateway.core.intent.settled import Settled
from gateway.core.intent.taxonomy import TAXONOMY


def test_a_settled_call_remembers_the_intent_of_quiet_arguments_for_itself() -> None:
    """Two values that look alike must not share their memory."""
    call = Call(method="roots/list", upstream="s", name="", uri="", arguments={}, arguments_digest="")
    settled = settle(call, IntentContext(), TAXONOMY)
    again = Settled(
        profile=settled.profile,
        prior=settled.prior,
        mapped=settled.mapped,
        factors=settled.factors,
        evidence=settled.evidence,
        confidence=settled.confidence,
    )
    assert again != settled
    assert again.quiet == {}
