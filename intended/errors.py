"""The errors that a program which uses the client can catch.

```text
IntendedError
├── ApiError                  the service answered that it will not do this: code, message, HTTP status, details
│   ├── ValidationError       400: the request cannot be used; `details` lists the fields where the service does
│   ├── AuthenticationError   401: the key is missing or unknown
│   ├── ForbiddenError        403: the key is good, but not for this
│   ├── NotFoundError         404
│   ├── ConflictError         409, and an approval that has its answer already
│   └── RateLimitedError      429; `retry_after_s` says when to come back
├── ServiceUnavailableError   no answer, or none that can be used: unreachable, too slow, 5xx, redirect, nonsense
└── BlockedError              a guarded tool was not allowed, where the guard was asked to raise
```

`submit_intent` never raises ServiceUnavailableError: it returns a decision that says DENY. No text holds the API key.
"""

__all__ = [
    "ApiError",
    "AuthenticationError",
    "BlockedError",
    "ConflictError",
    "ForbiddenError",
    "IntendedError",
    "NotFoundError",
    "RateLimitedError",
    "ServiceUnavailableError",
    "ValidationError",
    "api_error",
]


class IntendedError(Exception):
    """Any error of this client."""


class ApiError(IntendedError):
    """The service answered, and the answer is no. The text is `CODE: message`, as in the guide's own client."""

    def __init__(self, code: str, message: str = "", *, status: int = 0, details: object = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.details = details


class ValidationError(ApiError):
    """The request cannot be used. `details` is the service's list of failed fields, where it gives one."""

    def __init__(
        self, message: str = "", details: object = None, *, code: str = "VALIDATION_ERROR", status: int = 400
    ) -> None:
        super().__init__(code, message, status=status, details=details)


class AuthenticationError(ApiError):
    """The API key is missing or unknown."""


class ForbiddenError(ApiError):
    """The API key is good, but not for this."""


class NotFoundError(ApiError):
    """There is no such thing in this tenant."""

    def __init__(
        self, message: str = "", details: object = None, *, code: str = "NOT_FOUND", status: int = 404
    ) -> None:
        super().__init__(code, message, status=status, details=details)


class ConflictError(ApiError):
    """The request contradicts what is already there."""


class RateLimitedError(ApiError):
    """Too many requests in this minute; `retry_after_s` is None where the service does not say how long to wait."""

    def __init__(
        self,
        code: str = "RATE_LIMITED",
        message: str = "",
        *,
        status: int = 429,
        details: object = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(code, message, status=status, details=details)
        self.retry_after_s = retry_after_s


class ServiceUnavailableError(IntendedError):
    """There is no answer that could be used: `status` is its HTTP status, 0 where there was none."""

    def __init__(self, message: str, *, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class BlockedError(IntendedError, PermissionError):
    """A guarded tool was not run: `verdict` is DENY or ESCALATE."""

    def __init__(self, message: str, *, verdict: str, intent_id: str = "") -> None:
        super().__init__(message)
        self.verdict = verdict
        self.intent_id = intent_id


def api_error(
    status: int, code: str, message: str, details: object = None, retry_after_s: float | None = None
) -> ApiError:
    """Return the error for a 4xx answer: its class by code where that says more than the status."""
    if code == "ALREADY_RESOLVED" or status == 409:
        return ConflictError(code, message, status=status, details=details)
    if status == 401:
        return AuthenticationError(code, message, status=status, details=details)
    if status == 403:
        return ForbiddenError(code, message, status=status, details=details)
    if status == 404:
        return NotFoundError(message, details, code=code, status=status)
    if status == 429:
        return RateLimitedError(code, message, status=status, details=details, retry_after_s=retry_after_s)
    if status == 400:
        return ValidationError(message, details, code=code, status=status)
    return ApiError(code, message, status=status, details=details)
