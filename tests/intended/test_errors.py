"""The errors: each status has its class, and the guide's own constructors work."""

import pytest

from intended.errors import (
    ApiError,
    AuthenticationError,
    BlockedError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    ValidationError,
    api_error,
)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "INVALID_INTENT", ValidationError),
        (400, "VALIDATION_ERROR", ValidationError),
        (400, "ALREADY_RESOLVED", ConflictError),
        (401, "UNAUTHORIZED", AuthenticationError),
        (403, "FORBIDDEN", ForbiddenError),
        (404, "NOT_FOUND", NotFoundError),
        (404, "AGENT_NOT_FOUND", NotFoundError),
        (409, "CONFLICT", ConflictError),
        (429, "RATE_LIMITED", RateLimitedError),
        (413, "PAYLOAD_TOO_LARGE", ApiError),
    ],
)
def test_each_code_of_the_documents_has_its_class(status: int, code: str, kind: type[ApiError]) -> None:
    """A program catches the kind it can do something about; code and message stay as the service said them."""
    error = api_error(status, code, "no", [{"path": ["type"], "message": "no"}])
    assert type(error) is kind
    assert (error.code, error.message, error.status) == (code, "no", status)
    assert error.details == [{"path": ["type"], "message": "no"}]
    assert str(error) == f"{code}: no"


def test_the_guide_raises_them_with_its_own_arguments() -> None:
    """Its function says `ValidationError(message, details)` and `ApiError(code, message)`."""
    assert ValidationError("type: required", [{"path": ["type"]}]).details == [{"path": ["type"]}]
    assert str(ApiError("INTERNAL_ERROR", "Unexpected")) == "INTERNAL_ERROR: Unexpected"
    assert str(NotFoundError("Agent not found")) == "NOT_FOUND: Agent not found"


def test_a_rate_limit_says_when_to_come_back() -> None:
    """A caller that waits a guessed time is refused again, or waits too long."""
    error = api_error(429, "RATE_LIMITED", "Too many requests", None, 12.0)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == 12.0


def test_a_blocked_tool_is_a_permission_error_too() -> None:
    """Handlers that frameworks have for PermissionError keep working."""
    with pytest.raises(PermissionError) as caught:
        raise BlockedError("no", verdict="DENY", intent_id="int_1")
    assert caught.value.verdict == "DENY"
