"""One token: what a good one proves, that it is used up, and that a refused one is not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from intended.verify import AuthorityError, Keys, MemoryUsedIds, Reason, StaticKeys, UsedIds, verify
from intended.verify.tokens import Authority
from tests.intended.verify.guarded import ARGUMENTS, CLAIMS, GOLDEN, GONE, JWKS, NOW, token

KEYS = StaticKeys(JWKS)


def check(text: Any, *, used: UsedIds | None = None, now: float = NOW, keys: Keys = KEYS, **changes: Any) -> Authority:
    asked: dict[str, Any] = {"audience": "payments", "tenant": "acme", "arguments": ARGUMENTS}
    if "action" not in changes:
        asked |= {"upstream": "payments", "tool": "transfer"}
    used = used or MemoryUsedIds(now=lambda: NOW)
    return verify(text, keys=keys, used=used, now=lambda: now, **(asked | changes))


def why(text: Any, **changes: Any) -> Reason:
    with pytest.raises(AuthorityError) as refused:
        check(text, **changes)
    assert len(str(text)) < 100 or str(text) not in str(refused.value)
    return refused.value.reason


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_the_tokens_of_the_second_implementation_are_accepted(case: dict[str, Any]) -> None:
    """Tool calls and REST intents, with and without answers."""
    claims = case["claims"]
    target = {name: claims[name] for name in ("upstream", "tool", "action", "system") if name in claims}
    found = verify(
        case["token"],
        keys=KEYS,
        audience=claims["aud"],
        tenant="acme",
        used=MemoryUsedIds(now=lambda: NOW),
        arguments=json.loads(case["arguments"]),
        answers=json.loads(case["answers"]) if "answers" in case else None,
        now=lambda: NOW + 1,
        **target,
    )
    assert found == Authority(
        agent="billing-agent",
        tenant="acme",
        intent_id=claims["intentId"],
        intent_type=claims["intentType"],
        policy_digest=claims["policyDigest"],
        token_id=claims["jti"],
        expires=claims["exp"],
    )


def test_a_token_is_good_once() -> None:
    """The second use is a replay."""
    used = MemoryUsedIds(now=lambda: NOW)
    check(token(), used=used)
    assert why(token(), used=used) is Reason.REPLAYED
    check(token(jti="tok_2"), used=used)


def test_ids_of_tenants_do_not_meet() -> None:
    """Servers of several tenants may share one memory; none may use up another's id."""
    used = MemoryUsedIds(now=lambda: NOW)
    check(token(), used=used)
    check(token(tenant="globex"), used=used, tenant="globex")


def test_a_refused_token_is_not_used_up() -> None:
    """Whoever sends it with the wrong arguments must not keep the right call from running."""
    used = MemoryUsedIds(now=lambda: NOW)
    assert why(token(), used=used, arguments={"amount": 6}) is Reason.ARGUMENTS
    check(token(), used=used)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"audience": "notes"}, Reason.AUDIENCE),
        ({"tenant": "globex"}, Reason.TENANT),
        ({"issuer": "another-gateway"}, Reason.ISSUER),
        ({"tool": "refund"}, Reason.TARGET),
        ({"upstream": "payments-2"}, Reason.TARGET),
        ({"action": "transfer"}, Reason.TARGET),
        ({"action": "transfer", "system": "payments"}, Reason.TARGET),
        ({"arguments": None}, Reason.ARGUMENTS),
        ({"arguments": {"amount": 5, "to": "me"}}, Reason.ARGUMENTS),
        ({"arguments": {"amount": "5"}}, Reason.ARGUMENTS),
        ({"arguments": {"amount": 2**60}}, Reason.ARGUMENTS),
        ({"answers": {"q": {"action": "accept"}}}, Reason.ANSWERS),
        ({"now": NOW + 120}, Reason.EXPIRED),
        ({"now": NOW - 6}, Reason.NOT_YET),
    ],
)
def test_a_token_for_something_else_is_refused(changes: dict[str, Any], reason: Reason) -> None:
    """It speaks for one agent of one tenant, at one server, for one call, now."""
    assert why(token(), **changes) is reason


