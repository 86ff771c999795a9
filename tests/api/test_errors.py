"""One table from errors to answers."""

import orjson
import pytest

from gateway import errors as tree
from gateway.api import errors as module
from gateway.api.dialect import Dialect
from gateway.api.errors import TABLE, error_answer, row_of
from gateway.errors import FieldProblem, InvalidRequest, RateLimited, RequestError, StateConflict, StoreError

REF = {
    "INVALID_INTENT": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
    "METHOD_NOT_ALLOWED": 405,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
}
OPS = {
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "VALIDATION_ERROR": 400,
    "ALREADY_RESOLVED": 400,
    "AGENT_NOT_FOUND": 404,
    "RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
    "METHOD_NOT_ALLOWED": 405,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
}


def kinds(base: type[Exception]) -> set[type[Exception]]:
    return {one for child in base.__subclasses__() for one in {child, *kinds(child)}}


def test_the_codes_are_those_of_the_contract() -> None:
    """Section 1, "Envelopes and errors": every code with its status, and no other."""
    assert {code: status for status, code in (row.ref for row in TABLE)} == REF
    assert {code: status for status, code in (row.ops for row in TABLE)} == OPS


def test_every_deliberate_error_of_a_request_has_its_own_row() -> None:
    """One that fell to the last row would be told as a fault of the gateway."""
    assert kinds(RequestError) <= {row.error for row in TABLE}


def test_a_narrower_error_is_found_before_a_wider_one() -> None:
    """The first row that fits answers."""
    for number, row in enumerate(TABLE):
        assert not any(issubclass(row.error, wider.error) for wider in TABLE[:number])


@pytest.mark.parametrize("error", [StoreError("/data/store.sqlite is gone"), ValueError("secret")])
def test_the_text_of_other_errors_is_not_told(error: Exception) -> None:
    """It may hold anything: a path, an argument, a key."""
    for dialect in Dialect:
        text = error_answer(dialect, error).body.decode()
        assert "store.sqlite" not in text
        assert "secret" not in text


def test_a_validation_error_lists_each_field() -> None:
    """The guide's example, field for field; Ref has the joined message only."""
    error = InvalidRequest(
        FieldProblem(path=("type",), message="Intent type is required"),
        FieldProblem(path=("params", 0), message="must be a text"),
    )
    assert orjson.loads(error_answer(Dialect.OPS, error).body) == {
        "error": {
            "code": "VALIDATION_ERROR",
            "message": "type: Intent type is required; params.0: must be a text",
            "details": [
                {"path": ["type"], "message": "Intent type is required"},
                {"path": ["params", 0], "message": "must be a text"},
            ],
        }
    }
    assert set(orjson.loads(error_answer(Dialect.REF, error).body)) == {"error", "message", "statusCode"}


def test_an_idempotency_key_used_for_another_body_is_a_conflict_or_a_failed_field() -> None:
    """Contract, "Idempotency": 409 in Ref; in Ops VALIDATION_ERROR naming the field."""
    error = StateConflict("was used for another body", field="idempotencyKey")
    assert error_answer(Dialect.REF, error).status_code == 409
    answer = orjson.loads(error_answer(Dialect.OPS, error).body)["error"]
    assert answer["code"] == "VALIDATION_ERROR"
    assert answer["details"] == [{"path": ["idempotencyKey"], "message": "was used for another body"}]


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (RateLimited("Too many requests", retry_after_s=17), "retry-after", "17"),
        (StoreError("x"), "retry-after", "1"),
        (StoreError("x", retry_after_s=11), "retry-after", "11"),
        (module.MethodNotAllowed(("GET", "PUT")), "allow", "GET, PUT"),
        (module.PayloadTooLarge(10), "connection", "close"),
        (tree.Unauthenticated("x"), "www-authenticate", "Bearer"),
    ],
)
def test_what_a_client_does_next_is_in_a_header(error: Exception, header: str, value: str) -> None:
    """429 carries Retry-After (contract, section 1); the others are HTTP's."""
    assert error_answer(Dialect.REF, error).headers[header] == value


def test_the_row_of_an_unforeseen_error_is_the_last() -> None:
    """500 INTERNAL_ERROR."""
    assert row_of(KeyError("x")) is TABLE[-1]
