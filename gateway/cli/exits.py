"""The exit codes of the command line: one meaning each, for scripts (`docs/administration.md` lists them)."""

from enum import IntEnum

from gateway.errors import ConfigurationError, GatewayError, RequestError, StoreError, Unavailable, UpstreamError

__all__ = ["Exit", "exit_for"]


class Exit(IntEnum):
    """What a command's exit status says."""

    OK = 0
    UNEXPECTED = 1
    """A fault of the program; a traceback says where."""
    USAGE = 2
    """The command line cannot be read (Click's own code)."""
    INVALID = 3
    """The configuration or a policy cannot be used."""
    FAILED = 4
    """Policy cases failed, the audit store is refused or its chain broken, or an evidence bundle is not verified."""
    UNREACHABLE = 5
    """The gateway or an upstream did not answer."""
    REFUSED = 6
    """The gateway refused what was asked: no such thing, taken already, not allowed, not valid."""
    DENY = 10
    """`eval` decided DENY."""
    ESCALATE = 11
    """`eval` decided ESCALATE."""
    INTERRUPTED = 130
    """Ctrl-C, as a shell says it; a gateway and a demo that are told to stop end with 0."""
    UNREAD = 141
    """Whoever read the output has gone, as a shell says it."""


def exit_for(error: GatewayError) -> Exit:
    """Return the status that a deliberate error ends a command with."""
    if isinstance(error, ConfigurationError):
        return Exit.INVALID
    if isinstance(error, StoreError):
        return Exit.FAILED
    if isinstance(error, UpstreamError | Unavailable):
        return Exit.UNREACHABLE
    if isinstance(error, RequestError):
        return Exit.REFUSED
    return Exit.UNEXPECTED