def test_numbers_that_are_equal_in_json_are_equal_here() -> None:
    """5 and 5.0 are one number (RFC 8785), as they are to the gateway."""
    check(token(), arguments={"amount": 5.0})


def test_a_clock_that_is_a_little_behind_is_forgiven() -> None:
    """Five seconds, for the beginning only: a token's end is not moved."""
    check(token(), now=NOW - 5)
    check(token(), now=NOW + 119.9)


@pytest.mark.parametrize("name", [name for name in CLAIMS if name not in ("upstream", "tool")])
@pytest.mark.parametrize("value", [GONE, None, "", [], {}, True, 1.5])
def test_every_claim_must_be_there_and_of_its_type(name: str, value: object) -> None:
    """What is absent binds nothing, and a list of audiences is not one audience."""
    assert why(token(**{name: value})) is Reason.CLAIMS


@pytest.mark.parametrize("name", ["upstream", "tool"])
def test_a_token_without_its_target_is_for_nothing(name: str) -> None:
    """An absent target must not match any."""
    assert why(token(**{name: GONE})) is Reason.TARGET


@pytest.mark.parametrize(
    "text", [None, 7, b"x", "", "a.b", "a.b.c.d", "a.b.c\n", " a.b.c", "é.b.c", "a" * 20_000 + ".b.c"]
)
def test_what_is_no_compact_jws_is_refused(text: Any) -> None:
    """Whatever a caller writes in its place."""
    assert why(text) is Reason.MALFORMED


class Broken:
    """Keys and ids that cannot be had."""

    def get(self, kid: str) -> object:
        raise OSError("no route")

    def use(self, token_id: str, *, issued: float, expires: float) -> bool:
        raise ConnectionError("no route")


def test_without_keys_nothing_is_accepted() -> None:
    """A service that is down opens no door."""
    assert why(token(), keys=Broken()) is Reason.UNAVAILABLE


@pytest.mark.parametrize("used", [Broken(), MemoryUsedIds(0, now=lambda: NOW)])
def test_without_a_record_of_its_use_nothing_is_accepted(used: UsedIds) -> None:
    """Full or gone: a token whose use cannot be recorded could be used twice."""
    assert why(token(), used=used) is Reason.UNAVAILABLE


def test_only_a_plain_true_counts_as_a_first_use() -> None:
    """A store that answers something else was written for another question."""

    class Odd:
        def use(self, token_id: str, *, issued: float, expires: float) -> Any:
            return 1

    assert why(token(), used=Odd()) is Reason.REPLAYED


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": ""},
        {"tenant": ""},
        {"tool": ""},
        {"upstream": ""},
        {"upstream": "", "tool": ""},
        {"upstream": "payments", "tool": "transfer", "action": "transfer"},
        {"upstream": "payments", "tool": "", "action": "transfer"},
    ],
)
def test_a_check_that_would_leave_something_open_is_an_error(changes: dict[str, Any]) -> None:
    """The empty name matches nothing, not everything."""
    with pytest.raises(ValueError, match="name audience"):
        check(token(), **changes)


def test_refusals_tell_the_claims_of_a_signed_token_only() -> None:
    """What anybody can write is not told as if it were known."""
    with pytest.raises(AuthorityError) as signed:
        check(token(), tool="refund")
    assert signed.value.claims["intentId"] == "int_1"
    with pytest.raises(AuthorityError) as forged:
        check(token()[:-4] + "AAAA")
    assert forged.value.claims == {}


def test_it_needs_no_more_than_pyjwt(run_python: Callable[[str], str]) -> None:
    """A server imports this; it must not bring the gateway or an HTTP client along."""
    script = "import sys, intended.verify; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(run_python(script).split())
    foreign = loaded - set(__import__("sys").stdlib_module_names) - {"intended", "jwt", "cryptography", "_cffi_backend"}
    assert {name for name in foreign if not name.startswith(("_", "site"))} == set()
