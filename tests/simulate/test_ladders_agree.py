"""The ladder that decides comes to the same from the record of a call, and so does the verifier's own."""

from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from gateway.core.approvals import Granted
from gateway.core.audit.body import decided_body
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.decide import decide
from gateway.core.decision import Effect, Reason, Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.model import EffectClass, Intent, RiskFactor
from gateway.core.leases import Leased
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import Principal, TrustTier
from gateway.core.rejudge import rejudge
from gateway.core.remote import Remote
from intended.evidence.verdict import verdict_of
from tests.core.policy.builders import bundle, rule

CALL = Call(method=INTENT_METHOD, upstream="u", name="t", uri="", arguments={}, arguments_digest="")
ME = Principal(tenant="default", agent="me", credential="key")
FACTORS = ("novel", "bulk")
CONDITIONS = {"holds": "1 < 2", "fails": "1 > 2", "errs": "args.missing > 1"}

HELD = ["holds", "holds", "holds", "holds", "fails", "fails", "fails", "errs"]
"""A condition that errs denies whatever the others say, so that most do not."""

THERE = [
    Remote(effect=Effect.ALLOW, reason=Reason.AUTHORITY_ALLOW, explanation=""),
    Remote(effect=Effect.ESCALATE, reason=Reason.AUTHORITY_ESCALATE, explanation=""),
    Remote(effect=Effect.DENY, reason=Reason.AUTHORITY_DENY, explanation=""),
    Remote(effect=Effect.DENY, reason=Reason.AUTHORITY_UNAVAILABLE, explanation=""),
]

rules = st.lists(
    st.tuples(st.sampled_from(["allow", "escalate", "escalate", "deny"]), st.sampled_from(HELD)), min_size=1, max_size=3
)


def policies(told: list[tuple[str, str]]) -> Bundle:
    return bundle(*[rule(f"r{number}", effect, CONDITIONS[when]) for number, (effect, when) in enumerate(told)])


@st.composite
def yeses(draw: st.DrawFn, policy: Bundle) -> dict[str, Any]:
    """A yes, a lease, both or neither, to all or some of the rules; and what a remote authority said, if asked."""
    known = [(one.matched.id, one.matched.digest) for one in policy.rules]
    seen = frozenset(draw(st.one_of(st.just(known), st.lists(st.sampled_from(known)))))
    lease = Leased(
        id="lse_1",
        rules=seen,
        risk=draw(st.integers(0, 3)),
        factors=frozenset(draw(st.lists(st.sampled_from(FACTORS)))),
        tier=draw(st.integers(0, 4)),
    )
    facts = {"approval": Granted(id="apr_1", rules=seen), "lease": lease}
    given = draw(st.sampled_from([(), ("approval",), ("lease",), ("approval", "lease")]))
    return {"remote": draw(st.sampled_from([None, None, *THERE])), **{name: facts[name] for name in given}}


@settings(max_examples=200)
@forall(st.data(), rules, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_what_is_decided_follows_from_its_record(
    data: st.DataObject, told: list[tuple[str, str]], risk: int, one: int, other: int
) -> None:
    """Else a gateway would call its own verdicts different, or a stranger call a true bundle forged."""
    policy = policies(told)
    factors = tuple(
        RiskFactor(code=code, points=5, evidence="") for code in data.draw(st.sets(st.sampled_from(FACTORS)))
    )
    intent = Intent(
        type="files.read",
        domain="files",
        effect_class=EffectClass.READ,
        confidence=0.9,
        evidence=(),
        risk=risk,
        factors=factors,
    )
    facts = Facts(
        principal=ME,
        tier=data.draw(st.sampled_from(TrustTier)),
        score=0,
        thresholds=Thresholds(allow_below=min(one, other), deny_from=max(one, other)),
        bundle=policy,
        now=datetime(2026, 11, 22, 12, tzinfo=UTC),
        novel=False,
        **data.draw(yeses(policy)),
    )
    decision = decide(CALL, intent, facts)
    body = orjson.loads(decided_body(CALL, intent, decision, facts, show_arguments=False))
    expected = (decision.effect, decision.reason, decision.rung)
    assert rejudge({"risk": risk}, body) == expected
    assert verdict_of({"risk": risk}, body) == expected
