"""Exit codes: one meaning each, and every deliberate error has one."""

import pytest

from gateway.cli.exits import Exit, exit_for
from gateway.errors import (
    AuditUnavailable,
    CanonicalError,
    ConfigurationError,
    GatewayError,
    NotFound,
    PolicyError,
    RequestError,
    StoreInUse,
    StoreRefused,
    Unavailable,
    UpstreamTimeout,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError(), 3),
        (PolicyError(), 3),
        (StoreRefused("x", remedy="y"), 4),
        (AuditUnavailable("x"), 4),
        (UpstreamTimeout("x", may_have_run=True), 5),
        (StoreInUse("x", remedy="y"), 4),
        (Unavailable("x"), 5),
        (NotFound("x"), 6),
        (RequestError("x"), 6),
        (CanonicalError("x"), 1),
        (GatewayError("x"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_its_exit_status(error: GatewayError, code: int) -> None:
    """Scripts branch on them; `docs/administration.md` lists them."""
    assert exit_for(error) == code


def test_the_answers_of_eval_are_apart_from_failures() -> None:
    """`intended eval` in a script must tell a DENY from a broken policy."""
    assert {Exit.DENY, Exit.ESCALATE} == {10, 11}
