"""The ladder comes from a record to what it came to from the call, for every answer that rests on conditions."""

from typing import Any

import pytest

from gateway.core.rejudge import rejudge
from intended.evidence.verdict import verdict_of

RULES = {
    "deny": {"id": "no", "policySet": "p", "effect": "DENY", "digest": "d1"},
    "ask": {"id": "ask", "policySet": "p", "effect": "ESCALATE", "digest": "d2"},
    "allow": {"id": "yes", "policySet": "p", "effect": "ALLOW", "digest": "d3"},
}


def recorded(
    *rules: str, rung: int = 8, risk: int = 10, conditions: dict[str, str] | None = None, **facts: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return entry and body of a decision at which these rules held."""
    held = [RULES[name] for name in rules]
    outcomes = {rule["id"]: "true" for rule in held} | {"other": "false"}
    body = {
        "decision": {"rung": rung, "rules": held, "conditions": outcomes if conditions is None else conditions},
        "facts": {"allowBelow": 30, "denyFrom": 80, "tier": 1, "policyDigest": "d", **facts},
        "intent": {"factors": [["novel", 5, "x"]]},
    }
    return {"risk": risk}, body


def lease(**other: Any) -> dict[str, Any]:
    return {"id": "lse_1", "rules": [["ask", "d2"]], "risk": 40, "factors": ["novel"], "tier": 1, **other}


def remote(reason: str, effect: str = "DENY") -> dict[str, Any]:
    ids = {"intentId": "", "approvalId": "", "tokenId": ""}
    return {"effect": effect, "reason": f"authority-{reason}", "explanation": "", **ids}


AWAY = ("DENY", "authority-unavailable", 17)
YES = {"id": "apr_1", "rules": [["ask", "d2"]]}

CASES = {
    "a condition errs": (recorded(rung=4, conditions={"no": "error", "yes": "true"}), ("DENY", "condition-error", 4)),
    "a rule denies": (recorded("deny", "ask", "allow", rung=5), ("DENY", "policy-deny", 5)),
    "the risk is too high": (recorded("ask", "allow", rung=6, risk=80), ("DENY", "tier-deny", 6)),
    "a rule asks": (recorded("ask", "allow", rung=7), ("ESCALATE", "policy-escalate", 7)),
    "a rule allows": (recorded("allow"), ("ALLOW", "policy-allow", 8)),
    "the tier asks": (recorded("allow", rung=9, risk=30), ("ESCALATE", "tier-escalate", 9)),
    "no rule": (recorded(rung=10), ("DENY", "no-rule", 10)),
    "a human said yes": (recorded("ask", rung=12, approval=YES), ("ALLOW", "approved", 12)),
    "to another rule": (
        recorded("ask", rung=12, approval={"id": "apr_1", "rules": [["ask", "d9"]]}),
        ("ESCALATE", "policy-escalate", 7),
    ),
    "to the tier's question": (recorded("allow", rung=12, risk=30, approval=YES), ("ALLOW", "approved", 12)),
    "a lease covers it": (recorded("ask", rung=15, lease=lease()), ("ALLOW", "leased", 15)),
    "not at this risk": (recorded("ask", rung=15, risk=41, lease=lease()), ("ESCALATE", "policy-escalate", 7)),
    "not at this tier": (recorded("ask", rung=15, lease=lease(tier=2)), ("ESCALATE", "policy-escalate", 7)),
    "not with this factor": (recorded("ask", rung=15, lease=lease(factors=[])), ("ESCALATE", "policy-escalate", 7)),
    "the authority is away": (recorded("allow", rung=17, remote=remote("unavailable")), AWAY),
    "nor has it the last word": (recorded("deny", rung=5, remote=remote("unavailable")), ("DENY", "policy-deny", 5)),
    "the authority denies": (recorded("ask", rung=18, remote=remote("deny")), ("DENY", "authority-deny", 18)),
    "whatever a human said": (
        recorded("ask", rung=18, approval=YES, remote=remote("deny")),
        ("DENY", "authority-deny", 18),
    ),
    "the authority asks": (
        recorded("allow", rung=19, remote=remote("escalate", "ESCALATE")),
        ("ESCALATE", "authority-escalate", 19),
    ),
    "as a rule does": (
        recorded("ask", rung=7, remote=remote("escalate", "ESCALATE")),
        ("ESCALATE", "policy-escalate", 7),
    ),
    "the authority allows": (recorded("allow", remote=remote("allow", "ALLOW")), ("ALLOW", "policy-allow", 8)),
    "nor by a yes beside it": (
        recorded("ask", rung=15, lease=lease(factors=[]), approval=YES),
        ("ESCALATE", "policy-escalate", 7),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_follows_from_what_was_recorded(case: str) -> None:
    """Arguments are deleted after a while; the verdict stays provable. Writer and verifier derive it apart."""
    (entry, body), expected = CASES[case]
    assert rejudge(entry, body) == expected
    assert verdict_of(entry, body) == expected


@pytest.mark.parametrize("rung", [0, 1, 2, 3, 11, 13, 14, 16])
def test_what_rests_on_no_condition_does_not_follow(rung: int) -> None:
    """A switch, an unknown tool or a schema is no matter of rules; it must not be passed off as one."""
    entry, body = recorded(rung=rung)
    assert rejudge(entry, body) == "the answer rests on no condition"
    assert verdict_of({**entry, "effect": "DENY"}, body) is None
    with pytest.raises(ValueError, match="was not refused"):
        verdict_of({**entry, "effect": "ALLOW"}, body)


def test_rules_that_did_not_hold_prove_nothing() -> None:
    """Otherwise a rule could be written into a body beside its outcome."""
    entry, body = recorded("allow", conditions={"yes": "false"})
    assert rejudge(entry, body) == "the rules on record are not those whose conditions held"
    with pytest.raises(ValueError, match="not those whose conditions held"):
        verdict_of(entry, body)
