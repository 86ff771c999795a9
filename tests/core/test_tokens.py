"""What an authority token says, compared with vectors that a second implementation made, and with its page."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.core.audit.canonical import digest
from gateway.core.tokens import (
    AUTHORITY_META,
    CLAIMS,
    MAX_TTL_S,
    Grant,
    claims_of,
    thumbprint,
    with_authority,
    without_authority,
)
from gateway.errors import SigningError
from tests.golden.tokens_by_hand import VECTORS

GOLDEN = json.loads(VECTORS.read_text())
PAGE = Path(__file__).parents[2] / "docs" / "tokens.md"

GRANT = Grant(
    tenant="acme",
    agent="billing-agent",
    intent_id="int_1",
    intent_type="refund",
    args_digest="0" * 64,
    policy_digest="f" * 64,
    audience="payments",
    ttl_s=120,
    upstream="payments",
    tool="refund",
)
REST = replace(GRANT, upstream="", tool="", action="refund", system="billing")
NOW = datetime(2026, 11, 22, 12, 0, 0, 999_000, tzinfo=UTC)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_the_claims_are_those_of_the_second_implementation(case: dict) -> None:
    """Byte for byte the same digests, and the same names."""
    wanted = case["claims"]
    grant = Grant(
        tenant=wanted["tenant"],
        agent=wanted["sub"],
        intent_id=wanted["intentId"],
        intent_type=wanted["intentType"],
        args_digest=digest(json.loads(case["arguments"])),
        policy_digest=wanted["policyDigest"],
        audience=wanted["aud"],
        ttl_s=wanted["exp"] - wanted["iat"],
        upstream=wanted.get("upstream", ""),
        tool=wanted.get("tool", ""),
        action=wanted.get("action", ""),
        system=wanted.get("system", ""),
        answers_digest=digest(json.loads(case["answers"])) if "answers" in case else "",
    )
    issued = datetime.fromtimestamp(wanted["iat"] + 0.75, UTC)
    assert claims_of(grant, issuer=wanted["iss"], token_id=wanted["jti"], now=issued) == wanted


def test_a_key_is_named_by_its_thumbprint() -> None:
    """RFC 7638, its own example."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    jwk = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_every_claim_is_documented_and_every_documented_claim_is_made() -> None:
    """The table in docs/tokens.md is the one in the code."""
    made = claims_of(GRANT, issuer="i", token_id="t", now=NOW) | claims_of(REST, issuer="i", token_id="t", now=NOW)
    made |= claims_of(replace(GRANT, answers_digest="a" * 64), issuer="i", token_id="t", now=NOW)
    assert set(made) == set(CLAIMS)
    page = PAGE.read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page.partition("## Claims")[2].partition("\n## ")[0], re.MULTILINE)
    assert dict(rows) == dict(CLAIMS)


def test_a_token_lives_as_long_as_its_grant_says() -> None:
    """Whole seconds, rounded down: it is never valid before it was issued."""
    claims = claims_of(replace(GRANT, ttl_s=MAX_TTL_S), issuer="i", token_id="t", now=NOW)
    assert claims["iat"] == claims["nbf"] == int(NOW.timestamp())
    assert claims["exp"] - claims["iat"] == MAX_TTL_S


@pytest.mark.parametrize("ttl_s", [0, -1, MAX_TTL_S + 1])
def test_a_token_without_bounded_life_is_refused(ttl_s: int) -> None:
    """300 s at most."""
    with pytest.raises(SigningError, match="300 s"):
        replace(GRANT, ttl_s=ttl_s)


@pytest.mark.parametrize(
    "change",
    [
        {"upstream": ""},
        {"tool": ""},
        {"upstream": "", "tool": ""},
        {"action": "refund"},
        {"system": "billing"},
        {"action": "refund", "system": "billing"},
    ],
)
def test_a_token_is_for_one_act(change: dict[str, str]) -> None:
    """A tool of an upstream, or an action; never both, never half."""
    with pytest.raises(SigningError, match="neither"):
        replace(GRANT, **change)


@pytest.mark.parametrize(
    "field", ["tenant", "agent", "intent_id", "intent_type", "args_digest", "policy_digest", "audience"]
)
def test_nothing_that_binds_a_token_may_be_empty(field: str) -> None:
    """An empty claim would be left out, and an absent one binds nothing."""
    with pytest.raises(SigningError, match="one is empty"):
        replace(GRANT, **{field: ""})


def test_a_token_travels_in_the_meta_and_changes_nothing_else() -> None:
    """The params that were decided on stay as they are."""
    params = {"name": "refund", "_meta": {"progressToken": 1}}
    assert with_authority(params, "t") == {"name": "refund", "_meta": {"progressToken": 1, AUTHORITY_META: "t"}}
    assert with_authority({}, "t") == {"_meta": {AUTHORITY_META: "t"}}
    assert params == {"name": "refund", "_meta": {"progressToken": 1}}


@pytest.mark.parametrize("name", [AUTHORITY_META, "So.Intended/Authority", "ſo.intended/authority"])
def test_an_agent_s_own_token_is_struck_out(name: str) -> None:
    """In whatever case: an upstream finds the gateway's there or none."""
    assert without_authority({"name": "x", "_meta": {name: "forged", "a/b": 1}}) == {"name": "x", "_meta": {"a/b": 1}}


@pytest.mark.parametrize("params", [{}, {"_meta": {}}, {"_meta": {"a/b": 1}}, {"_meta": 3}])
def test_params_without_one_are_not_copied(params: dict) -> None:
    """Nearly every message: nothing to pay for."""
    assert without_authority(params) is params
