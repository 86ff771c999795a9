"""What the document says of errors."""

from gateway.api.dialect import Dialect
from gateway.api.error_models import error_responses, error_schemas
from gateway.errors import AgentNotFound, AlreadyResolved, InvalidRequest, NotFound, RateLimited


def test_each_status_names_its_codes_once() -> None:
    """Two errors of one status are one response."""
    found = error_responses(Dialect.OPS, [NotFound, AgentNotFound, InvalidRequest, AlreadyResolved])
    assert {status: one["description"] for status, one in found.items()} == {
        400: "`VALIDATION_ERROR` or `ALREADY_RESOLVED`",
        404: "`AGENT_NOT_FOUND` or `NOT_FOUND`",
    }
    assert list(error_responses(Dialect.REF, [InvalidRequest, AlreadyResolved])) == [400, 409]


def test_the_example_is_of_the_dialect() -> None:
    """A reader copies it."""
    [ops] = error_responses(Dialect.OPS, [RateLimited]).values()
    assert ops["content"]["application/json"]["example"] == {
        "error": {"code": "RATE_LIMITED", "message": "Too many requests"}
    }
    assert "Retry-After" in ops["headers"]


def test_the_schemas_hold_everything_that_is_referred_to() -> None:
    """A dangling reference makes the whole document useless."""
    assert set(error_schemas()) == {"RefError", "OpsError", "OpsFault", "FailedField"}
