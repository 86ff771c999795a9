"""Which path speaks which dialect, and what the two shapes are."""

import orjson
import pytest

from gateway.api.dialect import Dialect, dialect_of, error_body, success_body


@pytest.mark.parametrize(
    "path",
    [
        "/v1/stats",
        "/v1/agents",
        "/v1/agents/",
        "/v1/agents/a/metrics",
        "/v1/intents",
        "/v1/intents/int_1/anything\n",
        "/v1/approvals/apr_1/approve",
        "/v1/audit",
        "/v1/audit/verify",
    ],
)
def test_the_paths_of_the_guide_speak_ops(path: str) -> None:
    """Contract, section 1: its table of fronts."""
    assert dialect_of(path) is Dialect.OPS


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/intent",
        "/v1/intent",
        "/v1/statsx",
        "/stats",
        "/intents",
        "/v1/audit/verify-chain",
        "/v1/audit/acme/timeline",
        "/v1/connectors",
        "/v2/agents",
        "/.well-known/openid-configuration",
    ],
)
def test_every_other_path_speaks_ref(path: str) -> None:
    """Unknown ones too (contract, section 1)."""
    assert dialect_of(path) is Dialect.REF


def test_the_envelopes() -> None:
    """Bare for Ref, `data` for Ops; details in Ops only, and only where there are any."""
    assert orjson.loads(success_body(Dialect.REF, {"a": 1})) == {"a": 1}
    assert orjson.loads(success_body(Dialect.OPS, {"a": 1})) == {"data": {"a": 1}}
    given = {"status": 404, "code": "NOT_FOUND", "message": "no"}
    assert orjson.loads(error_body(Dialect.REF, **given, details=[1])) == {
        "error": "NOT_FOUND",
        "message": "no",
        "statusCode": 404,
    }
    assert orjson.loads(error_body(Dialect.OPS, **given)) == {"error": {"code": "NOT_FOUND", "message": "no"}}
    assert orjson.loads(error_body(Dialect.OPS, **given, details=[1]))["error"]["details"] == [1]
